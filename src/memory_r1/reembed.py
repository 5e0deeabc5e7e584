"""Gives a store the vectors of another embedder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from memory_r1.bank.store import EmbedderIdentity, Store
from memory_r1.config import Settings
from memory_r1.parts import build_embedder, open_store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memory_r1.retrieval.embedder import Embedder

BATCH = 256


def reembed(settings: Settings, *, on_progress: Callable[[int], None] | None = None) -> int:
    """Compute all vectors of the store anew with the embedder that the settings name, in one transaction.

    Args:
        settings: Name the store and the embedder.
        on_progress: Called with the number of texts embedded so far.

    Returns:
        How many vectors were replaced.

    Raises:
        StoreError: The store cannot be opened or written; it stays as it was.
        ModelError: The embedder failed; the store stays as it was.
        ConflictError: A memory was written meanwhile; run it again.
    """
    embedder = build_embedder(settings)
    store = open_store(settings)
    try:
        identity = EmbedderIdentity(embedder.name, embedder.dimension)
        # embed first: a transaction held open meanwhile would keep every other writer waiting
        return store.reembed(identity, list(_vectors(store, embedder, on_progress)))
    finally:
        store.close()


def _vectors(
    store: Store, embedder: Embedder, on_progress: Callable[[int], None] | None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    texts, done = store.texts(), 0
    while rows := list(islice(texts, BATCH)):
        yield from zip([key for key, _ in rows], embedder.embed([text for _, text in rows]), strict=True)
        done += len(rows)
        if on_progress:
            on_progress(done)
