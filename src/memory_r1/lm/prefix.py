"""Remembers the keys and values of prompt beginnings that come back: instructions, examples, a growing chat."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memory_r1.lm.kv import LayerKV

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prompt beginning whose keys and values are known."""

    tokens: Tokens
    kv: list[LayerKV]


class PrefixCache:
    """A small LRU of prefixes, bounded by bytes; adapters do not share, since their keys and values differ.

    Which beginnings are worth keeping is learned: the part that a prompt shares with a recent one.

    Args:
        max_bytes: Most memory for keys and values; 0 keeps nothing.
        min_tokens: Shorter prefixes, and shorter gains over a known one, are not worth it.
        recent: How many prompts are looked back on, for each adapter.
    """

    def __init__(self, max_bytes: int, *, min_tokens: int = 16, recent: int = 32) -> None:
        self.max_bytes, self.min_tokens = max_bytes, min_tokens
        self._kept: OrderedDict[tuple[str | None, Tokens], Prefix] = OrderedDict()
        self._bytes = 0
        self._recent: dict[str | None, deque[Tokens]] = {}
        self._window = recent

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._bytes

    def find(self, adapter: str | None, tokens: Tokens, limit: int) -> tuple[Prefix | None, int]:
        """The kept prefix that shares most with a prompt.

        Returns:
            The prefix and how many of its first tokens may be used, at most `limit`; (None, 0) if none is worth it.
        """
        best, best_shared = None, 0
        for key, prefix in self._kept.items():
            if key[0] == adapter:
                shared = min(common_prefix((prefix.tokens, tokens)), limit)
                if shared > best_shared:
                    best, best_shared = key, shared
        if best is None or best_shared < self.min_tokens:
            return None, 0
        self._kept.move_to_end(best)
        return self._kept[best], best_shared

    def learn(self, adapter: str | None, tokens: Tokens) -> int:
        """Record a prompt and tell how much of it an earlier one began with."""
        recent = self._recent.setdefault(adapter, deque(maxlen=self._window))
        shared = max((common_prefix((earlier, tokens)) for earlier in recent), default=0)
        if tokens not in recent:
            recent.append(tokens)
        return shared

    def keep(self, adapter: str | None, tokens: Tokens, kv: list[LayerKV]) -> None:
        """Keep a copy of the keys and values of `tokens`, dropping the least used ones to make room."""
        from memory_r1.lm.kv import copy_kv, kv_bytes

        needed = kv_bytes(kv)
        if needed > self.max_bytes or len(tokens) < self.min_tokens or (adapter, tokens) in self._kept:
            return
        while self._bytes + needed > self.max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= kv_bytes(dropped.kv)
        self._kept[adapter, tokens] = Prefix(tokens, copy_kv(kv))
        self._bytes += needed

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._recent.clear()
        self._bytes = 0


def common_prefix(sequences: Iterable[Tokens]) -> int:
    """Length of the longest common prefix; of a single sequence, its whole length.

    Example:
        >>> common_prefix([(1, 2, 3), (1, 2, 4, 5)])
        2
    """
    ordered = list(sequences)
    # the smallest and the largest differ first where any two do
    first, last = min(ordered), max(ordered)
    shorter = min(len(first), len(last))
    if first[:shorter] == last[:shorter]:
        return shorter
    low, high = 0, shorter
    while high - low > 1:
        middle = (low + high) // 2
        if first[low:middle] == last[low:middle]:
            low = middle
        else:
            high = middle
    return low
