import json

import pytest

from memory_r1.bench.judge_run import judge_run
from memory_r1.bench.judging import AnswerJudge
from memory_r1.bench.loading import BenchData, by_audit
from memory_r1.bench.relabel_run import relabel_run
from memory_r1.bench.report.run import load_run
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.errors import ConfigError, InvalidInputError, NotFoundError
from memory_r1.testing import ScriptedLM

WRONG = '{"why": "so", "label": "WRONG"}'


def entry(number, kind="HALLUCINATION", says="red", evidence=("D2:1",), **changes):
    texts = {0: ("What colour is the fence?", "blue"), 1: ("Who owns a dog?", "Bob"), 2: ("Who moved?", "Ann")}
    question, gold = texts[number]
    whole = {
        "question_id": f"locomo_0_qa{number}",
        "question": question,
        "golden_answer": gold,
        "error_type": kind,
        "correct_evidence": list(evidence),
        "correct_answer": says,
    }
    return whole | changes


@pytest.fixture
def audit(tmp_path):
    """Writes an audit; by default it puts the first question right and leaves the second out."""

    def write(*entries):
        file = tmp_path / "errors.json"
        file.write_text(json.dumps(entries or [entry(0), entry(1, "AMBIGUOUS")]), encoding="utf-8")
        return file

    return write


@pytest.fixture
def talk(make_talk):
    return make_talk(
        "conv-26",
        said=["Ann: I painted the fence blue.", "Bob: I adopted a brown dog."],
        questions=[
            ("What colour is the fence?", "blue", "single-hop"),
            ("Who owns a dog?", "Bob", "single-hop"),
            ("Who moved?", "Ann", "multi-hop"),
            ("Does Bob fly?", None, "adversarial"),
        ],
    )


@pytest.fixture
def source(bench, talk, tmp_path):
    bench("none", "rag", asked=BenchData("locomo", "test", (talk,)), request={"data": "locomo:/srv/x", "seed": 1})
    return BenchFolder(tmp_path / "run")


@pytest.fixture
def rescored(source, talk, tmp_path):
    def run(audit, name="new"):
        target = BenchFolder(tmp_path / name)
        return relabel_run(source, target, [talk], audit, command="memory-r1 bench rescore run"), target

    return run


def test_a_run_is_scored_anew_beside_the_old_one(source, rescored, audit, talk):
    before = {file: file.read_bytes() for file in source.path.rglob("*") if file.is_file()}
    labels, target = rescored(audit())
    assert (labels.replaced, labels.cited, labels.left_out) == (1, 0, 1)
    assert {file: file.read_bytes() for file in source.path.rglob("*") if file.is_file()} == before
    for system in ("none", "rag"):
        old, new = source.predictions(system), target.predictions(system)
        assert [name for _, name in new] == ["conv-26#0", "conv-26#2", "conv-26#3"]
        first = new["conv-26", "conv-26#0"]
        assert (first.gold, first.evidence, first.answer, first.scores["mem0_f1"]) == ("red", ("D2:1",), "blue", 0)
        assert old["conv-26", "conv-26#0"].scores["mem0_f1"] == 1
        assert new["conv-26", "conv-26#3"] == old["conv-26", "conv-26#3"]
        assert target.stats(system) == source.stats(system)
    config = target.config()
    assert config["data"]["labels"] == {
        "name": "locomo-audit",
        "sha256": labels.sha256,
        "cited": 0,
        "replaced": 1,
        "left_out": 1,
    }
    assert config["data"]["questions"] == 3
    assert config["data"]["name"] == "locomo"
    assert config["rescored"]["command"] == "memory-r1 bench rescore run"
    assert target.request()["audit"] == str(audit())
    assert load_run(target.path).labels["replaced"] == 1


def test_the_questions_and_hash_are_those_of_a_run_that_was_asked_by_the_audit(rescored, audit, talk):
    file = audit()
    _, target = rescored(file)
    asked = by_audit(BenchData("locomo", "test", (talk,)), file)
    assert target.config()["data"]["hash"] == asked.digest
    assert target.config()["data"]["questions"] == asked.questions


def test_a_verdict_stays_with_its_gold_answer(source, rescored, audit):
    judge_run(source, [AnswerJudge(ScriptedLM(WRONG))])
    _, target = rescored(audit())
    found = target.predictions("none")
    assert "judge_generous" not in found["conv-26", "conv-26#0"].scores
    assert found["conv-26", "conv-26#2"].scores["judge_generous"] == 0


def test_a_conversation_may_lose_its_last_question(rescored, audit):
    _, target = rescored(audit(entry(0, "AMBIGUOUS"), entry(1, "AMBIGUOUS"), entry(2, "AMBIGUOUS")))
    assert [name for _, name in target.predictions("none")] == ["conv-26#3"]


def test_what_cannot_be_rescored_is_told(source, rescored, audit, talk, make_talk, tmp_path):
    file = audit()
    rescored(file)
    with pytest.raises(ConfigError, match="There is a run in"):
        rescored(file)
    with pytest.raises(NotFoundError):
        relabel_run(BenchFolder(tmp_path / "no"), BenchFolder(tmp_path / "x"), [talk], file, command="")
    other = make_talk("conv-26", said=["Ann: Hi."], questions=[("What colour is the fence?", "green", "single-hop")])
    with pytest.raises(InvalidInputError, match="'blue' in the run and 'green' in the data"):
        relabel_run(source, BenchFolder(tmp_path / "x"), [other], file, command="")
    # by the audit already
    with pytest.raises(InvalidInputError, match="own labels"):
        relabel_run(BenchFolder(tmp_path / "new"), BenchFolder(tmp_path / "x"), [talk], file, command="")
    assert not (tmp_path / "x").exists()
