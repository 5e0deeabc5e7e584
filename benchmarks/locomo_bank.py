"""LoCoMo's turns as memories, one bank a conversation, in a real store; what both LoCoMo scripts start from."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite.store import SqliteStore
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.data.conversation import Conversation, Question, Turn
from memory_r1.data.locomo import load_locomo
from memory_r1.retrieval.embedder import Embedder

DEVELOPMENT = ("conv-26", "conv-30")
"""Everything is chosen on these; the other eight only measure."""
CATEGORIES = ("multi-hop", "temporal", "open-domain", "single-hop")


class KeptEmbedder:
    """Keeps every vector in a file, so that a second run embeds nothing."""

    def __init__(self, inner: Embedder, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._inner = inner
        self._file = folder / f"vectors-{inner.name}-{inner.dimension}.npz"
        self._kept: dict[str, NDArray[np.float32]] = {}
        if self._file.exists():
            with np.load(self._file) as stored:
                self._kept = dict(zip(stored["names"].tolist(), stored["vectors"], strict=True))
        self._changed = False

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def dimension(self) -> int:
        return self._inner.dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = {name: text for name, text in zip(names, texts, strict=True) if name not in self._kept}
        if missing:
            self._kept.update(zip(missing, self._inner.embed(list(missing.values())), strict=True))
            self._changed = True
        return np.stack([self._kept[name] for name in names])

    def save(self) -> None:
        if self._changed:
            np.savez(self._file, names=np.array(list(self._kept)), vectors=np.stack(list(self._kept.values())))
            self._changed = False


@dataclass(frozen=True, slots=True)
class Bank:
    """One conversation's memories."""

    conversation: Conversation
    scope: Scope
    memory_of: dict[str, str]
    """Memory id by turn id; a turn that repeats an earlier one word for word shares its memory."""

    def questions(self, categories: Sequence[str] = CATEGORIES) -> list[tuple[Question, set[str]]]:
        """Questions with usable evidence, and the memories that are their evidence."""
        return [
            (question, {self.memory_of[turn] for turn in question.evidence})
            for question in self.conversation.questions
            if question.category in categories and question.evidence
        ]


def memory_text(turn: Turn) -> str:
    return f"{turn.text} [shared image: {turn.image_caption}]" if turn.image_caption else turn.text


def fill(store: SqliteStore, embedder: KeptEmbedder, data: Path) -> list[Bank]:
    """Write every conversation into the store, in the order of the talk."""
    store.bind_embedder(EmbedderIdentity(embedder.name, embedder.dimension))
    banks = []
    for conversation in load_locomo(data):
        print(f"{conversation.id}: {len(conversation.turns)} turns", file=sys.stderr, flush=True)
        scope, now = Scope(user_id=conversation.id), datetime.now(UTC)
        vectors = embedder.embed([memory_text(turn) for turn in conversation.turns])
        changes = [
            Change(
                OperationKind.ADD,
                scope,
                after=MemoryRecord(
                    f"{conversation.id}/{turn.id}",
                    scope,
                    memory_text(turn),
                    now,
                    now,
                    event_time=turn.time,
                    provenance=Provenance(turn_id=turn.id, turn_index=place, speaker=turn.speaker),
                ),
                vector=vectors[place],
            )
            for place, turn in enumerate(conversation.turns)
        ]
        operations = store.commit(changes)
        memory_of = {
            turn.id: str(operation.memory_id) for turn, operation in zip(conversation.turns, operations, strict=True)
        }
        banks.append(Bank(conversation, scope, memory_of))
    embedder.save()
    return banks


def cache_folder() -> Path:
    return Path(tempfile.gettempdir()) / "memory-r1-benchmarks"
