"""Embedding the same text twice costs nothing."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_r1.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memory_r1.retrieval.embedder import Embedder

_OVERHEAD_BYTES = 256


class CachedEmbedder:
    """Keeps the latest vectors of another embedder, by a hash of the exact text (the text itself is not kept).

    Args:
        inner: The embedder that does the work.
        max_bytes: Most memory to hold, in bytes; the vectors used longest ago go first.
    """

    def __init__(self, inner: Embedder, *, max_bytes: int = 32 * 2**20) -> None:
        if max_bytes < 0:
            raise InvalidInputError(f"max_bytes={max_bytes} is negative.")
        self._inner = inner
        self._max_bytes = max_bytes
        self._held: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The inner embedder's name."""
        return self._inner.name

    @property
    def dimension(self) -> int:
        """The inner embedder's dimension."""
        return self._inner.dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, each distinct new one once.

        Returns:
            Shape (len(texts), dimension), float32, rows of unit norm; the caller's own copy.

        Raises:
            ModelError: The inner embedder failed; nothing was cached.
        """
        import numpy as np

        names = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        known = self._recall(names)
        missing = {name: text for name, text in zip(names, texts, strict=True) if name not in known}
        if missing:
            fresh = self._inner.embed(list(missing.values()))
            known.update(zip(missing, fresh, strict=True))
            self._keep({name: fresh[row].copy() for row, name in enumerate(missing)})
        if not names:
            return np.empty((0, self.dimension), np.float32)
        return np.stack([known[name] for name in names])

    def clear(self) -> None:
        """Forget every vector."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def _recall(self, names: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        with self._lock:
            known = {name: self._held[name] for name in names if name in self._held}
            for name in known:
                self._held.move_to_end(name)
        return known

    def _keep(self, vectors: dict[bytes, NDArray[np.float32]]) -> None:
        with self._lock:
            for name, vector in vectors.items():
                if name not in self._held:
                    self._held[name] = vector
                    self._bytes += vector.nbytes + _OVERHEAD_BYTES
            while self._bytes > self._max_bytes and self._held:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.nbytes + _OVERHEAD_BYTES
