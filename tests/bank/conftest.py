from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memory_r1.bank.log import fold
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.bank.store import Store

OpenStore = Callable[[Path, int], Store]


def _sqlite_file(folder: Path, number: int) -> Store:
    return SqliteStore(folder / f"bank{number}.db", durable=False)


def _sqlite_memory(folder: Path, number: int) -> Store:
    return SqliteStore(":memory:")


class Factory:
    """Makes empty stores of one kind."""

    def __init__(self, open_store: OpenStore, folder: Path) -> None:
        self._open, self._folder = open_store, folder
        self._opened: list[Store] = []
        self._kept: dict[str, Store] = {}

    def __call__(self) -> Store:
        """A new store."""
        self._opened.append(self._open(self._folder, len(self._opened)))
        return self._opened[-1]

    def empty(self, name: str = "") -> Store:
        """The same store every time, emptied: quick where a test needs hundreds."""
        if name not in self._kept:
            self._kept[name] = self()
        self._kept[name].reset()
        return self._kept[name]

    def close(self) -> None:
        for store in self._opened:
            store.close()


@pytest.fixture(params=[_sqlite_file, _sqlite_memory], ids=["sqlite-file", "sqlite-memory"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Factory]:
    """A new kind of store joins the contract by a parameter more."""
    factory = Factory(request.param, tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def store(make_store: Factory) -> Store:
    return make_store()


class Kit:
    """Short ways to write changes."""

    start = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    dimension = 4

    def vector(self, text: str) -> np.ndarray:
        """A unit vector that depends on the text alone."""
        digest = hashlib.sha256(text.encode()).digest()
        vector = np.frombuffer(digest[: self.dimension], np.uint8).astype(np.float32) + 1
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self.vector(text) for text in texts], np.float32).reshape(len(texts), self.dimension)

    def record(self, scope: Scope, text: str, **fields: Any) -> MemoryRecord:
        return MemoryRecord(str(uuid.uuid4()), scope, text, self.start, self.start, **fields)

    def add(self, scope: Scope, text: str, *, key: str | None = None, **fields: Any) -> Change:
        record = self.record(scope, text, **fields)
        return Change(OperationKind.ADD, scope, after=record, vector=self.vector(text), idempotency_key=key)

    def update(self, record: MemoryRecord, text: str, **fields: Any) -> Change:
        after = replace(record, text=text, version=record.version + 1, **fields)
        vector = self.vector(text) if text != record.text else None
        return Change(
            OperationKind.UPDATE,
            record.scope,
            memory_id=record.id,
            after=after,
            vector=vector,
            expected_version=record.version,
        )

    def delete(self, record: MemoryRecord) -> Change:
        return Change(OperationKind.DELETE, record.scope, memory_id=record.id, expected_version=record.version)

    def check(self, store: Store) -> None:
        """Everything that is derived from the log agrees with it."""
        folded = fold(store.operations())
        for scope in store.scopes():
            stored = {record.id: record for record in store.memories(scope, retired=True) if record.scope == scope}
            assert stored == {key: record for key, record in folded.items() if record.scope == scope}
        for scope in store.scopes():
            live = {key: record for key, record in folded.items() if record.live and scope.covers(record.scope)}
            assert store.count(scope) == len(live)
            batch = store.index_batch(scope, 0)
            found = store.fetch(batch.keys.tolist())
            assert {found[key].id for key in batch.keys.tolist()} == set(live)
            for key, vector in zip(batch.keys.tolist(), batch.vectors, strict=True):
                np.testing.assert_array_equal(vector, self.vector(found[key].text))
            for word in {word for record in live.values() for word in record.text.split() if word.isalnum()}:
                hits = store.fetch([hit.key for hit in store.match(scope, [word], 1000, columns="text")])
                expected = {key for key, record in live.items() if word in record.text.split()}
                assert {record.id for record in hits.values()} == expected
        assert store.count() == sum(record.live for record in folded.values())


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
