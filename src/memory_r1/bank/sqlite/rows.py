"""Between rows of the tables and the objects they stand for. Times are integers: microseconds since 1970, UTC."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from memory_r1.bank.codec import aware, decode_decision, decode_record
from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.operation import Operation, OperationKind
from memory_r1.bank.scope import Scope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

RECORD_COLUMNS = (
    "m.bank, m.id, m.text, m.created_at, m.updated_at, m.version, m.event_time, m.invalidated_at,"
    " m.turn_id, m.session_id, m.turn_index, m.speaker, m.role, m.source, m.metadata"
)
"""What `to_record` reads, in its order, from `memories AS m`."""

OPERATION_COLUMNS = (
    "o.seq, o.id, o.kind, o.bank, o.at, o.memory_id, p.state, o.state, o.decision, o.undoes, o.actor, o.idempotency_key"
)
OPERATION_TABLES = "operations o LEFT JOIN operations p ON p.seq = o.prior"


def to_micros(time: datetime) -> int:
    """A time as the tables hold it.

    Raises:
        InvalidInputError: It has no zone.
    """
    try:
        since = time - _EPOCH
    except TypeError:
        since = aware(time) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """The inverse of `to_micros`."""
    return _EPOCH + timedelta(0, 0, micros)


def context_of(record: MemoryRecord) -> str:
    """The words around a memory that a search may name: who said it, and on which day.

    Example:
        >>> when = datetime(2023, 5, 8, tzinfo=UTC)
        >>> provenance = Provenance(speaker="Ann")
        >>> context_of(MemoryRecord("m", Scope("u"), "Tea", when, when, event_time=when, provenance=provenance))
        'Ann 8 May 2023'
    """
    words = [record.provenance.speaker or ""]
    if record.event_time is not None:
        time = aware(record.event_time)
        words.append(f"{time.day} {_MONTHS[time.month - 1]} {time.year}")
    return " ".join(words).strip()


def to_record(row: tuple[Any, ...], scope: Scope) -> MemoryRecord:
    """A memory from the columns of `RECORD_COLUMNS`, its bank already looked up."""
    event_time, invalidated_at, metadata = row[6], row[7], row[14]
    return MemoryRecord(
        row[1],
        scope,
        row[2],
        from_micros(row[3]),
        from_micros(row[4]),
        row[5],
        None if event_time is None else from_micros(event_time),
        None if invalidated_at is None else from_micros(invalidated_at),
        Provenance(*row[8:14]),
        {} if metadata == "{}" else json.loads(metadata),
    )


def from_record(record: MemoryRecord, metadata: str) -> tuple[Any, ...]:
    """The columns of `memories` that a record fills, from `text` to `metadata`."""
    provenance = record.provenance
    return (
        record.text,
        context_of(record),
        to_micros(record.created_at),
        to_micros(record.updated_at),
        record.version,
        None if record.event_time is None else to_micros(record.event_time),
        None if record.invalidated_at is None else to_micros(record.invalidated_at),
        provenance.turn_id,
        provenance.session_id,
        provenance.turn_index,
        provenance.speaker,
        provenance.role,
        provenance.source,
        metadata,
    )


def to_operation(row: tuple[Any, ...], scope: Scope) -> Operation:
    """An operation from the columns of `OPERATION_COLUMNS`, its bank already looked up."""
    seq, operation_id, kind, _, at, memory_id, prior, state, decision, undoes, actor, idempotency_key = row
    before = None if prior is None else decode_record(json.loads(prior), memory_id, scope)
    after = None if state is None else decode_record(json.loads(state), memory_id, scope)
    return Operation(
        seq,
        operation_id,
        OperationKind(kind),
        scope,
        from_micros(at),
        memory_id,
        before,
        before if kind == "NOOP" else after,
        None if decision is None else decode_decision(json.loads(decision)),
        undoes,
        actor,
        idempotency_key,
    )
