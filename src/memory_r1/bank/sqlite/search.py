"""Full-text search by BM25, over the FTS5 index.

FTS5's own `bm25()` counts every row of the whole file that holds a term, on every query. Here a term's rows are read
for the asked scope alone (its banks are ranges of keys, which FTS5 jumps to) and scored with numpy. A memory is short,
so a term counts once however often it stands in it; the length normalisation is BM25's.

Common terms cost most and tell least. A term is read up to a limit of rows, 2,000 or 2% of the scope; a term beyond it
is left out while rarer ones are there, and where all are common, only memories with several of them are looked at.
Banks of up to 2,000 memories are always searched in full. What is common in a scope may be rare among a part of it, so
where only a part is asked for, more rows of a term are read: up to 10% of the scope.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite.banks import IN_BANK, covered
from memory_r1.bank.store import TextMatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = Literal["text", "context", "both"]

_K1, _B = 1.2, 0.75
_MIN_ROWS = 2_000
_SHARE = 0.02
_SHARE_AMONG = 0.1
_MAX_TERMS = 64
_POOL = 64
_REMEMBERED = 10_000
_DRIFT = 1.1


class TextSearch:
    """Full-text search over one file. Remembers which terms are common in which scope."""

    def __init__(self) -> None:
        self._common: dict[tuple[Scope, str, float], tuple[int, int]] = {}

    def match(
        self,
        connection: sqlite3.Connection,
        scope: Scope,
        terms: Sequence[str],
        limit: int,
        columns: Columns,
        among: NDArray[np.int64] | None = None,
    ) -> list[TextMatch]:
        """The best memories of a scope, or of a part of it, for any of the terms. Run it in a snapshot."""
        condition, parameters = covered(scope)
        (live,) = connection.execute(f"SELECT sum(b.live) FROM banks b WHERE {condition}", parameters).fetchone()
        if not live or limit < 1:
            return []
        share = _SHARE if among is None else _SHARE_AMONG
        rows = max(_MIN_ROWS, int(live * share))
        # One text is twice as quick to take over from SQLite as a row for each key.
        sql = (
            "SELECT group_concat(key) FROM (SELECT f.rowid AS key FROM banks b CROSS JOIN fulltext f"
            f" WHERE {condition} AND f.fulltext MATCH ? AND f.rowid {IN_BANK} LIMIT ?)"
        )

        def read(query: str) -> NDArray[np.int64]:
            (keys,) = connection.execute(sql, (*parameters, query, rows + 1)).fetchone()
            return np.fromstring(keys or "", np.int64, sep=",")

        found: list[NDArray[np.int64]] = []
        common: list[tuple[int, str]] = []
        for query in _queries(terms, columns):
            reach = self._reach((scope, query, share), live)
            if reach is None:
                postings = read(query)
                if postings.size <= rows:
                    found.append(postings)
                    continue
                reach = int(postings[-1])
                self._remember((scope, query, share), live, reach)
            common.append((reach, query))
        if common and not any(postings.size for postings in found):
            # The further the limit reached into the bank, the rarer the term.
            found = _together(read, [query for _, query in sorted(common, reverse=True)], limit)
        if among is not None:
            found, live = [postings[_held(postings, among)] for postings in found], among.size
        return _score(connection, [postings for postings in found if postings.size], live, limit)

    def forget(self) -> None:
        """Forget everything."""
        self._common.clear()

    def _reach(self, term: tuple[Scope, str, float], live: int) -> int | None:
        """Where the limit was reached in the postings of a common term, if that is known and still about right."""
        known = self._common.get(term)
        if known is None or not known[0] / _DRIFT <= live <= known[0] * _DRIFT:
            return None
        return known[1]

    def _remember(self, term: tuple[Scope, str, float], live: int, reach: int) -> None:
        if len(self._common) >= _REMEMBERED:
            self._common.clear()
        self._common[term] = (live, reach)


def _held(keys: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which keys are in a rising array."""
    if not among.size:
        return np.zeros(keys.size, np.bool_)
    held: NDArray[np.bool_] = among[np.searchsorted(among, keys).clip(max=among.size - 1)] == keys
    return held


def _queries(terms: Sequence[str], columns: Columns) -> list[str]:
    """Each term as an FTS5 phrase, which no text can break out of."""
    within = "" if columns == "both" else f"{columns} : "
    words = dict.fromkeys(term.replace("\0", " ").casefold() for term in terms)
    return [f'{within}"{word.replace(chr(34), chr(34) * 2)}"' for word in words if word.strip()][:_MAX_TERMS]


def _together(read: Callable[[str], NDArray[np.int64]], queries: Sequence[str], limit: int) -> list[NDArray[np.int64]]:
    """Rows that hold many of the terms, rarest terms first, until there are enough."""
    found: list[NDArray[np.int64]] = []
    for size in range(len(queries), 0, -1):
        found.append(read(" AND ".join(queries[:size])))
        if found[-1].size >= limit:
            break
    return found


def _score(
    connection: sqlite3.Connection, postings: Sequence[NDArray[np.int64]], live: int, limit: int
) -> list[TextMatch]:
    if not postings:
        return []
    sizes = np.array([rows.size for rows in postings])
    weights = np.log1p((live - sizes + 0.5).clip(0.5) / (sizes + 0.5))
    keys, places = np.unique(np.concatenate(postings), return_inverse=True)
    sums = np.bincount(places, np.repeat(weights, sizes))
    pool = max(_POOL, 3 * limit)
    if keys.size > pool:
        best = np.argpartition(-sums, pool - 1)[:pool]
        keys, sums = keys[best], sums[best]
    scores = sums * (_K1 + 1) / (1 + _K1 * (1 - _B + _B * _lengths(connection, keys)))
    order = np.lexsort((keys, -scores))[:limit]
    return [TextMatch(key, score) for key, score in zip(keys[order].tolist(), scores[order].tolist(), strict=True)]


def _lengths(connection: sqlite3.Connection, keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tokens of each memory, over the mean of these memories."""
    rows = connection.execute(
        "SELECT d.sz FROM json_each(?) j CROSS JOIN fulltext_docsize d ON d.id = j.value ORDER BY j.id",
        (json.dumps(keys.tolist()),),
    )
    sizes = [row[0] for row in rows]
    joined = b"".join(sizes)
    lengths: NDArray[np.float64]
    if len(joined) == 2 * len(sizes) and max(joined) < 0x80:
        # one byte for each column, as nearly all memories have: no need to decode them one by one
        lengths = np.frombuffer(joined, np.uint8).reshape(-1, 2).sum(axis=1, dtype=np.float64)
    else:
        lengths = np.array([_tokens(size) for size in sizes], np.float64)
    return lengths / max(float(lengths.mean()), 1.0)


def _tokens(sizes: bytes) -> int:
    """Sum of a row of SQLite's varints, one for each column."""
    if max(sizes) < 0x80:
        return sum(sizes)
    total = value = 0
    for byte in sizes:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            total += value
            value = 0
    return total
