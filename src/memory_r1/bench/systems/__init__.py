"""The systems that a benchmark knows by name, each in a file of its own; their classes are imported when they are used.

`SYSTEMS` are ours. `memory_r1.bench.baselines.BASELINES` are the rivals. Anything else is named `my_module:MySystem`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """A system of ours."""

    home: str
    """`MODULE:CLASS` within this package."""
    about: str
    """For the list of systems."""


SYSTEMS: Mapping[str, Listed] = {
    "none": Listed("none:NoMemory", "no memory: the reader is shown the question alone"),
    "full-context": Listed("full_context:FullContext", "every turn, the newest that fit the model's context window"),
    "rag": Listed("rag:Rag", "turns as memories, the nearest by the embedder: the LoCoMo baseline"),
    "rag-hybrid": Listed("rag_hybrid:RagHybrid", "turns as memories, found by the product's hybrid retrieval"),
    "add-all": Listed("add_all:AddAll", "the extractor's facts, every one added, the product's retrieval"),
    "memory-r1": Listed("memory_r1:MemoryR1", "the whole product: extractor, manager, retrieval, reader"),
    "memory-r1-base": Listed("memory_r1:MemoryR1Base", "the same with nothing trained"),
    "memory-r1-base-manager": Listed("memory_r1:MemoryR1BaseManager", "the same with an untrained manager"),
    "memory-r1-base-reader": Listed("memory_r1:MemoryR1BaseReader", "the same with an untrained reader"),
}
"""Our systems by name."""
