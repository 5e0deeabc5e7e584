"""Runs a demo: reads a conversation into a bank, then asks its questions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, Protocol

from memory_r1.demo.report import Asked, DemoReport

if TYPE_CHECKING:
    from memory_r1.data.conversation import Conversation, Question
    from memory_r1.ingest import IngestEvent, IngestReport
    from memory_r1.memory import Memory


class Watcher(Protocol):
    """Is told of everything as it happens."""

    def reading(self, event: IngestEvent) -> None:
        """A turn was read, or a fact decided on."""
        ...

    def asking(self, question: Question, place: int, total: int) -> None:
        """A question is about to be answered; `place` counts from 1."""
        ...

    def answered(self, asked: Asked, place: int, total: int) -> None:
        """A question was answered."""
        ...


def run_demo(
    memory: Memory,
    conversation: Conversation,
    watcher: Watcher,
    *,
    user_id: str,
    model_name: str,
    preset: Literal["auto", "paper"] | None = None,
    load_seconds: float = 0.0,
) -> DemoReport:
    """Read the conversation and answer its questions.

    Args:
        memory: Where to remember.
        conversation: What to read and ask.
        watcher: Is told of each step, on this thread.
        user_id: The bank's user.
        model_name: What the report calls the language model.
        preset: How many memories each answer may draw on; the memory's setting if None.
        load_seconds: What loading the models took, for the report.

    Raises:
        MemoryR1Error: A model or the store failed.
    """
    began = time.perf_counter()
    ingested: IngestReport = memory.ingest(conversation, user_id=user_id, on_event=watcher.reading)
    report = DemoReport(
        conversation,
        model_name,
        memory.settings.store,
        ingested,
        bank_size=len(memory.get_all(user_id=user_id)["results"]),
        load_seconds=load_seconds,
    )
    now = conversation.sessions[-1].time if conversation.sessions else None
    total = len(conversation.questions)
    for place, question in enumerate(conversation.questions, start=1):
        watcher.asking(question, place, total)
        result = memory.answer(question.text, user_id=user_id, preset=preset, now=question.time or now)
        asked = Asked(question, result)
        report.asked.append(asked)
        watcher.answered(asked, place, total)
    report.total_seconds = load_seconds + time.perf_counter() - began
    return report
