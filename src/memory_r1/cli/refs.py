"""Short names for operations and memories, as people type them: `#12`, or the first characters of an id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from memory_r1.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from memory_r1.cli.options import ScopeIds
    from memory_r1.memory import Memory

FULL_ID = 32
"""An id at least this long is taken as it is."""
LEAST_PREFIX = 4


def operation_id(memory: Memory, scope: ScopeIds, reference: str) -> str:
    """The id of the operation that `#12`, `12`, an id or its beginning means.

    Raises:
        NotFoundError: No operation of this scope is called so.
        InvalidInputError: Several are.
    """
    if len(reference) >= FULL_ID:
        return reference
    log = memory.log(**scope, newest_first=True)
    number = reference.removeprefix("#")
    if reference.startswith("#") or (number.isdecimal() and len(number) < LEAST_PREFIX + 2):
        for operation in log:
            if str(operation.seq) == number:
                return operation.id
    return _by_prefix(reference, (operation.id for operation in log), "operation", "`memory-r1 log` lists them.")


def memory_id(memory: Memory, scope: ScopeIds, reference: str) -> str:
    """The id of the memory, live or not, that an id or its beginning means.

    Raises:
        NotFoundError: No memory of this scope is called so.
        InvalidInputError: Several are.
    """
    if len(reference) >= FULL_ID:
        return reference
    ids = (operation.memory_id for operation in memory.log(**scope) if operation.memory_id)
    return _by_prefix(reference, ids, "memory", "`memory-r1 list` and `memory-r1 log` show their ids.")


def _by_prefix(reference: str, ids: Iterable[str], what: str, hint: str) -> str:
    found = {name for name in ids if name.startswith(reference)} if len(reference) >= LEAST_PREFIX else set()
    if len(found) > 1:
        raise InvalidInputError(f"{len(found)} {what} ids begin with {reference!r}.", hint="Give more of it.")
    for name in found:
        return name
    raise NotFoundError(f"No {what} of this scope is called {reference!r}.", hint=hint)
