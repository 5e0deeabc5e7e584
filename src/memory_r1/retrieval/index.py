"""The vector index: an in-memory cache over the store, one part a read scope.

The store's vectors are the truth; this is rebuilt from them at a scope's first search and follows its log from then on,
other processes' writes included. Few rows are searched exactly. Many are scanned as bytes, and the best of that scan
take their exact order from the store's float32 vectors.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from memory_r1.errors import InvalidInputError
from memory_r1.retrieval.rows import EXACT_ROWS, dot_products
from memory_r1.retrieval.scope_index import ScopeIndex, Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.bank.scope import Scope
    from memory_r1.bank.store import Store

_MIN_RESCORED = 96
_SAMPLE = 16_384
_SAMPLED_ROWS = 32_768


class VectorIndex:
    """Finds the memories of a scope that are nearest to a vector. Safe to share between threads.

    Args:
        store: Where the memories are.
        max_bytes: Most memory for all scopes together, in bytes; the scopes searched longest ago are dropped. The one
            being searched is held whatever its size.
        exact_rows: Up to so many memories a scope are held as float32, more as bytes.
    """

    def __init__(self, store: Store, *, max_bytes: int = 2**30, exact_rows: int = EXACT_ROWS) -> None:
        if max_bytes < 0:
            raise InvalidInputError(f"max_bytes={max_bytes} is negative.")
        self._store = store
        self._max_bytes = max_bytes
        self._exact_rows = exact_rows
        self._scopes: OrderedDict[Scope, ScopeIndex] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        with self._lock:
            return sum(index.nbytes for index in self._scopes.values())

    def snapshot(self, scope: Scope) -> Snapshot:
        """The scope's live memories as they are now."""
        with self._lock:
            index = self._scopes.get(scope)
            if index is None:
                index = self._scopes[scope] = ScopeIndex(self._store, scope, exact_rows=self._exact_rows)
            self._scopes.move_to_end(scope)
        before = index.nbytes
        snapshot = index.refresh()
        if index.nbytes != before:
            self._evict()
        return snapshot

    def nearest(
        self, scope: Scope, query: NDArray[np.float32], k: int, *, keys: NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """The k nearest memories as (key, cosine), best first.

        Args:
            scope: Whose memories.
            query: Unit vector, shape (dimension,).
            k: Most results.
            keys: Only these; None: all.
        """
        snapshot = self.snapshot(scope)
        if not snapshot.count:
            return []
        mask = None if keys is None else snapshot.mask(keys)
        scores = snapshot.dots(query)
        rows = top_rows(snapshot, scores, k if snapshot.rows.exact else max(_MIN_RESCORED, 2 * k), mask)
        self.rescore(snapshot, query, rows, scores)
        best = rows[np.argsort(-scores[rows], kind="stable")[:k]]
        return list(zip(snapshot.keys[best].tolist(), scores[best].tolist(), strict=True))

    def rescore(
        self, snapshot: Snapshot, query: NDArray[np.float32], rows: NDArray[np.intp], scores: NDArray[np.float32]
    ) -> None:
        """Put exact dot products in the place of rounded ones, for some rows; nothing to do for a small scope."""
        if snapshot.rows.exact or not len(rows):
            return
        vectors = self._store.vectors(snapshot.keys[rows].tolist())
        found = [row for row, key in zip(rows.tolist(), snapshot.keys[rows].tolist(), strict=True) if key in vectors]
        if found:
            matrix = np.stack([vectors[key] for key in snapshot.keys[found].tolist()])
            scores[found] = dot_products(query, matrix)

    def forget(self) -> None:
        """Drop everything; the next search reads the store anew."""
        with self._lock:
            self._scopes.clear()

    def _evict(self) -> None:
        with self._lock:
            total = sum(index.nbytes for index in self._scopes.values())
            while total > self._max_bytes and len(self._scopes) > 1:
                _, dropped = self._scopes.popitem(last=False)
                total -= dropped.nbytes


def top_rows(
    snapshot: Snapshot, scores: NDArray[np.float32], count: int, mask: NDArray[np.bool_] | None
) -> NDArray[np.intp]:
    """The `count` live rows with the highest scores, in no order.

    Args:
        snapshot: The rows.
        scores: (n,) one score a row.
        count: Most rows.
        mask: (n,) rows that may be returned; None: all live ones.
    """
    allowed = mask
    if allowed is None and snapshot.count < len(snapshot.keys):
        allowed = snapshot.live
    if allowed is not None:
        rows = np.flatnonzero(allowed)
        return rows if len(rows) <= count else rows[_top(scores[rows], count)]
    return np.arange(len(scores)) if len(scores) <= count else _top(scores, count)


def _top(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    if len(scores) >= _SAMPLED_ROWS:
        # Partitioning a million numbers costs more than the scan; a sample tells where the top begins.
        sample = scores[:: len(scores) // _SAMPLE]
        place = max(16, 2 * count * len(sample) // len(scores))
        floor = np.partition(sample, len(sample) - place)[len(sample) - place]
        rows = np.flatnonzero(scores >= floor)
        if len(rows) >= count:
            return rows[np.argpartition(-scores[rows], count - 1)[:count]]
    return np.argpartition(-scores, count - 1)[:count]
