"""Vectors in rows that grow, and their dot products with a query: exact while few, one byte a number once many."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_ROWS = 4_096
"""Up to so many rows stay float32: 6 MB at 384 dimensions, scanned in a fraction of a millisecond."""

_SLACK = 1_024
_GROWTH = 1.25
_BLOCK = 16_384
_ROWS_PER_THREAD = 150_000
_MAX_THREADS = 4


class Growing:
    """A numpy array whose first axis grows. A view taken earlier stays valid and is not changed by `append`.

    Args:
        first: The first rows; the array keeps their dtype and width.
    """

    def __init__(self, first: NDArray[Any]) -> None:
        self._held = first
        self._size = len(first)

    @property
    def view(self) -> NDArray[Any]:
        """The rows in use."""
        return self._held[: self._size]

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self._held.nbytes

    def append(self, block: NDArray[Any]) -> None:
        """Add rows at the end."""
        size = self._size + len(block)
        if size > len(self._held):
            held = np.empty((int(size * _GROWTH) + _SLACK, *self._held.shape[1:]), self._held.dtype)
            held[: self._size] = self.view
            self._held = held
        self._held[self._size : size] = block
        self._size = size

    def replace(self, rows: NDArray[np.intp], block: NDArray[Any]) -> None:
        """Overwrite rows. A search that reads one at that moment may see half of it, and ranks it once more or less."""
        self._held[rows] = block

    def inserted(self, places: NDArray[np.intp], block: NDArray[Any]) -> Growing:
        """A copy with rows put before the given places, as `numpy.insert` does."""
        return Growing(np.insert(self.view, places, block, axis=0))

    def kept(self, mask: NDArray[np.bool_]) -> Growing:
        """A copy without the rows that the mask leaves out."""
        return Growing(self.view[mask])


class Rows(Protocol):
    """Vectors, one a row. Rows keep their places in one object; what moves them makes a new one."""

    exact: bool
    """Whether `dots` are those of the float32 vectors."""

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        ...

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Add rows at the end."""
        ...

    def replace(self, rows: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
        """Overwrite rows."""
        ...

    def inserted(self, places: NDArray[np.intp], vectors: NDArray[np.float32]) -> Rows:
        """A copy with rows put before the given places."""
        ...

    def kept(self, mask: NDArray[np.bool_]) -> Rows:
        """A copy without the rows that the mask leaves out."""
        ...

    def dots(self, query: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Dot products of the first `size` rows with a query of shape (dimension,).

        Raises:
            ValueError: The query has another length.
        """
        ...


class ExactRows:
    """Vectors as they are.

    Args:
        vectors: (n, dimension) float32, or rows that grow already.
    """

    exact = True

    def __init__(self, vectors: NDArray[np.float32] | Growing) -> None:
        self._matrix = vectors if isinstance(vectors, Growing) else Growing(vectors)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self._matrix.nbytes

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Add rows at the end."""
        self._matrix.append(vectors)

    def replace(self, rows: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
        """Overwrite rows."""
        self._matrix.replace(rows, vectors)

    def inserted(self, places: NDArray[np.intp], vectors: NDArray[np.float32]) -> ExactRows:
        """A copy with rows put before the given places."""
        return ExactRows(self._matrix.inserted(places, vectors))

    def kept(self, mask: NDArray[np.bool_]) -> ExactRows:
        """A copy without the rows that the mask leaves out."""
        return ExactRows(self._matrix.kept(mask))

    def dots(self, query: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Dot products of the first `size` rows with a query."""
        return dot_products(query, self._matrix.view[:size])

    def rounded(self) -> ByteRows:
        """The same vectors as bytes."""
        return ByteRows.of(self._matrix.view)


class ByteRows:
    """Vectors rounded to signed bytes with one scale a row: a quarter of the memory, and dot products to about 0.0006.

    That error moves a neighbour by a few places at most; the exact order comes from the float32 vectors of the best.

    Args:
        codes: (n, dimension) int8.
        scales: (n,) float32; a row times its scale is the vector.
    """

    exact = False

    def __init__(self, codes: Growing, scales: Growing) -> None:
        self._codes, self._scales = codes, scales

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> ByteRows:
        """Round vectors of shape (n, dimension)."""
        codes = np.empty(vectors.shape, np.int8)
        scales = np.empty(len(vectors), np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = slice(start, start + _BLOCK)
            codes[block], scales[block] = _to_bytes(vectors[block])
        return cls(Growing(codes), Growing(scales))

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self._codes.nbytes + self._scales.nbytes

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Add rows at the end."""
        codes, scales = _to_bytes(vectors)
        self._codes.append(codes)
        self._scales.append(scales)

    def replace(self, rows: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
        """Overwrite rows."""
        codes, scales = _to_bytes(vectors)
        self._codes.replace(rows, codes)
        self._scales.replace(rows, scales)

    def inserted(self, places: NDArray[np.intp], vectors: NDArray[np.float32]) -> ByteRows:
        """A copy with rows put before the given places."""
        codes, scales = _to_bytes(vectors)
        return ByteRows(self._codes.inserted(places, codes), self._scales.inserted(places, scales))

    def kept(self, mask: NDArray[np.bool_]) -> ByteRows:
        """A copy without the rows that the mask leaves out."""
        return ByteRows(self._codes.kept(mask), self._scales.kept(mask))

    def dots(self, query: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Dot products of the first `size` rows with a query."""
        code, scale = _to_bytes(query[None])
        products = dot_products(code[0], self._codes.view[:size])
        products *= self._scales.view[:size]
        products *= scale[0]
        return products


def _to_bytes(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round rows to -127..127; multiply by the scale to get them back."""
    scales = np.abs(vectors).max(axis=1, initial=0.0) / 127
    codes = np.rint(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
    return codes, scales.astype(np.float32)


def dot_products(query: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float32]:
    """Dot products of a query with rows of its own type, float32 or int8, over as many threads as pay.

    numpy would start all of BLAS's threads for a thousand rows, and on a busy machine wait for each of them.

    Raises:
        ValueError: The query has another length.
    """
    if query.shape != rows.shape[1:]:
        raise ValueError(f"shapes {query.shape} and {rows.shape} do not fit")
    out: NDArray[np.float32] = np.empty((1, len(rows)), np.float32)
    parts = max(1, min(_MAX_THREADS, os.cpu_count() or 1, len(rows) // _ROWS_PER_THREAD))
    edges = np.linspace(0, len(rows), parts + 1).astype(int).tolist()
    query = query[None]
    pending: list[Future[None]] = [
        _pool().submit(_scan, query, rows[start:end], out[:, start:end]) for start, end in pairwise(edges[1:])
    ]
    _scan(query, rows[: edges[1]], out[:, : edges[1]])
    for future in pending:
        future.result()
    products: NDArray[np.float32] = out[0]
    return products


def _scan(query: NDArray[Any], rows: NDArray[Any], out: NDArray[np.float32]) -> None:
    import numkong

    if len(rows):
        # The distance function gives the plain dot product here, and lets go of the interpreter while it runs.
        numkong.cdist(query, rows, metric="dot", out=out, out_dtype="float32")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_THREADS - 1, thread_name_prefix="memory-r1-scan")


# A forked child has no threads of its parent's.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
