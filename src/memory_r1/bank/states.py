"""The states that operations leave a memory in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.scope import Scope


def added(fact: Fact, scope: Scope, text: str, metadata: Mapping[str, Any] | None) -> MemoryRecord:
    """The memory that an ADD leaves behind."""
    now = datetime.now(UTC)
    return MemoryRecord(
        id=str(uuid.uuid4()),
        scope=scope,
        text=text,
        created_at=now,
        updated_at=now,
        event_time=fact.event_time,
        provenance=fact.provenance,
        metadata=dict(metadata or {}),
    )


def updated(memory: MemoryRecord, text: str, fact: Fact, metadata: Mapping[str, Any] | None) -> MemoryRecord:
    """The memory that an UPDATE leaves behind: same id, next version, provenance of the newest fact."""
    return replace(
        memory,
        text=text,
        version=memory.version + 1,
        updated_at=datetime.now(UTC),
        event_time=fact.event_time or memory.event_time,
        provenance=fact.provenance,
        metadata={**memory.metadata, **(metadata or {})},
    )


def retired(memory: MemoryRecord) -> MemoryRecord:
    """The memory that a DELETE leaves behind: kept, and no longer live."""
    now = datetime.now(UTC)
    return replace(memory, version=memory.version + 1, updated_at=now, invalidated_at=now)
