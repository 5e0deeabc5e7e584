"""Measures what a system takes of the language model, as if nothing came from a cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from memory_r1.bench.around import AroundLM
from memory_r1.bench.system import Cost
from memory_r1.errors import ConfigError
from memory_r1.lm.base import Completion, Message, Sampling

if TYPE_CHECKING:
    from memory_r1.lm.base import LanguageModel


class Stopped(BaseException):
    """The run is to end; no system should take it for an error of its own, so it is not an `Exception`."""


class MeteredLM(AroundLM):
    """A language model as one system sees it: with the system's adapters, and with a count of what is asked.

    Args:
        inner: The model. `close` leaves it open: it is its maker's.
        adapters: Which of the model's adapters stands behind each name that the system may use; None: all as they are.
        stop: When it is set, the next call raises `Stopped`.
        on_call: Told after each call how many completions there were so far.
    """

    def __init__(
        self,
        inner: LanguageModel,
        *,
        adapters: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        on_call: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(inner)
        self._adapters = adapters
        self._stop, self._on_call = stop, on_call
        self._lock = threading.Lock()
        self._total = Cost()
        self._waited = 0.0

    @property
    def total(self) -> Cost:
        """All calls so far; `seconds` is the time of the calls when they were first computed."""
        with self._lock:
            return self._total

    def clock(self) -> float:
        """A clock in seconds that goes on through a cached completion as if it were computed."""
        with self._lock:
            return time.perf_counter() - self._waited + self._total.seconds

    def complete(
        self,
        chats: Sequence[Sequence[Message]],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
    ) -> list[Completion]:
        """Answer each chat, in order; see `LanguageModel.complete`."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        began = time.perf_counter()
        completions = self._inner.complete(chats, sampling, adapter=self._named(adapter))
        spent = Cost(
            len(completions),
            sum(one.prompt_tokens for one in completions),
            sum(one.completion_tokens for one in completions),
            sum(one.seconds for one in completions),
        )
        with self._lock:
            self._waited += time.perf_counter() - began
            self._total += spent
            calls = self._total.calls
        if self._on_call is not None:
            self._on_call(calls)
        return completions

    def _named(self, adapter: str | None) -> str | None:
        if adapter is None or self._adapters is None:
            return adapter
        if adapter not in self._adapters:
            known = ", ".join(self._adapters) or "none was given"
            raise ConfigError(f"This system has no adapter {adapter!r}.", hint=f"It has: {known}.")
        return self._adapters[adapter]


def metered(lm: LanguageModel) -> MeteredLM:
    """The model itself if it counts already, else with a counter around it."""
    return lm if isinstance(lm, MeteredLM) else MeteredLM(lm)


class Meter:
    """Splits what goes on into laps.

    Args:
        lm: The model whose calls count. Calls of several threads go into one lap.

    Example:
        >>> from memory_r1.testing import ScriptedLM
        >>> lm = metered(ScriptedLM("hello"))
        >>> meter = Meter(lm)
        >>> _ = lm.complete([[{"role": "user", "content": "Hi"}]])
        >>> meter.lap().calls, meter.lap().calls
        (1, 0)
    """

    def __init__(self, lm: MeteredLM) -> None:
        self._lm = lm
        self._before, self._time = lm.total, lm.clock()

    def lap(self) -> Cost:
        """What was taken since the last lap; `seconds` is wall time, the work around the model included."""
        now, clock = self._lm.total, self._lm.clock()
        spent = Cost(
            now.calls - self._before.calls,
            now.prompt_tokens - self._before.prompt_tokens,
            now.completion_tokens - self._before.completion_tokens,
            # two readings of a clock may differ by less than what rounding takes
            max(0.0, clock - self._time),
        )
        self._before, self._time = now, clock
        return spent


def share(cost: Cost, parts: int) -> list[Cost]:
    """Split a cost evenly; what does not divide goes to the first parts.

    Example:
        >>> [one.calls for one in share(Cost(calls=5), 2)]
        [3, 2]
    """

    def of(amount: int, index: int) -> int:
        return amount // parts + (index < amount % parts)

    return [
        Cost(
            of(cost.calls, index),
            of(cost.prompt_tokens, index),
            of(cost.completion_tokens, index),
            cost.seconds / parts,
        )
        for index in range(parts)
    ]
