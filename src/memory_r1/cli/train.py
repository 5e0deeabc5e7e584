"""`train`: teach an agent by imitation, GRPO or PPO."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

DATA, TEACHER, LEARNING, KEEPING = "What to learn from", "A teacher to imitate", "How to learn", "What to keep"


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
        list[str] | None,
        typer.Option(
            metavar="DATA",
            rich_help_panel=DATA,
            help="synthetic:COUNT, locomo:PATH, longmemeval:PATH, msc:PATH, or a .jsonl of conversations or tasks; "
            "repeatable.",
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
        typer.Option(
            metavar="MIX",
            rich_help_panel=DATA,
            help="Reward terms: paper (exact match alone), default, ..., or em=1,evidence=0.5.",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=DATA,
            help="Who grades answers, if judge has a weight: openai:NAME, URL#NAME.",
        ),
    ] = None,
    infer_evidence: Annotated[
        bool,
        typer.Option(
            "--infer-evidence",
            rich_help_panel=DATA,
            help="Guess the turns that answers rest on where the data does not name them.",
        ),
    ] = False,
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
        str | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=DATA,
            help="Memories a question gets, or paper: 30 for each of two speakers; by default the dynamic cut.",
        ),
    ] = None,
    reader_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=DATA, help="Most tokens of memories a question gets under the dynamic cut."
        ),
    ] = None,
    build: Annotated[
        list[str] | None,
        typer.Option(
            "--build",
            metavar="NAME=VALUE",
            rich_help_panel=DATA,
            help="How problems are made, e.g. window_turns=24 or bank=empty; repeatable.",
        ),
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
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=TEACHER,
            help="sft: imitate what this model does and is rewarded for; openai:NAME or URL#NAME.",
        ),
    ] = None,
    teacher_samples: Annotated[
        int, typer.Option(min=1, rich_help_panel=TEACHER, help="How often it plays each task.")
    ] = 4,
    teacher_least: Annotated[
        float, typer.Option(rich_help_panel=TEACHER, help="Least reward of what is imitated.")
    ] = 0.5,
    teacher_all: Annotated[
        bool,
        typer.Option("--teacher-all", rich_help_panel=TEACHER, help="Imitate all that earned it."),
    ] = False,
    teacher_tokens: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=TEACHER, help="Most tokens of its answers, for one that thinks first."),
    ] = None,
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
    from memory_r1.cli.run_folders import next_folder
    from memory_r1.cli.train_joint import resume_joint, start_joint
    from memory_r1.cli.train_run import resume_one, start_one
    from memory_r1.errors import ConfigError
    from memory_r1.rl.config import make_config

    if resume:
        if out is None:
            raise ConfigError("--resume needs the run's folder.", hint="Name it by --out.")
        if agent is AgentName.JOINT:
            resume_joint(out, steps, wandb)
        else:
            resume_one(out, agent.value, steps, wandb)
        return
    if not data:
        raise ConfigError("There is nothing to learn from.", hint="Name it by --data, e.g. --data synthetic:100.")
    if teacher is not None and algo is not AlgorithmName.SFT:
        raise ConfigError("A teacher is imitated, and nothing else.", hint="Add --algo sft, or leave --teacher out.")
    chosen = {"model": model, "start": start, "steps": steps, "lr": lr, "seed": seed, **_parsed("--set", settings)}
    config = make_config(preset, algorithm=algo.value, agent=agent.value, **chosen)
    taught = {
        "model": teacher,
        "samples": teacher_samples,
        "least": teacher_least,
        "every": teacher_all,
        "max_tokens": teacher_tokens,
    }
    described: dict[str, Any] = {
        "agent": agent.value,
        "data": data[0],
        "more": data[1:],
        "held_out": held_out,
        "rewards": rewards,
        "judge": judge,
        "teacher": taught if teacher is not None else None,
        "infer_evidence": infer_evidence,
        "source": source,
        "memories": _number(memories),
        "reader_tokens": reader_tokens,
        "build": _parsed("--build", build),
        "together": algo is AlgorithmName.SFT and teacher is None if together is None else together,
        "model": config.model,
        "reader": reader,
        "extractor": extractor,
        "embedder": embedder,
        "seed": config.seed,
    }
    folder = out or next_folder(f"{config.agent}-{config.algorithm}")
    if agent is not AgentName.JOINT:
        start_one(folder, config, described, wandb)
        return
    starts = {"answerer": start, "manager": manager_start}
    configs = {
        name: make_config(preset, algorithm=algo.value, agent=name, **{**chosen, "start": one})
        for name, one in starts.items()
    }
    start_joint(folder, configs, described, every, wandb)


def _number(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


def _parsed(option: str, settings: list[str] | None) -> dict[str, Any]:
    from memory_r1.errors import ConfigError

    found: dict[str, Any] = {}
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"{option} {setting} has no value.", hint=f"Write {option} NAME=VALUE.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
