"""A teacher plays the tasks; what it was rewarded for is imitated, and asked for once."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from memory_r1.cli.app import app
from memory_r1.errors import ConfigError, EndpointError, TrainingError
from memory_r1.lm.base import Completion
from memory_r1.rl.agent_tasks import load_tasks
from memory_r1.rl.data_config import DataConfig
from memory_r1.rl.endpoints import asked_model, identity_of
from memory_r1.rl.episode import Observation, Reward, families
from memory_r1.rl.prompt_task import PromptTask
from memory_r1.rl.run_folder import RunFolder
from memory_r1.rl.teacher import TeacherConfig, learn_from
from memory_r1.testing import OpenAIStub
from memory_r1.testing.server import Failure

OWN = """\
{"type": "session", "id": "S1", "time": "2024-01-14T19:10:00Z"}
{"type": "turn", "speaker": "Ann", "text": "I like green tea."}
{"type": "turn", "speaker": "Ann", "text": "I moved to Leeds."}
{"type": "question", "text": "Where is Ann now?", "answer": "Leeds", "evidence": ["S1:2"]}
{"type": "question", "text": "What does Ann drink?", "answer": "Green tea"}
"""


class Scripted:
    """A model that answers by the question and the number of the try, and counts."""

    name, context_length = "big", 8192

    def __init__(self, *tries, finish="stop"):
        self.tries, self.finish, self.asked = tries, finish, []

    def complete(self, chats, sampling=None, *, adapter=None):
        self.asked += [(chat[-1]["content"], sampling) for chat in chats]
        text = self.tries[0 if sampling.seed is None else sampling.seed % 1009]
        return [Completion(text, 1, 1, self.finish, 0.0) for _ in chats]

    def count_tokens(self, chat):
        return 1

    def close(self):
        pass


def tasks(**more):
    return [PromptTask(id=f"t{n}", prompt=f"Question {n}?", answer="tea", reward="em", **more) for n in range(3)]


def config(samples, **more):
    return TeacherConfig(model="openai:big", samples=samples, **more)


def test_the_best_rollout_of_each_task_is_imitated():
    lm = Scripted("coffee", "tea", "milk")
    taught, about = learn_from(lm, tasks(), config(3))
    assert [(one.id, one.demonstration()) for one in taught] == [(f"t{n}", "tea") for n in range(3)]
    assert [one.start().observe().chat[-1]["content"] for one in taught] == [f"Question {n}?" for n in range(3)]
    assert (about["tasks"], about["tasks_taught"], about["demonstrations"], about["best_reward"]) == (3, 3, 3, 1.0)
    assert [sampling.temperature for _, sampling in lm.asked] == [0.0] * 3 + [1.0] * 6


def test_all_different_rollouts_above_the_least_reward_may_be_imitated_and_share_their_prompt():
    lm = Scripted("tea", "some tea", "tea", "milk")
    contains = [task.model_copy(update={"reward": "contains"}) for task in tasks()]
    taught, _ = learn_from(lm, contains, config(4, every=True))
    assert [one.text for one in taught[:2]] == ["tea", "some tea"]
    assert len(taught) == 6
    assert [len(family) for family in families(taught)] == [2, 2, 2]


def test_of_equals_the_greedy_one_is_imitated():
    contains = [task.model_copy(update={"reward": "contains"}) for task in tasks()]
    taught, _ = learn_from(Scripted("green tea", "black tea"), contains, config(2))
    assert {one.text for one in taught} == {"green tea"}


def test_what_is_imitated_of_json_is_the_object_alone():
    lm = Scripted('Sure!\n```json\n{"op": "ADD",  "tea": 1}\n```')
    contains = [task.model_copy(update={"reward": "contains"}) for task in tasks(json=True)]
    taught, _ = learn_from(lm, contains, config(1))
    assert taught[0].text == '{"op":"ADD","tea":1}'


@pytest.mark.parametrize(
    ("lm", "more"),
    [
        (Scripted("coffee"), {}),
        (Scripted("tea", finish="length"), {}),
        (Scripted("tea"), {"least": 1.5}),
        (Scripted("tea " * 200), {"least": 0.0}),
        (Scripted(" "), {"least": 0.0}),
    ],
)
def test_what_earned_too_little_or_does_not_end_is_not_imitated(lm, more):
    with pytest.raises(TrainingError, match="Nothing that the teacher big did earned") as raised:
        learn_from(lm, tasks(), config(1, **more))
    assert "--teacher-least" in raised.value.hint


class TwoSteps:
    """An episode that asks twice; only the two words together are right."""

    def __init__(self):
        self.said = []

    def observe(self):
        chat = ({"role": "user", "content": f"Word {len(self.said)}?"},)
        return Observation(chat, 8) if len(self.said) < 2 else None

    def act(self, text, finish):
        self.said.append(text)

    def score(self):
        return Reward(float(len(set(self.said)) == 1), {})


class TwoStepTask:
    id = "two"

    def start(self):
        return TwoSteps()

    def demonstration(self):
        return None


def test_every_prompt_of_a_longer_episode_is_imitated():
    taught, _ = learn_from(Scripted("yes"), [TwoStepTask()], config(1))
    assert [(one.id, one.observation.chat[0]["content"]) for one in taught] == [
        ("two/0", "Word 0?"),
        ("two/1", "Word 1?"),
    ]


def test_thinking_models_get_more_room():
    lm = Scripted("tea")
    learn_from(lm, tasks(), config(1))
    learn_from(lm, tasks(), config(1, max_tokens=2000))
    assert [sampling.max_tokens for _, sampling in lm.asked[::3]] == [64, 2048]


def test_answers_are_kept_on_disk_by_model_and_content(tmp_path):
    with OpenAIStub("tea") as stub:
        for name in ("big", "big", "other"):
            learn_from(asked_model(f"{stub.url}#{name}", folder=tmp_path), tasks(), config(2))
        assert [call.body["model"] for call in stub.calls] == ["big"] * 7 + ["other"] * 7
        lm = asked_model(f"{stub.url}#big", folder=tmp_path)
        learn_from(lm, [*tasks(), PromptTask(id="new", prompt="New?", answer="tea")], config(2))
        assert [call.body["messages"][-1]["content"] for call in stub.calls[14:]] == ["New?"] * 2


def test_a_folder_is_another_model_once_it_changes(tmp_path):
    (tmp_path / "weights").write_text("1")
    before = identity_of(str(tmp_path))
    assert identity_of(f"local:{tmp_path}") == before
    (tmp_path / "weights").write_text("22")
    assert identity_of(str(tmp_path)) != before


def test_a_failing_teacher_is_loud_and_what_it_gave_is_kept(tmp_path):
    given = []

    def dies(body):
        given.append(body)
        return "tea" if len(given) <= 4 else Failure(400, "out of credit")

    with OpenAIStub(dies) as stub:
        lm = asked_model(f"{stub.url}#big", folder=tmp_path)
        learn_from(lm, tasks(), config(1))
        with pytest.raises(EndpointError, match="out of credit"):
            learn_from(lm, tasks(), config(2))
        learn_from(lm, tasks(), config(1))


@pytest.mark.parametrize(
    ("model", "told", "kind"),
    [
        ("openai:big", "no API key", ConfigError),
        ("http://127.0.0.1:9/v1#big", "127.0.0.1:9", EndpointError),
        ("who-is-this", "Unknown model", ConfigError),
    ],
)
def test_a_teacher_that_cannot_be_asked_is_told_before_any_work(model, told, kind, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    described = DataConfig(
        agent="answerer", data="not-there.jsonl", teacher=TeacherConfig(model=model), facts_folder=str(tmp_path)
    )
    with pytest.raises(kind, match=told):
        load_tasks(described)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORY_R1_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "own.jsonl"
    path.write_text(OWN, encoding="utf-8")
    return path


def command(agent, roomy_model, own, *more):
    return (
        *("train", agent, "--data", own, "--model", roomy_model, "--embedder", "hash", "--preset", "tiny"),
        *("--algo", "sft", "--steps", 1, *more),
    )


def test_an_agent_imitates_an_endpoint_from_the_command_line(roomy_model, own, tmp_path):
    out = tmp_path / "run"

    def reply(body):
        asked = body["messages"][-1]["content"]
        return "[1]\n**Answer:** Leeds" if "Question:" in asked else "OK"

    more = ("--source", "turns", "--out", out, "--teacher-samples", 2)
    with OpenAIStub(reply) as stub:
        done = run(*command("answerer", roomy_model, own, "--teacher", f"{stub.url}#big", *more))
        assert done.exit_code == 0, done.output
        assert "2/2 tasks, 1 of them" in done.stderr
        asked = len(stub.calls)
        assert asked == 5
        again = run("train", "answerer", "--out", out, "--resume", "--steps", 2)
        assert again.exit_code == 0, again.output
        assert len(stub.calls) == asked
    about = RunFolder(out).about()
    assert about["teacher"]["demonstrations"] == 1
    assert about["tasks"] == 1
    card = (out / "adapter" / "README.md").read_text(encoding="utf-8")
    assert "| Teacher | " in card
    assert "#big" in card


def test_the_manager_imitates_what_the_reader_answered_well_from(roomy_model, own, tmp_path):
    out = tmp_path / "run"

    def reply(body):
        return '{"op": "ADD"}' if "New fact" in body["messages"][-1]["content"] else "OK"

    with OpenAIStub(reply) as stub:
        more = ("--teacher", f"{stub.url}#big", "--build", "source=turns", "--out", out, "--teacher-samples", 1)
        done = run(*command("manager", roomy_model, own, "--teacher-least", 0.1, *more))
    assert done.exit_code == 0, done.output
    assert RunFolder(out).about()["teacher"]["demonstrations"] == 1


def test_a_teacher_that_is_of_no_use_leaves_no_folder(roomy_model, own, tmp_path):
    out = tmp_path / "run"
    with OpenAIStub("I cannot help with that.") as stub:
        teacher = ("--source", "turns", "--teacher", f"{stub.url}#big", "--out", out)
        done = run(*command("answerer", roomy_model, own, *teacher))
    assert done.exit_code == 2
    assert "Nothing that the teacher big did earned 0.5" in done.stderr
    assert "I cannot help" in done.stderr
    assert not out.exists()


def test_only_imitation_has_a_teacher(roomy_model, own):
    words = [word if word != "sft" else "grpo" for word in command("answerer", roomy_model, own)]
    done = run(*words, "--teacher", "openai:big")
    assert done.exit_code == 2
    assert "--algo sft" in done.stderr


def test_a_judge_grades_from_the_command_line(roomy_model, own, tmp_path):
    out = tmp_path / "run"

    def reply(body):
        return json.dumps({"label": "CORRECT"}) if "Gold answer" in body["messages"][-1]["content"] else "OK"

    with OpenAIStub(reply) as stub:
        words = [word if word != "sft" else "grpo" for word in command("answerer", roomy_model, own, "--out", out)]
        more = ("--source", "turns", "--rewards", "em=1,judge=0.5", "--judge", f"{stub.url}#big")
        done = run(*words, *more, "--set", "prompts=1", "--set", "completions=2")
        assert done.exit_code == 0, done.output
    [row] = [row for row in RunFolder(out).metrics() if row["step"] == 1]
    assert row["charts/reward"] == pytest.approx(row["reward/em"] + 0.5 * row["reward/judge"])
