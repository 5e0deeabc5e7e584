"""Fit the weights of the hybrid search: `python benchmarks/fit_fusion.py --data FOLDER`.

A linear score over the features of `memory_r1.retrieval.fusion`, fitted so that the evidence turns come out on top: the
mean negative log-probability of an evidence turn under a softmax over all turns of the conversation, plus a small L2
term. Only conv-26 and conv-30 are read for it: fitted on one and checked on the other, then on both. `slope` and `bias`
come from a logistic regression of "is evidence" on that score, evidence and the rest counted as equally many.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from locomo_bank import DEVELOPMENT, Bank, KeptEmbedder, cache_folder, fill
from numpy.typing import NDArray
from scipy.optimize import minimize

from memory_r1.bank.sqlite.store import SqliteStore
from memory_r1.retrieval.fusion import LexicalScores, features
from memory_r1.retrieval.index import VectorIndex
from memory_r1.retrieval.minilm import MiniLM
from memory_r1.retrieval.speakers import take_names_out
from memory_r1.retrieval.weights import WEIGHTS
from memory_r1.retrieval.words import search_terms

NAMES = ("dense", "lexical", "speaker", "before", "after", "around")
DEPTHS = (5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class Example:
    """One question: the features of every memory of its bank, and which rows are evidence."""

    features: NDArray[np.float64]
    evidence: NDArray[np.intp]


def examples(store: SqliteStore, embedder: KeptEmbedder, bank: Bank) -> list[Example]:
    index = VectorIndex(store)
    snapshot = index.snapshot(bank.scope)
    ids = [record.id for record in store.fetch(snapshot.keys.tolist()).values()]
    row_of = {memory_id: row for row, memory_id in enumerate(ids)}
    made = []
    for question, evidence in bank.questions():
        asked = take_names_out(question.text, snapshot.names)
        cosines = snapshot.dots(embedder.embed([asked.rest])[0])
        matches = store.match(bank.scope, search_terms(asked.rest), 3 * 128)
        known = features(snapshot, np.arange(len(ids)), cosines, LexicalScores.of(snapshot, matches), asked.named)
        made.append(Example(known, np.array([row_of[memory] for memory in evidence])))
    return made


def fit(chosen: list[Example], penalty: float) -> NDArray[np.float64]:
    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, slope = 0.0, np.zeros_like(weights)
        for example in chosen:
            scores = example.features @ weights
            top = scores.max()
            odds = np.exp(scores - top)
            total += top + np.log(odds.sum()) - scores[example.evidence].mean()
            slope += odds @ example.features / odds.sum() - example.features[example.evidence].mean(axis=0)
        return total / len(chosen) + penalty * weights @ weights, slope / len(chosen) + 2 * penalty * weights

    return np.asarray(minimize(loss, np.zeros(len(NAMES)), jac=True, method="L-BFGS-B").x)


def calibrate(chosen: list[Example], weights: NDArray[np.float64]) -> tuple[float, float]:
    """A line through the scores whose logistic is a probability, were half of all memories evidence."""
    scores = np.concatenate([example.features @ weights for example in chosen])
    wanted = np.concatenate([np.isin(np.arange(len(e.features)), e.evidence) for e in chosen])
    sign = np.where(wanted, 1.0, -1.0)
    share = np.where(wanted, 0.5 / wanted.sum(), 0.5 / (~wanted).sum())

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (line[0] * scores + line[1])
        slope = -share * sign / (1 + np.exp(margin))
        return float(share @ np.logaddexp(0, -margin)), np.array([slope @ scores, slope.sum()])

    slope, bias = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    return float(slope), float(bias)


def recall(chosen: list[Example], weights: NDArray[np.float64]) -> str:
    shares = []
    for example in chosen:
        order = np.argsort(-(example.features @ weights), kind="stable")
        shares.append([np.isin(example.evidence, order[:depth]).mean() for depth in DEPTHS])
    return " ".join(f"@{depth} {100 * share:.1f}" for depth, share in zip(DEPTHS, np.mean(shares, axis=0), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds locomo/locomo10.json")
    parser.add_argument("--penalty", type=float, default=0.01, help="weight of the L2 term")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="folder to keep vectors in")
    arguments = parser.parse_args()
    embedder = KeptEmbedder(MiniLM(), arguments.cache)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "locomo.db", durable=False)
        try:
            banks = [bank for bank in fill(store, embedder, arguments.data) if bank.conversation.id in DEVELOPMENT]
            first, second = (examples(store, embedder, bank) for bank in banks)
        finally:
            store.close()
        embedder.save()
    print(f"fitted on {DEVELOPMENT[0]}, recall on {DEVELOPMENT[1]}: {recall(second, fit(first, arguments.penalty))}")
    print(f"fitted on {DEVELOPMENT[1]}, recall on {DEVELOPMENT[0]}: {recall(first, fit(second, arguments.penalty))}")
    weights = fit(first + second, arguments.penalty)
    print(f"fitted on both, recall on both: {recall(first + second, weights)}")
    slope, bias = calibrate(first + second, weights)
    named = [*zip(NAMES, weights, strict=True), ("elsewhere", WEIGHTS.elsewhere), ("slope", slope), ("bias", bias)]
    print("WEIGHTS = FusionWeights(" + ", ".join(f"{name}={value:.2f}" for name, value in named) + ")")


if __name__ == "__main__":
    main()
