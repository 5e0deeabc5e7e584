from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.errors import InvalidInputError
from memory_r1.retrieval.index import VectorIndex
from memory_r1.retrieval.rows import ByteRows, ExactRows

NOW = datetime(2024, 3, 1, tzinfo=UTC)
BANKS = (Scope("ann"), Scope("ann", run_id="r1"), Scope("ann", run_id="r2"), Scope("bob"))
READS = (Scope("ann"), Scope("ann", run_id="r1"), Scope("bob"), Scope(run_id="r2"))
DIMENSION = 12


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.standard_normal(shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Mirror:
    """Writes to a store and remembers what should be live, in the plainest way."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.rng = np.random.default_rng(7)
        self.numbers = itertools.count()
        self.live: dict[str, tuple[Scope, np.ndarray, str]] = {}
        self.retired: list[tuple[str, Scope]] = []

    def add(self, bank: Scope, count: int) -> None:
        changes = []
        for _ in range(count):
            number = next(self.numbers)
            vector, speaker = unit(self.rng, DIMENSION), f"speaker {number % 3}"
            record = MemoryRecord(
                f"m{number}", bank, f"text {number}", NOW, NOW, provenance=Provenance(speaker=speaker)
            )
            changes.append(Change(OperationKind.ADD, bank, after=record, vector=vector))
            self.live[record.id] = (bank, vector, speaker)
        self.store.commit(changes)

    def update(self, memory_id: str) -> None:
        bank = self.live[memory_id][0]
        old, vector, number = self.store.get(memory_id), unit(self.rng, DIMENSION), next(self.numbers)
        after = MemoryRecord(
            memory_id, bank, f"text {number}", NOW, NOW, old.version + 1, provenance=Provenance(speaker="x")
        )
        self.store.commit([Change(OperationKind.UPDATE, bank, memory_id=memory_id, after=after, vector=vector)])
        self.live[memory_id] = (bank, vector, "x")

    def delete(self, memory_id: str) -> None:
        bank = self.live.pop(memory_id)[0]
        self.store.commit([Change(OperationKind.DELETE, bank, memory_id=memory_id)])

    def erase(self, memory_id: str) -> None:
        del self.live[memory_id]
        self.store.erase([memory_id])

    def check(self, index: VectorIndex) -> None:
        for scope in READS:
            wanted = {name: entry for name, entry in self.live.items() if scope.covers(entry[0])}
            query = unit(self.rng, DIMENSION)
            snapshot = index.snapshot(scope)
            keys = snapshot.keys[snapshot.live].tolist()
            records = self.store.fetch(keys)
            assert sorted(records[key].id for key in keys) == sorted(wanted)
            assert keys == sorted(keys)
            assert snapshot.count == len(wanted)
            speakers = snapshot.speaker[snapshot.live].tolist()
            assert [snapshot.names[number] for number in speakers] == [wanted[records[key].id][2] for key in keys]
            exact = sorted(((float(vector @ query), name) for name, (_, vector, _) in wanted.items()), reverse=True)
            found = index.nearest(scope, query, 5)
            assert [records[key].id for key, _ in found] == [name for _, name in exact[:5]]
            assert [score for _, score in found] == pytest.approx([score for score, _ in exact[:5]], abs=1e-5)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, len(BANKS) - 1), st.integers(1, 12)),
        st.tuples(st.sampled_from(["update", "delete", "erase"]), st.integers(0, 1000), st.just(0)),
        st.tuples(st.sampled_from(["check", "reset", "forget"]), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.parametrize("exact_rows", [1000, 6, 0])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_index_equals_brute_force_after_any_writes(exact_rows, steps):
    store = SqliteStore(":memory:")
    try:
        mirror, index = Mirror(store), VectorIndex(store, exact_rows=exact_rows)
        for what, number, count in steps:
            if what == "add":
                mirror.add(BANKS[number], count)
            elif what == "check":
                mirror.check(index)
            elif what == "forget":
                index.forget()
            elif what == "reset":
                store.reset()
                mirror.live.clear()
            elif mirror.live:
                getattr(mirror, what)(sorted(mirror.live)[number % len(mirror.live)])
        mirror.check(index)
    finally:
        store.close()


def test_many_deletions_are_compacted_and_an_undo_brings_one_back(tmp_path):
    store = SqliteStore(tmp_path / "bank.db", durable=False)
    mirror, index = Mirror(store), VectorIndex(store, exact_rows=500)
    mirror.add(BANKS[0], 3000)
    mirror.check(index)
    full = index.nbytes
    for name in sorted(mirror.live)[:1500]:
        mirror.live.pop(name)
        store.commit([operation := Change(OperationKind.DELETE, BANKS[0], memory_id=name)])
    mirror.check(index)
    assert len(index.snapshot(BANKS[0]).keys) == 1500
    assert index.nbytes < 0.8 * full
    (deleted,) = store.operations(memory_id=operation.memory_id, newest_first=True, limit=1)
    store.commit(
        [Change(OperationKind.UNDO, BANKS[0], memory_id=deleted.memory_id, after=deleted.before, undoes=deleted.id)]
    )
    vector = store.vectors(store.index_batch(BANKS[0], 0).keys.tolist())
    key = next(key for key, record in store.fetch(list(vector)).items() if record.id == deleted.memory_id)
    mirror.live[deleted.memory_id] = (BANKS[0], vector[key], deleted.before.provenance.speaker)
    mirror.check(index)
    store.close()


def test_writes_of_another_connection_are_followed(tmp_path):
    first, second = (SqliteStore(tmp_path / "bank.db", durable=False) for _ in range(2))
    here, there = Mirror(second), VectorIndex(first)
    here.add(BANKS[0], 3)
    here.check(there)
    here.add(BANKS[1], 2)
    here.delete("m1")
    here.check(there)
    first.close()
    second.close()


def test_searches_while_another_thread_writes_see_whole_states(tmp_path):
    store = SqliteStore(tmp_path / "bank.db", durable=False)
    mirror, index = Mirror(store), VectorIndex(store, exact_rows=50)
    mirror.add(BANKS[0], 20)
    query = unit(np.random.default_rng(1), DIMENSION)

    def write() -> None:
        for _ in range(30):
            mirror.add(BANKS[1], 5)
            mirror.delete(min(mirror.live))

    def read() -> set[int]:
        return {len(index.nearest(READS[0], query, 10)) for _ in range(100)}

    with ThreadPoolExecutor(3) as pool:
        writing, *reading = pool.submit(write), pool.submit(read), pool.submit(read)
        writing.result()
        assert [future.result() for future in reading] == [{10}, {10}]
    mirror.check(index)
    store.close()


@pytest.mark.parametrize("exact_rows", [10_000, 0])
def test_only_the_given_keys_are_returned(tmp_path, exact_rows):
    store = SqliteStore(tmp_path / "bank.db", durable=False)
    mirror, index = Mirror(store), VectorIndex(store, exact_rows=exact_rows)
    mirror.add(BANKS[0], 50)
    keys = index.snapshot(BANKS[0]).keys[10:30:3]
    query = unit(mirror.rng, DIMENSION)
    found = index.nearest(BANKS[0], query, 100, keys=np.append(keys, 12345))
    assert sorted(key for key, _ in found) == keys.tolist()
    assert index.nearest(BANKS[0], query, 5, keys=np.empty(0, np.int64)) == []
    store.close()


def test_the_scopes_searched_longest_ago_are_dropped(tmp_path):
    store = SqliteStore(tmp_path / "bank.db", durable=False)
    mirror = Mirror(store)
    for bank in BANKS:
        mirror.add(bank, 100)
    one = VectorIndex(store)
    one.snapshot(Scope("bob"))
    index = VectorIndex(store, max_bytes=int(2.5 * one.nbytes))
    for _ in range(2):
        mirror.check(index)
        assert index.nbytes <= 2.5 * one.nbytes
    tiny = VectorIndex(store, max_bytes=0)
    mirror.check(tiny)
    tiny.forget()
    assert tiny.nbytes == 0
    with pytest.raises(InvalidInputError):
        VectorIndex(store, max_bytes=-1)
    store.close()


@pytest.mark.parametrize("exact_rows", [10_000, 0])
def test_a_query_of_another_length_is_refused(tmp_path, exact_rows):
    store = SqliteStore(tmp_path / "bank.db", durable=False)
    Mirror(store).add(BANKS[0], 3)
    with pytest.raises(InvalidInputError, match="does not fit"):
        VectorIndex(store, exact_rows=exact_rows).nearest(BANKS[0], np.ones(5, np.float32), 3)
    store.close()


@pytest.mark.parametrize("kind", ["gaussian", "clustered"])
def test_bytes_find_the_nearest_of_many(kind):
    rng = np.random.default_rng(3)
    vectors = unit(rng, 70_000, 64)
    if kind == "clustered":
        vectors = 0.5 * vectors + unit(rng, 50, 64)[rng.integers(50, size=len(vectors))]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rounded = ByteRows.of(vectors)
    for query in vectors[:5]:
        exact = vectors @ query
        scores = rounded.dots(query, len(vectors))
        assert np.abs(scores - exact).max() < 0.01
        best = np.argpartition(-exact, 30)[:30]
        assert np.isin(best, np.argpartition(-scores, 96)[:96]).mean() >= 0.98


def test_rows_agree_whatever_way_they_came():
    rng = np.random.default_rng(5)
    vectors = unit(rng, 40, 16)
    query = unit(rng, 16)
    order = np.r_[np.arange(0, 10), np.arange(20, 40)]
    for kind in (ExactRows, ByteRows.of):
        rows = kind(vectors[:10].copy())
        rows.append(vectors[20:40])
        rows = rows.inserted(np.full(10, 10), vectors[10:20])
        assert np.allclose(rows.dots(query, 40), kind(vectors.copy()).dots(query, 40), atol=1e-6)
        mask = np.zeros(40, np.bool_)
        mask[order] = True
        rows = rows.kept(mask)
        rows.replace(np.array([0]), vectors[39:40])
        assert rows.dots(query, 30)[0] == pytest.approx(float(vectors[39] @ query), abs=0.01)
        assert np.allclose(rows.dots(query, 30)[1:], vectors[order][1:] @ query, atol=0.01)
    zeros = ByteRows.of(np.zeros((2, 16), np.float32))
    assert zeros.dots(query, 2).tolist() == [0, 0]


def test_a_view_taken_earlier_is_not_changed_by_appending():
    rng = np.random.default_rng(6)
    store = SqliteStore(":memory:")
    mirror, index = Mirror(store), VectorIndex(store, exact_rows=15)
    mirror.add(BANKS[0], 10)
    snapshot, query = index.snapshot(BANKS[0]), unit(rng, DIMENSION)
    before = snapshot.dots(query)
    mirror.add(BANKS[0], 500)
    mirror.delete("m0")
    index.snapshot(BANKS[0])
    assert snapshot.count == 10
    assert np.array_equal(snapshot.dots(query), before)
    assert snapshot.live.all()
    store.close()
