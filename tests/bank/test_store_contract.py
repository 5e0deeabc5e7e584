"""What every store must do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from memory_r1.bank.fact import Fact
from memory_r1.bank.filters import parse_filter
from memory_r1.bank.memory import Provenance
from memory_r1.bank.operation import Candidate, Change, Decision, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.store import EmbedderIdentity, Store
from memory_r1.errors import ConflictError, EmbedderMismatchError, InvalidInputError, NotFoundError

ANN, BOB = Scope("ann"), Scope("bob")
ANN_RUN = Scope("ann", run_id="r1")


def test_is_a_store(store):
    assert isinstance(store, Store)
    assert (store.head(), store.count(), store.scopes(), store.operations()) == (0, 0, [], [])
    assert store.memories(ANN) == []
    assert store.index_batch(ANN, 0).keys.size == 0
    assert store.match(ANN, ["tea"], 5) == []
    assert store.commit([]) == []


def test_everything_of_an_operation_comes_back(store, kit):
    when = datetime(2023, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    record = kit.record(
        ANN,
        "Ann likes tea 🍵 שלום",
        event_time=when,
        provenance=Provenance("D1:3", "s1", 7, "Ann", "user", "chat"),
        metadata={"rank": 1.5, "tags": ["a", {"b": None}], "ok": True},
    )
    decision = Decision(
        Fact("Ann likes tea", when, Provenance(speaker="Ann")),
        (Candidate("other", 3),),
        raw='{"op": "ADD"}',
        policy="small+manager",
        rejected="made-up id",
        doubted="NOOP: 81 % sure",
        prompt_tokens=100,
        completion_tokens=9,
        seconds=0.25,
    )
    change = Change(
        OperationKind.ADD, ANN, after=record, decision=decision, actor="manager", idempotency_key="k", vector=None
    )
    (written,) = store.commit([change])
    assert store.operation(written.id) == written
    assert store.operations() == [written]
    assert (written.after, written.before, written.decision, written.actor) == (record, None, decision, "manager")
    assert (written.seq, written.memory_id, written.idempotency_key) == (store.head(), record.id, "k")
    assert store.get(record.id) == record
    assert store.get("unknown") is None
    assert store.operation("unknown") is None


def test_update_delete_and_noop(store, kit):
    (added,) = store.commit([kit.add(ANN, "Ann has a dog")])
    (updated,) = store.commit([kit.update(added.after, "Ann has two dogs")])
    assert (updated.before, updated.after.version) == (added.after, 2)
    (noop,) = store.commit([Change(OperationKind.NOOP, ANN, memory_id=added.memory_id)])
    assert noop.before == noop.after == updated.after
    (deleted,) = store.commit([kit.delete(updated.after)])
    assert not deleted.after.live
    assert deleted.after.version == 3
    assert store.memories(ANN) == []
    assert store.memories(ANN, retired=True) == [deleted.after]
    assert [operation.kind.value for operation in store.operations(memory_id=added.memory_id)] == [
        "ADD",
        "UPDATE",
        "NOOP",
        "DELETE",
    ]
    (nothing,) = store.commit([Change(OperationKind.NOOP, ANN)])
    assert (nothing.memory_id, nothing.before, nothing.after) == (None, None, None)
    kit.check(store)


def test_the_same_fact_twice_is_one_memory(store, kit):
    first, second = store.commit([kit.add(ANN, "Ann likes tea"), kit.add(ANN, " ann LIKES  tea")])
    (third,) = store.commit([kit.add(ANN, "Ann likes tea")])
    for again in (second, third):
        assert again.kind is OperationKind.NOOP
        assert again.memory_id == first.memory_id
        assert again.before == again.after == first.after
    store.commit([kit.add(BOB, "Ann likes tea")])
    assert (store.count(ANN), store.count(BOB)) == (1, 1)
    store.commit([kit.delete(first.after)])
    (afresh,) = store.commit([kit.add(ANN, "Ann likes tea")])
    assert afresh.kind is OperationKind.ADD
    kit.check(store)


def test_idempotency_keys_are_of_a_bank(store, kit):
    first, again = store.commit([kit.add(ANN, "one", key="k"), kit.add(ANN, "two", key="k")])
    assert again == first
    assert store.commit([kit.add(ANN, "three", key="k")]) == [first]
    (other,) = store.commit([kit.add(BOB, "four", key="k")])
    assert other.kind is OperationKind.ADD
    assert (store.count(ANN), store.head()) == (1, 2)


def test_a_refused_change_takes_the_whole_commit_with_it(store, kit):
    (added,) = store.commit([kit.add(ANN, "one")])
    head = store.head()
    stale = replace(kit.update(added.after, "two"), expected_version=9)
    with pytest.raises(ConflictError, match="version 1, not 9"):
        store.commit([kit.add(ANN, "new"), stale])
    assert (store.head(), store.count(ANN), store.match(ANN, ["new"], 5)) == (head, 1, [])
    kit.check(store)


@pytest.mark.parametrize("kind", ["update", "delete", "noop"])
def test_no_write_reaches_into_another_scope(store, kit, kind):
    (added,) = store.commit([kit.add(ANN, "secret")])
    foreign = replace(added.after, scope=BOB)
    change = {
        "update": kit.update(foreign, "stolen"),
        "delete": kit.delete(foreign),
        "noop": Change(OperationKind.NOOP, BOB, memory_id=added.memory_id),
    }[kind]
    with pytest.raises(ConflictError):
        store.commit([change])
    assert store.scopes() == [ANN]
    assert store.get(added.memory_id) == added.after


def test_changes_that_do_not_fit_are_refused(store, kit):
    one, two = store.commit([kit.add(ANN, "one"), kit.add(ANN, "two")])
    with pytest.raises(ConflictError, match="already has this text"):
        store.commit([kit.update(one.after, "TWO")])
    with pytest.raises(ConflictError, match="is taken"):
        store.commit([replace(kit.add(ANN, "three"), after=replace(one.after, text="three"))])
    with pytest.raises(InvalidInputError):
        store.commit([Change(OperationKind.ADD, ANN)])
    with pytest.raises(InvalidInputError):
        store.commit([Change(OperationKind.ERASE, ANN, memory_id=one.memory_id)])
    with pytest.raises(InvalidInputError, match="scope"):
        store.commit([replace(kit.add(ANN, "three"), scope=BOB)])
    store.commit([kit.delete(two.after)])
    with pytest.raises(ConflictError, match="already deleted"):
        store.commit([kit.delete(two.after)])
    kit.check(store)


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "lone \ud800"])
def test_unusable_texts_are_refused(store, kit, text):
    change = kit.add(ANN, "placeholder")
    with pytest.raises(InvalidInputError):
        store.commit([replace(change, after=replace(change.after, text=text))])
    assert store.head() == 0


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), "\ud800", "a\0b", {"deep": ["\0"]}])
def test_unusable_metadata_are_refused(store, kit, value):
    with pytest.raises(InvalidInputError):
        store.commit([kit.add(ANN, "one", metadata={"k": value})])
    assert store.head() == 0


def test_numbers_that_do_not_fit_are_refused(store, kit):
    with pytest.raises(InvalidInputError, match="64 bits"):
        store.commit([kit.add(ANN, "one", provenance=Provenance(turn_index=2**70))])
    (added,) = store.commit([kit.add(ANN, "one", metadata={"large": 2**70, "huge": 10**400})])
    assert store.get(added.memory_id).metadata == {"large": 2**70, "huge": 10**400}


def test_a_megabyte_and_odd_scripts(store, kit):
    texts = [
        "x" * 1_000_000,
        "مرحبا بالعالم",
        "👩‍👩‍👧‍👦 family",
        "\u202eright to left",
        '"quotes" AND NOT (operators*)',
    ]
    store.commit([kit.add(ANN, text) for text in texts])
    assert [record.text for record in store.memories(ANN)] == texts
    assert store.get(store.fetch([store.match(ANN, ["بالعالم"], 1)[0].key]).popitem()[1].id).text == texts[1]


def test_times_never_run_backwards(store, kit):
    for number in range(20):
        store.commit([kit.add(ANN, f"text {number}")])
    times = [operation.at for operation in store.operations()]
    assert times == sorted(times)


def test_operations_can_be_cut_down(store, kit):
    written = [store.commit([kit.add(ANN if n % 2 else BOB, f"t{n}")])[0] for n in range(6)]
    mine = [operation for operation in written if operation.scope == ANN]
    assert store.operations(ANN) == mine
    assert store.operations(ANN, newest_first=True, limit=2) == mine[:-3:-1]
    assert store.operations(after=written[3].seq) == written[4:]
    assert store.operations(until=written[2].at) == [o for o in written if o.at <= written[2].at]
    assert store.operations(memory_id=written[0].memory_id) == written[:1]


def test_reads_see_what_their_scope_covers(store, kit):
    store.commit([kit.add(ANN, "plain"), kit.add(ANN_RUN, "in a run"), kit.add(BOB, "other")])
    assert [record.text for record in store.memories(ANN)] == ["plain", "in a run"]
    assert [record.text for record in store.memories(ANN_RUN)] == ["in a run"]
    assert store.count(ANN) == 2
    assert len(store.operations(ANN)) == 2
    assert store.index_batch(ANN, 0).keys.size == 2
    assert set(store.scopes()) == {ANN, ANN_RUN, BOB}
    kit.check(store)


def test_memories_are_paged_oldest_first(store, kit):
    for number in (3, 1, 2, 0):
        created = kit.start + timedelta(days=number)
        change = kit.add(ANN, f"day {number}")
        store.commit([replace(change, after=replace(change.after, created_at=created))])
    texts = [f"day {number}" for number in range(4)]
    assert [record.text for record in store.memories(ANN)] == texts
    assert [record.text for record in store.memories(ANN, limit=2, offset=1)] == texts[1:3]


def test_filters_reach_memories_and_keys(store, kit):
    store.commit([kit.add(ANN, f"number {n}", metadata={"n": n}) for n in range(5)])
    where = parse_filter({"n": {"gte": 2, "lt": 4}})
    assert [record.metadata["n"] for record in store.memories(ANN, where=where)] == [2, 3]
    found = store.fetch(store.keys(ANN, where).tolist())
    assert sorted(record.metadata["n"] for record in found.values()) == [2, 3]
    assert store.keys(BOB, where).size == 0


def test_index_batches_bring_a_follower_up_to_date(store, kit):
    one, two = store.commit([kit.add(ANN, "one"), kit.add(ANN, "two")])
    batch = store.index_batch(ANN, 0)
    assert batch.full
    known = dict(zip(batch.keys.tolist(), batch.vectors, strict=True))
    key = {record.id: key for key, record in store.fetch(list(known)).items()}
    store.commit([kit.update(one.after, "uno"), kit.delete(two.after), kit.add(ANN, "three"), kit.add(BOB, "else")])
    batch = store.index_batch(ANN, batch.head)
    assert not batch.full
    assert batch.gone.tolist() == [key[two.memory_id]]
    found = store.fetch(batch.keys.tolist())
    assert {found[k].text for k in batch.keys.tolist()} == {"uno", "three"}
    assert key[one.memory_id] in batch.keys.tolist()
    batch = store.index_batch(ANN, batch.head)
    assert (batch.keys.size, batch.gone.size, batch.vectors.shape) == (0, 0, (0, kit.dimension))


def test_full_text_search(store, kit):
    when = datetime(2023, 5, 8, tzinfo=UTC)
    speaker = Provenance(speaker="Caroline")
    tea, tea_time, coffee = store.commit(
        [
            kit.add(ANN, "She was drinking tea", event_time=when, provenance=speaker),
            kit.add(ANN, "Tea, then a long talk about the weather and the garden and the neighbours"),
            kit.add(ANN, "Café au lait"),
        ]
    )

    def ids(terms, **options):
        hits = store.match(ANN, terms, 10, **options)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        found = store.fetch([hit.key for hit in hits])
        return [found[hit.key].id for hit in hits]

    assert ids(["tea"]) == [tea.memory_id, tea_time.memory_id]
    assert ids(["drinks"]) == [tea.memory_id]
    assert ids(["CAFE"]) == [coffee.memory_id]
    assert ids(["caroline", "May"]) == [tea.memory_id]
    assert ids(["caroline"], columns="text") == []
    assert ids(["2023"], columns="context") == [tea.memory_id]
    assert ids(["tea"], columns="context") == []
    assert store.match(ANN, ["tea"], 1)[0] == store.match(ANN, ["tea"], 2)[0]
    assert ids([]) == ids(["", " ", "!!!", "🍵"]) == []
    assert ids(['"', "a\0b", "NEAR(", "text:tea*", "-", "AND", "^x", "{text}"]) != [coffee.memory_id]


def test_the_embedder_is_remembered(store, kit):
    mine = EmbedderIdentity("mine", kit.dimension)
    store.bind_embedder(EmbedderIdentity("first thought", 3))
    store.bind_embedder(mine)
    assert store.embedder() is None
    store.commit([kit.add(ANN, "one")])
    assert store.embedder() == mine
    with pytest.raises(EmbedderMismatchError, match="memory-r1 reembed"):
        store.bind_embedder(EmbedderIdentity("other", kit.dimension))
    with pytest.raises(InvalidInputError, match="shape"):
        store.commit([replace(kit.add(ANN, "two"), vector=np.ones(3, np.float32))])
    assert store.count() == 1


def test_reembed_replaces_all_vectors_or_none(store, kit):
    one, two = store.commit([kit.add(ANN, "one"), kit.add(ANN, "two")])
    store.commit([kit.delete(two.after)])
    before = store.index_batch(ANN, 0)
    texts = dict(store.texts())
    assert sorted(texts.values()) == ["one", "two"]
    other = EmbedderIdentity("other", 2)
    vectors = [(key, np.array([7, len(text)], np.float32)) for key, text in texts.items()]
    with pytest.raises(ConflictError):
        store.reembed(other, vectors[:1])
    with pytest.raises(InvalidInputError):
        store.reembed(other, [(key, np.ones(3, np.float32)) for key in texts])
    kit.check(store)
    assert store.reembed(other, vectors) == 2
    assert store.embedder() == other
    batch = store.index_batch(ANN, before.head)
    assert batch.full
    assert [store.fetch(batch.keys.tolist())[key].id for key in batch.keys.tolist()] == [one.memory_id]
    assert batch.vectors.tolist() == [[7, 3]]


def test_reset_empties_the_store_and_followers_notice(store, kit):
    store.commit([kit.add(ANN, "one")])
    before = store.index_batch(ANN, 0)
    store.reset()
    assert (store.head(), store.count(), store.scopes(), store.embedder()) == (0, 0, [], None)
    assert store.match(ANN, ["one"], 5) == []
    (added,) = store.commit([kit.add(ANN, "two")])
    batch = store.index_batch(ANN, before.head)
    assert batch.full
    assert batch.keys.size == 1
    assert batch.keys[0] not in before.keys
    assert store.operations() == [added]
    kit.check(store)


def test_erase_leaves_only_that_it_happened(store, kit):
    decision = Decision(Fact("the secret word"), raw="raw secret", rejected="odd: secret")
    (added,) = store.commit([replace(kit.add(ANN, "the secret", key="secret"), decision=decision)])
    (updated,) = store.commit([kit.update(added.after, "the secret, changed", metadata={"k": "secret"})])
    seen = Decision(Fact("Bystander"), (Candidate(added.memory_id, 2),), raw="quotes the secret")
    (other,) = store.commit([replace(kit.add(ANN, "bystander"), decision=seen)])
    (noop,) = store.commit([kit.add(ANN, "The secret, changed")])
    idle = Decision(Fact("as said, the secret"), (Candidate(added.memory_id, 2),), raw="secret")
    store.commit([Change(OperationKind.NOOP, ANN, decision=idle)])
    assert noop.memory_id == added.memory_id
    (erased,) = store.erase([added.memory_id])
    assert (erased.kind, erased.memory_id, erased.before, erased.after) == (
        OperationKind.ERASE,
        added.memory_id,
        None,
        None,
    )
    assert store.get(added.memory_id) is None
    assert "secret" not in repr(store.operations())
    assert [operation.id for operation in store.operations(memory_id=added.memory_id)] == [
        added.id,
        updated.id,
        noop.id,
        erased.id,
    ]
    kept = store.operation(other.id)
    assert kept.after == other.after
    assert kept.decision == replace(seen, raw="")
    assert store.erase([added.memory_id]) == []
    assert store.commit([kit.add(ANN, "the secret", key="secret")])[0].kind is OperationKind.ADD
    kit.check(store)


def test_erase_reaches_retired_and_undone_memories_and_refuses_unknown_ones(store, kit):
    one, two = store.commit([kit.add(ANN, "one"), kit.add(ANN, "two")])
    store.commit([kit.delete(one.after)])
    store.commit([Change(OperationKind.UNDO, ANN, memory_id=two.memory_id, undoes=two.id)])
    with pytest.raises(NotFoundError):
        store.erase([one.memory_id, "unknown"])
    assert store.get(one.memory_id) is not None
    assert len(store.erase([one.memory_id, two.memory_id])) == 2
    assert all(operation.after is None for operation in store.operations())
    kit.check(store)


def test_restore_appends_verbatim(store, make_store, kit):
    one, two = store.commit([kit.add(ANN, "one", metadata={"a": [1]}), kit.add(ANN_RUN, "two", key="k")])
    store.commit([kit.update(one.after, "uno")])
    store.commit([Change(OperationKind.UNDO, ANN_RUN, memory_id=two.memory_id, undoes=two.id)])
    log = store.operations()
    vectors = [None if operation.after is None else kit.vector(operation.after.text) for operation in log]
    other = make_store()
    other.commit([kit.add(BOB, "already here")])
    assert other.restore(log, vectors) == 4
    assert [replace(operation, seq=0) for operation in other.operations(ANN)] == [replace(o, seq=0) for o in log]
    kit.check(other)
    assert other.restore(log, vectors) == 0
    third = make_store()
    with pytest.raises(ConflictError, match="does not fit"):
        third.restore(log[2:], vectors[2:])
    assert (third.head(), third.count()) == (0, 0)


def test_restore_never_moves_a_memory_between_banks(store, make_store, kit):
    (added,) = store.commit([kit.add(ANN, "mine")])
    for undone in (False, True):
        if undone:
            store.commit([Change(OperationKind.UNDO, ANN, memory_id=added.memory_id, undoes=added.id)])
        foreign = replace(added, id=f"other {undone}", scope=BOB, after=replace(added.after, scope=BOB))
        with pytest.raises(ConflictError, match="another bank"):
            store.restore([foreign], [None])
    assert store.scopes() == [ANN]
    kit.check(store)


def test_restoring_an_erase_erases(store, make_store, kit):
    (added,) = store.commit([kit.add(ANN, "secret")])
    other = make_store()
    other.restore(store.operations(), [kit.vector("secret")])
    store.erase([added.memory_id])
    assert other.restore(store.operations(), [None, None]) == 1
    assert other.get(added.memory_id) is None
    assert "secret" not in repr(other.operations(memory_id=added.memory_id))
    kit.check(other)


def test_close_twice(make_store):
    store = make_store()
    store.close()
    store.close()
