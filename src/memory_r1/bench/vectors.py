"""Vectors kept on disk by embedder and text: a hundred thousand texts are embedded once, not in every run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memory_r1.bench.kept import KeptFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memory_r1.retrieval.embedder import Embedder

FORMAT = 1
"""Changes when keys or vectors are written otherwise."""

_AT_ONCE = 256
"""Texts embedded between two writes: what a kill may cost."""


class VectorFile(KeptFile):
    """A SQLite file of vectors by key. Safe for many threads and processes.

    Args:
        path: The file; made, with its folder, if it is missing.

    Raises:
        StoreError: It cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, "vectors", "key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL", version=FORMAT)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The vectors that are known, as bytes.

        Raises:
            StoreError: The file cannot be read.
        """
        return self.values("vector", keys)

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which keys have a vector.

        Raises:
            StoreError: The file cannot be read.
        """
        return set(self.values("1", keys))

    def put(self, vectors: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep vectors, in one transaction.

        Raises:
            StoreError: The disk is full, or the file cannot be written.
        """
        self.keep(vectors)


class KeptEmbedder:
    """An embedder that computes each text once and for all.

    Vectors are keyed by the embedder's name and dimension and the exact text. A model that changes under the same name
    needs another file.

    Args:
        inner: The embedder that does the work.
        file: Where vectors are kept.
    """

    def __init__(self, inner: Embedder, file: VectorFile) -> None:
        self.inner = inner
        """Computes each text anew."""
        self._file = file
        self._salt = hashlib.sha256(f"{inner.name}\0{inner.dimension}\0".encode("utf-8", "surrogatepass"))
        self.seconds = 0.0
        """Wall time of all calls of `embed` so far: what a search spends on it is the difference."""
        self.computed = 0
        """Texts embedded; all others came from the file."""

    @property
    def name(self) -> str:
        """The inner embedder's name."""
        return self.inner.name

    @property
    def dimension(self) -> int:
        """The inner embedder's dimension."""
        return self.inner.dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; what is new is kept.

        Returns:
            Shape (len(texts), dimension), float32, rows of unit norm.

        Raises:
            ModelError: The inner embedder failed.
            StoreError: The file failed.
        """
        import numpy as np

        began = time.perf_counter()
        keys = [self._key(text) for text in texts]
        found = self._file.get(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        found.update(self._compute(missing))
        joined = b"".join(found[key] for key in keys)
        vectors = np.frombuffer(joined, "<f4").reshape(len(keys), self.dimension)
        self.seconds += time.perf_counter() - began
        return vectors

    def missing(self, texts: Iterable[str]) -> list[str]:
        """The distinct texts that have no vector yet, in order."""
        by_key = {self._key(text): text for text in texts}
        known = self._file.known(list(by_key))
        return [text for key, text in by_key.items() if key not in known]

    def fill(self, texts: Sequence[str], told: Callable[[int], None] = lambda done: None) -> None:
        """Embed texts, some hundreds at a time; what is done stays done if the run is stopped.

        Args:
            texts: As `missing` returns them.
            told: Called with the number of texts that a batch has brought.

        Raises:
            ModelError: The inner embedder failed.
            StoreError: The file failed.
        """
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            self._compute({self._key(text): text for text in part})
            told(len(part))

    def _compute(self, missing: dict[bytes, str]) -> dict[bytes, bytes]:
        if not missing:
            return {}
        vectors = self.inner.embed(list(missing.values())).astype("<f4")
        made = {key: vector.tobytes() for key, vector in zip(missing, vectors, strict=True)}
        self._file.put(made.items())
        self.computed += len(made)
        return made

    def _key(self, text: str) -> bytes:
        digest = self._salt.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()
