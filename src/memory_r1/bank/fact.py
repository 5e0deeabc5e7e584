"""One self-contained statement taken from a turn, before the manager has decided on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from memory_r1.bank.memory import Provenance


@dataclass(frozen=True, slots=True)
class Fact:
    """A statement that stands on its own, with the time it was said and where it came from."""

    text: str
    event_time: datetime | None = None
    provenance: Provenance = field(default_factory=Provenance)
