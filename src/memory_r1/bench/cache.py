"""Completions kept on disk by what they answer, so that no prompt of a benchmark is computed twice."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from memory_r1.bench.around import AroundLM
from memory_r1.bench.kept import KeptFile
from memory_r1.lm.base import Completion, Message, Sampling

if TYPE_CHECKING:
    from memory_r1.lm.base import LanguageModel

FORMAT = 1
"""Changes when keys or values are written otherwise."""

_AT_ONCE = 32
"""Completions asked for between two writes: what a kill may cost."""


class CompletionCache(KeptFile):
    """A SQLite file of completions by key. Safe for many threads and processes.

    Args:
        path: The file; made, with its folder, if it is missing.

    Raises:
        StoreError: It cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        columns = "key BLOB PRIMARY KEY, value TEXT NOT NULL"
        super().__init__(path, "completions", columns, options="WITHOUT ROWID", version=FORMAT)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        """The completions that are known.

        Raises:
            StoreError: The file cannot be read.
        """
        return {key: _decode(value) for key, value in self.values("value", keys).items()}

    def put(self, completions: Mapping[bytes, Completion]) -> None:
        """Keep completions, in one transaction.

        Raises:
            StoreError: The disk is full, or the file cannot be written.
        """
        self.keep((key, _encode(completion)) for key, completion in completions.items())


class CachedLM(AroundLM):
    """A language model that answers what it was asked before from a cache.

    A completion's `seconds` and tokens are those of the time when it was computed. What is sampled without a seed is
    never cached; with one, a chat that comes several times in a call is sampled as often.

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
        keys = self._keys(chats, sampling, adapter)
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

    def _keys(self, chats: Sequence[Sequence[Message]], sampling: Sampling, adapter: str | None) -> list[bytes]:
        keys = [self._key(chat, sampling, adapter) for chat in chats]
        if sampling.temperature == 0:
            return keys
        seen: Counter[bytes] = Counter()
        for place, key in enumerate(keys):
            if seen[key]:
                keys[place] = hashlib.sha256(key + seen[key].to_bytes(4)).digest()
            seen[key] += 1
        return keys

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
