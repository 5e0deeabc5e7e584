from pathlib import Path

import pytest

from memory_r1 import bench
from memory_r1.told_paths import told_argument, told_command, told_path, told_text


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A home folder with a working folder in it."""
    home = tmp_path / "home" / "ann"
    work = home / "work"
    work.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return home, work


def test_a_path_is_told_from_the_nearest_known_folder_on(places):
    home, work = places
    assert told_path(work / "runs" / "a") == "runs/a"
    assert told_path(home / "data") == "~/data"
    assert told_path(home) == "~"
    assert told_path(work) == "."
    assert told_path("/srv/of/ann/adapter") == ".../adapter"
    assert told_path(f"{home}-other/data") == ".../data"
    assert told_path(Path(bench.__file__).parents[1] / "policies" / "answerer") == "memory_r1/policies/answerer"


@pytest.mark.parametrize("typed", ["runs/a", "~/a", "../a", ".", ""])
def test_what_was_typed_without_a_machine_stays(typed):
    assert told_path(typed) == typed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/srv/x/mine.jsonl", ".../mine.jsonl"),
        ("locomo:/srv/x/data", "locomo:.../data"),
        ("rag:answerer=/srv/x/adapter", "rag:answerer=.../adapter"),
        ("--out=/srv/x/run", "--out=.../run"),
        ("http://127.0.0.1:8000/v1#toy", "http://127.0.0.1:8000/v1#toy"),
        ("owner/model", "owner/model"),
        ("synthetic:4@1", "synthetic:4@1"),
    ],
)
def test_paths_within_an_argument_are_told(typed, told):
    assert told_argument(typed) == told


def test_a_command_can_be_typed_as_it_is_told(places):
    home, _ = places
    told = told_command(["bench", "run", "--data", f"locomo:{home}/my data", "-s", "rag"])
    assert told == "memory-r1 bench run --data 'locomo:~/my data' -s rag"


def test_a_text_loses_this_persons_folders(places):
    home, work = places
    assert told_text(f"no file {work}/a.json nor '{home}/b.json'") == "no file a.json nor '~/b.json'"
    # not in the middle of another path
    assert told_text(f"/mnt{home}/b.json") == f"/mnt{home}/b.json"


def test_a_root_as_working_folder_hides_nothing_by_looking_relative(monkeypatch):
    monkeypatch.chdir("/")
    assert told_path("/srv/of/ann/adapter") == ".../adapter"
