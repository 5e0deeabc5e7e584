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
    JOINT = "joint"


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
    together: Annotated[
        bool | None,
        typer.Option(
            "--together/--apart",
            rich_help_panel=DATA,
            help="Problems to imitate: many questions behind the same memories, every gold ruling; the default of sft.",
        ),
    ] = None,
    memories: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=DATA, help="Memories a question gets; by default the dynamic cut."),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=DATA,
            help="Adapter of the reader that judges the manager; the shipped one, or none.",
        ),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=DATA,
            help="Adapter that takes facts from conversations; the shipped one, or none.",
        ),
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
    manager_start: Annotated[
        str | None, typer.Option(metavar="FOLDER", rich_help_panel=LEARNING, help="joint: the manager's adapter.")
    ] = None,
    every: Annotated[
        int, typer.Option(rich_help_panel=LEARNING, help="joint: steps of each agent's turn.", min=1)
    ] = 10,
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
    from memory_r1.cli.train_joint import resume_joint, start_joint
    from memory_r1.errors import ConfigError
    from memory_r1.rl.config import make_config

    if resume:
        if out is None:
            raise ConfigError("--resume needs the run's folder.", hint="Name it by --out.")
        (resume_joint if agent is AgentName.JOINT else _resume)(out, steps, wandb)
        return
    if data is None:
        raise ConfigError("There is nothing to learn from.", hint="Name it by --data, e.g. --data synthetic:100.")
    chosen = {"model": model, "start": start, "steps": steps, "lr": lr, "seed": seed, **_parsed(settings or [])}
    config = make_config(preset, algorithm=algo.value, agent=agent.value, **chosen)
    described: dict[str, Any] = {
        "agent": agent.value,
        "data": data,
        "held_out": held_out,
        "rewards": rewards,
        "source": source,
        "memories": memories,
        "together": algo is AlgorithmName.SFT if together is None else together,
        "model": config.model,
        "reader": reader,
        "extractor": extractor,
        "embedder": embedder,
        "seed": config.seed,
    }
    folder = out or next_folder(f"{config.agent}-{config.algorithm}")
    if agent is not AgentName.JOINT:
        _start(folder, config, described, wandb)
        return
    starts = {"answerer": start, "manager": manager_start}
    configs = {name: config.model_copy(update={"agent": name, "start": one}) for name, one in starts.items()}
    start_joint(folder, configs, described, every, wandb)


def _start(out: Path, config: TrainConfig, described: dict[str, Any], wandb: str | None) -> None:
    from memory_r1.cli.output import note
    from memory_r1.rl.launch import check_free, start_run

    check_free(out)
    note(f"Building tasks from {described['data']}.")
    _go(start_run(out, config, load_described(described)), wandb)


def _resume(out: Path, steps: int | None, wandb: str | None) -> None:
    from memory_r1.rl.launch import resume_run
    from memory_r1.rl.run_folder import RunFolder

    run = RunFolder.open(out)
    _go(resume_run(run, resumed_config(run, steps), load_described(run.about()["data_config"])), wandb)


def resumed_config(run: RunFolder, steps: int | None) -> TrainConfig:
    """What a run was asked for, with another number of steps if one is given."""
    return run.config() if steps is None else run.config().model_copy(update={"steps": steps})


def _go(trainer: Trainer, wandb: str | None) -> None:
    from memory_r1.cli.output import note

    note(f"Run folder: {trainer.run.path}. Ctrl-C saves and stops.")
    watchers = trainer.watchers = watchers_of(trainer, wandb)
    try:
        done = trainer.train()
    finally:
        close(watchers)
    if not done:
        note(
            f"Stopped after step {trainer.progress.step}. Go on: memory-r1 train ... --out {trainer.run.path} --resume"
        )
        raise typer.Exit(130)
    report(trainer.run)


def report(run: RunFolder) -> None:
    """Print what a run came to."""
    from memory_r1.cli.output import console

    about = run.about()
    if "before" in about:
        best = "" if about["best"] is None else f", best {about['best']:.3f}"
        scores = f"{about['before']:.3f} before, {about['after']:.3f} after{best}"
        console().print(f"Held-out reward {scores} ({about['held_out']} tasks).")
    console().print(f"Adapter: {run.path / 'adapter'}")


def close(watchers: list[Any]) -> None:
    """Tell watchers that it is over."""
    for watcher in watchers:
        watcher.close()


def watchers_of(trainer: Trainer, wandb: str | None) -> list[Any]:
    """TensorBoard, the bar at the terminal, and W&B if asked for."""
    from memory_r1.cli.output import console
    from memory_r1.rl.watch import ProgressBar, TensorBoard, WandB

    run = trainer.run
    watchers: list[Any] = [TensorBoard(run.path / "tensorboard")]
    if wandb is not None:
        watchers.append(WandB(wandb, run.path.name, trainer.config.model_dump()))
    watchers.append(ProgressBar(console(stderr=True), trainer.config.steps, trainer.progress.step))
    return watchers


def load_described(described: dict[str, Any]) -> TaskData:
    """The tasks that a `DataConfig` describes."""
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


def next_folder(name: str) -> Path:
    """A folder for a run that is given none: the first free one of `runs/NAME-1`, `runs/NAME-2`, ..."""
    taken = 1
    while (folder := Path("runs") / f"{name}-{taken}").exists():
        taken += 1
    return folder
