"""memory-r1: long-term memory for LLM agents that learns what to keep.

Example:
    >>> from memory_r1 import Memory
    >>> with Memory(store=":memory:", embedder="hash") as memory:
    ...     added = memory.add("Ann adopted a dog named Buddy.", user_id="ann", infer=False)
    ...     found = memory.search("Which dog does Ann have?", user_id="ann")
    >>> added["results"][0]["event"], found["results"][0]["memory"]
    ('ADD', 'Ann adopted a dog named Buddy.')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memory_r1.errors import MemoryR1Error

if TYPE_CHECKING:
    from memory_r1.aio import AsyncMemory
    from memory_r1.memory import Memory

__version__ = "0.1.0"
__all__ = ["AsyncMemory", "Memory", "MemoryR1Error", "__version__"]


def __getattr__(name: str) -> object:
    # numpy and pydantic come with the front door; `memory-r1 --help` must not pay for them
    if name == "Memory":
        from memory_r1.memory import Memory

        return Memory
    if name == "AsyncMemory":
        from memory_r1.aio import AsyncMemory

        return AsyncMemory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
