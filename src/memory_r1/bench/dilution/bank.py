"""One conversation's memories among other people's, in one scope of a store of their own."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from memory_r1.bank.memory import content_hash
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.bank.states import added
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.bench.dilution.distractors import Distractor, facts_of
from memory_r1.errors import InvalidInputError
from memory_r1.retrieval.search import Retriever

if TYPE_CHECKING:
    from memory_r1.bank.fact import Fact
    from memory_r1.bench.vectors import KeptEmbedder
    from memory_r1.data.conversation import Conversation
    from memory_r1.retrieval.search import Hit

_AT_ONCE = 1_000
_SCOPE = Scope(user_id="everyone")


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a bank is to hold, in the order in which it was said."""

    facts: tuple[Fact, ...]
    own: frozenset[int]
    """Places of the conversation's own."""
    sources: dict[str, int]
    """How many distractors come from where."""


def mix(conversation: Conversation, distractors: Iterable[Distractor], size: int | None) -> Mixture:
    """Put distractors between the sessions of a conversation.

    The first distractors that say something new are taken, so a larger bank holds all of a smaller one. Each
    conversation's sessions keep their order and lie scattered over the whole, as if all of them went on side by side.

    Args:
        conversation: Whose questions will be asked.
        distractors: Other people's memories.
        size: Memories in all; None: the conversation's own alone.

    Raises:
        InvalidInputError: There are not enough distractors.
    """
    own = facts_of(conversation)
    chosen = [] if size is None else _choose(own, distractors, size)
    talks = [own, *([one.fact for one in said] for _, said in groupby(chosen, lambda one: one.talk))]
    blocks = []
    for number, said in enumerate(talks):
        sessions = [list(facts) for _, facts in groupby(said, lambda fact: fact.provenance.session_id)]
        rng = random.Random(f"{conversation.id}/{number}")
        places = sorted(rng.random() for _ in sessions)
        blocks += [(place, number, session) for place, session in zip(places, sessions, strict=True)]
    blocks.sort(key=lambda block: block[:2])
    said_by_own = [number == 0 for _, number, session in blocks for _ in session]
    return Mixture(
        tuple(fact for _, _, session in blocks for fact in session),
        frozenset(place for place, mine in enumerate(said_by_own) if mine),
        dict(Counter(one.source for one in chosen)),
    )


def _choose(own: Sequence[Fact], distractors: Iterable[Distractor], size: int) -> list[Distractor]:
    """The first distractors with texts of their own, as many as there is room for."""
    texts = {content_hash(fact.text) for fact in own}
    chosen: list[Distractor] = []
    waiting = iter(distractors)
    while len(texts) < size:
        one = next(waiting, None)
        if one is None:
            raise InvalidInputError(
                f"There are distractors for {len(texts):,} memories only, not for {size:,}.",
                hint="Give more data to dilute with, or a smaller size.",
            )
        digest = content_hash(one.fact.text)
        if digest not in texts:
            texts.add(digest)
            chosen.append(one)
    return chosen


@dataclass(frozen=True, slots=True)
class Found:
    """One memory that a search returned."""

    hit: Hit
    turns: tuple[str, ...]
    """Turns of the conversation that it comes from; none for a distractor."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a search returned, and how long it took."""

    found: tuple[Found, ...]
    """Best first."""
    seconds: float
    """Wall time without that of embedding the question."""


class MixedBank:
    """A bank in one scope, searched as the product does.

    Args:
        mixture: What it holds.
        embedder: Embeds memories and questions.
        folder: For the store; empty.
        told: Called with how many memories a batch has brought.

    Raises:
        StoreError: The store failed.
        ModelError: The embedder failed.
    """

    def __init__(
        self,
        mixture: Mixture,
        embedder: KeptEmbedder,
        folder: Path,
        told: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._embedder = embedder
        self._turns: defaultdict[str, list[str]] = defaultdict(list)
        self._store = SqliteStore(folder / "memory.db", durable=False)
        try:
            self._store.bind_embedder(EmbedderIdentity(embedder.name, embedder.dimension))
            self._retriever = Retriever(self._store, embedder)
            for start in range(0, len(mixture.facts), _AT_ONCE):
                part = mixture.facts[start : start + _AT_ONCE]
                for place, memory in enumerate(self._add(part), start=start):
                    if place in mixture.own:
                        self._turns[memory].append(str(mixture.facts[place].provenance.turn_id))
                told(len(part))
            self.size = self._store.count(_SCOPE)
            """How many memories there are; a text that is said twice is one."""
        except BaseException:
            self._store.close()
            raise

    def warm(self) -> float:
        """Search once for nothing in particular, so that the index is built; return the seconds it took."""
        return self.search("warm up", k=1).seconds

    def search(self, question: str, *, k: int | None = None, budget_tokens: int | None = None) -> Search:
        """Search as the product does: the first `k`, or without it the dynamic cut within a budget."""
        began, embedding = time.perf_counter(), self._embedder.seconds
        hits = self._retriever.search(_SCOPE, question, k=k, budget_tokens=budget_tokens)
        seconds = time.perf_counter() - began - (self._embedder.seconds - embedding)
        return Search(tuple(Found(hit, tuple(self._turns.get(hit.memory.id, ()))) for hit in hits), seconds)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _add(self, facts: Sequence[Fact]) -> list[str]:
        """Ids of the memories that hold these texts now."""
        vectors = self._embedder.embed([fact.text for fact in facts])
        operations = self._store.commit(
            [
                Change(OperationKind.ADD, _SCOPE, after=added(fact, _SCOPE, fact.text, None), vector=vector)
                for fact, vector in zip(facts, vectors, strict=True)
            ]
        )
        return [str(operation.memory_id) for operation in operations]
