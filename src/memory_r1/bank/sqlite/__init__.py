"""The default store: one SQLite file with log, projection, full-text index and vectors."""

from memory_r1.bank.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
