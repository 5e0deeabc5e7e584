"""Starts a run or goes on with one: data, folder, policy and watchers put together."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory_r1.errors import TrainingError
from memory_r1.rl.config import TrainConfig
from memory_r1.rl.episode import Task
from memory_r1.rl.preflight import check_free
from memory_r1.rl.run_folder import RunFolder
from memory_r1.rl.trainer import Trainer, shuffled
from memory_r1.rl.watch import Watcher

_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class TaskData:
    """What a run learns from, and what it is tried on."""

    tasks: Sequence[Task]
    held_out: Sequence[Task]
    about: dict[str, Any]
    """`data` names it, `data_hash` is of its content."""
    use_reader: Callable[[Path], None] | None = None
    """Puts another adapter in place of the frozen reader's, if rewards come from one."""


def hold_out(tasks: Sequence[Task], seed: int = 0) -> tuple[list[Task], list[Task]]:
    """Set a tenth of the tasks aside; none of fewer than ten. The others stay in order, families together."""
    order = shuffled(len(tasks), seed, 0)[: int(len(tasks) * _HELD_OUT_SHARE)]
    aside = set(order)
    return [task for index, task in enumerate(tasks) if index not in aside], [tasks[index] for index in order]


def file_hash(*paths: Path) -> str:
    """Hash of files' contents, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def start_run(out: str | Path, config: TrainConfig, data: TaskData, watchers: Sequence[Watcher] = ()) -> Trainer:
    """A trainer for a new run.

    Args:
        out: Its folder, empty or not there yet.
        config: What to do.
        data: What is learnt from.
        watchers: Told of every step.

    Raises:
        TrainingError: The folder is not empty or cannot be written, or there is nothing to learn from.
        MemoryR1Error: The model cannot be loaded, or a prompt does not fit it.

        After any of these there is no folder.
    """
    from memory_r1.rl.policy import Policy

    if not data.tasks:
        raise TrainingError("There is no task to learn from.", hint="Check the data and the builder's options.")
    check_free(out)
    policy = Policy(config)
    about = {
        **data.about,
        "tasks": len(data.tasks),
        "held_out": min(len(data.held_out), config.eval_tasks),
        "command": shlex.join(["memory-r1", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": _version(),
    }
    trainer = Trainer(config, data.tasks, data.held_out, RunFolder(out), policy=policy, watchers=watchers)
    # last, so that what cannot be trained leaves no folder behind
    RunFolder.create(out, config, about)
    return trainer


def resume_run(run: RunFolder, config: TrainConfig, data: TaskData, watchers: Sequence[Watcher] = ()) -> Trainer:
    """A trainer that goes on from a run's last checkpoint; from the beginning if it was killed before the first one.

    Raises:
        TrainingError: The data is not what the run began with, or the checkpoint is damaged.
    """
    if run.about().get("data_hash") != data.about.get("data_hash"):
        raise TrainingError(
            f"The data of {run.path} has changed since the run began.", hint="Restore it, or start a new run."
        )
    trainer = Trainer(config, data.tasks, data.held_out, run, watchers=watchers)
    if run.checkpoints():
        trainer.resume()
    else:
        run.cut_rows(-1)
    return trainer


def _version() -> str:
    from memory_r1 import __version__

    return __version__
