"""A published run has every score and none of the texts."""

import json

import pytest

from memory_r1.bench.publish import publish_run
from memory_r1.bench.report.compare import compare_runs
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.errors import ConfigError, NotFoundError


@pytest.fixture
def published(bench, tmp_path):
    bench("none", "rag")
    publish_run(BenchFolder(tmp_path / "run"), BenchFolder(tmp_path / "public"))
    return tmp_path / "public"


def test_no_word_of_the_data_is_left(published, data):
    said = [turn.text for one in data.conversations for turn in one.turns]
    asked = [text for one in data.conversations for each in one.questions for text in (each.text, each.answer or "")]
    for file in published.rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert not [words for words in (*said, *asked) if len(words) > 4 and words in text], file
    assert not (published / ".local").exists()
    assert not (published / "report.html").exists()


def test_scores_and_costs_are_those_of_the_run(published, tmp_path):
    run, copy = BenchFolder(tmp_path / "run"), BenchFolder(published)
    assert copy.systems() == run.systems() == ["none", "rag"]
    for name in run.systems():
        before, after = run.predictions(name), copy.predictions(name)
        assert list(before) == list(after)
        for key, one in before.items():
            assert after[key].scores == pytest.approx(one.scores, abs=1e-4)
            assert after[key].cost.prompt_tokens == one.cost.prompt_tokens
            assert (after[key].gold is None) == (one.gold is None)
            assert bool(after[key].answer) == bool(one.answer.strip())
        assert copy.stats(name) == run.stats(name)


def test_two_systems_of_a_copy_are_compared_as_in_the_run(published, tmp_path):
    run, copy = (
        compare_runs(folder, folder, system="none", against="rag").pairs[0] for folder in (tmp_path / "run", published)
    )
    assert copy.by_verdict() == run.by_verdict()
    assert any(copy.by_verdict().values())


def test_it_is_replaced_only_on_demand(published, tmp_path):
    source = BenchFolder(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"There is a run"):
        publish_run(source, BenchFolder(published))
    before = json.loads((published / "config.json").read_text())
    publish_run(source, BenchFolder(published), replace=True)
    assert json.loads((published / "config.json").read_text()) == before
    assert len(BenchFolder(published).predictions("rag")) == 4


def test_a_run_never_gives_way_to_a_copy(published, bench, tmp_path):
    bench("none", folder="other")
    for source, target in (("run", "other"), ("run", "run"), ("public", "public")):
        before = BenchFolder(tmp_path / target).predictions("none")
        with pytest.raises(ConfigError, match=r"a run itself"):
            publish_run(BenchFolder(tmp_path / source), BenchFolder(tmp_path / target), replace=True)
        assert BenchFolder(tmp_path / target).predictions("none") == before


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(NotFoundError):
        publish_run(BenchFolder(tmp_path / "nothing"), BenchFolder(tmp_path / "public"))
