"""Completions kept on disk by what they answer, so that no prompt of a benchmark is computed twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_r1.bench.around import AroundLM
from memory_r1.errors import StoreError
from memory_r1.lm.base import Completion, Message, Sampling

if TYPE_CHECKING:
    from memory_r1.lm.base import LanguageModel

FORMAT = 1
"""Changes when keys or values are written otherwise."""

_AT_ONCE = 32
"""Completions asked for between two writes: what a kill may cost."""


class CompletionCache:
    """A SQLite file of completions by key. Safe for many threads and processes.

    Args:
        path: The file; made, with its folder, if it is missing.

    Raises:
        StoreError: It cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"The cache {self.path} cannot be opened: {error}.", hint="Name another one.") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(
                f"{self.path} is no cache of completions: {error}.", hint="Delete the file, or name another one."
            ) from error
        except BaseException:
            self._connection.close()
            raise

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        """The completions that are known.

        Raises:
            StoreError: The file cannot be read.
        """
        found: dict[bytes, Completion] = {}
        with self._lock:
            for key in keys:
                row = self._run("SELECT value FROM completions WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = _decode(row[0])
        return found

    def put(self, completions: Mapping[bytes, Completion]) -> None:
        """Keep completions, in one transaction.

        Raises:
            StoreError: The disk is full, or the file cannot be written.
        """
        with self._lock:
            self._run("BEGIN IMMEDIATE")
            try:
                for key, completion in completions.items():
                    self._run("INSERT OR REPLACE INTO completions VALUES (?, ?)", (key, _encode(completion)))
                self._run("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    def __len__(self) -> int:
        with self._lock:
            return int(self._run("SELECT count(*) FROM completions").fetchone()[0])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        execute = self._connection.execute
        (found,) = execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and (found != FORMAT or "completions" not in tables):
            raise StoreError(
                f"{self.path} is no cache of completions of this version.", hint="Delete the file, or name another one."
            )
        execute("PRAGMA journal_mode = WAL")
        # a power cut may cost the last completions; a killed process costs none
        execute("PRAGMA synchronous = NORMAL")
        execute("CREATE TABLE IF NOT EXISTS completions (key BLOB PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        execute(f"PRAGMA user_version = {FORMAT}")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"The cache {self.path} failed: {error}.", hint="Check the disk.") from error


class CachedLM(AroundLM):
    """A language model that answers what it was asked before from a cache.

    A completion's `seconds` and tokens are those of the time when it was computed. What is sampled without a seed is
    never cached.

    Args:
        inner: The model. `close` leaves it open: it is its maker's.
        cache: Where completions are kept.
        identity: Which model it is, weights included; two models must never share it.
        adapters: For each adapter that `inner` knows, a hash of its weights.
    """

    def __init__(
        self, inner: LanguageModel, cache: CompletionCache, *, identity: str, adapters: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(inner)
        self._cache, self._identity = cache, identity
        self._adapters = dict(adapters or {})
        self._guard = threading.Lock()
        self.hits = 0
        """Completions that came from the cache."""
        self.misses = 0
        """Completions that had to be computed."""

    def complete(
        self,
        chats: Sequence[Sequence[Message]],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
    ) -> list[Completion]:
        """Answer each chat, in order; see `LanguageModel.complete`.

        Raises:
            StoreError: The cache failed.
        """
        sampling = sampling or Sampling()
        if sampling.temperature > 0 and sampling.seed is None:
            self._count(0, len(chats))
            return self._inner.complete(chats, sampling, adapter=adapter)
        keys = [self._key(chat, sampling, adapter) for chat in chats]
        known = self._cache.get(list(dict.fromkeys(keys)))
        missing = {key: chat for key, chat in zip(keys, chats, strict=True) if key not in known}
        self._count(len(keys) - len(missing), len(missing))
        names = list(missing)
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            fresh = self._inner.complete([missing[key] for key in part], sampling, adapter=adapter)
            made = dict(zip(part, fresh, strict=True))
            self._cache.put(made)
            known.update(made)
        return [known[key] for key in keys]

    def _key(self, chat: Sequence[Message], sampling: Sampling, adapter: str | None) -> bytes:
        weights = None if adapter is None else self._adapters.get(adapter, adapter)
        messages = [[message["role"], message["content"]] for message in chat]
        told = [FORMAT, self._identity, self.context_length, weights, messages, asdict(sampling)]
        return hashlib.sha256(json.dumps(told).encode()).digest()

    def _count(self, hits: int, misses: int) -> None:
        with self._guard:
            self.hits += hits
            self.misses += misses


def _encode(completion: Completion) -> str:
    return json.dumps(asdict(completion))


def _decode(text: str) -> Completion:
    fields = json.loads(text)
    for name in ("token_ids", "logprobs"):
        if fields[name] is not None:
            fields[name] = tuple(fields[name])
    return Completion(**fields)
