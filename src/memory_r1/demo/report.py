"""What a demo run came to, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from memory_r1.bench.metrics import exact_match, token_f1

if TYPE_CHECKING:
    from memory_r1.agents.results import Usage
    from memory_r1.data.conversation import Conversation, Question
    from memory_r1.ingest import IngestReport
    from memory_r1.recall import AnswerResult


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what was answered, and how good that was."""

    question: Question
    result: AnswerResult

    @property
    def f1(self) -> float:
        """Token F1 by Mem0's definition.

        Abstaining scores 1 where the conversation does not say and 0 where it does, whatever the words.
        """
        return self._score(token_f1)

    @property
    def em(self) -> float:
        """Exact match by Mem0's definition, abstention as in `f1`."""
        return self._score(exact_match)

    def _score(self, metric: Any) -> float:
        gold = self.question.answer
        if gold is None or self.result.abstained:
            return float(gold is None and self.result.abstained)
        return float(metric(self.result.text, gold))


class CategoryScore(NamedTuple):
    """Mean scores of one kind of question."""

    category: str
    questions: int
    f1: float
    em: float


@dataclass(slots=True)
class DemoReport:
    """One run, from the first turn to the last answer."""

    conversation: Conversation
    model: str
    store: str
    ingest: IngestReport
    bank_size: int
    """Live memories at the end."""
    asked: list[Asked] = field(default_factory=list)
    load_seconds: float = 0.0
    """Fetching and loading the models."""
    total_seconds: float = 0.0

    @property
    def answering(self) -> Usage:
        """Cost of all answers."""
        from memory_r1.agents.results import Usage

        return sum((one.result.usage for one in self.asked), Usage())

    def seconds(self) -> dict[str, float]:
        """Wall time by stage; `write` is embedding, finding candidates and committing."""
        return {
            "load": self.load_seconds,
            "extract": self.ingest.extracting.seconds,
            "decide": self.ingest.deciding.seconds,
            "write": max(0.0, self.ingest.bank_seconds),
            "retrieve": sum(one.result.retrieval_seconds for one in self.asked),
            "answer": self.answering.seconds,
        }

    def usage(self) -> dict[str, Usage]:
        """Model calls by agent."""
        return {"extract": self.ingest.extracting, "decide": self.ingest.deciding, "answer": self.answering}

    def scores(self) -> list[CategoryScore]:
        """Mean scores by category, in the order in which the categories come up, then over all."""
        groups: dict[str, list[Asked]] = {}
        for one in self.asked:
            groups.setdefault(one.question.category or "other", []).append(one)
        rows = [_mean(category, members) for category, members in groups.items()]
        return [*rows, _mean("all", self.asked)] if rows else []

    def as_dict(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        ingest = self.ingest
        return {
            "conversation": self.conversation.id,
            "sessions": len(self.conversation.sessions),
            "turns": ingest.turns,
            "model": self.model,
            "store": self.store,
            "facts": ingest.facts,
            "extraction_fallbacks": ingest.fallbacks,
            "operations": {kind.value: count for kind, count in sorted(ingest.operations.items())},
            "rejected": ingest.rejected,
            "bank_size": self.bank_size,
            "tokens": {stage: asdict(usage) for stage, usage in self.usage().items()},
            "seconds": {**self.seconds(), "total": self.total_seconds},
            "scores": [score._asdict() for score in self.scores()],
            "questions": [_asked_dict(one) for one in self.asked],
        }


def _mean(category: str, members: Sequence[Asked]) -> CategoryScore:
    return CategoryScore(category, len(members), fmean(one.f1 for one in members), fmean(one.em for one in members))


def _asked_dict(asked: Asked) -> dict[str, Any]:
    question, result = asked.question, asked.result
    return {
        "id": question.id,
        "category": question.category,
        "question": question.text,
        "gold": question.answer,
        "evidence": list(question.evidence),
        "answer": result.text,
        "abstained": result.abstained,
        "f1": asked.f1,
        "em": asked.em,
        "retrieved": len(result.memories),
        "distilled": [record.text for record in result.distilled],
        "distilled_turns": [record.provenance.turn_id for record in result.distilled],
    }
