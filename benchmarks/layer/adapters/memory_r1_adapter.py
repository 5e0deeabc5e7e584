"""memory-r1 through its front door, with its defaults: one SQLite file, durable writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hashing import HashEmbedder
from memory_r1_lm import LmFigures
from serve import serve

from memory_r1 import Memory


class MemoryR1(LmFigures):
    package = "memory-r1"

    def open(self, folder: Path, options: dict[str, Any]) -> None:
        self.memory = Memory(store=folder / "memory.db", embedder=HashEmbedder(), **options)

    def add(self, text: str, scope: str) -> None:
        self.memory.add(text, user_id=scope, infer=False)

    def add_batch(self, texts: Sequence[str], scope: str) -> None:
        self.memory.add([{"role": "user", "content": text} for text in texts], user_id=scope, infer=False)

    fill = add_batch

    def search(self, query: str, scope: str, k: int) -> int:
        return len(self.memory.search(query, user_id=scope, top_k=k)["results"])

    def delete_all(self, scope: str) -> None:
        self.memory.delete_all(user_id=scope)

    def count(self, scope: str) -> int:
        return len(self.memory.get_all(user_id=scope, top_k=2_000_000)["results"])

    def close(self) -> None:
        self.memory.close()


if __name__ == "__main__":
    serve(MemoryR1())
