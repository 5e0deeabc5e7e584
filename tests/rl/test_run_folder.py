"""The folder of a run: on a full disk, for TensorBoard, in lists, and when a run goes on."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from typer.testing import CliRunner

from memory_r1.cli.app import app
from memory_r1.errors import TrainingError
from memory_r1.rl.config import make_config
from memory_r1.rl.disk import system_error, write_whole
from memory_r1.rl.run_folder import RunFolder
from memory_r1.rl.saving import whole_folder
from memory_r1.rl.trainer import Trainer
from memory_r1.rl.watch import TensorBoard

FULL = Path("/dev/full")
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", make_config("tiny"), {"agent": "answerer"})


@needs_full_device
def test_metrics_on_a_full_disk_are_a_clear_error(folder):
    (folder.path / "metrics.jsonl").unlink()
    (folder.path / "metrics.jsonl").symlink_to(FULL)
    with pytest.raises(TrainingError, match=r"metrics.jsonl cannot be written: No space left") as raised:
        folder.add_metrics({"step": 1})
    assert "--resume" in raised.value.hint


@needs_full_device
def test_a_text_is_written_in_whole_or_not_at_all(tmp_path):
    write_whole(tmp_path / "card.md", "old")
    (tmp_path / ".card.md.new").symlink_to(FULL)
    with pytest.raises(TrainingError, match="No space left"):
        write_whole(tmp_path / "card.md", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["card.md"]
    assert (tmp_path / "card.md").read_text() == "old"


def test_an_adapter_on_a_full_disk_leaves_the_one_before(tmp_path):
    with whole_folder(tmp_path / "adapter") as made:
        (made / "weights").write_text("old")

    def fill():
        with whole_folder(tmp_path / "adapter") as made:
            (made / "weights").write_text("ne")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(TrainingError, match="No space left"):
        fill()
    assert [file.name for file in tmp_path.iterdir()] == ["adapter"]
    assert (tmp_path / "adapter" / "weights").read_text() == "old"


def test_torch_s_words_are_translated_if_the_disk_is_full(tmp_path, monkeypatch):
    hidden = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nmore")
    assert str(system_error(tmp_path, hidden)).endswith("unexpected pos 64 vs 0")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    assert system_error(tmp_path, hidden).strerror == "No space left on device"


def test_a_full_disk_ends_a_run_with_one_line(tiny_model, task_file, tmp_path, monkeypatch):
    """Whatever else happens on the way out, such as closing TensorBoard's file."""

    def full(state, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    words = ("train", "answerer", "--data", task_file, "--model", tiny_model, "--preset", "tiny", "--embedder", "hash")
    done = run(*words, "--steps", 1, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert "step-000000 cannot be written: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr


def events(path):
    """The events of a TensorBoard file."""
    from tensorboardX.proto.event_pb2 import Event

    data, place = path.read_bytes(), 0
    while place < len(data):
        (length,) = struct.unpack_from("Q", data, place)
        yield Event.FromString(data[place + 12 : place + 12 + length])
        place += 16 + length


def test_tensorboard_files_hold_every_step_and_hide_what_a_resumed_run_does_again(tmp_path):
    first = TensorBoard(tmp_path)
    for step in range(3):
        first.step({"step": step, "charts/reward": 0.5 * step})
    second = TensorBoard(tmp_path, after=1)
    second.step({"step": 2, "charts/reward": 9.0})
    for writer in (first, second):
        writer.close()
    one, other = (list(events(path)) for path in sorted(tmp_path.iterdir()))
    assert one[0].file_version == other[0].file_version == "brain.Event:2"
    assert [(event.step, event.summary.value[0].simple_value) for event in one[1:]] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    assert (other[1].step, other[1].session_log.status) == (2, 1)
    assert other[2].summary.value[0].tag == "charts/reward"


@needs_full_device
def test_tensorboard_on_a_full_disk_is_a_clear_error_and_closes(tmp_path):
    writer = TensorBoard(tmp_path)
    writer._writer.close()
    writer._writer._writer = FULL.open("wb")
    with pytest.raises(TrainingError, match="No space left"):
        writer.step({"step": 1, "charts/reward": 1.0})
    writer.close()


def started(path, **changes):
    made = RunFolder.create(path, make_config("tiny", **changes), {})
    made.add_metrics({"step": 0, "eval/reward": 0.5})
    return made


def test_runs_lists_joint_runs_and_is_not_stopped_by_a_foreign_one(tmp_path):
    started(tmp_path / "alone")
    for agent in ("answerer", "manager"):
        started(tmp_path / "joint" / agent, agent=agent)
    started(tmp_path / "other").describe(format=99)
    (tmp_path / "no-run").mkdir()
    listed = run("runs", tmp_path, "--json")
    assert listed.exit_code == 0, listed.output
    names = [Path(one["run"]).relative_to(tmp_path).as_posix() for one in json.loads(listed.stdout)]
    assert names == ["alone", "joint/answerer", "joint/manager"]
    assert "format 99" in listed.stderr
    assert run("runs", tmp_path / "other").exit_code == 2


def test_runs_of_one_name_are_told_apart(tmp_path):
    for name, lr in (("a", 0.1), ("b", 0.2)):
        started(tmp_path / name / "answerer", lr=lr)
    shown = run("runs", tmp_path / "a", tmp_path / "b").stdout
    assert shown.count(str(tmp_path / "a" / "answerer")) == 2


@pytest.fixture
def stopped(tiny_model, toy_tasks, task_file, tmp_path):
    """A run from the command line with one step done."""
    words = ("train", "answerer", "--data", task_file, "--model", tiny_model, "--preset", "tiny", "--embedder", "hash")
    done = run(*words, "--steps", 1, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    return RunFolder(tmp_path / "run")


def test_a_run_goes_on_under_its_own_agent_alone(stopped):
    done = run("train", "manager", "--out", stopped.path, "--resume")
    assert done.exit_code == 2
    assert "is a run of the answerer" in done.stderr


def test_a_run_whose_data_is_not_told_or_not_known_does_not_go_on(stopped):
    known = stopped.about()["data_config"]
    stopped.describe(data_config={**known, "encoder": "x"})
    done = run("train", "answerer", "--out", stopped.path, "--resume")
    assert done.exit_code == 2
    assert "encoder" in done.stderr
    assert "version" in done.stderr
    stopped.describe(data_config=None)
    done = run("train", "answerer", "--out", stopped.path, "--resume")
    assert done.exit_code == 2
    assert "does not tell how its tasks were made" in done.stderr


def test_a_run_killed_before_its_first_checkpoint_begins_again(stopped):
    shutil.rmtree(stopped.path / "checkpoints")
    done = run("train", "answerer", "--out", stopped.path, "--resume", "--steps", 2)
    assert done.exit_code == 0, done.output
    assert [row["step"] for row in stopped.metrics()] == [0, 1, 2]


@pytest.mark.parametrize("damage", [b"", b"half a file", None])
def test_a_damaged_checkpoint_is_a_clear_error(tiny_model, toy_tasks, tmp_path, damage):
    config = make_config("tiny", model=tiny_model, steps=1)
    one = Trainer(config, toy_tasks, [], RunFolder.create(tmp_path / "run", config, {}))
    one._save()
    state = one.run.checkpoints()[-1] / "state.pt"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2] if damage is None else damage)
    with pytest.raises(TrainingError, match="cannot be read") as raised:
        one.resume()
    assert "Delete its folder" in raised.value.hint


def test_joint_training_killed_in_its_first_turn_goes_on(make_tiny, tmp_path):
    model, out = str(make_tiny(tmp_path / "roomy", max_position_embeddings=16_384)), tmp_path / "joint"
    done = run(
        *("train", "joint", "--data", "synthetic:2", "--preset", "tiny", "--steps", 1, "--every", 1, "--out", out),
        *("--model", model, "--embedder", "hash", "--set", "eval_tasks=0", "--set", "prompts=1"),
        *("--set", "completions=2"),
    )
    assert done.exit_code == 0, done.output
    # as it is while the answerer has its first turn
    shutil.rmtree(out / "manager" / "checkpoints")
    shutil.rmtree(out / "manager" / "adapter")
    (out / "manager" / "metrics.jsonl").write_text("", encoding="utf-8")
    again = run("train", "joint", "--out", out, "--resume")
    assert again.exit_code == 0, again.output
    assert [row["step"] for row in RunFolder(out / "manager").metrics()] == [0, 1]
