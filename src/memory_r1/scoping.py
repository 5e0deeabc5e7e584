"""Reads the scope out of a call: mem0's two spellings, `user_id=...` and `filters={"user_id": ...}`, mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory_r1.bank.scope import SCOPE_FIELDS, Scope
from memory_r1.errors import InvalidInputError, ScopeError


def split_scope(
    filters: Mapping[str, Any] | None, ids: Mapping[str, str | None]
) -> tuple[Scope, Mapping[str, Any] | None]:
    """Separate the ids that name the scope from the filters that remain.

    Args:
        filters: mem0's filter grammar. Ids count where they must hold: at the top level and inside AND.
        ids: `user_id`, `agent_id`, `run_id` as given by keyword; None is not given.

    Returns:
        The scope, and the filters without its ids (None if nothing is left).

    Raises:
        ScopeError: No id is given either way, or both ways disagree.
        InvalidInputError: `filters` is not a mapping.

    Example:
        >>> split_scope({"user_id": "ann", "topic": "pets"}, {})
        (Scope(user_id='ann', agent_id=None, run_id=None), {'topic': 'pets'})
    """
    if filters is not None and not isinstance(filters, Mapping):
        raise InvalidInputError(f"filters is a {type(filters).__name__}.", hint="Pass a dictionary.")
    found = {name: value for name, value in ids.items() if value is not None}
    rest = _take(filters, found) if filters else {}
    return Scope(**found), rest or None


def _take(filters: Mapping[str, Any], found: dict[str, str]) -> dict[str, Any]:
    rest: dict[str, Any] = {}
    for key, value in filters.items():
        if key in SCOPE_FIELDS and (name := _id(value)) is not None:
            if found.setdefault(key, name) != name:
                raise ScopeError(f"{key} is given twice, as {found[key]!r} and {name!r}.", hint="Give it once.")
        elif key == "AND" and isinstance(value, list):
            parts = [_take(part, found) if isinstance(part, Mapping) else part for part in value]
            if kept := [part for part in parts if part]:
                rest[key] = kept
        else:
            rest[key] = value
    return rest


def _id(value: Any) -> str | None:
    if isinstance(value, Mapping) and set(value) == {"eq"}:
        value = value["eq"]
    return value if isinstance(value, str) and value != "*" else None
