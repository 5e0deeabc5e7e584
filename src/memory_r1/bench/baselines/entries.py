"""A rival's store: texts with vectors, held in memory and searched exactly by cosine similarity."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memory_r1.retrieval.embedder import Embedder


@dataclass(slots=True)
class Entry:
    """One text of a store."""

    text: str
    time: datetime | None = None
    """When it was said; None in data without dates."""
    turns: tuple[str, ...] = ()
    """Ids of the turns it comes from."""
    speaker: str = ""
    """Whose it is, where the method has a bank for each speaker."""


class Entries:
    """Entries with an id each, counted from 0 and never used again.

    Args:
        embedder: Makes the vectors.

    Example:
        >>> from memory_r1.testing import HashEmbedder
        >>> store = Entries(HashEmbedder())
        >>> [store.add(Entry(text)) for text in ("Ann likes tea", "Bob has a red car")]
        [0, 1]
        >>> store.nearest("a car", 1)[0][0]
        1
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._entries: dict[int, Entry] = {}
        self._vectors: dict[int, NDArray[np.float32]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, key: int) -> bool:
        return key in self._entries

    def __getitem__(self, key: int) -> Entry:
        return self._entries[key]

    def add(self, entry: Entry, *, indexed: str | None = None) -> int:
        """Keep an entry.

        Args:
            entry: The entry.
            indexed: The text to find it by; its own if None.
        """
        key = self._next
        self._next += 1
        self.put(key, entry, indexed=indexed)
        return key

    def put(self, key: int, entry: Entry, *, indexed: str | None = None) -> None:
        """Replace an entry."""
        self._entries[key] = entry
        self._vectors[key] = self._embedder.embed([entry.text if indexed is None else indexed])[0]

    def remove(self, key: int) -> Entry:
        """Forget an entry."""
        self._vectors.pop(key)
        return self._entries.pop(key)

    def nearest(
        self, query: str, k: int, *, floor: float | None = None, among: Container[int] | None = None
    ) -> list[tuple[int, float]]:
        """Ids of the `k` entries that are most similar to a text, best first, with their cosine.

        Args:
            query: The text.
            k: Most entries.
            floor: Least cosine; None: any.
            among: Ids that may be found; None: all.
        """
        return self.nearest_many([query], k, floor=floor, among=among)[0]

    def nearest_many(
        self, queries: Sequence[str], k: int, *, floor: float | None = None, among: Container[int] | None = None
    ) -> list[list[tuple[int, float]]]:
        """The same for several texts."""
        import numpy as np

        keys = [key for key in self._vectors if among is None or key in among]
        if not keys or not queries:
            return [[] for _ in queries]
        scores = self._embedder.embed(list(queries)) @ np.stack([self._vectors[key] for key in keys]).T
        # stable, so that ties go to the older entry on every machine
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [
            [(keys[column], float(row[column])) for column in columns if floor is None or row[column] >= floor]
            for row, columns in zip(scores, order, strict=True)
        ]


def sources(*groups: Iterable[str]) -> tuple[str, ...]:
    """Turn ids of several entries in one, each once, in order.

    Example:
        >>> sources(("D1:1", "D1:2"), ("D1:2", "D2:1"))
        ('D1:1', 'D1:2', 'D2:1')
    """
    return tuple(dict.fromkeys(turn for group in groups for turn in group))
