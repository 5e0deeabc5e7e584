"""What is remembered: memories, the log of operations, and the stores that keep them.

Names are loaded when they are first used, so importing this package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memory_r1.bank.fact import Fact
    from memory_r1.bank.filters import Filter, parse_filter
    from memory_r1.bank.log import as_of, fold, history
    from memory_r1.bank.memory import MemoryRecord, Provenance, content_hash
    from memory_r1.bank.operation import Candidate, Change, Decision, Operation, OperationKind
    from memory_r1.bank.portable import export_log, import_log
    from memory_r1.bank.scope import Scope
    from memory_r1.bank.sqlite import SqliteStore
    from memory_r1.bank.store import EmbedderIdentity, IndexBatch, Store, TextMatch

_HOMES = {
    "Candidate": "operation",
    "Change": "operation",
    "Decision": "operation",
    "EmbedderIdentity": "store",
    "Fact": "fact",
    "Filter": "filters",
    "IndexBatch": "store",
    "MemoryRecord": "memory",
    "Operation": "operation",
    "OperationKind": "operation",
    "Provenance": "memory",
    "Scope": "scope",
    "SqliteStore": "sqlite",
    "Store": "store",
    "TextMatch": "store",
    "as_of": "log",
    "content_hash": "memory",
    "export_log": "portable",
    "fold": "log",
    "history": "log",
    "import_log": "portable",
    "parse_filter": "filters",
}

__all__ = [
    "Candidate",
    "Change",
    "Decision",
    "EmbedderIdentity",
    "Fact",
    "Filter",
    "IndexBatch",
    "MemoryRecord",
    "Operation",
    "OperationKind",
    "Provenance",
    "Scope",
    "SqliteStore",
    "Store",
    "TextMatch",
    "as_of",
    "content_hash",
    "export_log",
    "fold",
    "history",
    "import_log",
    "parse_filter",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
