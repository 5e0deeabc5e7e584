"""Reads of the log and the projection. Each function takes a connection and leaves no cursor open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Operation
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite.banks import IN_BANK, BankDirectory, covered
from memory_r1.bank.sqlite.rows import (
    OPERATION_COLUMNS,
    OPERATION_TABLES,
    RECORD_COLUMNS,
    to_micros,
    to_operation,
    to_record,
)
from memory_r1.bank.sqlite.where import compile_filter
from memory_r1.bank.store import IndexBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.bank.filters import Filter

_FETCH = 1024


def head(connection: sqlite3.Connection) -> int:
    """`seq` of the newest operation, 0 for an empty log."""
    row = connection.execute("SELECT seq FROM operations ORDER BY seq DESC LIMIT 1").fetchone()
    return 0 if row is None else row[0]


def record_by_id(connection: sqlite3.Connection, banks: BankDirectory, memory_id: str) -> MemoryRecord | None:
    """A memory by id."""
    rows = connection.execute(f"SELECT {RECORD_COLUMNS} FROM memories m WHERE m.id = ?", (memory_id,)).fetchall()
    return next(iter(_records(connection, banks, rows)), None)


def records_by_key(
    connection: sqlite3.Connection, banks: BankDirectory, keys: Sequence[int]
) -> dict[int, MemoryRecord]:
    """Memories by key, in the order asked for."""
    rows = connection.execute(
        f"SELECT {RECORD_COLUMNS}, m.key FROM json_each(?) j JOIN memories m ON m.key = j.value",
        (json.dumps([int(key) for key in keys]),),
    ).fetchall()
    scopes = banks.scopes(connection, (row[0] for row in rows))
    return {row[15]: to_record(row, scopes[row[0]]) for row in rows}


def records(
    connection: sqlite3.Connection,
    banks: BankDirectory,
    scope: Scope,
    where: Filter | None,
    limit: int | None,
    offset: int,
    retired: bool,
) -> list[MemoryRecord]:
    """The memories of a scope, oldest first."""
    condition, parameters = _selection(scope, where, retired)
    rows = connection.execute(
        f"SELECT {RECORD_COLUMNS} FROM banks b CROSS JOIN memories m WHERE {condition}"
        " ORDER BY m.created_at, m.key LIMIT ? OFFSET ?",
        (*parameters, -1 if limit is None else limit, offset),
    ).fetchall()
    return _records(connection, banks, rows)


def keys(connection: sqlite3.Connection, scope: Scope, where: Filter) -> NDArray[np.int64]:
    """Sorted keys of the live memories of a scope that a filter accepts."""
    condition, parameters = _selection(scope, where, False)
    rows = connection.execute(f"SELECT m.key FROM banks b CROSS JOIN memories m WHERE {condition}", parameters)
    found = np.fromiter((row[0] for row in rows), dtype=np.int64)
    found.sort()
    return found


def count(connection: sqlite3.Connection, scope: Scope | None) -> int:
    """How many live memories a scope has, or the whole file."""
    condition, parameters = ("1", []) if scope is None else covered(scope)
    total: int = connection.execute(
        f"SELECT coalesce(sum(b.live), 0) FROM banks b WHERE {condition}", parameters
    ).fetchone()[0]
    return total


def scopes(connection: sqlite3.Connection) -> list[Scope]:
    """Every bank, in the order they came to be."""
    return [Scope(*row) for row in connection.execute("SELECT user_id, agent_id, run_id FROM banks ORDER BY key")]


def operation_by_id(connection: sqlite3.Connection, banks: BankDirectory, operation_id: str) -> Operation | None:
    """An operation by id."""
    rows = connection.execute(
        f"SELECT {OPERATION_COLUMNS} FROM {OPERATION_TABLES} WHERE o.id = ?", (operation_id,)
    ).fetchall()
    return next(iter(_operations(connection, banks, rows)), None)


def operations(
    connection: sqlite3.Connection,
    banks: BankDirectory,
    scope: Scope | None,
    *,
    memory_id: str | None,
    after: int,
    until: datetime | None,
    limit: int | None,
    newest_first: bool,
) -> list[Operation]:
    """Operations in log order."""
    conditions: list[str] = ["o.seq > ?"]
    parameters: list[Any] = [after]
    if memory_id is not None:
        conditions.append("o.memory_id = ?")
        parameters.append(memory_id)
    if scope is not None:
        condition, values = covered(scope)
        conditions.append(f"o.bank IN (SELECT b.key FROM banks b WHERE {condition})")
        parameters += values
    if until is not None:
        conditions.append("o.at <= ?")
        parameters.append(to_micros(until))
    rows = connection.execute(
        f"SELECT {OPERATION_COLUMNS} FROM {OPERATION_TABLES} WHERE {' AND '.join(conditions)}"
        f" ORDER BY o.seq {'DESC' if newest_first else 'ASC'} LIMIT ?",
        (*parameters, -1 if limit is None else limit),
    ).fetchall()
    return _operations(connection, banks, rows)


def index_batch(connection: sqlite3.Connection, scope: Scope, after: int) -> IndexBatch:
    """What changed for a vector index. Run it in a snapshot."""
    top, rebuilt, dimension = connection.execute("SELECT seq, rebuilt, dimension FROM meta").fetchone()
    dimension = dimension or 0
    if 0 < top == after:
        return IndexBatch(after, _no_keys(), np.empty((0, dimension), np.float32), _no_keys())
    condition, parameters = covered(scope)
    if after < rebuilt or after <= 0:
        sizing = connection.execute(f"SELECT sum(b.live) FROM banks b WHERE {condition}", parameters).fetchone()
        cursor = connection.execute(
            "SELECT v.memory, v.vector, m.speaker"
            " FROM banks b CROSS JOIN memories m CROSS JOIN vectors v ON v.memory = m.key"
            f" WHERE {condition} AND m.key {IN_BANK} AND m.invalidated_at IS NULL",
            parameters,
        )
        found, vectors, speakers = _load(cursor, sizing[0] or 0, dimension)
        return IndexBatch(top, found, vectors, _no_keys(), True, speakers)
    touched = np.fromiter(
        (
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT o.memory FROM banks b CROSS JOIN operations o ON o.bank = b.key AND o.seq > ?"
                f" WHERE o.memory IS NOT NULL AND {condition}",
                (after, *parameters),
            )
        ),
        dtype=np.int64,
    )
    cursor = connection.execute(
        "SELECT v.memory, v.vector, m.speaker FROM json_each(?) j CROSS JOIN memories m ON m.key = j.value"
        " CROSS JOIN vectors v ON v.memory = m.key WHERE m.invalidated_at IS NULL",
        (json.dumps(touched.tolist()),),
    )
    found, vectors, speakers = _load(cursor, touched.size, dimension)
    return IndexBatch(top, found, vectors, np.setdiff1d(touched, found), False, speakers)


def vectors_by_key(connection: sqlite3.Connection, keys: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """Vectors by key."""
    rows = connection.execute(
        "SELECT v.memory, v.vector FROM json_each(?) j CROSS JOIN vectors v ON v.memory = j.value",
        (json.dumps([int(key) for key in keys]),),
    )
    return {key: np.frombuffer(vector, "<f4") for key, vector in rows}


def _load(
    cursor: sqlite3.Cursor, size: int, dimension: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], list[str | None]]:
    """Read up to `size` (key, vector, speaker) rows, block by block so that the vectors exist only once."""
    found = np.empty(size, np.int64)
    vectors = np.empty((size, dimension), np.float32)
    speakers: list[str | None] = []
    known: dict[str | None, str | None] = {}
    filled = 0
    while rows := cursor.fetchmany(_FETCH):
        block = slice(filled, filled + len(rows))
        found[block] = [row[0] for row in rows]
        vectors[block] = np.frombuffer(b"".join([row[1] for row in rows]), "<f4").reshape(len(rows), dimension)
        # One string object a name, however many memories it said.
        speakers += [known.setdefault(row[2], row[2]) for row in rows]
        filled = block.stop
    return found[:filled], vectors[:filled], speakers


def _no_keys() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


def _selection(scope: Scope, where: Filter | None, retired: bool) -> tuple[str, list[Any]]:
    condition, values = covered(scope)
    parameters: list[Any] = list(values)
    condition += f" AND m.key {IN_BANK}"
    if not retired:
        condition += " AND m.invalidated_at IS NULL"
    if where is not None:
        accepted, values_ = compile_filter(where)
        condition += f" AND {accepted}"
        parameters += values_
    return condition, parameters


def _records(
    connection: sqlite3.Connection, banks: BankDirectory, rows: Sequence[tuple[Any, ...]]
) -> list[MemoryRecord]:
    known = banks.scopes(connection, (row[0] for row in rows))
    return [to_record(row, known[row[0]]) for row in rows]


def _operations(
    connection: sqlite3.Connection, banks: BankDirectory, rows: Sequence[tuple[Any, ...]]
) -> list[Operation]:
    known = banks.scopes(connection, (row[3] for row in rows))
    return [to_operation(row, known[row[3]]) for row in rows]
