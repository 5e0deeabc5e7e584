"""Problems to learn from, as plain data: they can be built once, written to a file, and bound to any model later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from memory_r1.data.conversation import Question, Turn
from memory_r1.errors import InvalidInputError
from memory_r1.rl.bank_state import Bank, Entry, NewFact


@dataclass(frozen=True, slots=True)
class ManagerProblem:
    """A bank, one or more facts to rule on, and the questions whose answers tell whether that was right."""

    id: str
    bank: Bank
    facts: tuple[NewFact, ...]
    """Ruled on one after another."""
    candidates: tuple[str, ...] = ()
    """Ids of the entries shown for the first fact, in order; empty: they are retrieved, as for all later facts."""
    questions: tuple[Question, ...] = ()
    family: str | None = None
    """Problems with the same candidates share it."""
    type: Literal["manager"] = "manager"


@dataclass(frozen=True, slots=True)
class AnswerProblem:
    """A question and the memories that were retrieved for it."""

    id: str
    question: Question
    memories: tuple[Entry, ...]
    """Best first."""
    relevant: tuple[int, ...] | None = None
    """Indices of the memories that hold evidence; None if that is not known."""
    family: str | None = None
    """Problems with the same memories share it; see `memory_r1.rl.episode.Related`."""
    type: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True)
class ExtractProblem:
    """A turn to take facts from."""

    id: str
    turn: Turn
    context: tuple[Turn, ...] = ()
    """The turns just before, in the same session."""
    facts: tuple[str, ...] = ()
    """The gold facts; none: there is nothing to remember."""
    planted: bool = False
    """Whether the turn carries an instruction of which nothing may be stored."""
    type: Literal["extract"] = "extract"


Problem = ManagerProblem | AnswerProblem | ExtractProblem

_ONE: TypeAdapter[Problem] = TypeAdapter(Annotated[Problem, Field(discriminator="type")])


def write_problems(problems: Iterable[Problem], path: str | Path) -> int:
    """Write problems as JSON Lines; return how many.

    Raises:
        InvalidInputError: The file cannot be written.
    """
    count = 0
    try:
        with Path(path).expanduser().open("w", encoding="utf-8", newline="\n") as file:
            for problem in problems:
                file.write(f"{problem_line(problem)}\n")
                count += 1
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be written: {error.strerror or error}.") from error
    return count


def problem_line(problem: Problem) -> str:
    """A problem as one line of JSON.

    Example:
        >>> problem_line(ExtractProblem("p", Turn("t", "Ann", "Hi")))[:40]
        '{"id": "p", "turn": {"id": "t", "speaker'
    """
    return json.dumps(_ONE.dump_python(problem, mode="json"), ensure_ascii=False)


def read_problems(path: str | Path) -> list[Problem]:
    """Read what `write_problems` wrote.

    Raises:
        InvalidInputError: The file cannot be read, is empty, or a line is not a problem; the message names the line.
    """
    path = Path(path).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8 text.") from error
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                problems.append(_ONE.validate_json(line))
            except ValidationError as error:
                raise InvalidInputError(
                    f"{path}, line {number} is no problem: {error.errors()[0]['msg']}.",
                    hint="Build the file anew.",
                ) from error
    check_problems(problems, str(path))
    return problems


def check_problems(problems: Sequence[Problem], source: str) -> None:
    """Refuse a set of problems that cannot be trained on.

    Raises:
        InvalidInputError: There is no problem, two have the same id, or one does not hold together.
    """
    if not problems:
        raise InvalidInputError(f"{source} holds no usable episode.", hint="Nothing can be learned from it.")
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise InvalidInputError(f"{source} has the problem {problem.id!r} twice.", hint="Give each its own id.")
        seen.add(problem.id)
        if fault := _fault(problem):
            raise InvalidInputError(f"{source}: the problem {problem.id!r} {fault}.", hint="Build it anew.")


def _fault(problem: Problem) -> str | None:
    """What does not hold together in a problem; None if all does."""
    if isinstance(problem, ManagerProblem):
        known = {entry.id for entry in problem.bank}
        if len(known) < len(problem.bank):
            return "has two memories of one id"
        if not problem.facts:
            return "has no fact"
        if not known.issuperset(problem.candidates):
            return "has a candidate that is not in its bank"
        gold = problem.facts[0].gold
        if len(problem.facts) == 1 and gold is not None and gold.target is not None and gold.target not in known:
            return "has a gold target that is not in its bank"
    if isinstance(problem, AnswerProblem) and any(
        not 0 <= place < len(problem.memories) for place in problem.relevant or ()
    ):
        return "has a relevant memory that is not there"
    return None
