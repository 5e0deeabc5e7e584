"""What is remembered: one entry of a bank."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from memory_r1.bank.scope import Scope


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a memory's words came from. All fields are optional; what is unknown is None."""

    turn_id: str | None = None
    """The turn that stated it, e.g. `D1:3` in LoCoMo."""
    session_id: str | None = None
    """The session that holds the turn."""
    turn_index: int | None = None
    """The turn's position in its conversation, counted from 0; neighbours in time have neighbouring numbers."""
    speaker: str | None = None
    """Who said it."""
    role: str | None = None
    """The chat role of the message: user, assistant or system."""
    source: str | None = None
    """Where it entered: chat, import, api, a document's name."""


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """One memory as it stands after some operation. All times are aware and in UTC."""

    id: str
    scope: Scope
    text: str
    created_at: datetime
    updated_at: datetime
    version: int = 1
    """1 after ADD, one more after each UPDATE or DELETE; an undo brings back the earlier number."""
    event_time: datetime | None = None
    """When what the text tells was said or happened."""
    invalidated_at: datetime | None = None
    """When a DELETE retired it; None while it is live."""
    provenance: Provenance = field(default_factory=Provenance)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The caller's own JSON-able values."""

    @property
    def live(self) -> bool:
        """Whether the memory is part of the current bank."""
        return self.invalidated_at is None

    @property
    def content_hash(self) -> str:
        """SHA-256 of the normalised text: two live memories of one bank never share it."""
        return content_hash(self.text)


def content_hash(text: str) -> str:
    """Hash a text so that case, surrounding and repeated white space make no difference.

    Example:
        >>> content_hash("Ann  likes tea ") == content_hash("ann likes tea")
        True
    """
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()
