"""Many threads, many processes, and processes that die: nothing acknowledged is lost, nothing is half there."""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from memory_r1.bank.log import fold
from memory_r1.bank.operation import OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.errors import ConflictError, StoreError

ANN = Scope("ann")
KILLS = 200
AT_ONCE = 4


class Child:
    """A forked process that runs a function and may write lines to us."""

    def __init__(self, run):
        self._pipe, write = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(write)
            return
        code = 1
        try:
            os.close(self._pipe)
            run(lambda line: os.write(write, f"{line}\n".encode()))
            code = 0
        finally:
            # Not back into pytest, whatever happened.
            if code:
                traceback.print_exc()
            os._exit(code)

    def wait_for_a_line(self):
        assert select.select([self._pipe], [], [], 60)[0], "the child never spoke"

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def finish(self):
        """Its exit status and the lines it completed."""
        with os.fdopen(self._pipe, "rb") as stream:
            lines = stream.read().decode().splitlines(keepends=True)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), [line.strip() for line in lines if line.endswith("\n")]


def assert_sound(store):
    folded = fold(store.operations())
    stored = {record.id: record for scope in store.scopes() for record in store.memories(scope, retired=True)}
    assert stored == folded
    assert store.count() == sum(record.live for record in folded.values())
    with store._connections.write_access() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('integrity-check', 1)")


def test_threads_lose_nothing(make_store, kit):
    store = make_store()

    def work(thread):
        written = []
        for number in range(20):
            written += store.commit([kit.add(ANN, f"thread {thread} says {number}")])
            assert store.get(written[-1].memory_id) is not None
            assert store.match(ANN, [str(number)], 50)
            store.index_batch(ANN, written[-1].seq - 1)
        return written

    with ThreadPoolExecutor(8) as pool:
        written = [operation for operations in pool.map(work, range(8)) for operation in operations]
    assert len({operation.id for operation in written}) == 160
    assert sorted(written, key=lambda operation: operation.seq) == store.operations()
    assert [operation.seq for operation in store.operations()] == list(range(1, 161))
    kit.check(store)


def test_identical_adds_at_once_are_one_memory(make_store, kit):
    store = make_store()
    start = threading.Barrier(4)

    def work(_):
        start.wait()
        return store.commit([kit.add(ANN, "Ann likes tea")])[0]

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(work, range(4)))
    assert Counter(operation.kind.value for operation in written) == {"ADD": 1, "NOOP": 3}
    assert len({operation.memory_id for operation in written}) == 1
    assert store.count() == 1


def test_one_of_two_updates_from_the_same_version_wins(make_store, kit):
    store = make_store()
    (added,) = store.commit([kit.add(ANN, "start")])

    def work(number):
        try:
            store.commit([kit.update(added.after, f"text {number}")])
        except ConflictError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 1
    kit.check(store)


@pytest.mark.parametrize("shared", ["each opens the file", "all inherit a store", "the parent closes it"])
def test_processes_lose_nothing(tmp_path, kit, shared):
    path = tmp_path / "bank.db"
    inherited = SqliteStore(path) if shared != "each opens the file" else None
    if inherited is not None:
        inherited.commit([kit.add(Scope("parent"), "before")])
        inherited.count()

    def run(number):
        def work(say):
            store = inherited or SqliteStore(path)
            for turn in range(40):
                say(store.commit([kit.add(ANN, f"process {number} says {turn}")])[0].id)
            store.commit([kit.add(ANN, "the same from all")])
            store.close()

        return work

    children = [Child(run(number)) for number in range(4)]
    if shared == "the parent closes it":
        # Were the children without locks of their own, this would pull the write-ahead log from under them.
        inherited.close()
        inherited = None
        for _ in range(20):
            SqliteStore(path).close()
    results = [child.finish() for child in children]
    assert [code for code, _ in results] == [0] * 4
    with closing(inherited or SqliteStore(path)) as store:
        ids = {operation.id for operation in store.operations(ANN)}
        acknowledged = [line for _, lines in results for line in lines]
        assert len(set(acknowledged)) == 160
        assert ids.issuperset(acknowledged)
        assert store.count(ANN) == 161
        assert_sound(store)


