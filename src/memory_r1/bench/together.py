"""Several conversations at once on one local model: what they ask at the same time is answered as one batch.

A token of a completion takes nearly as long for one prompt as for eight, since either reads all weights once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memory_r1.bench.around import AroundLM
from memory_r1.lm.base import Completion, Message, Sampling

if TYPE_CHECKING:
    from memory_r1.lm.base import LanguageModel

_PATIENCE = 0.1
"""Seconds without a new request after which those that are there are answered: others may be long at other work."""


@dataclass(slots=True, eq=False)
class _Request:
    chats: Sequence[Sequence[Message]]
    sampling: Sampling | None
    adapter: str | None
    answers: list[Completion] | None = field(default=None)
    error: BaseException | None = field(default=None)

    @property
    def kind(self) -> tuple[Sampling | None, str | None]:
        """What requests of one batch have in common."""
        return self.sampling, self.adapter

    @property
    def done(self) -> bool:
        return self.answers is not None or self.error is not None


class TogetherLM(AroundLM):
    """A language model that answers what several threads ask at once in one call of the model inside.

    A thread that takes part (`part`) is waited for: a batch goes off when everyone who takes part has asked, or nobody
    has for a tenth of a second. Only requests that are decoded alike, by the same adapter, share a batch.

    Args:
        inner: The model. `close` leaves it open: it is its maker's.
    """

    def __init__(self, inner: LanguageModel) -> None:
        super().__init__(inner)
        self._changed = threading.Condition()
        self._waiting: list[_Request] = []
        self._asked = 0.0
        self._parts = 0
        self._busy = False

    @contextmanager
    def part(self) -> Iterator[None]:
        """Take part while the context is open."""
        self._join(1)
        try:
            yield
        finally:
            self._join(-1)

    def complete(
        self,
        chats: Sequence[Sequence[Message]],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
    ) -> list[Completion]:
        """Answer each chat, in order; see `LanguageModel.complete`."""
        request = _Request(chats, sampling, adapter)
        with self._changed:
            self._waiting.append(request)
            self._asked = time.monotonic()
            self._changed.notify_all()
            while not request.done:
                batch = self._next_batch()
                if batch:
                    self._answer(batch)
                else:
                    self._changed.wait(_PATIENCE)
        if request.error is not None:
            raise request.error
        assert request.answers is not None
        return request.answers

    def _join(self, count: int) -> None:
        with self._changed:
            self._parts += count
            self._changed.notify_all()

    def _next_batch(self) -> list[_Request]:
        """The largest batch that may go off now; empty if none may."""
        all_asked = len(self._waiting) >= self._parts
        if self._busy or not self._waiting or not (all_asked or time.monotonic() - self._asked >= _PATIENCE):
            return []
        alike: dict[tuple[Sampling | None, str | None], list[_Request]] = {}
        for request in self._waiting:
            alike.setdefault(request.kind, []).append(request)
        return max(alike.values(), key=len)

    def _answer(self, batch: Sequence[_Request]) -> None:
        """Answer a batch with the lock released, so that others may ask in the meantime."""
        self._busy = True
        self._waiting = [request for request in self._waiting if request not in batch]
        self._changed.release()
        try:
            self._ask(batch)
        finally:
            self._changed.acquire()
            self._busy = False
            self._changed.notify_all()

    def _ask(self, batch: Sequence[_Request]) -> None:
        first = batch[0]
        try:
            chats = [chat for request in batch for chat in request.chats]
            answers = self._inner.complete(chats, first.sampling, adapter=first.adapter)
        except Exception as error:  # noqa: BLE001 - raised where it was asked
            if len(batch) == 1:
                first.error = error
                return
            # one prompt may be at fault for all
            for request in batch:
                self._ask([request])
            return
        start = 0
        for request in batch:
            request.answers = answers[start : start + len(request.chats)]
            start += len(request.chats)
