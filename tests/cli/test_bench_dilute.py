import json
import re

import pytest

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.jsonl import to_lines
from memory_r1.testing import OpenAIStub


@pytest.fixture
def talk(home):
    """A file with two conversations of four questions each."""
    lines = []
    for name, speaker in (("c1", "Ann"), ("c2", "Cem")):
        turns = tuple(Turn(f"D1:{n}", speaker, f"I painted door {n} of {name} blue.") for n in range(6))
        asked = tuple(
            Question(f"{name}#{n}", f"What did {speaker} do with door {n}?", "blue", "single-hop", (f"D1:{n}",))
            for n in range(4)
        )
        lines += to_lines(Conversation(name, (speaker,), (Session("s1", None, turns),), asked))
    file = home / "talk.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.fixture
def dilute(run, talk, home):
    def start(*arguments, status=0, data=talk):
        fixed = ["--data", data, "--embedder", "hash", "--cache", home / "cache"]
        return run("bench", "dilute", *fixed, *arguments, status=status)

    return start


def test_tables_come_to_the_terminal_and_into_a_folder(dilute, home):
    result = dilute("--sizes", "20,60", "--out", home / "out")
    assert "Evidence found and answers" in result.stdout
    assert re.search(r"undiluted +6 +8 ", result.stdout)
    assert re.search(r"60 +60 +8 ", result.stdout)
    assert "Questions: 24/24" in result.stderr
    assert "Embedding" in result.stderr
    markdown = (home / "out" / "dilution.md").read_text(encoding="utf-8")
    assert "```sh\nmemory-r1 " in markdown
    assert len((home / "out" / "questions.jsonl").read_text().splitlines()) == 24
    # a second run finds its vectors
    assert "Embedding" not in dilute("--sizes", "20,60").stderr


def test_json_has_every_figure(dilute, home):
    found = dilute("--sizes", "60", "--json", "--out", home / "out").json
    assert found == json.loads((home / "out" / "dilution.json").read_text(encoding="utf-8"))
    assert (found["embedder"], found["model"]) == ("hash-384", None)
    assert found["distractors"] == {"talk.jsonl": {"usable": 2, "of": 2}}
    large = found["sizes"][1]
    assert (large["size"], large["sources"]) == (60, {"synthetic": 48.0, "talk.jsonl": 6.0})
    assert set(large["kept"]) == {"recall@10", "recall@60", "dynamic.recall"}
    assert large["metrics"]["recall@60"]["n"] == 8
    assert 0 < large["search_seconds"]["p50"] <= large["search_seconds"]["p95"]


def test_a_reader_answers_behind_an_endpoint(dilute):
    with OpenAIStub(lambda body: "[0]\n**Answer:** blue") as stub:
        result = dilute("--sizes", "20", "--reader", "--model", f"{stub.url}#toy", "--json")
        assert result.json["sizes"][1]["metrics"]["fixed.f1"]["mean"] == 1
        assert result.json["sizes"][1]["kept"]["dynamic.f1"]["mean"] == 1
        asked = len(stub.calls)
        # answers are kept: only whether the model is there is asked again
        assert "F1, dynamic" in dilute("--sizes", "20", "--reader", "--model", f"{stub.url}#toy").stdout
        assert len(stub.calls) == asked + 1


def test_mistakes_are_told(dilute, home, talk):
    assert "--sizes ten cannot be read" in dilute("--sizes", "ten", status=2).stderr
    assert "--sizes 0 cannot be read" in dilute("--sizes", "0", status=2).stderr
    assert "A bank of 6 cannot be diluted: c1 alone has 6" in dilute("--sizes", "6", status=2).stderr
    assert "Give --reader too" in dilute("--adapter", home, status=2).stderr
    assert "is not needed" in dilute("--distractor", "synthetic:3", status=2).stderr
    assert "names no data" in dilute(data="nonsense", status=2).stderr
    assert "no conversation 'c9'" in dilute("--conversations", "c9", status=2).stderr
    taken = home / "taken"
    taken.write_text("")
    assert "cannot be written" in dilute("--sizes", "20", "--out", taken, status=2).stderr


def test_data_without_evidence_is_refused(dilute, home):
    turns = (Turn("D1:1", "Ann", "I painted the door blue."),)
    asked = (Question("q", "What did Ann do?", "painted", "single-hop"),)
    file = home / "bare.jsonl"
    file.write_text("\n".join(to_lines(Conversation("c", ("Ann",), (Session("s", None, turns),), asked))))
    assert "No question of bare.jsonl names the turns" in dilute(data=file, status=2).stderr


def test_a_cache_that_is_something_else_is_left_alone(dilute, home):
    (home / "cache").mkdir()
    (home / "cache" / "vectors.sqlite").write_text("something else " * 100)
    assert "no cache of vectors" in dilute("--sizes", "20", status=2).stderr
    assert (home / "cache" / "vectors.sqlite").read_text().startswith("something else")
