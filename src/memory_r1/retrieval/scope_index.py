"""The vectors of one read scope, kept in step with the store's log."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memory_r1.errors import InvalidInputError
from memory_r1.retrieval.rows import EXACT_ROWS, ByteRows, ExactRows, Growing, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.bank.scope import Scope
    from memory_r1.bank.store import IndexBatch, Store

NOBODY = -1
"""Speaker number of a memory without a speaker."""

_COMPACT_SHARE = 0.25
_COMPACT_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The live memories of a scope at one position of the log, in key order: neighbours were written one after another.

    Dead rows stay for a while; `live` tells them.
    """

    keys: NDArray[np.int64]
    """(n,) rising."""
    live: NDArray[np.bool_]
    """(n,)"""
    speaker: NDArray[np.int32]
    """(n,) index into `names`, or `NOBODY`."""
    names: tuple[str, ...]
    """The speakers of the scope."""
    count: int
    """How many rows are live."""
    rows: Rows

    def dots(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Dot products of all n rows with a query; dead rows' are meaningless.

        Raises:
            InvalidInputError: The query has another length than the vectors.
        """
        try:
            return self.rows.dots(query, len(self.keys))
        except ValueError as error:
            raise InvalidInputError(
                f"A query vector of shape {query.shape} does not fit the bank's vectors."
            ) from error

    def locate(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Rows of those keys that are live here, in the order given, and which ones they are: a mask over `keys`."""
        if not len(self.keys):
            return np.empty(0, np.intp), np.zeros(len(keys), np.bool_)
        places: NDArray[np.intp] = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        held: NDArray[np.bool_] = (self.keys[places] == keys) & self.live[places]
        return places[held], held

    def mask(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) True for the live rows of these keys."""
        mask = np.zeros(len(self.keys), np.bool_)
        mask[self.locate(keys)[0]] = True
        return mask


class ScopeIndex:
    """Follows one scope of one store. Safe to share between threads.

    Args:
        store: Where the memories are.
        scope: Whose.
        exact_rows: Up to so many rows stay float32.
    """

    _live: NDArray[np.bool_]

    def __init__(self, store: Store, scope: Scope, *, exact_rows: int = EXACT_ROWS) -> None:
        self._store = store
        self._exact_rows = exact_rows
        self._scope = scope
        self._lock = threading.Lock()
        self._head = 0
        self._numbers: dict[str, int] = {}
        self._start(np.empty(0, np.int64), np.empty((0, 0), np.float32), np.empty(0, np.int32))
        self._snapshot = self._take()

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return int(self._keys.nbytes + self._speaker.nbytes + self._live.nbytes + self._rows.nbytes)

    def refresh(self) -> Snapshot:
        """Take in what was written since the last call, by any process; one small query if nothing was."""
        with self._lock:
            batch = self._store.index_batch(self._scope, self._head)
            self._head = batch.head
            if batch.full or len(batch.keys) or len(batch.gone):
                self._apply(batch)
                self._snapshot = self._take()
            return self._snapshot

    def _take(self) -> Snapshot:
        return Snapshot(
            self._keys.view,
            self._live,
            self._speaker.view,
            tuple(self._numbers),
            int(np.count_nonzero(self._live)),
            self._rows,
        )

    def _apply(self, batch: IndexBatch) -> None:
        speaker = self._number(batch.speakers, len(batch.keys))
        order = np.argsort(batch.keys, kind="stable")
        sorted_already = bool(np.all(order[1:] > order[:-1]))
        keys, vectors = batch.keys, batch.vectors
        if not sorted_already:
            keys, vectors, speaker = keys[order], vectors[order], speaker[order]
        if batch.full or not len(self._keys.view):
            self._start(keys, vectors, speaker)
            return
        self._put(keys, vectors, speaker)
        if len(batch.gone):
            held = self._keys.view
            places = np.searchsorted(held, batch.gone).clip(max=len(held) - 1)
            self._live = self._live.copy()
            self._live[places[held[places] == batch.gone]] = False
        dead = len(self._live) - int(np.count_nonzero(self._live))
        if dead > max(_COMPACT_ROWS, _COMPACT_SHARE * len(self._live)):
            self._compact()

    def _start(self, keys: NDArray[np.int64], vectors: NDArray[np.float32], speaker: NDArray[np.int32]) -> None:
        self._keys, self._speaker = Growing(keys), Growing(speaker)
        self._live = np.ones(len(keys), np.bool_)
        self._rows: Rows = ByteRows.of(vectors) if len(keys) > self._exact_rows else ExactRows(vectors)

    def _put(self, keys: NDArray[np.int64], vectors: NDArray[np.float32], speaker: NDArray[np.int32]) -> None:
        """Overwrite the rows of known keys and add the others; `keys` rise."""
        held = self._keys.view
        places = np.searchsorted(held, keys)
        known = held[places.clip(max=len(held) - 1)] == keys
        live = self._live.copy()
        if known.any():
            rows = places[known]
            self._rows.replace(rows, vectors[known])
            self._speaker.replace(rows, speaker[known])
            live[rows] = True
        new = ~known
        fresh = np.ones(int(np.count_nonzero(new)), np.bool_)
        if fresh.size and places[new][0] == len(held):
            self._keys.append(keys[new])
            self._speaker.append(speaker[new])
            self._rows.append(vectors[new])
            live = np.concatenate([live, fresh])
        elif fresh.size:
            self._keys = self._keys.inserted(places[new], keys[new])
            self._speaker = self._speaker.inserted(places[new], speaker[new])
            self._rows = self._rows.inserted(places[new], vectors[new])
            live = np.insert(live, places[new], fresh)
        self._live = live
        if isinstance(self._rows, ExactRows) and len(live) > self._exact_rows:
            self._rows = self._rows.rounded()

    def _compact(self) -> None:
        self._keys = self._keys.kept(self._live)
        self._speaker = self._speaker.kept(self._live)
        self._rows = self._rows.kept(self._live)
        self._live = np.ones(len(self._keys.view), np.bool_)

    def _number(self, speakers: Sequence[str | None], size: int) -> NDArray[np.int32]:
        if not speakers:
            return np.full(size, NOBODY, np.int32)
        for name in dict.fromkeys(speakers):
            if name is not None:
                self._numbers.setdefault(name, len(self._numbers))
        return np.array([NOBODY if name is None else self._numbers[name] for name in speakers], np.int32)
