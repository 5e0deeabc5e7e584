"""Any sequence of operations leaves log and projection in step."""

from __future__ import annotations

import io
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from memory_r1.bank.log import as_of, fold
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.portable import export_log, import_log
from memory_r1.bank.scope import Scope
from memory_r1.bank.undo import undo
from memory_r1.errors import ConflictError, InvalidInputError

SCOPES = (Scope("ann"), Scope("ann", run_id="r1"), Scope("bob"), Scope(agent_id="ann"))
WORDS = ("apple", "pear", "plum", "fig")
scopes = st.sampled_from(SCOPES)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join)
quietly = settings(deadline=None, suppress_health_check=list(HealthCheck))


class BankMachine(RuleBasedStateMachine):
    make_store = kit = None

    def __init__(self):
        super().__init__()
        self.store = self.make_store.empty()
        self.erased = False

    def live(self, data):
        return data.draw(st.sampled_from(sorted(self._live(), key=lambda record: record.text)))

    def _live(self):
        return [record for record in fold(self.store.operations()).values() if record.live]

    @rule(scope=scopes, text=texts, key=st.none() | st.sampled_from(["k1", "k2"]))
    def add(self, scope, text, key):
        self.store.commit([self.kit.add(scope, text, key=key, metadata={"length": len(text)})])

    @rule(scope=scopes, batch=st.lists(texts, min_size=2, max_size=4))
    def add_several(self, scope, batch):
        self.store.commit([self.kit.add(scope, text) for text in batch])

    @precondition(lambda self: self._live())
    @rule(data=st.data(), text=texts)
    def update(self, data, text):
        record = self.live(data)
        head = self.store.head()
        try:
            self.store.commit([self.kit.update(record, text, metadata={})])
        except ConflictError:
            assert self.store.head() == head
            assert any(other.text == text and other.id != record.id for other in self._live())

    @precondition(lambda self: self._live())
    @rule(data=st.data())
    def delete(self, data):
        self.store.commit([self.kit.delete(self.live(data))])

    @precondition(lambda self: self._live())
    @rule(data=st.data())
    def delete_and_add_again(self, data):
        record = self.live(data)
        self.store.commit([self.kit.delete(record), self.kit.add(record.scope, record.text)])

    @rule(scope=scopes)
    def noop(self, scope):
        self.store.commit([Change(OperationKind.NOOP, scope)])

    @precondition(lambda self: self.store.head())
    @rule(data=st.data(), cascade=st.booleans())
    def take_back(self, data, cascade):
        operations = self.store.operations()
        operation = data.draw(st.sampled_from(operations))
        try:
            written = undo(self.store, operation.id, cascade=cascade, embed=self.kit.embed)
        except (ConflictError, InvalidInputError):
            assert self.store.operations() == operations
        else:
            assert written[-1].after == operation.before

    @precondition(lambda self: self._live())
    @rule(data=st.data())
    def erase(self, data):
        record = self.live(data)
        self.store.erase([record.id])
        self.erased = True

    @invariant()
    def in_step(self):
        self.kit.check(self.store)

    def teardown(self):
        self._travels()
        if not self.erased:
            self._can_be_undone_to_nothing()

    def _travels(self):
        content = io.BytesIO()
        export_log(self.store, None, content)
        other = self.make_store.empty("spare")
        import_log(other, io.BytesIO(content.getvalue()), embed=self.kit.embed)
        assert [replace(o, seq=0) for o in other.operations()] == [replace(o, seq=0) for o in self.store.operations()]
        self.kit.check(other)

    def _can_be_undone_to_nothing(self):
        for operation in reversed(self.store.operations()):
            if operation.memory_id is not None and operation.kind is not OperationKind.NOOP:
                undo(self.store, operation.id, embed=self.kit.embed)
        assert fold(self.store.operations()) == {}
        assert all(self.store.memories(scope, retired=True) == [] for scope in self.store.scopes())
        self.kit.check(self.store)


def test_any_sequence_keeps_log_and_projection_in_step(make_store, kit):
    machine = type("Bank", (BankMachine,), {"make_store": make_store, "kit": kit})
    run_state_machine_as_test(machine, settings=settings(quietly, max_examples=40, stateful_step_count=25))


@settings(quietly, max_examples=100)
@given(
    written=st.lists(st.tuples(scopes, st.sampled_from(WORDS)), min_size=1, max_size=12),
    reader=scopes,
    writer=scopes,
)
def test_scopes_are_apart(make_store, kit, written, reader, writer):
    store = make_store.empty()
    operations = store.commit([kit.add(scope, text) for scope, text in written])
    seen = {
        "memories": store.memories(reader, retired=True),
        "as_of": as_of(store, reader, operations[-1].at),
        "index": list(store.fetch(store.index_batch(reader, 0).keys.tolist()).values()),
        "match": list(store.fetch([hit.key for hit in store.match(reader, WORDS, 100)]).values()),
    }
    expected = {operation.memory_id for operation in operations if reader.covers(operation.scope)}
    for way, found in seen.items():
        assert {record.id for record in found} == expected, way
    assert {operation.memory_id for operation in store.operations(reader)} == expected
    for operation in operations:
        if operation.scope != writer:
            foreign = replace(operation.after, scope=writer)
            for change in (kit.update(foreign, "stolen"), kit.delete(foreign)):
                try:
                    store.commit([change])
                except ConflictError:
                    continue
                raise AssertionError("a write reached into another scope")
    kit.check(store)
