"""How much of the evidence a search finds on LoCoMo: `python benchmarks/retrieval_locomo.py --data FOLDER`.

Memories are the turns of a conversation, in a real store; each question searches its own conversation. The measure is
the mean share of a question's evidence turns among the first k, over the eight test conversations and the questions of
categories 1 to 4 with usable evidence (1,305). Intervals are 95 % bootstrap intervals that resample conversations.
Nothing was chosen on these eight.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from locomo_bank import CATEGORIES, DEVELOPMENT, Bank, KeptEmbedder, cache_folder, fill
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from memory_r1.bank.sqlite.store import SqliteStore
from memory_r1.retrieval.cut import estimate_tokens
from memory_r1.retrieval.index import VectorIndex
from memory_r1.retrieval.minilm import MiniLM
from memory_r1.retrieval.search import Retriever
from memory_r1.retrieval.speakers import take_names_out
from memory_r1.retrieval.words import search_terms

DEPTHS = (5, 10, 30, 60)
RRF_CONSTANT = 60
SPEAKER_BOOST = 1.5
RESAMPLES = 2_000

Ranker = Callable[[Bank, str], Sequence[str]]
"""Memory ids for a question, best first."""


class Rankings:
    """The product's search, and the plainer ones it is compared with."""

    def __init__(self, store: SqliteStore, embedder: KeptEmbedder) -> None:
        self._store = store
        self._embedder = embedder
        self._index = VectorIndex(store)
        self.retriever = Retriever(store, embedder)

    def product(self, bank: Bank, question: str) -> list[str]:
        return [hit.memory.id for hit in self.retriever.search(bank.scope, question, k=max(DEPTHS))]

    def dense(self, bank: Bank, question: str) -> list[str]:
        return self._ids(self._dense(bank, question))

    def dense_without_names(self, bank: Bank, question: str) -> list[str]:
        return self._ids(self._dense(bank, self._nameless(bank, question)))

    def bm25(self, bank: Bank, question: str) -> list[str]:
        return self._ids(self._bm25(bank, self._nameless(bank, question)))

    def rrf(self, bank: Bank, question: str) -> list[str]:
        return self._ids(_best_first(self._rrf(bank, question)))

    def rrf_with_speaker(self, bank: Bank, question: str) -> list[str]:
        snapshot = self._index.snapshot(bank.scope)
        named = take_names_out(question, snapshot.names).named
        scores = self._rrf(bank, question)
        for key in snapshot.keys[np.isin(snapshot.speaker, named)].tolist():
            if key in scores:
                scores[key] *= SPEAKER_BOOST
        return self._ids(_best_first(scores))

    def _nameless(self, bank: Bank, question: str) -> str:
        return take_names_out(question, self._index.snapshot(bank.scope).names).rest

    def _dense(self, bank: Bank, text: str) -> list[int]:
        vector = self._embedder.embed([text])[0]
        return [key for key, _ in self._index.nearest(bank.scope, vector, len(bank.memory_of))]

    def _bm25(self, bank: Bank, text: str) -> list[int]:
        return [match.key for match in self._store.match(bank.scope, search_terms(text), len(bank.memory_of))]

    def _rrf(self, bank: Bank, question: str) -> dict[int, float]:
        text = self._nameless(bank, question)
        scores: dict[int, float] = {}
        for ranking in (self._dense(bank, text), self._bm25(bank, text)):
            for place, key in enumerate(ranking):
                scores[key] = scores.get(key, 0.0) + 1 / (RRF_CONSTANT + place + 1)
        return scores

    def _ids(self, keys: Iterable[int]) -> list[str]:
        return [record.id for record in self._store.fetch(list(keys)[: max(DEPTHS)]).values()]


def _best_first(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=lambda key: -scores[key])


def shares(bank: Bank, ranker: Ranker, categories: Sequence[str]) -> NDArray[np.float64]:
    """(questions, depths): share of each question's evidence in the first k."""
    found = []
    for question, evidence in bank.questions(categories):
        ranked = ranker(bank, question.text)
        found.append([len(evidence & set(ranked[:depth])) / len(evidence) for depth in DEPTHS])
    return np.array(found).reshape(-1, len(DEPTHS))


def interval(groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(2, depths): 95 % interval of the mean over all questions, conversations resampled."""
    rng = np.random.default_rng(0)
    sums = np.array([group.sum(axis=0) for group in groups])
    sizes = np.array([len(group) for group in groups])
    drawn = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)[:, None]
    bounds: NDArray[np.float64] = np.percentile(means, (2.5, 97.5), axis=0)
    return bounds


def row(name: str, groups: Sequence[NDArray[np.float64]]) -> list[str]:
    kept = [group for group in groups if len(group)]
    means, (low, high) = np.concatenate(kept).mean(axis=0), interval(kept)
    cells = [
        f"{100 * mean:.1f} ({100 * lowest:.1f}-{100 * highest:.1f})"
        for mean, lowest, highest in zip(means, low, high, strict=True)
    ]
    return [name, str(sum(map(len, kept))), *cells]


def table(title: str) -> Table:
    made = Table(title=title, title_justify="left")
    for heading in ("", "questions", *(f"@{depth}" for depth in DEPTHS)):
        made.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    return made


def presets(banks: Sequence[Bank], rankings: Rankings) -> Table:
    made = Table(title="Presets: share of the evidence found, and what it costs the reader", title_justify="left")
    for heading in ("preset", "evidence found", "memories", "tokens"):
        made.add_column(heading, justify="left" if heading == "preset" else "right")
    for preset in ("auto", "paper"):
        found, counts, tokens = [], [], []
        for bank in banks:
            for question, evidence in bank.questions():
                hits = rankings.retriever.search(bank.scope, question.text, preset=preset)
                found.append(len(evidence & {hit.memory.id for hit in hits}) / len(evidence))
                counts.append(len(hits))
                tokens.append(sum(estimate_tokens(hit.memory.text) for hit in hits))
        made.add_row(preset, f"{100 * np.mean(found):.1f}", f"{np.mean(counts):.1f}", f"{np.mean(tokens):.0f}")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds locomo/locomo10.json")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="folder to keep vectors in")
    parser.add_argument("--development", action="store_true", help="measure conv-26 and conv-30 instead")
    arguments = parser.parse_args()
    embedder = KeptEmbedder(MiniLM(), arguments.cache)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "locomo.db", durable=False)
        try:
            banks = fill(store, embedder, arguments.data)
            banks = [bank for bank in banks if (bank.conversation.id in DEVELOPMENT) == arguments.development]
            report(banks, Rankings(store, embedder))
        finally:
            store.close()
            embedder.save()


def report(banks: Sequence[Bank], rankings: Rankings) -> None:
    systems: dict[str, Ranker] = {
        "dense, question as it is": rankings.dense,
        "dense, names taken out": rankings.dense_without_names,
        "bm25": rankings.bm25,
        "rrf of the last two": rankings.rrf,
        f"the same, speaker x{SPEAKER_BOOST}": rankings.rrf_with_speaker,
        "memory-r1": rankings.product,
    }
    overall = table("All categories: evidence found among the first k, % (95 % interval)")
    for name, ranker in systems.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        overall.add_row(*row(name, [shares(bank, ranker, CATEGORIES) for bank in banks]))
    by_category = table("memory-r1 by category")
    for category in (*CATEGORIES, "adversarial"):
        groups = [shares(bank, rankings.product, (category,)) for bank in banks]
        by_category.add_row(*row(category, groups))
    console = Console(width=120)
    for made in (overall, by_category, presets(banks, rankings)):
        console.print(made)


if __name__ == "__main__":
    main()
