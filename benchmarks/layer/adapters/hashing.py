"""A feature-hash embedder: the same vectors for every system, at next to no cost, so that only the layer is timed.

Words and their character trigrams are hashed into 384 signed dimensions. Texts that share words are near each other,
so a search has something real to find. Needs numpy alone: it runs in the rivals' environments too.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

NAME = "benchmark-feature-hash"
DIMENSION = 384
_WORD = re.compile(r"\w+")


@lru_cache(maxsize=8192)
def _features(word: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Dimensions and signed weights of one word."""
    padded = f"<{word}>"
    grams = [word, *(padded[at : at + 3] for at in range(len(padded) - 2))]
    hashes = [zlib.crc32(gram.encode()) for gram in grams]
    weights = [1.0, *[0.5] * (len(grams) - 1)]
    signed = (weight if value & 0x10000 else -weight for value, weight in zip(hashes, weights, strict=True))
    return tuple(value % DIMENSION for value in hashes), tuple(signed)


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Shape (len(texts), 384), float32, rows of unit norm."""
    places: list[int] = []
    weights: list[float] = []
    for row, text in enumerate(texts):
        offset = row * DIMENSION
        for word in _WORD.findall(text.lower()) or ["<empty>"]:
            dimensions, signed = _features(word)
            places.extend([offset + dimension for dimension in dimensions])
            weights.extend(signed)
    flat = np.bincount(places, weights, minlength=len(texts) * DIMENSION) if texts else np.zeros(0)
    rows = flat.reshape(len(texts), DIMENSION).astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


class HashEmbedder:
    """The embedder in the shape memory-r1 asks for."""

    name = NAME
    dimension = DIMENSION

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; see `embed`."""
        return embed(texts)
