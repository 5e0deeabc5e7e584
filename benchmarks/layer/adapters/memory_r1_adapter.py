"""memory-r1 through its front door, with its defaults: one SQLite file, durable writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hashing import HashEmbedder, embed
from memory_r1_lm import LmFigures
from serve import serve
from workload import queries

from memory_r1 import Memory
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.retrieval.index import VectorIndex


class MemoryR1(LmFigures):
    package = "memory-r1"

    def open(self, folder: Path, options: dict[str, Any]) -> None:
        self.path = folder / "memory.db"
        self.memory = Memory(store=self.path, **{"embedder": HashEmbedder(), **options})

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

    def recall(self, scope: str, k: int, count: int, of: int) -> float:
        """Share of the k nearest that the vector index finds; a tie with the k-th is as good as the k-th."""
        store = SqliteStore(self.path)
        try:
            index = VectorIndex(store)
            everything = store.index_batch(Scope(scope), 0)
            place = {key: row for row, key in enumerate(everything.keys.tolist())}
            shares = []
            for query in embed(queries(count, of, seed=1)):
                exact = everything.vectors @ query
                floor = np.partition(exact, -k)[-k] - 1e-6
                found = [place[key] for key, _ in index.nearest(Scope(scope), query, k)]
                shares.append(np.count_nonzero(exact[found] >= floor) / k)
            return float(np.mean(shares))
        finally:
            store.close()

    def close(self) -> None:
        self.memory.close()


if __name__ == "__main__":
    serve(MemoryR1())
