"""Training from end to end on a tiny model: it learns, stops well, goes on where it was, and says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from memory_r1.errors import ConfigError, PromptTooLongError, TrainingError
from memory_r1.lm.base import Sampling
from memory_r1.lm.local import LocalLM
from memory_r1.rl.config import make_config
from memory_r1.rl.improvement import improvement
from memory_r1.rl.learner import NotFinite
from memory_r1.rl.policy import Policy
from memory_r1.rl.prompt_task import PromptTask
from memory_r1.rl.run_folder import RunFolder
from memory_r1.rl.sampler import Clock
from memory_r1.rl.trainer import Trainer, shuffled
from memory_r1.rl.watch import TensorBoard

MAIN = "from memory_r1.cli import main; main()"
SAME = ("charts/reward", "charts/length", "losses/loss", "losses/entropy", "losses/grad_norm", "eval/reward")


def trainer(tmp_path, config, tasks, held_out=(), name="run"):
    return Trainer(config, tasks, held_out, RunFolder.create(tmp_path / name, config, {}))


def rows(folder):
    return list(RunFolder(folder).metrics())


def same_rows(first, second):
    assert [row["step"] for row in first] == [row["step"] for row in second]
    for one, other in zip(first, second, strict=True):
        assert {name: one[name] for name in SAME if name in one} == pytest.approx(
            {name: other[name] for name in SAME if name in other}, rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_reward_rises(tiny_model, toy_tasks, tmp_path, algorithm):
    config = make_config(
        "tiny", algorithm=algorithm, model=tiny_model, steps=40, completions=8, lr=0.03, critic_lr=0.01, kl=0.0, seed=1
    )
    trainer(tmp_path, config, toy_tasks).train()
    rewards = [row["charts/reward"] for row in rows(tmp_path / "run") if row["step"] > 0]
    assert sum(rewards[:5]) / 5 < 0.3
    assert sum(rewards[-5:]) / 5 > 0.8


def test_sft_learns_what_is_shown_and_its_adapter_is_used_by_name(tiny_model, toy_tasks, tmp_path):
    config = make_config("tiny", algorithm="sft", model=tiny_model, steps=60, prompts=8, lr=0.03, eval_every=20)
    trainer(tmp_path, config, toy_tasks, toy_tasks[:4]).train()
    found = rows(tmp_path / "run")
    assert found[0]["eval/reward"] < 1 == found[-1]["eval/reward"]

    lm = LocalLM(tiny_model, adapters={"answer": tmp_path / "run" / "adapter"}, device="cpu")
    chat = [{"role": "user", "content": "Question 3?"}]
    assert lm.complete([chat], Sampling(max_tokens=4), adapter="answer")[0].text == "a"
    assert lm.complete([chat], Sampling(max_tokens=4))[0].text != "a"
    lm.close()


def test_run_folder_tells_everything(tiny_model, toy_tasks, tmp_path):
    config = make_config("tiny", model=tiny_model, steps=2, eval_every=1)
    about = {"command": "memory-r1 train --data locomo:/srv/ann/data", "data_hash": "abc", "held_out": 4}
    run = RunFolder.create(tmp_path / "run", config, about)
    watcher = TensorBoard(run.path / "tensorboard")
    Trainer(config, toy_tasks, toy_tasks[:4], run, watchers=[watcher]).train()
    watcher.close()
    assert RunFolder.open(run.path).config() == config
    assert run.path.joinpath("curves.png").read_bytes().startswith(b"\x89PNG")
    assert list(run.path.joinpath("tensorboard").glob("events.*"))
    sample = run.path.joinpath("samples", "step-000001.md").read_text(encoding="utf-8")
    assert "> user" in sample
    assert sample.count("## Reward") >= 4
    for step in range(3):
        held_out = run.path.joinpath("samples", f"held-out-{step:06}.md").read_text(encoding="utf-8")
        assert [held_out.count(f"# {task.id}\n") for task in toy_tasks[:4]] == [1] * 4
    card = run.path.joinpath("adapter", "README.md").read_text(encoding="utf-8")
    for told in ("`memory-r1 train --data locomo:.../data`", "abc", "| Seed | 0 |", "LoRA of rank 4", "| reward |"):
        assert told in card
    assert str(tmp_path) not in card
    assert {"before", "after", "best"} <= run.about().keys()


def test_a_run_tells_how_much_better_it_has_become(tiny_model, toy_tasks, tmp_path):
    config = make_config("tiny", model=tiny_model, steps=2, eval_every=1)
    made = trainer(tmp_path, config, toy_tasks, toy_tasks[:4], "run")
    assert improvement(made.run) is None
    made.train()
    tried = list(made.run.held_out())
    assert [row["step"] for row in tried] == [0] * 4 + [1] * 4 + [2] * 4
    about = made.run.about()
    found = improvement(made.run)
    assert (found.second, found.first) == pytest.approx((about["before"], about["after"]))
    assert found.gap.mean == pytest.approx(about["after"] - about["before"])
    assert (found.gap.n, found.better + found.worse <= 4) == (4, True)
    assert improvement(made.run, "no such term") is None
    made.run.add_held_out([{**tried[0], "step": 3, "reward": 9.0}])
    assert improvement(made.run) == found


def test_going_on_after_a_stop_gives_the_same_metrics(tiny_model, toy_tasks, tmp_path):
    config = make_config("tiny", algorithm="ppo", model=tiny_model, steps=6, lr=0.01, eval_every=2, save_every=2)
    trainer(tmp_path, config, toy_tasks, toy_tasks[:2], "whole").train()
    assert not trainer(tmp_path, config, toy_tasks, toy_tasks[:2], "parts").train(until=3)
    again = Trainer(config, toy_tasks, toy_tasks[:2], RunFolder.open(tmp_path / "parts"))
    again.resume()
    assert again.progress.step == 3
    assert again.train()
    same_rows(rows(tmp_path / "parts"), rows(tmp_path / "whole"))
    assert list(again.run.held_out()) == list(RunFolder.open(tmp_path / "whole").held_out())


def command(model, tasks, out, *more):
    line = [sys.executable, "-c", MAIN, "train", "answerer", "--model", model, "--data", str(tasks)]
    return [
        *line,
        "--out",
        str(out),
        "--preset",
        "tiny",
        "--steps",
        "30",
        "--lr",
        "0.01",
        "--set",
        "save_every=2",
        *more,
    ]


def wait_for_lines(path, count, process):
    for _ in range(600):
        if path.exists() and path.read_text(encoding="utf-8").count("\n") >= count:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    raise AssertionError("the run did not come so far")


def start(line):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_killed_run_goes_on_to_the_same_metrics(tiny_model, task_file, tmp_path):
    with start(command(tiny_model, task_file, tmp_path / "killed")) as process:
        wait_for_lines(tmp_path / "killed" / "metrics.jsonl", 8, process)
        process.send_signal(signal.SIGKILL)
    assert len(rows(tmp_path / "killed")) < 31
    for line in (
        command(tiny_model, task_file, tmp_path / "killed", "--resume"),
        command(tiny_model, task_file, tmp_path / "whole"),
    ):
        done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "whole")) == 31
    same_rows(rows(tmp_path / "killed"), rows(tmp_path / "whole"))


def test_interrupt_saves(tiny_model, task_file, tmp_path):
    with start(command(tiny_model, task_file, tmp_path / "run")) as process:
        wait_for_lines(tmp_path / "run" / "metrics.jsonl", 4, process)
        process.send_signal(signal.SIGINT)
        told = process.communicate()[1]
    assert process.returncode == 130, told
    assert "--resume" in told
    steps = rows(tmp_path / "run")[-1]["step"]
    assert steps < 30
    assert RunFolder.open(tmp_path / "run").load_checkpoint()["progress"]["step"] == steps
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()


def test_a_loss_that_is_not_a_number_stops_with_the_batch_saved(tiny_model, toy_tasks, tmp_path):
    one = trainer(tmp_path, make_config("tiny", model=tiny_model, steps=2, zero_variance="keep"), toy_tasks)
    with torch.no_grad():
        one.policy.parameters("policy")[0].fill_(float("nan"))
    with pytest.raises(NotFinite, match="not finite"):
        one._step()
    saved = json.loads((tmp_path / "run" / "failed-batch.json").read_text(encoding="utf-8"))
    assert saved["step"] == 1
    assert saved["samples"][0]["prompt"].startswith("user")


def test_a_prompt_that_does_not_fit_names_the_task(tiny_model, toy_tasks, tmp_path):
    tasks = [*toy_tasks[:1], PromptTask(id="the-long-one", prompt="x" * 250, answer="a")]
    with pytest.raises(PromptTooLongError, match="the-long-one"):
        trainer(tmp_path, make_config("tiny", model=tiny_model, prompts=2, steps=1), tasks).train()


def test_no_half_written_checkpoint_on_a_full_disk(tiny_model, toy_tasks, tmp_path, monkeypatch):
    one = trainer(tmp_path, make_config("tiny", model=tiny_model, steps=1), toy_tasks)
    one._save()
    before = [path.name for path in one.run.checkpoints()]

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    one.progress.step = 1
    with pytest.raises(TrainingError, match="No space left"):
        one._save()
    assert [path.name for path in one.run.checkpoints()] == before
    assert not list((one.run.path / "checkpoints").glob(".writing-*"))


def test_groups_without_variance_are_left_out_or_sampled_anew(tiny_model, toy_tasks, tmp_path):
    easy = [PromptTask(id="easy", prompt="?", answer="", max_tokens=2, reward="contains")]
    for mode, rounds in (("drop", 1), ("resample", 3)):
        config = make_config("tiny", model=tiny_model, zero_variance=mode, prompts=2, completions=4)
        one = trainer(tmp_path, config, easy, name=mode)
        everything, used = one._sample(0, Clock())
        assert len(everything) == 8 * rounds
        assert not used
        assert len({rollout.group for rollout in everything}) == 2 * rounds


def test_an_adapter_for_another_base_is_refused(tiny_model, make_tiny, tmp_path):
    other = str(make_tiny(tmp_path / "other", hidden=32))
    (tmp_path / "adapter").mkdir()
    Policy(make_config("tiny", model=other)).save(tmp_path / "adapter")
    with pytest.raises(ConfigError, match="another base model"):
        Policy(make_config("tiny", model=tiny_model, start=str(tmp_path / "adapter")))


def test_full_fine_tuning_saves_a_model(tiny_model, toy_tasks, tmp_path):
    config = make_config("tiny", model=tiny_model, full=True, steps=2, lr=1e-3, zero_variance="keep")
    trainer(tmp_path, config, toy_tasks).train()
    lm = LocalLM(tmp_path / "run" / "adapter", device="cpu")
    assert lm.complete([[{"role": "user", "content": "Question?"}]], Sampling(max_tokens=2))[0].completion_tokens > 0
    lm.close()


@pytest.mark.parametrize(
    ("given", "told"),
    [({"preset": "huge"}, "preset"), ({"algorithm": "dpo"}, "algorithm"), ({"lr": -1}, "lr"), ({"what": 1}, "what")],
)
def test_wrong_settings_are_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        make_config(**given)


def test_run_folders_that_cannot_be_used(tmp_path):
    config = make_config("tiny")
    RunFolder.create(tmp_path / "run", config, {})
    with pytest.raises(TrainingError, match="not empty"):
        RunFolder.create(tmp_path / "run", config, {})
    with pytest.raises(TrainingError, match="no checkpoint"):
        RunFolder.open(tmp_path / "run").load_checkpoint()
    RunFolder(tmp_path / "run").describe(format=99)
    with pytest.raises(TrainingError, match="format 99"):
        RunFolder.open(tmp_path / "run")
    with pytest.raises(TrainingError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_every_pass_sees_every_task_in_its_own_order():
    first, second = shuffled(50, 0, 0), shuffled(50, 0, 1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first == shuffled(50, 0, 0) != shuffled(50, 1, 0)
