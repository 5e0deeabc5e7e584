"""Hybrid search: what a scope remembers that bears on a question, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from memory_r1.bank.filters import Condition, Every, Filter, Negation, Operator
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.scope import SCOPE_FIELDS, Scope
from memory_r1.bank.text import check_text
from memory_r1.errors import InvalidInputError
from memory_r1.retrieval.cut import AUTO_MOST, DEFAULT_BUDGET_TOKENS, fall_off, within_budget
from memory_r1.retrieval.focus import Focus
from memory_r1.retrieval.fusion import PARTS, Fused, LexicalScores, fuse, nearness, probability
from memory_r1.retrieval.index import VectorIndex, top_rows
from memory_r1.retrieval.presets import PAPER_TOTAL, Preset, check_preset, share_among
from memory_r1.retrieval.rows import EXACT_ROWS
from memory_r1.retrieval.speakers import take_names_out, telling_names
from memory_r1.retrieval.weights import WEIGHTS
from memory_r1.retrieval.words import search_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.bank.store import Store
    from memory_r1.retrieval.embedder import Embedder
    from memory_r1.retrieval.scope_index import Snapshot

_LEAST_DEPTH = 128
_DEPTH_PER_RESULT = 3
_PAPER_DEPTH = 8 * PAPER_TOTAL
_MENTIONS = 128
"""Most memories of other talks that count because they mention someone named."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that was found."""

    memory: MemoryRecord
    score: float
    """Between 0 and 1, higher is better: about the probability that the memory bears on the question."""
    parts: Mapping[str, float]
    """What the score is made of, in log-odds: `dense` (likeness of meaning), `lexical` (shared words), `speaker` (the
    question names who said it; below 0: it belongs to no talk with those named), `context` (what was written just
    before and after shares words with the question)."""


@dataclass(frozen=True, slots=True)
class _Request:
    """The arguments of a search, checked."""

    query: str
    k: int | None
    preset: Preset | None
    where: Filter | None
    threshold: float | None
    budget_tokens: int
    speakers: Sequence[str] | None
    query_vector: NDArray[np.float32] | None
    exact_bank: bool

    @property
    def depth(self) -> int:
        """How many candidates to take from each ranking."""
        if self.preset == "paper":
            return _PAPER_DEPTH
        return max(_LEAST_DEPTH, _DEPTH_PER_RESULT * (self.k or AUTO_MOST))


