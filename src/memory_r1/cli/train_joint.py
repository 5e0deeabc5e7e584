"""`train joint`: the Answer Agent and the Memory Manager in turns."""

from __future__ import annotations

import shutil
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
    from memory_r1.cli.train_run import load_described, look_first
    from memory_r1.rl.joint import READER_FOLDER
    from memory_r1.rl.launch import start_run
    from memory_r1.rl.saving import whole_folder

    starts = {"start": configs[FIRST].start, "manager-start": configs[SECOND].start}
    look_first(out, configs[FIRST], described, starts, wandb)
    options = _options_by_agent(described["build"])
    data = load_described({**described, "agent": FIRST, "build": options[FIRST]})
    try:
        answerer = start_run(out / FIRST, configs[FIRST], data)
        answerer.run.describe(every=every)
        reader = out / FIRST / READER_FOLDER
        with whole_folder(reader) as folder:
            answerer.policy.save(folder)
        data = load_described({**described, "agent": SECOND, "build": options[SECOND], "reader": str(reader)})
        manager = start_run(out / SECOND, configs[SECOND], data)
    except BaseException:
        # no step was taken, and one agent's run alone could not be gone on with
        shutil.rmtree(out / FIRST, ignore_errors=True)
        raise
    _alternate(answerer, manager, data.use_reader, every, wandb)


def resume_joint(out: Path, steps: int | None, wandb: str | None) -> None:
    """Go on with two runs."""
    from memory_r1.cli.train_run import load_resumed, resumed_config
    from memory_r1.rl.launch import resume_run
    from memory_r1.rl.run_folder import RunFolder

    runs = [RunFolder.open(out / name) for name in (FIRST, SECOND)]
    data = [load_resumed(run) for run in runs]
    answerer, manager = (resume_run(run, resumed_config(run, steps), one) for run, one in zip(runs, data, strict=True))
    _alternate(answerer, manager, data[1].use_reader, int(runs[0].about()["every"]), wandb)


def _options_by_agent(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Which builder's options each agent gets; one that both have goes to both."""
    from memory_r1.errors import ConfigError
    from memory_r1.rl.build_options import AnswerOptions, ManagerOptions, names

    known = {FIRST: names(AnswerOptions), SECOND: names(ManagerOptions)}
    every = dict.fromkeys([*known[FIRST], *known[SECOND]])
    if unknown := next((name for name in given if name not in every), None):
        raise ConfigError(f"There is no option {unknown!r} here.", hint=f"Known: {', '.join(every)}.")
    return {agent: {name: given[name] for name in given if name in one} for agent, one in known.items()}


def _alternate(
    answerer: Trainer, manager: Trainer, use_reader: Callable[[Path], None] | None, every: int, wandb: str | None
) -> None:
    from memory_r1.cli.output import note
    from memory_r1.cli.train_run import close, report, watchers_of
    from memory_r1.rl.heap import keep_freed_memory
    from memory_r1.rl.joint import train_jointly

    assert use_reader is not None
    keep_freed_memory()
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
