"""Reads a whole conversation into a bank: extraction in batches, then one decision after another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from memory_r1.agents.fact_extractor import FactExtractor
from memory_r1.agents.results import Usage
from memory_r1.agents.windows import Window
from memory_r1.bank.fact import Fact
from memory_r1.bank.operation import Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.curator import Curator
from memory_r1.data.conversation import Conversation, Turn

# the model's instructions are computed once a batch; more turns a batch gain little and delay the first decision
BATCH = 16


@dataclass(frozen=True, slots=True)
class IngestEvent:
    """Something happened on the way: a turn was read, or a fact was decided on."""

    kind: Literal["extracted", "decided"]
    turn: Turn
    """The turn read, or the one the fact came from."""
    done: int
    """Turns finished so far."""
    total: int
    """Turns to read in all."""
    usage: Usage
    """Cost of this step alone."""
    facts: tuple[Fact, ...] = ()
    """extracted: what the turn stated."""
    operation: Operation | None = None
    """decided: what was written."""


@dataclass
class IngestReport:
    """What reading a conversation came to."""

    turns: int = 0
    facts: int = 0
    fallbacks: int = 0
    """Turns whose extraction could not be used and that were kept as they are."""
    rejected: int = 0
    """Decisions that could not be used and fell back to ADD."""
    operations: Counter[OperationKind] = field(default_factory=Counter)
    extracting: Usage = field(default_factory=Usage)
    deciding: Usage = field(default_factory=Usage)
    bank_seconds: float = 0.0
    """Time spent embedding, searching for candidates and writing."""


def ingest(
    conversation: Conversation,
    scope: Scope,
    extractor: FactExtractor,
    curator: Curator,
    *,
    context_turns: int = 1,
    sessions: int | None = None,
    on_event: Callable[[IngestEvent], None] | None = None,
) -> IngestReport:
    """Read a conversation, oldest session first.

    The same conversation twice leaves the same bank: every fact carries an idempotency key.

    Args:
        conversation: What to read.
        scope: The bank to write to.
        extractor: Takes facts from turns.
        curator: Decides on facts and writes.
        context_turns: How many earlier turns of the session the extractor sees beside the one it reads.
        sessions: Read only the first so many.
        on_event: Called after every step, on this thread.

    Raises:
        StoreError: The store failed. Everything decided before stays.
        ModelError: The model failed. Everything decided before stays.
    """
    report = IngestReport()
    windows = _windows(conversation, sessions, context_turns)
    report.turns = len(windows)
    for start in range(0, len(windows), BATCH):
        batch = windows[start : start + BATCH]
        extractions = extractor.extract_many(batch)
        for offset, (window, extraction) in enumerate(zip(batch, extractions, strict=True)):
            turn = window.turns[0]
            report.facts += len(extraction.facts)
            report.fallbacks += extraction.fallback is not None
            report.extracting += extraction.usage
            done = start + offset
            if on_event:
                on_event(IngestEvent("extracted", turn, done, len(windows), extraction.usage, extraction.facts))
            for number, fact in enumerate(extraction.facts):
                began = time.perf_counter()
                key = f"{conversation.id}/{turn.id}#{number}"
                operation, usage = curator.curate(fact, scope, idempotency_key=key)
                report.bank_seconds += time.perf_counter() - began - usage.seconds
                report.deciding += usage
                report.operations[operation.kind] += 1
                report.rejected += bool(operation.decision and operation.decision.rejected)
                if on_event:
                    last = number == len(extraction.facts) - 1
                    on_event(
                        IngestEvent("decided", turn, done + last, len(windows), usage, (fact,), operation=operation)
                    )
    return report


def _windows(conversation: Conversation, sessions: int | None, context_turns: int) -> list[Window]:
    windows: list[Window] = []
    index = 0
    for session in conversation.sessions[:sessions]:
        for place, turn in enumerate(session.turns):
            windows.append(
                Window(
                    turns=(turn,),
                    context=session.turns[max(0, place - context_turns) : place],
                    session_id=session.id,
                    first_index=index,
                    source=conversation.id,
                )
            )
            index += 1
    return windows
