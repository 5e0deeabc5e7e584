"""Bad media: each a typed error that says what to do, and nothing half written."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from memory_r1.bank.log import fold
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.bank.sqlite.schema import APPLICATION_ID, MIGRATIONS, migrate
from memory_r1.errors import InvalidInputError, StoreError

ANN = Scope("ann")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bank.db"


def refused(path, match, **options):
    with pytest.raises(StoreError, match=match) as caught:
        SqliteStore(path, **options)
    assert caught.value.hint
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"hello, I am no database" * 100, b"x", b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_left_alone(path, content):
    path.write_bytes(content)
    refused(path, "is not an SQLite database")
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("setup", ["CREATE TABLE mine (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 0"])
def test_another_applications_database_is_left_alone(path, setup):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(setup)
        connection.execute("CREATE TABLE IF NOT EXISTS mine (x)")
        connection.commit()
    before = path.read_bytes()
    refused(path, "of another application")
    assert path.read_bytes() == before


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_file_that_was_cut_off(path, kit, keep):
    with closing(SqliteStore(path, durable=False)) as store:
        store.commit([kit.add(ANN, f"memory number {n}") for n in range(500)])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    refused(path, "is damaged or cut off")


def test_a_damaged_page(path, kit):
    with closing(SqliteStore(path, durable=False)) as store:
        store.commit([kit.add(ANN, f"memory number {n}") for n in range(500)])
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xaa" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged or cut off") as caught, closing(SqliteStore(path)) as store:
        store.operations()
    assert "export" in caught.value.hint


def test_a_file_of_a_newer_version(path):
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    refused(path, "Upgrade memory-r1")


def test_a_file_of_version_1_is_brought_up_to_date(path, kit):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, str(path), MIGRATIONS[:1])
    with closing(SqliteStore(path)) as store:
        (added,) = store.commit([kit.add(ANN, "one")])
    later = (*MIGRATIONS, "CREATE TABLE extra (x);\nINSERT INTO extra\nVALUES ('a;b');\n")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, str(path), later)
        migrate(connection, str(path), later)
        assert connection.execute("SELECT x FROM extra").fetchall() == [("a;b",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(later),)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT id FROM memories").fetchall() == [(added.memory_id,)]


def test_a_migration_that_fails_changes_nothing(path):
    SqliteStore(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE extra (x);\nINSERT INTO nowhere VALUES (1);\n")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, str(path), broken)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    SqliteStore(path).close()


@contextmanager
def unprivileged():
    """Act as a user whom file modes bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that every user can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)
        os.chmod(name, 0o777)


def test_a_read_only_folder(open_folder):
    os.chmod(open_folder, 0o555)
    with unprivileged():
        refused(open_folder / "bank.db", "cannot be opened for writing")
    assert list(open_folder.iterdir()) == []


def test_a_read_only_file(open_folder):
    path = open_folder / "bank.db"
    SqliteStore(path).close()
    os.chmod(path, 0o444)
    os.chmod(open_folder, 0o555)
    with unprivileged():
        refused(path, "cannot be opened for writing")


def test_a_missing_folder_and_a_folder_as_file(tmp_path):
    refused(tmp_path / "missing" / "bank.db", "cannot be opened for writing")
    refused(tmp_path, "cannot be opened for writing")


def fill(store, kit):
    """Write until it fails; return what was acknowledged, and the error."""
    written = []
    for number in range(10_000):
        try:
            written += store.commit([kit.add(ANN, f"{number} " + "filler " * 200)])
        except StoreError as error:
            return written, error
    raise AssertionError("it never filled up")


def assert_intact(store, kit, written):
    assert store.operations() == written
    kit.check(store)
    with store._connections.read_access() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with store._connections.write_access() as connection:
        connection.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('integrity-check', 1)")


def test_a_full_disk_leaves_everything_as_it_was(path, kit):
    with closing(SqliteStore(path, durable=False)) as store:
        with store._connections.write_access() as connection:
            connection.execute("PRAGMA max_page_count = 60")
        written, error = fill(store, kit)
        assert written
        assert "disk is full" in error.message
        assert "Free some space" in error.hint
        with pytest.raises(StoreError, match="disk is full"):
            store.commit([kit.add(ANN, f"batch {n} " + "filler " * 200) for n in range(50)])
        assert_intact(store, kit, written)
        with store._connections.write_access() as connection:
            connection.execute("PRAGMA max_page_count = 1000000")
        written += store.commit([kit.add(ANN, "there is room again")])
        assert_intact(store, kit, written)