def test_a_follower_in_another_process_sees_every_write(tmp_path, kit):
    path = tmp_path / "bank.db"
    with closing(SqliteStore(path)) as store:
        head = store.index_batch(ANN, 0).head

        def work(say):
            with closing(SqliteStore(path)) as other:
                other.commit([kit.add(ANN, "from afar")])

        assert Child(work).finish()[0] == 0
        batch = store.index_batch(ANN, head)
        assert [record.text for record in store.fetch(batch.keys.tolist()).values()] == ["from afar"]
        assert store.match(ANN, ["afar"], 1)


def test_a_fork_waits_for_reads_and_holds_new_ones_off(tmp_path, kit):
    with closing(SqliteStore(tmp_path / "bank.db")) as store:
        store.commit([kit.add(ANN, "one")])
        stop = threading.Event()
        counts = Counter()

        def read():
            while not stop.is_set():
                counts[store.count()] += 1

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()

        def work(say):
            store.commit([kit.add(ANN, f"child {os.getpid()}")])

        assert [Child(work).finish()[0] for _ in range(10)] == [0] * 10
        stop.set()
        for reader in readers:
            reader.join()
        assert store.count() == 11
        assert counts[1]
        assert_sound(store)


def test_an_in_memory_store_stays_in_its_process(kit):
    with closing(SqliteStore(":memory:")) as store:

        def work(say):
            with pytest.raises(StoreError, match="stays in its process"):
                store.count()

        assert Child(work).finish()[0] == 0
        assert store.commit([kit.add(ANN, "one")])


def scribble(path, kit, seed, starting_gun):
    """Write all sorts of operations for ever, and tell each one's id once it is written."""

    def work(say):
        rng = random.Random(seed)
        scope = Scope(f"user {seed % 3}")
        with closing(SqliteStore(path)) as store:
            say("ready")
            os.read(starting_gun, 1)
            mine = []
            for number in range(1_000_000):
                changes = [kit.add(scope, f"{seed} {number} {part}") for part in range(rng.choice([1, 1, 1, 8]))]
                if mine and rng.random() < 0.3:
                    changes.append(kit.update(mine.pop(), f"{seed} {number} updated"))
                if mine and rng.random() < 0.2:
                    changes.append(kit.delete(mine.pop()))
                operations = store.commit(changes)
                for operation in operations:
                    say(operation.id)
                mine += [operation.after for operation in operations if operation.kind is OperationKind.ADD]

    return work


def test_what_was_acknowledged_survives_kill_9(tmp_path, kit):
    path = tmp_path / "bank.db"
    rng = random.Random(7)
    acknowledged = []
    longest = 0.015
    for batch in range(KILLS // AT_ONCE):
        starting_gun, trigger = os.pipe()
        children = [Child(scribble(path, kit, batch * AT_ONCE + number, starting_gun)) for number in range(AT_ONCE)]
        for child in children:
            child.wait_for_a_line()
        os.write(trigger, b"!" * AT_ONCE)
        for child in children:
            time.sleep(rng.uniform(0, longest))
            child.kill()
        for child in children:
            code, lines = child.finish()
            assert code == -signal.SIGKILL
            acknowledged += lines[1:]
        # how far a child comes depends on the machine: on a busy one it is given longer
        longest *= 1 if len(acknowledged) > (batch + 1) * AT_ONCE // 2 else 1.2
        os.close(starting_gun)
        os.close(trigger)
        if batch % 10 == 0:
            with closing(SqliteStore(path)) as store:
                assert_sound(store)
    # without many the test would say little
    assert len(acknowledged) > KILLS // 4
    with closing(SqliteStore(path)) as store:
        assert {operation.id for operation in store.operations()}.issuperset(acknowledged)
        assert_sound(store)
