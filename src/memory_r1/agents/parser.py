"""Reads the Memory Manager's completion. It survives any text, and what it cannot use it names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory_r1.agents.json_object import first_object
from memory_r1.agents.text import clean
from memory_r1.bank.operation import OperationKind

_KINDS = {
    "ADD": OperationKind.ADD,
    "UPDATE": OperationKind.UPDATE,
    "DELETE": OperationKind.DELETE,
    "NOOP": OperationKind.NOOP,
    "NO-OP": OperationKind.NOOP,
    "NO_OP": OperationKind.NOOP,
    "NONE": OperationKind.NOOP,
}
_OP_KEYS = ("op", "event", "operation", "action")
_ID_KEYS = ("id", "memory_id", "index")
_TEXT_KEYS = ("text", "memory", "content", "data")
_INTEGER = re.compile(r"\s*[#\[(]?\s*(\d{1,9})\s*[\])]?\s*")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A completion as understood."""

    kind: OperationKind = OperationKind.ADD
    target: int | None = None
    text: str | None = None
    """Of the memory afterwards; None: the fact (ADD), or the memory and then the fact (UPDATE)."""
    rejected: str | None = None
    """Why the completion could not be used; the rest then is the fallback ADD."""
    doubted: str | None = None
    """What was said and not believed, and why; the rest then is what is done instead."""
    aside: bool = False
    """Whether what an ADD adds is hardly worth a memory of its own."""
    renews: bool = False
    """Whether an UPDATE without a text had one, which is not used: the fact changes what the memory says."""


def parse_decision(completion: str, candidates: int, *, shown: Collection[int] | None = None) -> Parsed:
    """Read one decision from a completion.

    The first complete JSON object counts. Mem0's spelling (`{"memory": [{"event": ...}]}`, `NONE`) is understood; of
    several entries there, the first that changes anything counts.

    Args:
        completion: What the model wrote, and nothing of the prompt.
        candidates: How many memories it chose from.
        shown: Indices of the candidates it was shown; None: all.

    Returns:
        A decision whose target, if any, is the index of a shown candidate. Never raises.

    Example:
        >>> parse_decision('{"op":"DELETE","id":0}', 1).kind.value
        'DELETE'
        >>> parse_decision('{"op":"DELETE","id":7}', 1).rejected
        'made-up id 7: the candidates are 0 to 0'
    """
    found = first_object(completion)
    if isinstance(found, str):
        if found == "cut off":
            return Parsed(rejected="the JSON object is cut off")
        return Parsed(rejected="no JSON object" if completion.strip() else "empty completion")
    entry = _entry(found)
    if entry is None:
        return Parsed(OperationKind.NOOP)
    return _checked(entry, range(candidates) if shown is None else shown)


def _entry(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The entry of a mem0-style list that changes something, None if none does; another object as it is."""
    entries = found.get("memory")
    if not isinstance(entries, list) or any(key in found for key in _OP_KEYS):
        return found
    usable = [entry for entry in entries if isinstance(entry, Mapping)]
    changing = [entry for entry in usable if _kind(entry) is not OperationKind.NOOP]
    return changing[0] if changing else (None if usable else found)


def _checked(entry: Mapping[str, Any], shown: Collection[int]) -> Parsed:
    kind = _kind(entry)
    if kind is None:
        return Parsed(rejected=_no_kind(entry))
    text = _text(entry)
    if kind is OperationKind.ADD:
        return Parsed(kind, text=text)
    target = _target(entry)
    if kind is OperationKind.NOOP:
        return Parsed(kind, target=target if target in shown else None)
    if target is None:
        return Parsed(rejected=f"{kind} without an id")
    if target not in shown:
        known = f"the candidates are {min(shown)} to {max(shown)}" if shown else "there are no candidates"
        return Parsed(rejected=f"made-up id {str(target)[:12]}: {known}")
    if kind is OperationKind.DELETE:
        return Parsed(kind, target=target)
    if text is None:
        written = any(key in entry for key in _TEXT_KEYS)
        return Parsed(rejected="UPDATE with an unusable text") if written else Parsed(kind, target=target)
    return Parsed(kind, target=target, text=text)


def _first(entry: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((entry[key] for key in keys if entry.get(key) is not None), None)


def _kind(entry: Mapping[str, Any]) -> OperationKind | None:
    value = _first(entry, _OP_KEYS)
    return _KINDS.get(value.strip().upper()) if isinstance(value, str) else None


def _no_kind(entry: Mapping[str, Any]) -> str:
    value = _first(entry, _OP_KEYS)
    return "no operation in the JSON object" if value is None else f"unknown operation {clean(str(value))[:40]!r}"


def _target(entry: Mapping[str, Any]) -> int | None:
    value = _first(entry, _ID_KEYS)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e9 else None
    if isinstance(value, int):
        return value
    match = _INTEGER.fullmatch(value)
    return int(match[1]) if match else None


def _text(entry: Mapping[str, Any]) -> str | None:
    value = _first(entry, _TEXT_KEYS)
    return (clean(value) or None) if isinstance(value, str) else None
