from __future__ import annotations

import pytest

from memory_r1.bank.log import as_of, fold, history
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.undo import undo
from memory_r1.errors import ConflictError, InvalidInputError, NotFoundError

ANN = Scope("ann")


@pytest.fixture
def added(store, kit):
    return store.commit([kit.add(ANN, "Ann has a dog")])[0]


def test_each_kind_and_its_undo(store, kit, added):
    (updated,) = store.commit([kit.update(added.after, "Ann has two dogs")])
    (deleted,) = store.commit([kit.delete(updated.after)])
    for operation, restored in ((deleted, updated.after), (updated, added.after), (added, None)):
        (written,) = undo(store, operation.id, embed=kit.embed)
        assert (written.kind, written.undoes) == (OperationKind.UNDO, operation.id)
        assert (written.before, written.after) == (operation.after, operation.before)
        assert store.get(added.memory_id) == restored
        kit.check(store)


def test_an_undo_can_be_undone_again_and_again(store, kit, added):
    (updated,) = store.commit([kit.update(added.after, "Ann has two dogs")])
    last = updated
    for expected in (added.after, updated.after, added.after):
        (last,) = undo(store, last.id, embed=kit.embed)
        assert store.get(added.memory_id) == expected
        kit.check(store)


def test_redo_of_an_add_keeps_the_key(store, kit, added):
    before = store.index_batch(ANN, 0).keys.tolist()
    (gone,) = undo(store, added.id, embed=kit.embed)
    assert store.count() == 0
    undo(store, gone.id, embed=kit.embed)
    assert store.index_batch(ANN, 0).keys.tolist() == before
    kit.check(store)


def test_later_operations_stand_in_the_way_and_are_named(store, kit, added):
    (updated,) = store.commit([kit.update(added.after, "Ann has two dogs")])
    (deleted,) = store.commit([kit.delete(updated.after)])
    with pytest.raises(ConflictError) as caught:
        undo(store, added.id, embed=kit.embed)
    assert updated.id in str(caught.value)
    assert deleted.id in str(caught.value)
    written = undo(store, added.id, cascade=True, embed=kit.embed)
    assert [operation.undoes for operation in written] == [deleted.id, updated.id, added.id]
    assert store.get(added.memory_id) is None
    kit.check(store)
    for operation in reversed(written):
        undo(store, operation.id, embed=kit.embed)
    assert store.get(added.memory_id) == deleted.after
    kit.check(store)


def test_what_was_taken_back_does_not_stand_in_the_way(store, kit, added):
    (updated,) = store.commit([kit.update(added.after, "Ann has two dogs")])
    store.commit([Change(OperationKind.NOOP, ANN, memory_id=added.memory_id)])
    undo(store, updated.id, embed=kit.embed)
    with pytest.raises(ConflictError, match="undone already"):
        undo(store, updated.id, embed=kit.embed)
    undo(store, added.id, embed=kit.embed)
    assert store.count() == 0
    kit.check(store)


def test_a_text_that_another_memory_now_has_stays_gone(store, kit, added):
    (deleted,) = store.commit([kit.delete(added.after)])
    (afresh,) = store.commit([kit.add(ANN, "Ann has a dog")])
    with pytest.raises(ConflictError, match=afresh.memory_id):
        undo(store, deleted.id, embed=kit.embed)
    assert store.memories(ANN) == [afresh.after]


def test_what_cannot_be_undone(store, kit, added):
    (noop,) = store.commit([kit.add(ANN, "Ann has a dog")])
    with pytest.raises(InvalidInputError, match="NOOP"):
        undo(store, noop.id, embed=kit.embed)
    with pytest.raises(NotFoundError):
        undo(store, "unknown", embed=kit.embed)
    (erased,) = store.erase([added.memory_id])
    for operation in (erased, added):
        with pytest.raises(InvalidInputError, match="erased"):
            undo(store, operation.id, embed=kit.embed)
    head = store.head()
    with pytest.raises(InvalidInputError):
        store.commit([Change(OperationKind.UNDO, ANN, memory_id=added.memory_id, undoes=erased.id)])
    assert store.head() == head


def test_the_store_itself_refuses_an_undo_that_comes_too_late(store, kit, added):
    (updated,) = store.commit([kit.update(added.after, "Ann has two dogs")])
    change = Change(OperationKind.UNDO, ANN, memory_id=added.memory_id, undoes=added.id)
    with pytest.raises(ConflictError, match="changed since"):
        store.commit([change])
    with pytest.raises(InvalidInputError):
        store.commit([Change(OperationKind.UNDO, Scope("bob"), memory_id=added.memory_id, undoes=added.id)])
    assert store.get(added.memory_id) == updated.after


def test_history_and_time_travel(store, kit, added):
    (updated,) = store.commit([kit.update(added.after, "Ann has two dogs")])
    (deleted,) = store.commit([kit.delete(updated.after)])
    assert history(store, added.memory_id) == [added, updated, deleted]
    assert history(store, "unknown") == []
    states = {operation.at: operation.after for operation in (added, updated, deleted)}
    for time, state in states.items():
        assert as_of(store, ANN, time) == ([state] if state.live else [])
    assert as_of(store, ANN, kit.start) == []
    assert fold(store.operations(until=updated.at)) == {added.memory_id: states[updated.at]}
