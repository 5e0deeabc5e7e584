"""The tables, and the ordered scripts that lead from any earlier version of them to this one.

A memory's key is `bank << 32 | n`. The memories of a bank are therefore neighbours in every table and in the full-text
index, and a scope is a handful of key ranges: FTS5 jumps to them instead of scoring other people's rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from memory_r1.errors import StoreError

APPLICATION_ID = 0x4D656D52
"""`MemR`, written into the file's header: this is how a foreign database is told from ours."""
BANK_SHIFT = 32
"""Bits of a key below the bank's number."""

_VERSION_1 = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,           -- last log position given out; never falls, not even by a reset
    at INTEGER NOT NULL,            -- time of the newest operation (microseconds since 1970, as all times here)
    bank INTEGER NOT NULL,          -- last bank number given out
    rebuilt INTEGER NOT NULL,       -- log position of the last reset or re-embedding: older vector indexes start anew
    embedder TEXT,
    dimension INTEGER
) STRICT;
INSERT INTO meta VALUES (1, 0, 0, 0, 0, NULL, NULL);

CREATE TABLE banks (
    key INTEGER PRIMARY KEY,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    next INTEGER NOT NULL,          -- number of the next new memory
    live INTEGER NOT NULL           -- how many live memories
) STRICT;
CREATE UNIQUE INDEX banks_scope ON banks (ifnull(user_id, ''), ifnull(agent_id, ''), ifnull(run_id, ''));
CREATE INDEX banks_user ON banks (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX banks_agent ON banks (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX banks_run ON banks (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE operations (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    bank INTEGER NOT NULL,
    at INTEGER NOT NULL,
    memory_id TEXT,
    memory INTEGER,                 -- the memory's key
    prior INTEGER,                  -- the operation that left the state before this one
    state TEXT,                     -- the state after, as JSON; for NOOP it is the one before and not repeated
    decision TEXT,
    undoes TEXT,
    actor TEXT NOT NULL,
    idempotency_key TEXT
) STRICT;
CREATE INDEX operations_bank ON operations (bank);
CREATE INDEX operations_memory ON operations (memory_id) WHERE memory_id IS NOT NULL;
CREATE UNIQUE INDEX operations_idempotency ON operations (bank, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE memories (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    bank INTEGER NOT NULL,
    seq INTEGER NOT NULL,           -- the operation that left this state
    hash BLOB NOT NULL,
    text TEXT NOT NULL,
    context TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    event_time INTEGER,
    invalidated_at INTEGER,
    turn_id TEXT,
    session_id TEXT,
    turn_index INTEGER,
    speaker TEXT,
    role TEXT,
    source TEXT,
    metadata TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX memories_live_text ON memories (bank, hash) WHERE invalidated_at IS NULL;

CREATE TABLE attributes (           -- top level of the metadata, for filters
    memory INTEGER NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,      -- 0: the value itself; from 1: the texts in a list
    kind TEXT NOT NULL,
    value ANY,
    PRIMARY KEY (memory, name, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE vectors (
    memory INTEGER PRIMARY KEY,
    vector BLOB NOT NULL            -- float32, little-endian
) STRICT;

CREATE VIEW searchable AS SELECT key, text, context FROM memories WHERE invalidated_at IS NULL;
CREATE VIRTUAL TABLE fulltext USING fts5 (
    text, context, content = 'searchable', content_rowid = 'key', tokenize = 'porter unicode61 remove_diacritics 2'
);
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1,)
"""Script i leads from version i to version i + 1. Scripts that were released are never edited."""


def check_ours(connection: sqlite3.Connection, location: str) -> None:
    """Refuse a database that another application made, before anything is written to it.

    Raises:
        StoreError: It is neither ours nor empty.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == APPLICATION_ID:
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or tables:
        # Another process may have finished creating the file between the two reads.
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise StoreError(
                f"{location} is an SQLite database of another application.",
                hint="Name another file; this one was left untouched.",
            )


def migrate(connection: sqlite3.Connection, location: str, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the tables to the newest version, in one transaction; do nothing if they are there.

    Raises:
        StoreError: A newer memory-r1 made them.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            raise StoreError(
                f"{location} has format {version}; this memory-r1 reads up to {len(migrations)}.",
                hint="Upgrade memory-r1.",
            )
        for script in migrations[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """Split a script; `executescript` would commit the transaction that a migration needs."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
