"""The dictionaries that `Memory` returns: mem0's shapes, with our additions beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Operation, OperationKind
from memory_r1.errors import InvalidInputError

EXPIRATION = "expiration_date"


def item(record: MemoryRecord, score: float | None = None, parts: Mapping[str, float] | None = None) -> dict[str, Any]:
    """One memory, as `get`, `get_all` and `search` return it."""
    created = record.created_at.isoformat()
    # most memories never change, and a search formats thirty of them
    updated = created if record.updated_at == record.created_at else record.updated_at.isoformat()
    shaped: dict[str, Any] = {
        "id": record.id,
        "memory": record.text,
        "hash": record.content_hash,
        "metadata": {key: value for key, value in record.metadata.items() if key != EXPIRATION} or None,
        "created_at": created,
        "updated_at": updated,
        **record.scope.as_dict(),
        "version": record.version,
    }
    if score is not None:
        shaped["score"] = score
    if record.event_time is not None:
        shaped["event_time"] = record.event_time.isoformat()
    if record.provenance.speaker:
        shaped["actor_id"] = record.provenance.speaker
    if record.provenance.role:
        shaped["role"] = record.provenance.role
    if EXPIRATION in record.metadata:
        shaped[EXPIRATION] = record.metadata[EXPIRATION]
    if parts is not None:
        shaped["score_details"] = dict(parts)
    return shaped


def event(operation: Operation) -> dict[str, Any]:
    """One operation, as `add` returns it."""
    record = operation.after or operation.before
    shaped: dict[str, Any] = {
        "id": operation.memory_id,
        "memory": record.text if record else (operation.decision.fact.text if operation.decision else ""),
        "event": operation.kind.value,
        "operation_id": operation.id,
    }
    if operation.kind is OperationKind.UPDATE and operation.before:
        shaped["previous_memory"] = operation.before.text
    if operation.decision and operation.decision.rejected:
        shaped["rejected"] = operation.decision.rejected
    if record and record.provenance.speaker:
        shaped["actor_id"] = record.provenance.speaker
    if record and record.provenance.role:
        shaped["role"] = record.provenance.role
    return shaped


def history_row(operation: Operation) -> dict[str, Any]:
    """One operation on a memory, as `history` returns it."""
    before, after = operation.before, operation.after
    record = after or before
    return {
        "id": operation.id,
        "memory_id": operation.memory_id,
        "old_memory": before.text if before else None,
        "new_memory": after.text if after and after.live else None,
        "event": operation.kind.value,
        "created_at": record.created_at.isoformat() if record else None,
        "updated_at": operation.at.isoformat(),
        "is_deleted": after is None or not after.live,
        "actor_id": record.provenance.speaker if record else None,
        "role": record.provenance.role if record else None,
        "version": after.version if after else None,
        "actor": operation.actor,
        "undoes": operation.undoes,
    }


def check_metadata(metadata: Mapping[str, Any] | None, expiration_date: object = None) -> dict[str, Any]:
    """A caller's metadata as it is stored.

    Raises:
        InvalidInputError: It is no mapping of strings to JSON values.
    """
    import json

    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidInputError(f"metadata is a {type(metadata).__name__}.", hint="Pass a dictionary.")
    kept = dict(metadata or {})
    if expiration_date is not None:
        from memory_r1.messages import to_time

        kept[EXPIRATION] = to_time(expiration_date, what=EXPIRATION).date().isoformat()
    try:
        text = json.dumps(kept, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"metadata cannot be written as JSON: {error}.", hint="Use JSON values only."
        ) from error
    if not all(isinstance(key, str) for key in kept) or "\\u0000" in text:
        raise InvalidInputError("metadata has a key that is no string, or holds a NUL.", hint="Use plain strings.")
    return kept
