"""What `train` does once it knows what is wanted: looks before it starts, starts or goes on, shows, tells the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from memory_r1.rl.config import TrainConfig
    from memory_r1.rl.launch import TaskData
    from memory_r1.rl.run_folder import RunFolder
    from memory_r1.rl.trainer import Trainer


def start_one(out: Path, config: TrainConfig, described: dict[str, Any], wandb: str | None) -> None:
    """Start a run and stay with it to its end."""
    from memory_r1.cli.output import note
    from memory_r1.rl.launch import start_run

    look_first(out, config, described, {"start": config.start}, wandb)
    note(f"Building tasks from {' and '.join([described['data'], *described['more']])}.")
    _go(start_run(out, config, load_described(described)), wandb)


def resume_one(out: Path, agent: str, steps: int | None, wandb: str | None) -> None:
    """Go on with a run that was stopped."""
    from memory_r1.errors import ConfigError
    from memory_r1.rl.launch import resume_run
    from memory_r1.rl.run_folder import RunFolder

    run = RunFolder.open(out)
    config = resumed_config(run, steps)
    if config.agent != agent:
        raise ConfigError(
            f"{out} is a run of the {config.agent}.", hint=f"Go on with it by memory-r1 train {config.agent}."
        )
    _go(resume_run(run, config, load_resumed(run)), wandb)


def look_first(
    out: Path, config: TrainConfig, described: dict[str, Any], adapters: Mapping[str, str | None], wandb: str | None
) -> None:
    """Look at all that can be wrong and is quickly seen, before tasks are built and anything is written."""
    from memory_r1.rl.preflight import check_free, check_model
    from memory_r1.rl.watch import check_wandb

    check_free(out)
    if wandb is not None:
        check_wandb()
    check_model(config, {**adapters, "reader": described["reader"], "extractor": described["extractor"]})


def resumed_config(run: RunFolder, steps: int | None) -> TrainConfig:
    """What a run was asked for, with another number of steps if one is given."""
    return run.config() if steps is None else run.config().model_copy(update={"steps": steps})


def load_described(described: dict[str, Any]) -> TaskData:
    """The tasks that a `DataConfig` describes."""
    from pydantic import ValidationError

    from memory_r1.cli.output import note
    from memory_r1.errors import ConfigError
    from memory_r1.rl.agent_tasks import load_tasks
    from memory_r1.rl.data_config import DataConfig

    try:
        config = DataConfig(**described)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]} is wrong: {first['msg']}.") from error
    return load_tasks(config, note)


def load_resumed(run: RunFolder) -> TaskData:
    """The tasks that a run began with."""
    from pydantic import ValidationError

    from memory_r1.cli.output import note
    from memory_r1.errors import TrainingError
    from memory_r1.rl.agent_tasks import load_tasks
    from memory_r1.rl.data_config import DataConfig

    described = run.about().get("data_config")
    if not isinstance(described, dict):
        raise TrainingError(
            f"{run.path} does not tell how its tasks were made.", hint="Go on with it from Python, as it was started."
        )
    try:
        config = DataConfig(**described)
    except ValidationError as error:
        raise TrainingError(
            f"{run.path} tells of its data what this version does not know: {error.errors()[0]['loc'][0]}.",
            hint="Use the version of memory-r1 that made it, or start anew.",
        ) from error
    return load_tasks(config, note)


def watchers_of(trainer: Trainer, wandb: str | None) -> list[Any]:
    """TensorBoard, the bar at the terminal, and W&B if asked for."""
    from memory_r1.cli.output import console
    from memory_r1.rl.watch import ProgressBar, TensorBoard, WandB

    run, done = trainer.run, trainer.progress.step
    watchers: list[Any] = [TensorBoard(run.path / "tensorboard", after=done or None)]
    if wandb is not None:
        watchers.append(WandB(wandb, run.path.name, trainer.config.model_dump()))
    watchers.append(ProgressBar(console(stderr=True), trainer.config.steps, done))
    return watchers


def close(watchers: list[Any]) -> None:
    """Tell watchers that it is over."""
    for watcher in watchers:
        watcher.close()


def report(run: RunFolder) -> None:
    """Print what a run came to."""
    from memory_r1.cli.output import console
    from memory_r1.rl.improvement import improvement, told

    about = run.about()
    if "before" in about:
        best = "" if about["best"] is None else f", best {about['best']:.3f}"
        scores = f"{about['before']:.3f} before, {about['after']:.3f} after{best}"
        console().print(f"Held-out reward {scores} ({about['held_out']} tasks).")
        if (found := improvement(run)) is not None:
            console().print(f"Better by {told(found.gap)}; better on {found.better}, worse on {found.worse} tasks.")
    console().print(f"Adapter: {run.path / 'adapter'}")


def _go(trainer: Trainer, wandb: str | None) -> None:
    from memory_r1.cli.output import note
    from memory_r1.rl.heap import keep_freed_memory

    keep_freed_memory()
    note(f"Run folder: {trainer.run.path}. Ctrl-C saves and stops.")
    watchers = trainer.watchers = watchers_of(trainer, wandb)
    try:
        done = trainer.train()
    finally:
        close(watchers)
    if not done:
        resumed = f"memory-r1 train {trainer.config.agent} --out {trainer.run.path} --resume"
        note(f"Stopped after step {trainer.progress.step}. Go on: {resumed}")
        raise typer.Exit(130)
    report(trainer.run)
