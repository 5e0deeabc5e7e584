"""What the agents hand back: extractions, rulings and answers, with what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from memory_r1.bank.fact import Fact
from memory_r1.bank.operation import OperationKind


@dataclass(frozen=True, slots=True)
class Usage:
    """Cost of one or more model calls."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Extraction:
    """Facts taken from a window of turns."""

    facts: tuple[Fact, ...]
    raw: str
    """The completion, verbatim."""
    fallback: str | None = None
    """Why the completion could not be used and the turns themselves became the facts; None if it could."""
    usage: Usage = Usage()
    repeated: int = 0
    """Facts and quoted passages left out because they repeat a memory that was recalled lately."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the Memory Manager decided about one fact, checked against the candidates it saw."""

    kind: OperationKind
    """ADD, UPDATE, DELETE or NOOP."""
    target: int | None = None
    """Index into the candidates for UPDATE and DELETE; NOOP may name the memory that already says it."""
    text: str | None = None
    """New text for ADD and UPDATE."""
    raw: str = ""
    """The completion, verbatim."""
    rejected: str | None = None
    """Why the completion could not be used and the fallback ADD was taken; None if it could."""
    doubted: str | None = None
    """What a small policy said and was not believed in, and why; see `agents/caution.py`. None if it was believed."""
    aside: bool = False
    """ADD of what is hardly worth a memory of its own; see `agents/asides.py`."""
    policy: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Answer Agent said."""

    text: str
    """The short answer; for an abstention, a sentence saying that the memories do not tell."""
    kept: tuple[int, ...]
    """Indices of the memories it distilled, in its order."""
    abstained: bool = False
    raw: str = ""
    usage: Usage = Usage()
    dropped: int = 0
    """Memories that the model was not shown because they did not fit its context window."""
    agreement: float | None = None
    """How far the other samples say the same, 0 to 1 (`agents/consensus.py`); None if there was one sample."""
