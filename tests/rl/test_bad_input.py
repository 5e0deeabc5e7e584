"""What cannot be trained on or with is told in one line, before any time is spent, and leaves no run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memory_r1.cli.app import app
from memory_r1.errors import TrainingError
from memory_r1.rl.config import make_config
from memory_r1.rl.episode import families
from memory_r1.rl.launch import TaskData, hold_out, start_run
from memory_r1.rl.policy import Policy
from memory_r1.rl.preflight import check_free
from memory_r1.rl.prompt_task import PromptTask
from memory_r1.rl.run_folder import RunFolder

TALK = """\
{"type": "conversation", "id": "demo", "speakers": ["Ann", "Bob"]}
{"type": "session", "id": "S1", "time": "2024-01-14T19:10:00Z"}
{"type": "turn", "id": "S1:1", "speaker": "Ann", "text": "I like green tea."}
{"type": "turn", "id": "S1:2", "speaker": "Ann", "text": "I moved to Leeds."}
"""
ASKED = '{"type": "question", "id": "q", "text": "Where is Ann?", "answer": "Leeds", "evidence": ["S1:2"]}\n'
UNPROVEN = ASKED.replace(', "evidence": ["S1:2"]', "")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def train(roomy_model, tmp_path, monkeypatch):
    """Tries to train on some lines, with an extractor that must never be asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMORY_R1_CACHE", str(tmp_path / "cache"))

    def refused(*args, **kwargs):
        raise AssertionError("facts were extracted for nothing")

    monkeypatch.setattr("memory_r1.rl.fact_cache.FactCache.facts", refused)

    def invoke(agent, lines, *more):
        Path("own.jsonl").write_text(lines, encoding="utf-8")
        shape = ("--model", roomy_model, "--embedder", "hash", "--preset", "tiny", "--steps", 1, "--out", "run")
        return run("train", agent, "--data", "own.jsonl", *shape, *more)

    return invoke


SFT, GRPO = ("--algo", "sft"), ("--algo", "grpo")


@pytest.mark.parametrize(
    ("agent", "lines", "more", "told", "to_do"),
    [
        ("manager", TALK + ASKED.replace("S1:2", "S9:9"), GRPO, "line 5: evidence 'S9:9' is no turn", "leave the evid"),
        ("answerer", TALK + ASKED.replace('"Leeds"', "7"), GRPO, "line 5: answer", 'as a text: "7"'),
        ("answerer", TALK + ASKED + ASKED, GRPO, "line 6: there is already a question 'q'", "its own id"),
        ("answerer", TALK + TALK, GRPO, "line 5: there is already a conversation 'demo'", "its own id"),
        ("answerer", TALK + TALK.splitlines()[3], GRPO, "line 5: there is already a turn 'S1:2'", "its own id"),
        ("answerer", TALK.splitlines()[0], GRPO, "holds no turn", "Add lines"),
        ("answerer", TALK + ASKED + '{"type": "conversation", "id": "hollow"}', GRPO, "'hollow' is empty", "Remove it"),
        ("answerer", "", GRPO, "holds no turn", "Add lines"),
        ("answerer", TALK, GRPO, "no usable episode: it asks nothing", "Add lines"),
        ("manager", TALK, GRPO, "no usable episode: it asks nothing", "Add lines"),
        ("manager", TALK + UNPROVEN, GRPO, "no question has an answer and evidence", "--infer-evidence"),
        ("manager", TALK + ASKED.replace('"Leeds"', "null"), GRPO, "no question has an answer", "Name the turns"),
        ("answerer", TALK + UNPROVEN, SFT, "nothing to imitate", "Name the turns"),
        ("manager", TALK + ASKED, SFT, "no gold operations", "--teacher"),
        ("extractor", TALK + ASKED, SFT, "no gold facts", "synthetic:COUNT"),
        ("answerer", TALK + ASKED, ("--held-out", "none.jsonl"), "none.jsonl cannot be read", ""),
        ("answerer", TALK + ASKED, ("--wandb", "project"), "not installed", "leave --wandb out"),
        ("answerer", TALK + ASKED, ("--rewards", "em=1,judge=1"), "there is no judge", "--judge"),
        ("answerer", TALK + ASKED, ("--judge", "openai:x"), "has no weight", "--rewards"),
        ("answerer", TALK + ASKED, ("--rewards", "em=much"), "cannot be read", "em=1"),
        ("answerer", TALK + ASKED, ("--rewards", "bleu=1"), "no reward term 'bleu'", "Terms are"),
        ("answerer", TALK + ASKED, ("--memories", "many"), "--memories is wrong", ""),
        ("manager", TALK + ASKED, ("--build", "bank=full"), "option bank is wrong", ""),
        ("manager", TALK + ASKED, ("--build", "banks=all"), "no option 'banks'", "window_turns"),
        ("manager", TALK + ASKED, (*SFT, "--build", "bank=all"), "no options", "--apart"),
        ("manager", TALK + ASKED, ("--start", "nowhere"), "no adapter_config.json in nowhere", "save_pretrained"),
        ("manager", TALK + ASKED, ("--reader", "nowhere"), "no adapter_config.json in nowhere", "save_pretrained"),
        ("manager", TALK + ASKED, ("--extractor", "nowhere"), "no adapter_config.json in nowhere", "save_pretrained"),
        ("manager", TALK + ASKED, ("--model", "openai:gpt"), "remote and cannot be trained", "a hub id"),
        ("manager", TALK + ASKED, ("--model", "./nowhere"), "cannot be loaded", "Check the path"),
    ],
)
def test_bad_input_is_told_before_anything_is_done(train, agent, lines, more, told, to_do):
    done = train(agent, lines, *more)
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert to_do in done.stderr
    assert not Path("run").exists()


