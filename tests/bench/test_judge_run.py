import json

import pytest

from memory_r1.bench.judge_run import judge_run
from memory_r1.bench.judging import AnswerJudge
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.errors import ConfigError, InvalidInputError, ModelError, NotFoundError
from memory_r1.testing import ScriptedLM

RIGHT = '{"why": "so", "label": "CORRECT"}'
WRONG = '{"why": "so", "label": "WRONG"}'


def likes_blue(chat):
    return RIGHT if 'Gold answer: "blue"' in chat[1]["content"] else WRONG


@pytest.fixture
def folder(bench, own, tmp_path):
    """A run of two systems, one of which raises on a question."""
    method = own(
        """
def answer(self, question):
    if "dog" in question.text: raise ValueError("no dogs")
    return SystemAnswer("blue")
"""
    )
    bench("none", f"mine={method}")
    return BenchFolder(tmp_path / "run")


def verdicts(folder, system, metric):
    return {name: one.scores.get(metric) for (_, name), one in folder.predictions(system).items()}


def test_every_answer_gets_each_judges_verdict_and_the_config_tells_who_judged(folder):
    judges = [AnswerJudge(ScriptedLM(likes_blue, name="big"), one) for one in ("generous", "strict")]
    seen = []
    told = judge_run(folder, judges, on_progress=lambda *one: seen.append(one))
    for metric in ("judge_generous", "judge_strict"):
        assert verdicts(folder, "none", metric) == {"c1#0": 1.0, "c1#1": 0.0, "c2#0": 0.0, "c2#1": None}
        assert verdicts(folder, "mine", metric) == {"c1#0": 1.0, "c1#1": None, "c2#0": 0.0, "c2#1": None}
    assert folder.predictions("none")["c1", "c1#0"].scores["mem0_f1"] == 1
    assert folder.config()["judges"] == told
    one = told["judge_strict"]
    assert (one["model"], one["answers"], one["calls"], one["from_cache"]) == ("big", 5, 3, 2)
    assert one["prompt_tokens"] > 0
    assert ("none", "judge_strict", 4, 4) in seen


def test_the_same_judge_adds_to_its_bill_and_another_one_begins_anew(folder):
    judge_run(folder, [AnswerJudge(ScriptedLM(likes_blue, name="big"))])
    assert judge_run(folder, [AnswerJudge(ScriptedLM(likes_blue, name="big"))])["judge_generous"]["calls"] == 6
    told = judge_run(folder, [AnswerJudge(ScriptedLM(WRONG, name="small"))])["judge_generous"]
    assert (told["model"], told["calls"]) == ("small", 3)
    assert verdicts(folder, "none", "judge_generous")["c1#0"] == 0.0


def test_a_judge_that_fails_leaves_the_run_as_it_was_and_loses_no_verdict(folder, tmp_path):
    judge_run(folder, [AnswerJudge(ScriptedLM(WRONG, name="old"))])
    before = {file: file.read_bytes() for file in folder.path.rglob("*.json*")}
    replies = [RIGHT, ModelError("gone")]
    cache = tmp_path / "verdicts.jsonl"
    with pytest.raises(ModelError, match="gone"):
        judge_run(folder, [AnswerJudge(ScriptedLM(replies, name="new"), cache=cache, batch=1)])
    assert {file: file.read_bytes() for file in folder.path.rglob("*.json*")} == before
    assert len(cache.read_text().splitlines()) == 1


def test_models_of_one_name_at_two_addresses_do_not_share_verdicts(tmp_path):
    asked = [("Where?", "Leeds", "Leeds")]
    cache = tmp_path / "verdicts.jsonl"
    first = AnswerJudge(ScriptedLM(RIGHT), cache=cache, identity="a")
    other = AnswerJudge(ScriptedLM(WRONG), cache=cache, identity="b")
    assert (first.grade(asked), other.grade(asked)) == ([1.0], [0.0])


def test_there_must_be_answers_and_nobody_else_at_work(folder, tmp_path):
    judges = [AnswerJudge(ScriptedLM(RIGHT))]
    with pytest.raises(NotFoundError):
        judge_run(BenchFolder(tmp_path / "nowhere"), judges)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text(json.dumps({}))
    with pytest.raises(InvalidInputError, match="no answers yet"):
        judge_run(BenchFolder(tmp_path / "empty"), judges)
    with folder.alone(), pytest.raises(ConfigError, match="Another process"):
        judge_run(folder, judges)
