"""What `doctor` finds: a status, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """Works, or will, with something to know."""
    FAIL = "fail"
    """Something that memory-r1 needs is broken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result."""

    name: str
    status: Status
    detail: str
    advice: str = ""
    """What to do about it; empty if nothing is to be done."""


def ok(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, Status.OK, detail)


def warn(name: str, detail: str, advice: str) -> Finding:
    """Something to know."""
    return Finding(name, Status.WARN, detail, advice)


def fail(name: str, detail: str, advice: str) -> Finding:
    """Something is broken."""
    return Finding(name, Status.FAIL, detail, advice)
