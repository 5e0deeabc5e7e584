"""`train`: teach an agent by imitation, GRPO or PPO."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from memory_r1.rl.config import TrainConfig
    from memory_r1.rl.launch import TaskData
    from memory_r1.rl.run_folder import RunFolder
    from memory_r1.rl.trainer import Trainer

DATA, LEARNING, KEEPING = "What to learn from", "How to learn", "What to keep"


class AgentName(StrEnum):
    """Who can be trained."""

    EXTRACTOR = "extractor"
    MANAGER = "manager"
    ANSWERER = "answerer"


class AlgorithmName(StrEnum):
    """How."""

    SFT = "sft"
    GRPO = "grpo"
    PPO = "ppo"


def train(
    agent: Annotated[AgentName, typer.Argument(help="Who is trained.")],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            rich_help_panel=DATA,
            help="synthetic:COUNT, locomo:PATH, longmemeval:PATH, msc:PATH, or a .jsonl of conversations or tasks.",
        ),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            rich_help_panel=DATA,
            help="Held-out data; by default the data's own validation part, or a tenth of the tasks.",
        ),
    ] = None,
    rewards: Annotated[
        str | None,
        typer.Option(metavar="MIX", rich_help_panel=DATA, help="Reward terms: paper (exact match alone), default, ..."),
    ] = None,
    source: Annotated[
        str, typer.Option(rich_help_panel=DATA, help="What the answerer's memories are: facts, turns or both.")
    ] = "facts",
    reader: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", rich_help_panel=DATA, help="Adapter of the reader that judges the manager."),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", rich_help_panel=DATA, help="Adapter that takes facts from conversations."),
    ] = None,
    embedder: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=DATA, help="minilm, hash, a path or hub id.")
    ] = "minilm",
    algo: Annotated[AlgorithmName, typer.Option(rich_help_panel=LEARNING, help="How to learn.")] = AlgorithmName.GRPO,
    preset: Annotated[str, typer.Option(rich_help_panel=LEARNING, help="laptop, paper or tiny.")] = "laptop",
    model: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=LEARNING, help="bundled, a folder or a hub id.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="FOLDER", rich_help_panel=LEARNING, help="Adapter to start from.")
    ] = None,
    steps: Annotated[int | None, typer.Option(rich_help_panel=LEARNING, help="Training steps.")] = None,
    lr: Annotated[float | None, typer.Option(rich_help_panel=LEARNING, help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=LEARNING, help="Makes the run repeatable.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", rich_help_panel=LEARNING, help="Any other setting; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", rich_help_panel=KEEPING, help="The run's folder; runs/... if none.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            rich_help_panel=KEEPING,
            help="Go on with the run in --out, as it was set up; only --steps counts.",
        ),
    ] = False,
    wandb: Annotated[
        str | None, typer.Option(metavar="PROJECT", rich_help_panel=KEEPING, help="Log to Weights & Biases too.")
    ] = None,
) -> None:
    """Train an agent on tasks, and see it improve on tasks it never saw."""
    from memory_r1.errors import ConfigError
    from memory_r1.rl.config import make_config

    if resume:
        if out is None:
            raise ConfigError("--resume needs the run's folder.", hint="Name it by --out.")
        _resume(out, steps, wandb)
        return
    if data is None:
        raise ConfigError("There is nothing to learn from.", hint="Name it by --data, e.g. --data synthetic:100.")
    chosen = {"model": model, "start": start, "steps": steps, "lr": lr, "seed": seed, **_parsed(settings or [])}
    config = make_config(preset, algorithm=algo.value, agent=agent.value, **chosen)
    described = {
        "agent": agent.value,
        "data": data,
        "held_out": held_out,
        "rewards": rewards,
        "source": source,
        "model": config.model,
        "reader": reader,
        "extractor": extractor,
        "embedder": embedder,
        "seed": config.seed,
    }
    _start(out or _next_folder(config), config, described, wandb)


def _start(out: Path, config: TrainConfig, described: dict[str, Any], wandb: str | None) -> None:
    from memory_r1.rl.launch import check_free, start_run

    check_free(out)
    _go(start_run(out, config, _tasks(described)), wandb)


def _resume(out: Path, steps: int | None, wandb: str | None) -> None:
    from memory_r1.rl.launch import resume_run
    from memory_r1.rl.run_folder import RunFolder

    run = RunFolder.open(out)
    config = run.config()
    if steps is not None:
        config = config.model_copy(update={"steps": steps})
    _go(resume_run(run, config, _tasks(run.about()["data_config"])), wandb)


def _go(trainer: Trainer, wandb: str | None) -> None:
    from memory_r1.cli.output import console, note

    run = trainer.run
    note(f"Run folder: {run.path}. Ctrl-C saves and stops.")
    watchers = _watchers(run, trainer, wandb)
    trainer.watchers = watchers
    try:
        done = trainer.train()
    finally:
        for watcher in watchers:
            watcher.close()
    if not done:
        note(f"Stopped after step {trainer.progress.step}. Go on: memory-r1 train ... --out {run.path} --resume")
        raise typer.Exit(130)
    about = run.about()
    if "before" in about:
        console().print(
            f"Held-out reward {about['before']:.3f} before, {about['after']:.3f} after, best {about['best']:.3f} "
            f"({about['held_out']} tasks)."
        )
    console().print(f"Adapter: {run.path / 'adapter'}")


def _watchers(run: RunFolder, trainer: Trainer, wandb: str | None) -> list[Any]:
    from memory_r1.cli.output import console
    from memory_r1.rl.watch import ProgressBar, TensorBoard, WandB

    watchers: list[Any] = [TensorBoard(run.path / "tensorboard")]
    if wandb is not None:
        watchers.append(WandB(wandb, run.path.name, trainer.config.model_dump()))
    watchers.append(ProgressBar(console(stderr=True), trainer.config.steps, trainer.progress.step))
    return watchers


def _tasks(described: dict[str, Any]) -> TaskData:
    from pydantic import ValidationError

    from memory_r1.errors import ConfigError
    from memory_r1.rl.agent_tasks import DataConfig, load_tasks

    try:
        config = DataConfig(**described)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]} is wrong: {first['msg']}.") from error
    return load_tasks(config)


def _parsed(settings: list[str]) -> dict[str, Any]:
    from memory_r1.errors import ConfigError

    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting} has no value.", hint="Write --set NAME=VALUE.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _next_folder(config: TrainConfig) -> Path:
    taken = 1
    while (folder := Path("runs") / f"{config.agent}-{config.algorithm}-{taken}").exists():
        taken += 1
    return folder
