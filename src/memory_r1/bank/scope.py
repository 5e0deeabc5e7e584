"""Whose memories: the scope that every read and write names."""

from __future__ import annotations

from dataclasses import dataclass

from memory_r1.errors import ScopeError

SCOPE_FIELDS = ("user_id", "agent_id", "run_id")


@dataclass(frozen=True, slots=True)
class Scope:
    """The owner of memories, by up to three ids. At least one is set.

    A *write* goes to exactly this bank. A *read* sees every bank that the scope covers: an id left out matches any
    value, so `Scope(user_id="ann")` reads all of Ann's memories, those of one run included.

    Raises:
        ScopeError: No id is given, or one is not a non-blank string of at most 256 characters without NUL.

    Example:
        >>> Scope(user_id="ann").covers(Scope(user_id="ann", run_id="r1"))
        True
        >>> Scope(user_id="ann", run_id="r1").covers(Scope(user_id="ann"))
        False
    """

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in SCOPE_FIELDS if getattr(self, name) is not None}
        if not given:
            raise ScopeError("No scope was given.", hint="Pass at least one of user_id, agent_id, run_id.")
        for name, value in given.items():
            if not isinstance(value, str) or not value.strip() or len(value) > 256 or "\0" in value:
                raise ScopeError(
                    f"{name}={value!r} is not a usable id.",
                    hint="Use a non-blank string of at most 256 characters.",
                )
            if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
                raise ScopeError(f"{name} holds a lone surrogate.", hint="Use well-formed Unicode.")

    def covers(self, other: Scope) -> bool:
        """Whether a read in this scope may see memories of the bank `other`."""
        return all(getattr(self, name) in (None, getattr(other, name)) for name in SCOPE_FIELDS)

    def as_dict(self) -> dict[str, str]:
        """The ids that are set, by name."""
        return {name: getattr(self, name) for name in SCOPE_FIELDS if getattr(self, name) is not None}
