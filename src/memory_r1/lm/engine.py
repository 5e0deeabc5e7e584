"""Runs a loaded model for any number of threads: what they ask at the same time is continued in one batch.

A token takes nearly as long for one chat as for eight, since either reads all weights once. So a request does not wait
for the ones before it to end; it joins their batch at the next token, if it is decoded in the same way by the same
adapter. Other adapters take turns. All of it happens in one thread, which ends when nobody has asked for a while.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch

from memory_r1.lm.adapters import AdapterSet
from memory_r1.lm.base import Sampling
from memory_r1.lm.batch import Active, Generated, RunningBatch
from memory_r1.lm.generate import Generator, Prompt, longest_first

_IDLE_SECONDS = 5.0
_TURN_SECONDS = 10.0
"""How long requests of one kind may join while others wait: many small ones and a few large ones both come forward."""

_Kind = tuple[str | None, float, float]
"""What the chats of one batch have in common: adapter, temperature, top_p."""


@dataclass(slots=True, eq=False)
class _Request:
    prompts: Sequence[Prompt]
    sampling: Sampling
    adapter: str | None
    actives: list[Active] = field(default_factory=list)
    """Its chats, in order; empty until its turn comes."""
    waiting: list[Active] = field(default_factory=list)
    """Those that no batch has taken yet."""
    left: int = 0
    """How many are not done."""
    unwanted: bool = False
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def kind(self) -> _Kind:
        """Who may share a batch with it."""
        return self.adapter, self.sampling.temperature, self.sampling.top_p


class Engine:
    """Answers requests of many threads on one model.

    Args:
        generator: Of the model.
        adapters: Of the model; the engine switches them.
    """

    def __init__(self, generator: Generator, adapters: AdapterSet) -> None:
        self._generator, self._adapters = generator, adapters
        self._changed = threading.Condition()
        self._asked: deque[_Request] = deque()
        self._owners: dict[Active, _Request] = {}
        self._touched: list[_Request] = []
        self._kind: _Kind | None = None
        self._turn_ends = 0.0
        self._worker: threading.Thread | None = None
        self._busy = False
        self._paused = 0

    def run(self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None) -> list[Generated]:
        """Answer each prompt, in order; waits until all are there.

        Raises:
            RuntimeError: torch failed, e.g. for want of memory; all who shared the batch are told.
        """
        request = _Request(prompts, sampling, adapter, left=len(prompts))
        with self._changed:
            self._asked.append(request)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="memory-r1-lm", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        try:
            request.done.wait()
        except BaseException:
            # Ctrl-C: nobody wants the rest; an interpreter that ends must not find the model at work
            request.unwanted = True
            request.done.wait()
            raise
        if request.error is not None:
            raise request.error
        return [active.result for active in request.actives]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the model to oneself while the context is open: what is being continued ends first, what comes waits."""
        with self._changed:
            self._paused += 1
            self._changed.wait_for(lambda: not self._busy)
        try:
            yield
        finally:
            with self._changed:
                self._paused -= 1
                self._changed.notify_all()

    def _work(self) -> None:
        with torch.inference_mode():
            while self._begin():
                try:
                    self._run_kind()
                except Exception as error:  # noqa: BLE001 - raised where it was asked
                    self._fail(error)
                finally:
                    with self._changed:
                        self._busy = False
                        self._changed.notify_all()

    def _begin(self) -> bool:
        """Wait for something to do; no if there was nothing for a while, and then the thread has ended."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._asked and not self._paused, _IDLE_SECONDS):
                if not self._asked:
                    self._worker = None
                    return False
            self._busy = True
            return True

    def _run_kind(self) -> None:
        """Continue the oldest request of a kind whose turn it is, and those of its kind that come in the meantime."""
        with self._changed:
            first = next((request for request in self._asked if request.kind != self._kind), self._asked[0])
        self._kind, self._turn_ends = first.kind, time.monotonic() + _TURN_SECONDS
        self._touched = [first]
        self._adapters.switch(first.adapter)
        batch, seen, merged = self._generator.batch(first.sampling), 0, False
        with ExitStack() as stack:
            while True:
                joining = self._joining(batch)
                if joining:
                    seen += sum(len(active.row.tokens) for active in joining)
                    if not merged and self._adapters.worth_merging(seen):
                        stack.enter_context(self._adapters.merged())
                        stack.enter_context(self._generator.packed.anew())
                        merged = True
                    batch.join(first.adapter, joining)
                if not batch.alive:
                    return
                self._finish(batch.step())
                batch.drop(self._is_unwanted)

    def _joining(self, batch: RunningBatch) -> list[Active]:
        """Chats that may join now: those of the oldest requests of this kind that fit as a whole.

        What does not fit into any batch as a whole is taken in parts, each when the batch before is empty. When it is
        others' turn nobody joins, so that the batch comes to its end.
        """
        joining: list[Active] = []
        with self._changed:
            while (request := self._oldest()) is not None:
                if request.unwanted:
                    self._asked.remove(request)
                    request.done.set()
                    continue
                if not request.actives:
                    request.actives = self._generator.begin(request.prompts, request.sampling)
                    request.waiting = longest_first(request.actives)
                    self._touched.append(request)
                fit = len(self._generator.fitting(batch, [*joining, *request.waiting])) - len(joining)
                whole = fit == len(request.waiting)
                if not whole and (batch.alive or joining):
                    break
                joining += request.waiting[:fit]
                self._owners.update(dict.fromkeys(request.waiting[:fit], request))
                request.waiting = request.waiting[fit:]
                if not whole:
                    break
                self._asked.remove(request)
        return joining

    def _oldest(self) -> _Request | None:
        """The oldest request of this kind, unless it is others' turn."""
        mine = [request for request in self._asked if request.kind == self._kind]
        over = len(mine) < len(self._asked) and time.monotonic() > self._turn_ends
        return None if self._paused or over or not mine else mine[0]

    def _finish(self, done: Sequence[Active]) -> None:
        for active in done:
            request = self._owners.pop(active)
            request.left -= 1
            if request.left == 0:
                request.done.set()

    def _is_unwanted(self, active: Active) -> bool:
        request = self._owners[active]
        if not request.unwanted:
            return False
        del self._owners[active]
        if not request.waiting:
            request.done.set()
        return True

    def _fail(self, error: Exception) -> None:
        """Tell an error to all who shared the batch."""
        with self._changed:
            self._owners.clear()
            for request in self._touched:
                if request in self._asked:
                    self._asked.remove(request)
                if not request.done.is_set():
                    request.error = error
                    request.done.set()
