"""What the benchmark asks of a memory system: read a conversation, answer questions about it, say what it took.

A system is a class whose constructor takes a `Kit`. One instance reads one conversation and answers its questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from memory_r1.data.conversation import Conversation, Question

if TYPE_CHECKING:
    from memory_r1.lm.base import LanguageModel
    from memory_r1.retrieval.embedder import Embedder


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took of the language model; costs add up."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Wall time, the embedder's and the store's included."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class UsedMemory:
    """A memory that the reader was given."""

    text: str
    """As the reader saw it."""
    turns: tuple[str, ...] = ()
    """Ids of the turns it comes from, as far as the system knows."""
    kept: bool = False
    """Whether the reader kept it in its distillation."""


@dataclass(frozen=True, slots=True)
class SystemAnswer:
    """An answer and what it rests on."""

    text: str
    memories: tuple[UsedMemory, ...] = ()
    """Given to the reader, best first."""
    abstained: bool = False
    """Whether it says that the memories do not tell."""
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class Stats:
    """What a conversation has become."""

    memories: int = 0
    """Live entries of the bank."""
    characters: int = 0
    """Length of their texts in all."""
    operations: Mapping[str, int] = field(default_factory=dict)
    """How often each kind of operation was carried out, e.g. `{"ADD": 120, "UPDATE": 31}`."""
    ingest: Cost = field(default_factory=Cost)
    add_seconds: tuple[float, ...] = ()
    """Wall time of each add (a turn or a fact, as the system works), for percentiles."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What every system of a run works with, so that they differ in their method alone."""

    lm: LanguageModel
    """The backbone. Its completions are cached by content if the run says so."""
    embedder: Embedder
    folder: Path
    """A folder of its own for stores, empty; removed after the run."""
    reader_tokens: int = 1500
    """Most tokens of memories that a reader is shown."""
    answer_tokens: int = 96
    """Most tokens of an answer's completion."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """LoRA adapters by agent (`extractor`, `manager`, `answerer`), for systems that have trained policies."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further settings of one system, from the command line."""
    on_turns: Callable[[int], None] = field(default=lambda read: None)
    """To be told in `ingest` how many turns are read so far, for whoever waits; a system may leave it out."""


@runtime_checkable
class System(Protocol):
    """A memory system under test."""

    name: str
    """Short, for tables and folders."""
    about: str
    """What it is: the real package and its version, or whose method is re-implemented and how it differs."""

    def ingest(self, conversation: Conversation) -> None:
        """Read all sessions, oldest first."""
        ...

    def answer(self, question: Question) -> SystemAnswer:
        """Answer one question; the gold answer, category and evidence in it must not be looked at."""
        ...

    def stats(self) -> Stats:
        """What reading has come to."""
        ...


@runtime_checkable
class Batched(Protocol):
    """A system that answers many questions faster together."""

    def answer_many(self, questions: Sequence[Question]) -> list[SystemAnswer]:
        """An answer for each question, in order."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A system that holds something open."""

    def close(self) -> None:
        """Let go of it."""
        ...
