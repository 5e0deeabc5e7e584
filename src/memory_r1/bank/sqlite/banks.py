"""Banks by number: which ones a scope covers, and whose a number is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from memory_r1.bank.scope import SCOPE_FIELDS, Scope
from memory_r1.bank.sqlite.schema import BANK_SHIFT

_SIZE = 1 << BANK_SHIFT
IN_BANK = f"BETWEEN b.key * {_SIZE} AND b.key * {_SIZE} + {_SIZE - 1}"
"""SQL for "is a key of the bank b"."""


def covered(scope: Scope) -> tuple[str, list[str]]:
    """SQL condition on `banks AS b`, with its parameters, for the banks that a read in this scope sees."""
    given = scope.as_dict()
    return " AND ".join(f"b.{name} = ?" for name in given), list(given.values())


@dataclass(slots=True)
class Bank:
    """One row of `banks` during a write."""

    key: int
    scope: Scope
    next: int
    live: int


class BankDirectory:
    """Scopes by bank number, remembered. Numbers are never given out twice, so nothing here goes stale."""

    def __init__(self) -> None:
        self._scopes: dict[int, Scope] = {}

    def scopes(self, connection: sqlite3.Connection, keys: Iterable[int]) -> dict[int, Scope]:
        """The scope of each bank that is asked for (and of others)."""
        known = self._scopes
        for key in set(keys).difference(known):
            row = connection.execute("SELECT user_id, agent_id, run_id FROM banks WHERE key = ?", (key,)).fetchone()
            known[key] = Scope(*row)
        return known

    @staticmethod
    def load(connection: sqlite3.Connection, scope: Scope) -> Bank | None:
        """The bank of exactly this scope, or None if nothing was ever written to it."""
        row = connection.execute(
            "SELECT key, next, live FROM banks"
            " WHERE ifnull(user_id, '') = ? AND ifnull(agent_id, '') = ? AND ifnull(run_id, '') = ?",
            [getattr(scope, name) or "" for name in SCOPE_FIELDS],
        ).fetchone()
        return None if row is None else Bank(row[0], scope, row[1], row[2])
