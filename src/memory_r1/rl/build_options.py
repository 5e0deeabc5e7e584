"""Every choice in turning conversations into problems that the paper leaves open, with the paper's value available."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from memory_r1.errors import ConfigError
from memory_r1.rl.bank_state import Cut

Source = Literal["facts", "turns", "both"]
"""What memories are made of: extracted facts, the turns as they were said, or both."""


@dataclass(frozen=True, slots=True)
class ManagerOptions:
    """How manager problems are made.

    Raises:
        ConfigError: A number is out of range.
    """

    candidates: int = 3
    """Memories shown for a fact, found by the product's retriever."""
    link: Literal["evidence", "last-evidence", "memory"] = "evidence"
    """Which questions belong to a fact: those whose evidence names its turn (`evidence`; the paper has no other link),
    those whose last evidence it is, so that all is said by then (`last-evidence`), or, for synthetic data, also those
    that rest on the memory it concerns and hold at that time (`memory`)."""
    guards: int = 0
    """Up to so many more questions about the other candidates, so that spoiling a bystander costs (paper: 0)."""
    most_questions: int = 5
    """Most questions of a problem, guards included; 0 is of use for demonstrations alone."""
    unlinked: bool = False
    """Keep facts without a question: of use for demonstrations, useless to an answer's reward (paper: dropped)."""
    unanswerable: bool = False
    """Link questions that the conversation does not answer, too (paper: dropped)."""
    bank: Literal["window", "all", "empty"] = "window"
    """What is in the bank before the fact: the facts of the preceding turns (`window`; the paper's Algorithm 1), of all
    earlier ones (`all`), or nothing, and the facts of the window are ruled on first (`empty`; Algorithm 5). Synthetic
    conversations know their exact bank and use that, except under `empty`."""
    window_turns: int = 50
    """How many preceding turns the window has (paper: 50, or 24 in its prose)."""
    source: Literal["facts", "turns"] = "facts"
    """What the manager rules on."""
    whole_turns: bool = False
    """One problem for all facts of a turn instead of one for each."""
    stored: Literal["mixed", "fact", "said", "gold"] = "mixed"
    """Synthetic only: the words of facts and memories. `fact`: the generator's own for a fact, and a memory reads as
    its facts did. `said`: the sentences they were told in, as the trained extractor chooses them. `mixed`: every other
    conversation the one or the other. `gold`: memories as the generator words them, and ADD's demonstration carries
    that text."""
    additions: float = 1.0
    """Synthetic only: share of the facts to ADD that are kept. They are nearly half, and the easiest."""
    planted: bool = True
    """Synthetic only: planted instructions as facts that must not be stored."""
    filler: float = 0.0
    """Synthetic only: share of the talk about nothing, as the extractor lets it pass, that is ruled on as well; it must
    not be stored. No question rests on it, so it is of use for demonstrations and for rewards that count the bank."""

    def __post_init__(self) -> None:
        _at_least("candidates", self.candidates, 1)
        _at_least("guards", self.guards, 0)
        _at_least("most_questions", self.most_questions, 0)
        _at_least("window_turns", self.window_turns, 1)
        _share("additions", self.additions)
        _share("filler", self.filler)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How answer problems are made."""

    source: Source = "facts"
    """What the reader's memories are. For synthetic data `facts` is the gold bank."""
    managed: bool = True
    """Synthetic only: the gold bank; without it each fact is a memory by itself, as after ADD for all."""
    cut: Cut = field(default_factory=Cut)
    """How many memories a question gets (paper: `Cut(preset="paper")`)."""
    missing: Literal["keep", "drop", "insert"] = "keep"
    """What becomes of a question none of whose known evidence was retrieved: it stays, it goes, or the evidence takes
    the last places."""
    unanswerable: bool = True
    """Keep questions that the conversation does not answer (paper: dropped)."""


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """How extraction problems are made.

    Raises:
        ConfigError: A number is out of range.
    """

    context_turns: int = 1
    """Earlier turns of the session beside the one to read."""
    nothing: float = 0.5
    """Share of the turns without any fact that are kept, besides all that are planted."""
    seed: int = 0
    """Chooses which."""

    def __post_init__(self) -> None:
        _at_least("context_turns", self.context_turns, 0)
        _share("nothing", self.nothing)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name}={value} is too small.", hint=f"Use {least} or more.")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name}={value} is not between 0 and 1.")


_Options = TypeVar("_Options", ManagerOptions, AnswerOptions, ExtractOptions)


def with_options(default: _Options, given: Mapping[str, Any]) -> _Options:
    """Options with some of them chosen by name.

    Args:
        default: The others.
        given: Values by name, e.g. from the command line.

    Raises:
        ConfigError: There is no such option, or a value does not suit it.

    Example:
        >>> with_options(PAPER_MANAGER, {"window_turns": 24}).window_turns
        24
    """
    known = names(type(default))
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(f"There is no option {unknown[0]!r} here.", hint=f"Known: {', '.join(known)}.")
    values = {one.name: getattr(default, one.name) for one in fields(default)}
    try:
        return TypeAdapter(type(default)).validate_python({**values, **given})
    except ValidationError as error:
        first = error.errors()[0]
        if isinstance(own := first.get("ctx", {}).get("error"), ConfigError):
            raise own from error
        raise ConfigError(f"The option {first['loc'][0]} is wrong: {first['msg']}.") from error


def names(options: type[ManagerOptions] | type[AnswerOptions] | type[ExtractOptions]) -> list[str]:
    """The options that can be chosen by name; a question's number of memories is not one of them.

    Example:
        >>> names(ExtractOptions)
        ['context_turns', 'nothing', 'seed']
    """
    return [one.name for one in fields(options) if one.name not in ("cut", "source") or options is ManagerOptions]


PAPER_MANAGER = ManagerOptions()
"""Memory-R1's Algorithm 1."""

PAPER_ANSWER = AnswerOptions(cut=Cut(preset="paper"), unanswerable=False)
"""Memory-R1's Algorithm 2: top 30 for each of two speakers."""

SYNTHETIC_MANAGER = ManagerOptions(link="memory", guards=2, unanswerable=True)
"""For synthetic conversations, which know which questions rest on which memory."""
