"""`train joint`: the Answer Agent and the Memory Manager in turns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from memory_r1.rl.config import TrainConfig
    from memory_r1.rl.trainer import Trainer

FIRST, SECOND = "answerer", "manager"


def start_joint(
    out: Path, configs: dict[str, TrainConfig], described: dict[str, Any], every: int, wandb: str | None
) -> None:
    """Start two runs in one folder and let them take turns."""
    from memory_r1.cli.train import load_described
    from memory_r1.rl.joint import READER_FOLDER
    from memory_r1.rl.launch import check_free, start_run
    from memory_r1.rl.saving import whole_folder

    check_free(out)
    answerer = start_run(out / FIRST, configs[FIRST], load_described({**described, "agent": FIRST}))
    answerer.run.describe(every=every)
    reader = out / FIRST / READER_FOLDER
    with whole_folder(reader) as folder:
        answerer.policy.save(folder)
    data = load_described({**described, "agent": SECOND, "reader": str(reader)})
    manager = start_run(out / SECOND, configs[SECOND], data)
    _alternate(answerer, manager, data.use_reader, every, wandb)


def resume_joint(out: Path, steps: int | None, wandb: str | None) -> None:
    """Go on with two runs."""
    from memory_r1.cli.train import load_described, resumed_config
    from memory_r1.rl.launch import resume_run
    from memory_r1.rl.run_folder import RunFolder

    runs = [RunFolder.open(out / name) for name in (FIRST, SECOND)]
    data = [load_described(run.about()["data_config"]) for run in runs]
    answerer, manager = (resume_run(run, resumed_config(run, steps), one) for run, one in zip(runs, data, strict=True))
    _alternate(answerer, manager, data[1].use_reader, int(runs[0].about()["every"]), wandb)


def _alternate(
    answerer: Trainer, manager: Trainer, use_reader: Callable[[Path], None] | None, every: int, wandb: str | None
) -> None:
    from memory_r1.cli.output import note
    from memory_r1.cli.train import close, report, watchers_of
    from memory_r1.rl.joint import train_jointly

    assert use_reader is not None
    watching: list[Any] = []

    def on_turn(trainer: Trainer) -> None:
        close(watching)
        note(f"{trainer.config.agent}, from step {trainer.progress.step}")
        watching[:] = trainer.watchers = watchers_of(trainer, wandb)

    try:
        done = train_jointly(answerer, manager, use_reader, every=every, on_turn=on_turn)
    finally:
        close(watching)
    if not done:
        note(f"Stopped and saved. Go on: memory-r1 train joint --out {answerer.run.path.parent} --resume")
        raise typer.Exit(130)
    for trainer in (answerer, manager):
        report(trainer.run)
