"""The current memories and what finds them: rows, attributes, vectors, full text. Written only by the log writer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from memory_r1.bank.codec import dumps
from memory_r1.bank.memory import MemoryRecord, content_hash
from memory_r1.bank.sqlite.banks import Bank
from memory_r1.bank.sqlite.rows import RECORD_COLUMNS, from_record, to_micros, to_record
from memory_r1.bank.sqlite.schema import BANK_SHIFT
from memory_r1.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLUMNS = (
    "seq, hash, text, context, created_at, updated_at, version, event_time, invalidated_at,"
    " turn_id, session_id, turn_index, speaker, role, source, metadata"
)
_SELECT = f"SELECT {RECORD_COLUMNS}, m.key, m.seq, m.context FROM memories m WHERE m.id = ?"
_SELECT_MANY = (
    f"SELECT {RECORD_COLUMNS}, m.key, m.seq, m.context FROM json_each(?) j CROSS JOIN memories m ON m.id = j.value"
)
_COUNT = _COLUMNS.count(",") + 1
_INSERT = f"INSERT INTO memories (key, id, bank, {_COLUMNS}) VALUES ({', '.join('?' * (_COUNT + 3))})"
_UPDATE = f"UPDATE memories SET ({_COLUMNS}) = ({', '.join('?' * _COUNT)}) WHERE key = ?"
_RETIRE = "UPDATE memories SET seq = ?, updated_at = ?, version = ?, invalidated_at = ? WHERE key = ?"


@dataclass(frozen=True, slots=True)
class Standing:
    """A memory as the projection holds it."""

    key: int
    bank: int
    seq: int
    """The operation that left this state."""
    context: str
    record: MemoryRecord


@dataclass(slots=True)
class _Indexed:
    """What the full-text index holds for a memory, and what it should hold when the transaction ends."""

    old: tuple[str, str] | None
    new: tuple[str, str] | None


class Projection:
    """Writes states inside one transaction. `finish` must be called before it commits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._fulltext: dict[int, _Indexed] = {}
        self._vectors: dict[int, bytes | None] = {}
        self._prefetched: dict[str, tuple[Any, ...]] = {}

    def prefetch(self, memory_ids: Sequence[str]) -> None:
        """Read many memories at once that will be asked for one by one."""
        if len(memory_ids) > 1:
            rows = self._connection.execute(_SELECT_MANY, (dumps(memory_ids),)).fetchall()
            self._prefetched = {row[1]: row for row in rows}

    def standing(self, memory_id: str, bank: Bank) -> Standing | None:
        """The memory as it stands in this bank, or None if the bank does not have it."""
        row = self._prefetched.pop(memory_id, None)
        if row is None:
            row = self._connection.execute(_SELECT, (memory_id,)).fetchone()
        if row is None or row[0] != bank.key:
            return None
        return Standing(row[15], row[0], row[16], row[17], to_record(row, bank.scope))

    def holder(self, bank: Bank, text: str) -> str | None:
        """Id of the live memory of a bank that has this text, or None."""
        row = self._connection.execute(
            "SELECT id FROM memories WHERE bank = ? AND hash = ? AND invalidated_at IS NULL",
            (bank.key, _digest(text)),
        ).fetchone()
        return None if row is None else row[0]

    def put(self, bank: Bank, standing: Standing | None, key: int | None, seq: int, after: MemoryRecord) -> int:
        """Write a state; return the memory's key.

        Args:
            bank: Its bank.
            standing: The state it replaces, or None.
            key: Key of a memory that was removed and comes back, or None for the next free one.
            seq: The operation that leaves this state.
            after: The state; its metadata as `plain` returns it.
        """
        if standing is not None and _only_lives_or_dies(standing.record, after):
            self._set_life(bank, standing, seq, after)
            return standing.key
        metadata = dumps(after.metadata) if after.metadata else "{}"
        values = (seq, _digest(after.text), *from_record(after, metadata))
        if standing is not None:
            key = standing.key
            self._connection.execute(_UPDATE, (*values, key))
        else:
            if key is None:
                key = bank.key << BANK_SHIFT | bank.next
                bank.next += 1
            self._connection.execute(_INSERT, (key, after.id, bank.key, *values))
        before = standing.record if standing is not None else None
        if (before.metadata if before is not None else {}) != after.metadata:
            self._put_attributes(key, after)
        bank.live += after.live - (before is not None and before.live)
        self._index(key, standing, (after.text, values[3]) if after.live else None)
        return key

    def _set_life(self, bank: Bank, standing: Standing, seq: int, after: MemoryRecord) -> None:
        ended = None if after.invalidated_at is None else to_micros(after.invalidated_at)
        self._connection.execute(_RETIRE, (seq, to_micros(after.updated_at), after.version, ended, standing.key))
        bank.live += after.live - standing.record.live
        self._index(standing.key, standing, (after.text, standing.context) if after.live else None)

    def remove(self, bank: Bank, standing: Standing) -> None:
        """Take a memory out."""
        key = standing.key
        self._connection.execute("DELETE FROM memories WHERE key = ?", (key,))
        if standing.record.metadata:
            self._connection.execute("DELETE FROM attributes WHERE memory = ?", (key,))
        bank.live -= standing.record.live
        self._vectors[key] = None
        self._index(key, standing, None)

    def put_vector(self, key: int, vector: NDArray[np.float32] | None) -> None:
        """Give a memory its vector, or take it away."""
        self._vectors[key] = None if vector is None else vector.tobytes()

    def finish(self) -> None:
        """Bring vectors and full text up to date, in key order: that is how FTS5 takes rows fastest."""
        keys = sorted(self._vectors)
        vectors = [(key, blob) for key in keys if (blob := self._vectors[key]) is not None]
        gone = [(key,) for key in keys if self._vectors[key] is None]
        if vectors:
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", vectors)
        if gone:
            self._connection.executemany("DELETE FROM vectors WHERE memory = ?", gone)
        changed = sorted((key, entry) for key, entry in self._fulltext.items() if entry.old != entry.new)
        old = [(key, *entry.old) for key, entry in changed if entry.old is not None]
        new = [(key, *entry.new) for key, entry in changed if entry.new is not None]
        if old:
            self._connection.executemany(
                "INSERT INTO fulltext (fulltext, rowid, text, context) VALUES ('delete', ?, ?, ?)", old
            )
        if new:
            self._connection.executemany("INSERT INTO fulltext (rowid, text, context) VALUES (?, ?, ?)", new)

    def _index(self, key: int, standing: Standing | None, new: tuple[str, str] | None) -> None:
        if key in self._fulltext:
            self._fulltext[key].new = new
            return
        old = None
        if standing is not None and standing.record.live:
            old = (standing.record.text, standing.context)
        self._fulltext[key] = _Indexed(old, new)

    def _put_attributes(self, key: int, after: MemoryRecord) -> None:
        self._connection.execute("DELETE FROM attributes WHERE memory = ?", (key,))
        self._connection.executemany(
            "INSERT INTO attributes VALUES (?, ?, ?, ?, ?)", ((key, *row) for row in _attributes(after))
        )


