"""Real deletion: after it the file and its write-ahead log hold no byte of what was erased."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence

from memory_r1.bank.codec import dumps
from memory_r1.errors import NotFoundError, StoreError

_SCRUBBED = "erased"


def scrub(connection: sqlite3.Connection, memory_ids: Sequence[str]) -> dict[str, list[str]]:
    """Remove from the log what it says about memories, within a transaction.

    Their operations keep kind, time and ids; states, facts, raw outputs and idempotency keys go. A decision on another
    memory that saw one of them loses its raw output, and its fact if that repeats an erased text or led to nothing.

    Returns:
        The texts that each memory ever had. A memory whose texts are gone already is left out.

    Raises:
        NotFoundError: The log has never named an id.
    """
    erased: dict[str, list[str]] = {}
    for memory_id in dict.fromkeys(memory_ids):
        rows = connection.execute(
            "SELECT seq, kind, state, decision FROM operations WHERE memory_id = ? ORDER BY seq",
            (memory_id,),
        ).fetchall()
        if not rows:
            raise NotFoundError(f"No memory has the id {memory_id!r}.", hint="Nothing was erased.")
        if rows[-1][1] == "ERASE":
            continue
        erased[memory_id] = [json.loads(state)["text"] for _, _, state, _ in rows if state is not None]
        connection.executemany(
            "UPDATE operations SET prior = NULL, state = NULL, idempotency_key = NULL, decision = ? WHERE seq = ?",
            [(None if decision is None else _bare(decision), seq) for seq, _, _, decision in rows],
        )
    if erased:
        _scrub_onlookers(connection, set(erased), [text for texts in erased.values() for text in texts])
    return erased


def _scrub_onlookers(connection: sqlite3.Connection, memory_ids: set[str], texts: Iterable[str]) -> None:
    folded = [text.casefold() for text in texts]
    rows = connection.execute(
        "SELECT o.seq, o.memory_id, o.decision FROM operations o WHERE o.decision LIKE '%\"candidates\"%'"
        " AND EXISTS (SELECT 1 FROM json_each(o.decision, '$.candidates') c"
        " WHERE json_extract(c.value, '$[0]') IN (SELECT value FROM json_each(?)))",
        (json.dumps(sorted(memory_ids)),),
    ).fetchall()
    updates = []
    for seq, memory_id, text in rows:
        decision = json.loads(text)
        decision.pop("raw", None)
        if "rejected" in decision:
            decision["rejected"] = _SCRUBBED
        fact = decision["fact"]["text"].casefold()
        if memory_id is None or any(known in fact for known in folded):
            decision["fact"] = {"text": ""}
        updates.append((dumps(decision), seq))
    connection.executemany("UPDATE operations SET decision = ? WHERE seq = ?", updates)


def _bare(decision: str) -> str:
    """A decision without anything the user or the model said."""
    old = json.loads(decision)
    kept = {name: old[name] for name in ("candidates", "policy", "prompt_tokens", "completion_tokens") if name in old}
    if "rejected" in old:
        kept["rejected"] = _SCRUBBED
    return dumps({"fact": {"text": ""}, **kept})


def merge_fulltext(connection: sqlite3.Connection) -> None:
    """Rewrite the full-text index as one segment, which no longer holds the words of removed rows."""
    connection.execute("INSERT INTO fulltext (fulltext) VALUES ('optimize')")


def empty_write_ahead_log(connection: sqlite3.Connection, location: str, patience_s: float) -> None:
    """Carry the write-ahead log into the file and cut it to nothing.

    Raises:
        StoreError: A reader held on to it for too long.
    """
    deadline = time.monotonic() + patience_s
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            raise StoreError(
                f"The memories are erased from {location}, but a reader kept its write-ahead log from being emptied.",
                hint="Close other programs that read this file, then open it once more: closing it empties the log.",
            )
        time.sleep(0.01)