def test_a_model_without_a_chat_template_is_refused(train, roomy_model, make_tiny, tmp_path):
    folder = make_tiny(tmp_path / "untold", max_position_embeddings=16_384)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": None}))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    done = train("manager", TALK + ASKED, "--model", folder)
    assert done.exit_code == 2
    assert "no chat template" in done.stderr
    assert not Path("run").exists()


@pytest.mark.parametrize("option", ["--start", "--reader", "--extractor"])
def test_an_adapter_for_another_base_is_refused_before_any_work(train, make_tiny, tmp_path, option):
    (tmp_path / "adapter").mkdir()
    other = str(make_tiny(tmp_path / "other", hidden=32))
    Policy(make_config("tiny", model=other)).save(tmp_path / "adapter")
    done = train("manager", TALK + ASKED, option, tmp_path / "adapter")
    assert done.exit_code == 2
    assert f"'{option[2:]}' was made for another base model" in done.stderr
    assert not Path("run").exists()


def test_a_question_without_evidence_still_teaches_to_answer(roomy_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.jsonl").write_text(TALK + UNPROVEN, encoding="utf-8")
    done = run(
        *("train", "answerer", "--data", "own.jsonl", "--source", "turns", "--model", roomy_model, "--out", "run"),
        *("--embedder", "hash", "--preset", "tiny", "--steps", 1, "--set", "completions=2"),
    )
    assert done.exit_code == 0, done.output
    [row] = [row for row in RunFolder("run").metrics() if row["step"] == 1]
    assert "reward/em" in row
    assert "reward/evidence" not in row


def test_joint_training_that_cannot_start_leaves_nothing(roomy_model, tmp_path, monkeypatch):
    """The answerer could learn from these questions; the manager could not."""
    monkeypatch.chdir(tmp_path)
    Path("own.jsonl").write_text(TALK + UNPROVEN, encoding="utf-8")
    done = run(
        *("train", "joint", "--data", "own.jsonl", "--source", "turns", "--model", roomy_model, "--out", "run"),
        *("--embedder", "hash", "--preset", "tiny", "--steps", 1),
    )
    assert done.exit_code == 2
    assert "no question has an answer and evidence" in done.stderr
    assert not list(Path().glob("run/*"))


def test_a_long_prompt_is_told_before_the_first_step(tiny_model, tmp_path):
    tasks = [PromptTask(id="short", prompt="?", answer="a"), PromptTask(id="long", prompt="x" * 250, answer="a")]
    with pytest.raises(ValueError, match="The prompt of long"):
        start_run(tmp_path / "run", make_config("tiny", model=tiny_model), TaskData(tasks, [], {}))
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_is_told_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="not empty"):
        check_free(tmp_path / "file")
    with pytest.raises(TrainingError, match="not writable"):
        check_free(tmp_path / "file" / "run")
    check_free(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


def test_what_is_held_out_does_not_tear_families_apart():
    class Member:
        def __init__(self, number):
            self.id, self.family = f"t{number}", f"board-{number // 8}"

    rest, aside = hold_out([Member(number) for number in range(40)], seed=3)
    assert len(aside) == 4
    assert {one.id for one in rest} | {one.id for one in aside} == {f"t{number}" for number in range(40)}
    assert len(families(rest)) == 5