def _only_lives_or_dies(before: MemoryRecord, after: MemoryRecord) -> bool:
    """Whether the two differ in nothing but version, update and end: so it is with DELETE, whose speed this is for."""
    return (
        before.text == after.text
        and before.provenance == after.provenance
        and before.metadata == after.metadata
        and before.event_time == after.event_time
        and before.created_at == after.created_at
    )


def _digest(text: str) -> bytes:
    return bytes.fromhex(content_hash(text))


def _attributes(record: MemoryRecord) -> Iterator[tuple[str, int, str, Any]]:
    """(name, position, kind, value) of the metadata's top level."""
    for name, value in record.metadata.items():
        if isinstance(value, bool):
            yield name, 0, "bool", int(value)
        elif isinstance(value, int):
            yield name, 0, "number", value if -(2**63) <= value < 2**63 else _as_float(value)
        elif isinstance(value, float):
            yield name, 0, "number", value
        elif isinstance(value, str):
            yield name, 0, "text", value
        else:
            kind = "null" if value is None else "list" if isinstance(value, list) else "object"
            yield name, 0, kind, None
            if kind == "list":
                texts = [item for item in value if isinstance(item, str)]
                yield from ((name, place, "item", text) for place, text in enumerate(texts, 1))


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def plain(record: MemoryRecord) -> MemoryRecord:
    """The record with its metadata as JSON gives it back: tuples become lists, numbers as keys become texts.

    Raises:
        InvalidInputError: The metadata has no JSON form, or a NUL in it.
    """
    if not record.metadata:
        return record
    text = dumps(dict(record.metadata))
    metadata = json.loads(text)
    if "\\u0000" in text and _holds_nul(metadata):
        raise InvalidInputError("The metadata hold a NUL character.", hint="Remove it.")
    return replace(record, metadata=metadata)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))