def test_a_write_that_the_system_refuses(path, kit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(SqliteStore(path, durable=False)) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
        try:
            written, error = fill(store, kit)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert error.hint
        assert_intact(store, kit, written)
        written += store.commit([kit.add(ANN, "there is room again")])
        assert_intact(store, kit, written)
    with closing(SqliteStore(path)) as store:
        assert store.operations() == written


def test_a_real_full_file_system(tmp_path, kit):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    try:
        with closing(SqliteStore(folder / "bank.db")) as store:
            written, error = fill(store, kit)
            assert "disk is full" in error.message
            assert_intact(store, kit, written)
        with closing(SqliteStore(folder / "bank.db")) as store:
            assert store.operations() == written
    finally:
        subprocess.run(["umount", folder], check=True)


def test_locked_for_too_long(path, kit):
    with closing(SqliteStore(path, busy_timeout_s=0.05)) as store, closing(sqlite3.connect(path)) as other:
        store.commit([kit.add(ANN, "one")])
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="stayed locked"):
            store.commit([kit.add(ANN, "two")])
        assert store.count() == 1
        refused(path, "stayed locked", busy_timeout_s=0.05)
        other.rollback()
        store.commit([kit.add(ANN, "two")])
        assert store.count() == 2


def test_a_closed_store_says_so(path):
    store = SqliteStore(path)
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.count()


def test_surrogates_in_any_field_are_refused(path, kit):
    with closing(SqliteStore(path)) as store:
        with pytest.raises(InvalidInputError, match="surrogate"):
            store.commit([kit.add(ANN, "one", key="\ud800")])
        assert store.head() == 0
        store.commit([kit.add(ANN, "one")])
        with pytest.raises(InvalidInputError, match="surrogate"):
            store.match(ANN, ["\ud800"], 3)


def test_erase_leaves_no_byte_behind(path, kit):
    secret = "xylophonequartz"
    with closing(SqliteStore(path, durable=False)) as store:
        for number in range(300):
            store.commit([kit.add(ANN, f"memory {number} about many different things")])
        (first,) = store.commit([kit.add(ANN, f"her {secret} is hidden", metadata={"where": secret}, key=secret)])
        store.commit([kit.update(first.after, f"{secret} moved")])
        store.commit([kit.add(ANN, f"{secret} moved")])
        (second,) = store.commit([kit.add(ANN, f"unrelated, yet {secret}" + " and long" * 2000)])
        store.commit([kit.delete(second.after)])
        found = [name for name in path.parent.iterdir() if secret.encode() in name.read_bytes().lower()]
        assert found
        keep = store.operations(ANN)[0]
        vectors = [kit.vector(text).tobytes() for text in (f"her {secret} is hidden", f"{secret} moved")]
        store.erase([first.memory_id, second.memory_id])
        for name in path.parent.iterdir():
            content = name.read_bytes()
            # FTS5 stores a term without the prefix that it shares with its neighbour.
            for trace in (secret, secret[2:], secret.upper()):
                assert trace.encode() not in content, name
            for vector in vectors:
                assert vector not in content, name
        assert store.operation(keep.id) == keep
        kit.check(store)
        assert_intact(store, kit, store.operations())


def test_an_erase_waits_for_readers_and_then_says_what_is_left(path, kit):
    with closing(SqliteStore(path, busy_timeout_s=0.05)) as store, closing(sqlite3.connect(path)) as reader:
        (added,) = store.commit([kit.add(ANN, "one")])
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM memories").fetchone()
        with pytest.raises(StoreError, match="a reader kept"):
            store.erase([added.memory_id])
        assert store.get(added.memory_id) is None
        reader.rollback()


def test_a_file_is_small_to_import():
    code = "import sys, memory_r1.bank; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_readers_are_not_blocked_by_a_writer(path, kit):
    with closing(SqliteStore(path)) as store:
        store.commit([kit.add(ANN, "one")])
        with store._connections.transaction():
            found = []
            reader = threading.Thread(target=lambda: found.append(store.count()))
            reader.start()
            reader.join(10)
            assert found == [1]


def test_the_projection_can_be_told_from_the_log_alone(path, kit):
    with closing(SqliteStore(path)) as store:
        store.commit([kit.add(ANN, "one")])
    with closing(SqliteStore(path)) as store:
        assert list(fold(store.operations()).values()) == store.memories(ANN)
