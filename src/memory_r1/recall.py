"""The reading half of `Memory`: search, answer, get."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from memory_r1 import shapes
from memory_r1.agents.results import Usage
from memory_r1.bank.filters import Filter, parse_filter
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.scope import Scope
from memory_r1.bank.text import check_text
from memory_r1.config import MOST_SAMPLES, Settings
from memory_r1.errors import InvalidInputError
from memory_r1.messages import to_time
from memory_r1.parts import Parts
from memory_r1.scoping import split_scope

if TYPE_CHECKING:
    from memory_r1.retrieval.search import Hit


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """An answer and what it rests on."""

    text: str
    """The short answer, or a sentence saying that the memories do not tell."""
    abstained: bool
    memories: tuple[MemoryRecord, ...]
    """What was retrieved, in the order the model saw it."""
    kept: tuple[int, ...]
    """Indices into `memories` of those the model distilled."""
    raw: str
    """The completion, verbatim."""
    usage: Usage
    retrieval_seconds: float
    agreement: float | None = None
    """How far the other samples say the same, 0 to 1; None if there was one sample."""

    @property
    def distilled(self) -> tuple[MemoryRecord, ...]:
        """The memories that the model kept."""
        return tuple(self.memories[index] for index in self.kept)


class Recent:
    """Texts shown to a program lately, so that they are known again when they come back in a message."""

    LIMIT = 200
    """Texts kept for each scope."""

    def __init__(self) -> None:
        self._texts: defaultdict[Scope, deque[str]] = defaultdict(lambda: deque(maxlen=self.LIMIT))
        self._guard = threading.Lock()

    def note(self, scope: Scope, texts: Iterable[str]) -> None:
        """Remember that a reader of this scope was shown these texts."""
        with self._guard:
            self._texts[scope].extend(texts)

    def known(self, scope: Scope) -> list[str]:
        """What readers of this scope, of a wider or a narrower one, were shown."""
        with self._guard:
            return [
                text
                for seen, texts in self._texts.items()
                if seen.covers(scope) or scope.covers(seen)
                for text in texts
            ]

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._texts.clear()


class Recall:
    """What a `Memory` can find."""

    settings: Settings
    _parts: Parts
    _recent: Recent

    def search(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        threshold: float | None = None,
        preset: Literal["auto", "paper"] | None = None,
        explain: bool = False,
        rerank: bool = False,
        show_expired: bool = False,
    ) -> dict[str, Any]:
        """Find memories, best first.

        Args:
            query: What to look for.
            user_id: Scope.
            agent_id: Scope.
            run_id: Scope.
            filters: Conditions on metadata (eq ne gt gte lt lte in nin contains icontains * AND OR NOT); may also name
                the scope.
            top_k: Most results; 20 if neither this nor `preset` is given.
            limit: Another name for `top_k`.
            threshold: Least score, between 0 and 1.
            preset: `auto` or `paper` instead of a fixed number.
            explain: Add `score_details` to each result.
            rerank: Accepted for mem0's sake; the fused ranking is always the final one.
            show_expired: Include memories past their expiration date.

        Returns:
            `{"results": [{"id", "memory", "score", "metadata", "created_at", ...}]}`.

        Raises:
            InvalidInputError: The query is empty or a filter malformed.
            ScopeError: No scope is given.
        """
        scope, where = self._read(filters, user_id, agent_id, run_id)
        hits = self._hits(scope, query, where, _count(top_k, limit), preset, threshold, show_expired)
        return {
            "results": [shapes.item(hit.memory, hit.score, hit.parts if explain else None) for hit in hits],
        }

    def answer(
        self,
        question: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        preset: Literal["auto", "paper"] | None = None,
        top_k: int | None = None,
        now: Any = None,
        samples: int | None = None,
    ) -> AnswerResult:
        """Answer a question from memory: retrieve, distil, answer; abstain if the memories do not say.

        Args:
            question: The question.
            user_id: Scope.
            agent_id: Scope.
            run_id: Scope.
            filters: As in `search`.
            preset: How many memories to retrieve; the `preset` setting if neither this nor `top_k` is given.
            top_k: A fixed number of memories instead.
            now: When the question is asked; the model is told.
            samples: Answer so often, and give the answer that the others agree with most; the `answer_samples`
                setting if None. A local model reads the prompt once for all of them.
        """
        scope, where = self._read(filters, user_id, agent_id, run_id)
        began = perf_counter()
        chosen = None if top_k is not None else preset or self.settings.preset
        hits = self._hits(scope, question, where, top_k, chosen, None, False)
        seconds = perf_counter() - began
        memories = tuple(hit.memory for hit in hits)
        answer = self._parts.answerer.answer(
            question,
            memories,
            now=to_time(now, what="now") if now is not None else None,
            samples=self.settings.answer_samples if samples is None else _samples(samples),
        )
        return AnswerResult(
            answer.text,
            answer.abstained,
            memories,
            answer.kept,
            answer.raw,
            answer.usage,
            retrieval_seconds=seconds,
            agreement=answer.agreement,
        )

    def get(
        self,
        memory_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> dict[str, Any] | None:
        """A live memory by id, or None; with a scope, only if it lies in it."""
        record = self._parts.store.get(memory_id)
        if record is None or not record.live or not within(record, user_id, agent_id, run_id):
            return None
        return shapes.item(record)

    def get_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        limit: int | None = None,
        top_k: int | None = None,
        show_expired: bool = False,
    ) -> dict[str, Any]:
        """All live memories of a scope, oldest first: `{"results": [...]}`."""
        scope, where = self._read(filters, user_id, agent_id, run_id)
        records = self._parts.store.memories(scope, where=where, limit=_count(top_k, limit))
        return {"results": [shapes.item(record) for record in records if show_expired or not _expired(record)]}

    def _read(self, filters: Mapping[str, Any] | None, *ids: str | None) -> tuple[Scope, Filter | None]:
        scope, rest = split_scope(filters, dict(zip(("user_id", "agent_id", "run_id"), ids, strict=True)))
        return scope, parse_filter(rest) if rest else None

    def _hits(
        self,
        scope: Scope,
        query: str,
        where: Filter | None,
        k: int | None,
        preset: Literal["auto", "paper"] | None,
        threshold: float | None,
        show_expired: bool,
    ) -> list[Hit]:
        check_text(query, what="The query", max_chars=self.settings.max_chars)
        hits = self._parts.retriever.search(
            scope,
            query,
            k=k if k is not None or preset else 20,
            where=where,
            preset=preset if k is None else None,
            threshold=threshold,
            budget_tokens=self.settings.reader_tokens,
        )
        found = [hit for hit in hits if show_expired or not _expired(hit.memory)]
        self._recent.note(scope, (hit.memory.text for hit in found))
        return found


def _count(top_k: int | None, limit: int | None) -> int | None:
    count = top_k if top_k is not None else limit
    if count is not None and (not isinstance(count, int) or count < 1):
        raise InvalidInputError(f"top_k={count!r} is not a positive number.")
    return count


def _samples(samples: int) -> int:
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= MOST_SAMPLES:
        raise InvalidInputError(f"samples={samples!r} is not a whole number from 1 to {MOST_SAMPLES}.")
    return samples


def _expired(record: MemoryRecord) -> bool:
    day = record.metadata.get(shapes.EXPIRATION)
    return isinstance(day, str) and day < datetime.now(UTC).date().isoformat()


def within(record: MemoryRecord, user_id: str | None, agent_id: str | None, run_id: str | None) -> bool:
    """Whether a memory lies in a scope given by ids; without any id, every memory does."""
    return not any((user_id, agent_id, run_id)) or Scope(user_id, agent_id, run_id).covers(record.scope)
