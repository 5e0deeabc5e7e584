"""From the name of a data set to an agent's tasks: problems are built, and bound to prompts, reader and rewards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from memory_r1.errors import ConfigError
from memory_r1.lm.base import LanguageModel
from memory_r1.rl.data_config import DataConfig
from memory_r1.rl.endpoints import asked_model
from memory_r1.rl.episode import Task
from memory_r1.rl.launch import TaskData, hold_out
from memory_r1.rl.task_workshop import TaskWorkshop
from memory_r1.rl.teacher import digest, learn_from
from memory_r1.rl.training_data import Part


def load_tasks(config: DataConfig, on_progress: Callable[[str], None] = lambda text: None) -> TaskData:
    """The tasks of an agent, and others held out from training.

    Args:
        config: Where they come from.
        on_progress: Told now and then how far it is, where that takes long.

    Raises:
        ConfigError: A name is unknown, or the data does not suit the agent.
        InvalidInputError: A file cannot be read or used; the message names the line or the conversation.
        TrainingError: The teacher earned nothing worth imitating.
        EndpointError: The teacher or the judge failed for good.
    """
    teacher: LanguageModel | None = None
    if config.teacher is not None:
        teacher = asked_model(config.teacher.model, max_tokens=config.teacher.max_tokens, folder=config.facts_folder)
    shop = TaskWorkshop(config)
    names = (config.data, *config.more)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"The data {twice!r} is there twice.", hint="Name it once.")
    reads = [shop.read(name, together=config.together) for name in names]
    about: dict[str, Any] = {"data": " + ".join(names), "data_config": config.model_dump(mode="json")}
    hashes = [read.digest for read in reads]
    name, part = (config.held_out, "all") if config.held_out else _own_validation(names)
    if name is not None and name.startswith("synthetic") and part == "all":
        part = "validation"
    # both are read before either is worked on, which may take hours
    other = shop.read(name, part) if name is not None else None
    tasks: Sequence[Task] = [task for read in reads for task in shop.tasks(read, together=config.together)]
    if other is None:
        tasks, held_out = hold_out(tasks, config.seed)
    else:
        held_out = list(shop.tasks(other))
        hashes.append(other.digest)
    if config.teacher is not None and teacher is not None:
        taught, about["teacher"] = learn_from(teacher, tasks, config.teacher, seed=config.seed, on_progress=on_progress)
        hashes.append(digest(taught))
        tasks = taught
    return TaskData(tasks, held_out, {**about, "data_hash": "+".join(hashes)}, shop.use_reader)


def _own_validation(names: Sequence[str]) -> tuple[str | None, Part]:
    """The validation part of the first data set that has one."""
    for name in names:
        if name.startswith("synthetic"):
            count = name.partition("@")[0].partition(":")[2]
            return f"synthetic:{max(2, int(count or 100) // 10)}", "validation"
        if name.startswith("locomo:"):
            return name, "validation"
    return None, "all"
