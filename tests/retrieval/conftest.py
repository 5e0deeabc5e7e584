from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.retrieval.search import Retriever
from memory_r1.testing.embedder import HashEmbedder

NOW = datetime(2024, 3, 1, tzinfo=UTC)
ANN = Scope(user_id="ann")


class Kit:
    """A store, an embedder without a model, a retriever over both, and short ways to write."""

    def __init__(self, path: Path | str) -> None:
        self.store = SqliteStore(path, durable=False)
        self.embedder = HashEmbedder(64)
        self.retriever = Retriever(self.store, self.embedder)
        self._name = "m" if self.store.head() == 0 else "n"
        self._numbers = itertools.count(1)

    def add(self, *texts: str, scope: Scope = ANN, speaker: str | None = None, **fields) -> list[str]:
        """Write memories; return their ids."""
        changes = [self._change(text, scope, speaker, fields) for text in texts]
        return [str(operation.memory_id) for operation in self.store.commit(changes)]

    def _change(self, text: str, scope: Scope, speaker: str | None, fields) -> Change:
        memory_id = f"{self._name}{next(self._numbers)}"
        record = MemoryRecord(memory_id, scope, text, NOW, NOW, provenance=Provenance(speaker=speaker), **fields)
        return Change(OperationKind.ADD, scope, after=record, vector=self.embedder.embed([text])[0])

    def talk(self, *lines: tuple[str, str], scope: Scope = ANN) -> list[str]:
        """Write what speakers said, in order."""
        return [self.add(text, scope=scope, speaker=speaker)[0] for speaker, text in lines]

    def delete(self, memory_id: str, scope: Scope = ANN) -> None:
        self.store.commit([Change(OperationKind.DELETE, scope, memory_id=memory_id)])

    def update(self, memory_id: str, text: str, scope: Scope = ANN) -> None:
        before = self.store.get(memory_id)
        after = MemoryRecord(memory_id, scope, text, before.created_at, NOW, before.version + 1)
        vector = self.embedder.embed([text])[0]
        self.store.commit([Change(OperationKind.UPDATE, scope, memory_id=memory_id, after=after, vector=vector)])

    def found(self, query: str, scope: Scope = ANN, **options) -> list[str]:
        """Texts of a search's results, best first."""
        return [hit.memory.text for hit in self.retriever.search(scope, query, **options)]


@pytest.fixture
def make_kit() -> Iterator[Callable[[Path | str], Kit]]:
    """Opens more of them."""
    opened: list[Kit] = []

    def make(path: Path | str) -> Kit:
        opened.append(Kit(path))
        return opened[-1]

    yield make
    for kit in opened:
        kit.store.close()


@pytest.fixture
def kit(make_kit: Callable[[Path | str], Kit], tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "bank.db")
