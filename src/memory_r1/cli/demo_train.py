"""The demo's second part: the Memory Manager learns by GRPO for a few minutes, before one's eyes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from memory_r1.rl.trainer import Trainer

CONVERSATIONS, HELD_OUT = 8, 4
FIRST_SEED = 5000
"""Conversations that the shipped policies were not trained on."""


def train_manager(out: Path, minutes: float, console: Console) -> None:
    """Train the shipped Memory Manager by GRPO on synthetic episodes, and tell the held-out reward before and after.

    Args:
        out: The run's folder, empty or not there yet.
        minutes: No step begins after so many minutes of training.
        console: Where progress goes.

    Raises:
        MemoryR1Error: A model cannot be loaded, or the folder is not empty.
    """
    from memory_r1.cli.train_run import close, report, watchers_of
    from memory_r1.policies import shipped
    from memory_r1.rl.agent_tasks import load_tasks
    from memory_r1.rl.config import make_config
    from memory_r1.rl.data_config import DataConfig
    from memory_r1.rl.heap import keep_freed_memory
    from memory_r1.rl.launch import start_run
    from memory_r1.rl.preflight import check_free

    check_free(out)
    keep_freed_memory()
    policies = shipped()
    console.print(f"\nNow the Memory Manager learns by GRPO, for {minutes:g} minutes. Run folder: {out}")
    data = load_tasks(
        DataConfig(
            agent="manager",
            data=f"synthetic:{CONVERSATIONS}@{FIRST_SEED}",
            held_out=f"synthetic:{HELD_OUT}@{FIRST_SEED}",
            memories=6,
            reader=policies.get("answerer"),
        )
    )
    config = make_config(
        "laptop",
        algorithm="grpo",
        agent="manager",
        start=policies.get("manager"),
        steps=1000,
        prompts=4,
        completions=6,
        eval_every=0,
        eval_tasks=24,
        warmup=2,
        save_every=1000,
    )
    trainer = start_run(out, config, data)
    trainer.watchers = [*watchers_of(trainer, None), _Clock(trainer, minutes)]
    try:
        trainer.train()
        trainer.conclude()
    finally:
        close(trainer.watchers)
    report(trainer.run)
    console.print(f"Curves: {trainer.run.path / 'curves.png'}")


class _Clock:
    """Stops a run when its time is over; counts from the end of the first evaluation."""

    def __init__(self, trainer: Trainer, minutes: float) -> None:
        self._trainer = trainer
        self._seconds = minutes * 60
        self._start: float | None = None

    def step(self, row: Mapping[str, float]) -> None:
        """Look at the clock."""
        self._start = self._start if self._start is not None else time.monotonic()
        if time.monotonic() - self._start >= self._seconds:
            self._trainer.stop()

    def note(self, text: str) -> None:
        """Nothing to say."""

    def close(self) -> None:
        """Nothing to close."""
