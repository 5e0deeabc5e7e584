"""Training data by name, and problems bound to agents as tasks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from memory_r1.data.conversation import Conversation
from memory_r1.data.jsonl import load_jsonl, to_lines
from memory_r1.data.locomo import load_locomo
from memory_r1.data.longmemeval import load_longmemeval
from memory_r1.data.msc import load_msc
from memory_r1.data.splits import check_conversations, split_in_halves, split_locomo
from memory_r1.data.synthetic import SPLITS, SyntheticConversation, generate, read_synthetic
from memory_r1.errors import ConfigError
from memory_r1.rl.answer_task import AnswerTask, AnswerWorld
from memory_r1.rl.extract_task import ExtractTask, ExtractWorld
from memory_r1.rl.manager_task import ManagerTask, ManagerWorld
from memory_r1.rl.problems import AnswerProblem, ManagerProblem, Problem

Part = Literal["train", "validation", "test", "all"]
"""Which part of a data set; `all` is the whole of it."""

DEFAULT_SYNTHETIC = 100
"""How many conversations `synthetic` makes if no number is given."""

_World = TypeVar("_World")
_SYNTHETIC = re.compile(r"synthetic(?::(\d+))?(?:@(\d+))?")
_NAMED = re.compile(r"(locomo|longmemeval|msc):(.+)")


@dataclass(frozen=True)
class TrainingData:
    """Conversations to make problems from."""

    name: str
    """What was asked for."""
    conversations: tuple[Conversation, ...]
    synthetic: tuple[SyntheticConversation, ...] = ()
    """The same with everything known about them, if they are synthetic."""

    @property
    def digest(self) -> str:
        """SHA-256 of the conversations and questions, for the run folder."""
        lines = "\n".join(line for one in self.conversations for line in to_lines(one))
        return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def open_data(name: str, part: Part = "train") -> TrainingData:
    """Open a data set by name.

    Args:
        name: `synthetic`, `synthetic:COUNT` or `synthetic:COUNT@SEED` (made on the spot, from that seed on);
            `locomo:PATH`, `longmemeval:PATH`, `msc:PATH`; or the path of a JSON Lines file, whose gold is read too if a
            file of `write_synthetic` stands beside it.
        part: LoCoMo has the paper's split without category 5 (`all` has all questions), LongMemEval two halves (`train`
            and `test`), synthetic data three splits. MSC and own files have none: `train` and `all` are the whole.

    Raises:
        ConfigError: There is no such name or part.
        InvalidInputError: The data cannot be read or used; see `check_conversations`.

    Example:
        >>> [one.id for one in open_data("synthetic:2@5").conversations]
        ['synthetic-train-5', 'synthetic-train-6']
    """
    data = _open(name, part)
    check_conversations(data.conversations, source=name)
    return data


def _open(name: str, part: Part) -> TrainingData:
    if match := _SYNTHETIC.fullmatch(name):
        return _synthetic(name, int(match[1] or DEFAULT_SYNTHETIC), int(match[2] or 0), part)
    if match := _NAMED.fullmatch(name):
        return TrainingData(name, tuple(_named(match[1], match[2], part)))
    path = Path(name).expanduser()
    if path.suffix != ".jsonl":
        raise ConfigError(
            f"{name!r} names no data.",
            hint="Use synthetic:COUNT, locomo:PATH, longmemeval:PATH, msc:PATH, or the path of a .jsonl file.",
        )
    _whole_only(name, part)
    if path.with_name(f"{path.stem}.gold.jsonl").is_file():
        made = tuple(read_synthetic(path))
        return TrainingData(name, tuple(one.conversation for one in made), made)
    return TrainingData(name, tuple(load_jsonl(path)))


def _synthetic(name: str, count: int, seed: int, part: Part) -> TrainingData:
    if part not in SPLITS:
        raise ConfigError(f"Synthetic data has no part {part!r}.", hint=f"Use one of: {', '.join(SPLITS)}.")
    made = tuple(generate(number, split=part) for number in range(seed, seed + count))
    return TrainingData(name, tuple(one.conversation for one in made), made)


def _named(kind: str, path: str, part: Part) -> Sequence[Conversation]:
    if kind == "locomo":
        loaded = load_locomo(path)
        if part == "all":
            return loaded
        split = split_locomo(loaded)
        return {"train": split.train, "validation": split.validation, "test": split.test}[part]
    if kind == "longmemeval":
        loaded = load_longmemeval(path)
        if part == "all":
            return loaded
        if part == "validation":
            raise ConfigError("LongMemEval has no validation part.", hint="Use train, test or all.")
        return split_in_halves(loaded)[part == "test"]
    _whole_only(f"{kind}:{path}", part)
    return load_msc(path)


def _whole_only(name: str, part: Part) -> None:
    if part not in ("train", "all"):
        raise ConfigError(f"{name} has no part {part!r}.", hint="Name other data for it.")


def make_tasks(
    problems: Iterable[Problem],
    *,
    manager: ManagerWorld | None = None,
    answer: AnswerWorld | None = None,
    extract: ExtractWorld | None = None,
) -> list[ManagerTask | AnswerTask | ExtractTask]:
    """Bind problems to what their tasks need. Turns that no model reads are left out.

    Raises:
        ConfigError: There is a problem of a kind whose world is not given.
    """
    tasks: list[ManagerTask | AnswerTask | ExtractTask] = []
    for problem in problems:
        if isinstance(problem, ManagerProblem):
            tasks.append(ManagerTask(problem, _given(manager, problem)))
        elif isinstance(problem, AnswerProblem):
            tasks.append(AnswerTask(problem, _given(answer, problem)))
        else:
            task = ExtractTask(problem, _given(extract, problem))
            tasks += [task] if task.readable else []
    return tasks


def _given(world: _World | None, problem: Problem) -> _World:
    if world is None:
        raise ConfigError(f"The {problem.type} problem {problem.id!r} has no agent to train.")
    return world