class Retriever:
    """Searches a store by meaning and by words at once. Safe to share between threads.

    Names of the scope's speakers are taken out of the question and count as a feature of their own; see
    `memory_r1.retrieval.speakers`. Days and months in a question match the memories' dates as words. The vectors of the
    scopes in use are held in memory; see `memory_r1.retrieval.index`.

    Args:
        store: Where the memories are.
        embedder: Embeds questions; the one that the store's vectors come from.
        max_index_bytes: Most memory for the vectors of all scopes, in bytes.
        exact_rows: Up to so many memories a scope are held as float32, more as bytes.
    """

    def __init__(
        self, store: Store, embedder: Embedder, *, max_index_bytes: int = 2**30, exact_rows: int = EXACT_ROWS
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._index = VectorIndex(store, max_bytes=max_index_bytes, exact_rows=exact_rows)

    def search(
        self,
        scope: Scope,
        query: str,
        *,
        k: int | None = None,
        where: Filter | None = None,
        preset: str | None = None,
        threshold: float | None = None,
        budget_tokens: int | None = None,
        speakers: Sequence[str] | None = None,
        query_vector: NDArray[np.float32] | None = None,
        exact_bank: bool = False,
    ) -> list[Hit]:
        """Find memories, best first.

        Args:
            scope: Whose memories; none from outside is ever returned.
            query: A question or statement.
            k: Most results. Give this or `preset`; without either it is `auto`.
            where: Only memories that this filter accepts.
            preset: `auto`: up to 60, cut where the score falls off and at the token budget. `paper`: 60 in all, an even
                share for each speaker.
            threshold: Only memories with at least this score.
            budget_tokens: For `auto`, most tokens of text, as `memory_r1.retrieval.cut.estimate_tokens` counts; 1,500
                if None. The best memory is returned whatever its size.
            speakers: Only memories that one of these said.
            query_vector: The query's embedding, shape (dimension,), unit norm, if the caller has it.
            exact_bank: Only the bank of exactly this scope, not all that a read in it covers, each memory judged by
                itself and not by its neighbours: what is asked before a write.

        Raises:
            InvalidInputError: The query is blank, or an argument makes no sense.
            StoreError: The store failed.
            ModelError: The embedder failed.
        """
        check_text(query, what="The query")
        chosen = _check(k, preset, threshold, budget_tokens, where)
        budget = DEFAULT_BUDGET_TOKENS if budget_tokens is None else budget_tokens
        request = _Request(query, k, chosen, where, threshold, budget, speakers, query_vector, exact_bank)
        hits = self._search(scope, request)
        if exact_bank and any(hit.memory.scope != scope for hit in hits):
            only = _in_bank(scope)
            hits = self._search(scope, replace(request, where=only if where is None else Every((only, where))))
        return hits

    def forget(self) -> None:
        """Drop what is held of the store's vectors; the next search reads them anew."""
        self._index.forget()

    def _search(self, scope: Scope, request: _Request) -> list[Hit]:
        snapshot = self._index.snapshot(scope)
        if not snapshot.count:
            return []
        fused = self._rank(scope, snapshot, request)
        places, scores = fused.best_first(), probability(fused.total)
        if request.threshold is not None:
            places = places[scores[places] >= request.threshold]
        if request.preset == "paper":
            places = np.array(share_among(places, snapshot.speaker[fused.rows[places]]), np.intp)
        elif request.preset == "auto":
            places = places[: fall_off(fused.total[places[:AUTO_MOST]].tolist())]
        else:
            places = places[: request.k]
        hits = self._fetch(snapshot, fused, scores, places)
        if request.preset == "auto":
            hits = hits[: within_budget([hit.memory.text for hit in hits], request.budget_tokens)]
        return hits

    def _rank(self, scope: Scope, snapshot: Snapshot, request: _Request) -> Fused:
        """Score the candidates: the nearest by meaning, those that share words, and the latter's neighbours."""
        asked = take_names_out(request.query, snapshot.names)
        vector = request.query_vector
        vector = self._embedder.embed([asked.rest])[0] if vector is None else np.asarray(vector, np.float32)
        mask = self._mask(scope, snapshot, request.where, request.speakers)
        depth = request.depth
        context = not request.exact_bank
        focus = self._focus(scope, snapshot, asked.named) if context else None
        cosines = snapshot.dots(vector)
        nearest = top_rows(snapshot, cosines if focus is None else _foreseen(cosines, focus), depth, mask)
        self._index.rescore(snapshot, vector, nearest, cosines)
        # A filter acts after the full-text search, so that needs more to choose from.
        lexical = self._lexical(scope, snapshot, search_terms(asked.rest), depth if mask is None else 8 * depth, focus)
        reached = lexical.reach(len(snapshot.keys)) if context else lexical.rows
        reached = reached[(snapshot.live if mask is None else mask)[reached]]
        rows = np.union1d(nearest, reached)
        return fuse(snapshot, rows, cosines, lexical, asked.named, focus=focus, context=context)

    def _focus(self, scope: Scope, snapshot: Snapshot, named: Sequence[int]) -> Focus | None:
        """The talks with those whom the question names, and what others said that mentions one of them."""
        focus = Focus.of(snapshot, named)
        names = telling_names(snapshot.names, named)
        if focus is None or not names:
            return focus
        others = snapshot.keys[snapshot.live & ~focus.mask]
        mentions = self._store.match(scope, names, _MENTIONS, columns="text", among=others)
        rows, _ = snapshot.locate(np.array([match.key for match in mentions], np.int64))
        return focus.widened(snapshot, rows)

    def _lexical(
        self, scope: Scope, snapshot: Snapshot, terms: Sequence[str], limit: int, focus: Focus | None
    ) -> LexicalScores:
        """BM25 in the whole scope; for what is in focus, in the focus."""
        lexical = LexicalScores.of(snapshot, self._store.match(scope, terms, limit))
        if focus is None:
            return lexical
        matches = self._store.match(scope, terms, limit, among=focus.keys(snapshot))
        return lexical.around(LexicalScores.of(snapshot, matches, focus.count), focus.mask)

    def _mask(
        self, scope: Scope, snapshot: Snapshot, where: Filter | None, speakers: Sequence[str] | None
    ) -> NDArray[np.bool_] | None:
        """(n,) which rows may be returned; None: all live ones."""
        mask = None if where is None else snapshot.mask(self._store.keys(scope, where))
        if speakers is not None:
            wanted = [number for number, name in enumerate(snapshot.names) if name in speakers]
            said = np.isin(snapshot.speaker, wanted) & snapshot.live
            mask = said if mask is None else mask & said
        return mask

    def _fetch(
        self, snapshot: Snapshot, fused: Fused, scores: NDArray[np.float64], places: NDArray[np.intp]
    ) -> list[Hit]:
        keys = snapshot.keys[fused.rows[places]].tolist()
        records = self._store.fetch(keys)
        hits = []
        for place, key in zip(places.tolist(), keys, strict=True):
            record = records.get(key)
            # It may have been retired since the snapshot.
            if record is not None and record.live:
                parts = dict(zip(PARTS, fused.parts[place].tolist(), strict=True))
                hits.append(Hit(record, float(scores[place]), parts))
        return hits


def _foreseen(cosines: NDArray[np.float32], focus: Focus) -> NDArray[np.float32]:
    """(n,) the part of the score that is known of every row at once: who is worth to be a candidate."""
    known: NDArray[np.float32] = np.float32(WEIGHTS.dense) * nearness(cosines, slice(None), focus)
    known[~focus.mask] += np.float32(WEIGHTS.elsewhere)
    return known


def _check(
    k: int | None, preset: str | None, threshold: float | None, budget_tokens: int | None, where: object
) -> Preset | None:
    """Check the arguments of a search; return the preset in force."""
    known = check_preset(preset)
    if k is not None:
        if known is not None:
            raise InvalidInputError("Both k and a preset were given.", hint="Give one of them.")
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise InvalidInputError(f"k={k!r} is not a positive whole number.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InvalidInputError(f"threshold={threshold!r} is not between 0 and 1.")
    if budget_tokens is not None and budget_tokens < 1:
        raise InvalidInputError(f"budget_tokens={budget_tokens!r} is not a positive number.")
    if where is not None and not isinstance(where, Filter):
        raise InvalidInputError("where is not a filter.", hint="Make one with memory_r1.bank.filters.parse_filter.")
    return "auto" if k is None and known is None else known


def _in_bank(scope: Scope) -> Filter:
    """Accepts the memories of exactly this bank among those that a read in the scope sees."""
    missing = [name for name in SCOPE_FIELDS if getattr(scope, name) is None]
    return Every(tuple(Negation(Condition(name, Operator.PRESENT)) for name in missing))
