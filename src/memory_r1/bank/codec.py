"""Memories, decisions and operations as JSON: one form for the log on disk and for exported files.

What is None or empty is left out. Times are ISO 8601 in UTC, so that a person can read a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.operation import Candidate, Decision, Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.text import check_text
from memory_r1.errors import InvalidInputError

PROVENANCE_FIELDS = ("turn_id", "session_id", "turn_index", "speaker", "role", "source")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dumps(value: Any) -> str:
    """Compact JSON.

    Raises:
        InvalidInputError: A value has no JSON form (a set, NaN, an object).
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"A value cannot be stored as JSON: {error}.",
            hint="Use text, finite numbers, booleans, None, lists and dictionaries.",
        ) from error


def encode_time(time: datetime) -> str:
    """A time as ISO 8601 in UTC.

    Raises:
        InvalidInputError: The time has no zone.

    Example:
        >>> encode_time(datetime(2023, 5, 8, 13, 56, tzinfo=UTC))
        '2023-05-08T13:56:00+00:00'
    """
    return time.isoformat() if time.tzinfo is UTC else aware(time).isoformat()


def aware(time: datetime) -> datetime:
    """The same instant in UTC.

    Raises:
        InvalidInputError: The time has no zone.
    """
    if time.tzinfo is UTC:
        return time
    if time.tzinfo is None:
        raise InvalidInputError(
            f"The time {time.isoformat()} has no time zone.", hint="Use aware times, e.g. datetime.now(timezone.utc)."
        )
    return time.astimezone(UTC)


def decode_time(text: str) -> datetime:
    """The inverse of `encode_time`.

    Raises:
        ValueError: The text is not an ISO 8601 time with a zone.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"the time {text!r} has no zone")
    return time.astimezone(UTC)


def encode_record(record: MemoryRecord) -> dict[str, Any]:
    """A memory without its id and scope, which stand beside it wherever it is written."""
    out: dict[str, Any] = {
        "text": record.text,
        "version": record.version,
        "created_at": encode_time(record.created_at),
        "updated_at": encode_time(record.updated_at),
    }
    if record.event_time is not None:
        out["event_time"] = encode_time(record.event_time)
    if record.invalidated_at is not None:
        out["invalidated_at"] = encode_time(record.invalidated_at)
    if provenance := encode_provenance(record.provenance):
        out["provenance"] = provenance
    if record.metadata:
        out["metadata"] = dict(record.metadata)
    return out


def decode_record(data: Mapping[str, Any], memory_id: str, scope: Scope) -> MemoryRecord:
    """The inverse of `encode_record`."""
    event_time, invalidated_at = data.get("event_time"), data.get("invalidated_at")
    return MemoryRecord(
        memory_id,
        scope,
        data["text"],
        decode_time(data["created_at"]),
        decode_time(data["updated_at"]),
        data["version"],
        None if event_time is None else decode_time(event_time),
        None if invalidated_at is None else decode_time(invalidated_at),
        Provenance(**data.get("provenance", {})),
        data.get("metadata", {}),
    )


def encode_provenance(provenance: Provenance) -> dict[str, Any]:
    """The fields that are known."""
    return {name: value for name in PROVENANCE_FIELDS if (value := getattr(provenance, name)) is not None}


def encode_decision(decision: Decision) -> dict[str, Any]:
    """A decision with everything it carries."""
    fact: dict[str, Any] = {"text": decision.fact.text}
    if decision.fact.event_time is not None:
        fact["event_time"] = encode_time(decision.fact.event_time)
    if provenance := encode_provenance(decision.fact.provenance):
        fact["provenance"] = provenance
    out: dict[str, Any] = {"fact": fact}
    if decision.candidates:
        out["candidates"] = [[candidate.memory_id, candidate.version] for candidate in decision.candidates]
    if decision.rejected is not None:
        out["rejected"] = decision.rejected
    if decision.doubted is not None:
        out["doubted"] = decision.doubted
    for name in ("raw", "policy", "prompt_tokens", "completion_tokens", "seconds"):
        if value := getattr(decision, name):
            out[name] = value
    return out


def decode_decision(data: Mapping[str, Any]) -> Decision:
    """The inverse of `encode_decision`."""
    fact = data["fact"]
    event_time = fact.get("event_time")
    return Decision(
        fact=Fact(
            fact["text"],
            None if event_time is None else decode_time(event_time),
            Provenance(**fact.get("provenance", {})),
        ),
        candidates=tuple(Candidate(memory_id, version) for memory_id, version in data.get("candidates", ())),
        raw=data.get("raw", ""),
        policy=data.get("policy", ""),
        rejected=data.get("rejected"),
        doubted=data.get("doubted"),
        prompt_tokens=data.get("prompt_tokens", 0),
        completion_tokens=data.get("completion_tokens", 0),
        seconds=data.get("seconds", 0.0),
    )


def encode_operation(operation: Operation) -> dict[str, Any]:
    """An operation with everything it carries but its place in the log."""
    out: dict[str, Any] = {
        "id": operation.id,
        "kind": operation.kind.value,
        "scope": operation.scope.as_dict(),
        "at": encode_time(operation.at),
        "actor": operation.actor,
    }
    for name in ("memory_id", "undoes", "idempotency_key"):
        if (value := getattr(operation, name)) is not None:
            out[name] = value
    if operation.before is not None:
        out["before"] = encode_record(operation.before)
    if operation.after is not None and operation.kind is not OperationKind.NOOP:
        out["after"] = encode_record(operation.after)
    if operation.decision is not None:
        out["decision"] = encode_decision(operation.decision)
    return out


def decode_operation(data: Mapping[str, Any]) -> Operation:
    """The inverse of `encode_operation`; `seq` is 0.

    Raises:
        InvalidInputError: A text cannot be stored.
        ValueError, TypeError, KeyError, AttributeError: It is not what `encode_operation` writes.
    """
    scope, memory_id, kind = Scope(**data["scope"]), data.get("memory_id"), OperationKind(data["kind"])
    before, after = (_decode_state(data.get(name), memory_id, scope) for name in ("before", "after"))
    decision = data.get("decision")
    return Operation(
        seq=0,
        id=check_text(data["id"], what="The id"),
        kind=kind,
        scope=scope,
        at=decode_time(data["at"]),
        memory_id=memory_id,
        before=before,
        after=before if kind is OperationKind.NOOP else after,
        decision=None if decision is None else decode_decision(decision),
        undoes=data.get("undoes"),
        actor=data["actor"],
        idempotency_key=data.get("idempotency_key"),
    )


def _decode_state(data: Mapping[str, Any] | None, memory_id: Any, scope: Scope) -> MemoryRecord | None:
    if data is None:
        return None
    check_text(data["text"])
    return decode_record(data, check_text(memory_id, what="The memory's id"), scope)
