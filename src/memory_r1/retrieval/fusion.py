"""One ranking out of several: a weighted sum of a few features for each candidate.

Features of a memory: how far its cosine stands out in its scope; its BM25 score, over the logarithm of the number of
memories so that it means the same in a bank of ten and of a million; whether the question names its speaker; and, where
another speaker's memory was written just before or after it, the BM25 scores there, since an answer repeats little of
what it answers. Where a question names speakers and the bank holds more than their talks, cosine and BM25 are taken
within those talks, and all else is set back; see `memory_r1.retrieval.focus`.
Measured on LoCoMo this finds more than reciprocal-rank fusion does; see `benchmarks/retrieval_locomo.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memory_r1.retrieval.scope_index import NOBODY
from memory_r1.retrieval.weights import COSINE_COUNT, COSINE_DEVIATION, COSINE_MEAN, WEIGHTS, FusionWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.bank.store import TextMatch
    from memory_r1.retrieval.focus import Focus
    from memory_r1.retrieval.scope_index import Snapshot

PARTS = ("dense", "lexical", "speaker", "context")
"""What a score is made of; `context` is the neighbours' share."""

_SAMPLE = 16_384


@dataclass(frozen=True, slots=True)
class LexicalScores:
    """BM25 of the memories that hold a term, by row; all others have 0."""

    rows: NDArray[np.intp]
    """Rising."""
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, snapshot: Snapshot, matches: Sequence[TextMatch], count: int | None = None) -> LexicalScores:
        """Place matches in the rows of a snapshot, over log(1 + memories); memories it does not hold are left out.

        Args:
            snapshot: The scope's memories.
            matches: What a full-text search found.
            count: How many memories it searched; None: all of the snapshot.
        """
        keys = np.array([match.key for match in matches], np.int64)
        searched = snapshot.count if count is None else count
        scores = np.array([match.score for match in matches], np.float32) / np.log1p(max(searched, 1))
        order = np.argsort(keys)
        rows, held = snapshot.locate(keys[order])
        return cls(rows, scores[order][held])

    def around(self, inner: LexicalScores, mask: NDArray[np.bool_]) -> LexicalScores:
        """These scores outside of a mask over the snapshot's rows, and others within it."""
        outer = ~mask[self.rows]
        rows = np.concatenate([self.rows[outer], inner.rows])
        order = np.argsort(rows, kind="stable")
        return LexicalScores(rows[order], np.concatenate([self.scores[outer], inner.scores])[order])

    def at(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores of rows; places outside of the scope have 0."""
        if not len(self.rows):
            return np.zeros(len(rows), np.float32)
        places = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return np.where(self.rows[places] == rows, self.scores[places], np.float32(0))

    def reach(self, size: int) -> NDArray[np.intp]:
        """The rows themselves and up to two on either side, within 0 .. size - 1."""
        near = np.unique((self.rows[:, None] + np.arange(-2, 3)).ravel())
        return near[(near >= 0) & (near < size)]


@dataclass(frozen=True, slots=True)
class Fused:
    """Scored candidates, in row order."""

    rows: NDArray[np.intp]
    total: NDArray[np.float64]
    """The weighted sums; differences are log-odds."""
    parts: NDArray[np.float64]
    """(candidates, len(PARTS)); each row adds up to its total."""

    def best_first(self) -> NDArray[np.intp]:
        """Places of the candidates, best first; equal ones in the order they were written."""
        return np.argsort(-self.total, kind="stable")


def standardise(cosines: NDArray[np.float32], sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines in standard deviations above the mean of a sample of the scope's, which a prior steadies."""
    share = len(sample) / (len(sample) + COSINE_COUNT)
    mean = share * float(sample.mean()) + (1 - share) * COSINE_MEAN if len(sample) else COSINE_MEAN
    deviation = share * float(sample.std()) + (1 - share) * COSINE_DEVIATION if len(sample) else COSINE_DEVIATION
    standard: NDArray[np.float32] = (cosines - mean) / max(deviation, 1e-3)
    return standard


def nearness(
    cosines: NDArray[np.float32], rows: NDArray[np.intp] | slice, focus: Focus | None = None
) -> NDArray[np.float32]:
    """How far the cosines of some rows stand out: of those in focus among these, of the others in the whole scope.

    Args:
        cosines: (n,) similarity of every row of the scope.
        rows: Which rows.
        focus: A part of the scope; None: there is none.
    """
    chosen = cosines[rows]
    found = standardise(chosen, _sample(cosines))
    if focus is not None:
        inside = focus.mask[rows]
        found[inside] = standardise(chosen[inside], _sample(cosines[focus.mask]))
    return found


def _sample(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    return cosines[:: max(1, len(cosines) // _SAMPLE)]


def features(
    snapshot: Snapshot,
    rows: NDArray[np.intp],
    cosines: NDArray[np.float32],
    lexical: LexicalScores,
    named: Sequence[int],
    focus: Focus | None = None,
) -> NDArray[np.float64]:
    """What is known of candidates, one column for each of the first six weights.

    Args:
        snapshot: The scope's memories.
        rows: The candidates, rising; shape (m,).
        cosines: (n,) similarity of every row of the snapshot to the question.
        lexical: BM25 scores.
        named: Numbers of the speakers that the question names.
        focus: Their talks, if the scope holds more.

    Returns:
        Shape (m, 6).
    """
    known = np.zeros((len(rows), 6))
    known[:, 0] = nearness(cosines, rows, focus)
    known[:, 1] = lexical.at(rows)
    if named:
        known[:, 2] = np.isin(snapshot.speaker[rows], named)
    if len(lexical.rows):
        answers, answered = (_by_others(snapshot.speaker, rows, step) for step in (-1, 1))
        known[:, 3] = lexical.at(rows - 1) * answers
        known[:, 4] = lexical.at(rows + 1) * answered
        known[:, 5] = lexical.at(rows - 2) * answers + lexical.at(rows + 2) * answered
    return known


def _by_others(speaker: NDArray[np.int32], rows: NDArray[np.intp], step: int) -> NDArray[np.bool_]:
    """Whether the memories beside these were said by someone else, as the turns of a talk are."""
    beside = speaker[(rows + step).clip(0, len(speaker) - 1)]
    differs: NDArray[np.bool_] = (beside != speaker[rows]) & (beside != NOBODY) & (speaker[rows] != NOBODY)
    return differs


def fuse(
    snapshot: Snapshot,
    rows: NDArray[np.intp],
    cosines: NDArray[np.float32],
    lexical: LexicalScores,
    named: Sequence[int],
    *,
    focus: Focus | None = None,
    context: bool = True,
    weights: FusionWeights = WEIGHTS,
) -> Fused:
    """Score candidates; see `features` for the arguments.

    Args:
        snapshot: The scope's memories.
        rows: The candidates.
        cosines: Their similarity and all others'.
        lexical: BM25 scores.
        named: The speakers that the question names.
        focus: Their talks, if the scope holds more.
        context: Count the neighbours' scores.
        weights: What each feature adds.
    """
    added = features(snapshot, rows, cosines, lexical, named, focus) * weights.per_feature
    if focus is not None:
        added[:, 2] += weights.elsewhere * ~focus.mask[rows]
    parts = np.column_stack([added[:, :3], added[:, 3:].sum(axis=1) * context])
    return Fused(rows, parts.sum(axis=1), parts)


def probability(total: NDArray[np.float64], weights: FusionWeights = WEIGHTS) -> NDArray[np.float64]:
    """Weighted sums as scores between 0 and 1, in the same order."""
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(weights.slope * total + weights.bias, -60, 60)))
    return scores
