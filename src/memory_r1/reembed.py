"""Gives a store vectors of another embedder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import batched
from typing import TYPE_CHECKING

from memory_r1.bank.sqlite import SqliteStore
from memory_r1.bank.store import EmbedderIdentity, Store
from memory_r1.config import Settings
from memory_r1.parts import build_embedder
from memory_r1.retrieval.embedder import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
