"""An embedder without a model: word overlap as geometry."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_r1.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_MAX_CACHED_WORDS = 8_192


class HashEmbedder:
    """Embeds a text as the normed sum of one fixed pseudo-random vector per word; costs microseconds.

    Texts that share words are similar, others nearly orthogonal; case and punctuation do not matter. The same on every
    machine. A stand-in for a real model where only the plumbing is of interest.

    Args:
        dimension: Length of a vector.

    Example:
        >>> ann, tea, car = HashEmbedder().embed(["Ann likes tea.", "ann likes green tea", "a red car"])
        >>> bool(ann @ tea > 0.7), bool(abs(ann @ car) < 0.3)
        (True, True)
    """

    def __init__(self, dimension: int = 384) -> None:
        if dimension < 1:
            raise InvalidInputError(f"dimension={dimension} is not a positive number.")
        self._dimension = dimension
        self._words: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """`hash-` and the dimension."""
        return f"hash-{self._dimension}"

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; shape (len(texts), dimension), rows of unit norm."""
        import numpy as np

        vectors = np.empty((len(texts), self._dimension), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            # A text without words still needs a direction of its own.
            words = _WORD.findall(text.casefold()) or [text]
            raw = np.frombuffer(b"".join(map(self._word, words)), np.uint8).reshape(len(words), -1)
            np.subtract(raw.sum(axis=0, dtype=np.float32), 127.5 * len(words), out=row)
            row /= np.linalg.norm(row)
        return vectors

    def _word(self, word: str) -> bytes:
        vector = self._words.get(word)
        if vector is None:
            if len(self._words) >= _MAX_CACHED_WORDS:
                self._words.clear()
            seed = word.encode("utf-8", "surrogatepass")
            vector = self._words[word] = hashlib.shake_256(seed).digest(self._dimension)
        return vector
