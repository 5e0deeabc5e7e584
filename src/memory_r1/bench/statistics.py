"""How sure a score is: bootstrap intervals of means and of paired differences, clustered by conversation.

Questions about one conversation share its memories, so they are not independent: whole conversations are resampled. An
interval that ignores this is far too narrow, and so is the usual percentile interval of eight conversations: it covers
the truth in 87 % of cases where it says 95 % (benchmarks/bootstrap_coverage.py). The percentiles are therefore moved
outward ("expanded percentile interval", Hesterberg 2015, arXiv:1411.5279): with k clusters, the tail is cut at
Phi(-sqrt(k / (k - 1)) * t), t being the quantile of Student's t with k - 1 degrees of freedom.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memory_r1.bench.records import Prediction
from memory_r1.bench.student import student_t
from memory_r1.errors import InvalidInputError

RESAMPLES = 10_000
_FEW = 6
_CHUNK = 2_000_000
_NORMAL = statistics.NormalDist()

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """One question's score by one metric."""

    conversation: str
    question: str
    """Its id; unique in the conversation."""
    value: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over questions and its bootstrap interval."""

    mean: float
    low: float | None
    """None if there is only one thing to resample, so that nothing is known of the spread."""
    high: float | None
    n: int
    """Questions."""
    clusters: int
    """Conversations."""
    unit: Literal["conversation", "question"]
    """What was resampled: questions if they are all about one conversation."""
    level: float = 0.95

    @property
    def rough(self) -> bool:
        """Whether there are too few conversations (under 6) for the interval to hold what it promises."""
        return self.unit == "conversation" and self.clusters < _FEW


@dataclass(frozen=True, slots=True)
class Difference:
    """Two systems on the same questions: the first one's mean less the second one's."""

    first: float
    second: float
    gap: Interval
    """Of `first - second`, question by question."""
    relative: Interval | None
    """Of `first / second - 1`; None if the second one scores 0, in the data or in a resample."""
    better: int
    """Questions on which the first one scores higher."""
    worse: int

    @property
    def decided(self) -> bool:
        """Whether the interval of the gap leaves out zero."""
        return self.gap.low is not None and self.gap.high is not None and (self.gap.low > 0 or self.gap.high < 0)


def samples(predictions: Iterable[Prediction], metric: str) -> list[Scored]:
    """The scores by one metric; questions without it (an error, or unanswerable) are left out."""
    return [
        Scored(one.conversation, one.question_id, one.scores[metric]) for one in predictions if metric in one.scores
    ]


def mean_interval(
    scored: Sequence[Scored], *, seed: int = 0, resamples: int = RESAMPLES, level: float = 0.95
) -> Interval:
    """Mean over questions with its bootstrap interval.

    The result does not depend on the order of the scores.

    Raises:
        InvalidInputError: No score, a question twice, a score that is not a finite number, or an unusable setting.

    Example:
        >>> interval = mean_interval([Scored(f"c{i % 8}", f"q{i}", i % 2) for i in range(80)])
        >>> interval.mean, interval.n, interval.clusters, interval.unit
        (0.5, 80, 8, 'conversation')
    """
    sums, counts, unit, clusters = _grouped([scored])
    drawn = _resample(sums, counts, seed=seed, resamples=resamples)
    mean = float(sums[:, 0].sum() / counts.sum())
    low, high = _ends(drawn[:, 0] / drawn[:, -1], len(counts), level)
    return Interval(mean, low, high, len(scored), clusters, unit, level)


def paired_difference(
    first: Sequence[Scored],
    second: Sequence[Scored],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Difference:
    """The difference of two systems' means on the same questions, with its bootstrap interval.

    Each resample takes the same conversations for both, so what is hard for both does not widen the interval.

    Raises:
        InvalidInputError: The two are not about the same questions, or as for `mean_interval`.

    Example:
        >>> first = [Scored(f"c{i % 8}", f"q{i}", 0.5 + i % 2 / 10) for i in range(80)]
        >>> second = [Scored(one.conversation, one.question, one.value - 0.25) for one in first]
        >>> found = paired_difference(first, second)
        >>> round(found.gap.mean, 6), found.decided, found.better
        (0.25, True, 80)
    """
    ours = {(one.conversation, one.question): one.value for one in first}
    theirs = {(one.conversation, one.question): one.value for one in second}
    _check_same(set(ours), set(theirs))
    sums, counts, unit, clusters = _grouped([first, second])
    drawn = _resample(sums, counts, seed=seed, resamples=resamples)
    n, k = len(first), len(counts)
    means = sums.sum(axis=0) / counts.sum()
    ends = _ends((drawn[:, 0] - drawn[:, 1]) / drawn[:, -1], k, level)
    gap = Interval(float(means[0] - means[1]), *ends, n, clusters, unit, level)
    relative = None
    if means[1] > 0 and drawn[:, 1].min() > 0:
        ends = _ends(drawn[:, 0] / drawn[:, 1] - 1, k, level)
        relative = Interval(float(means[0] / means[1] - 1), *ends, n, clusters, unit, level)
    better = sum(ours[key] > theirs[key] for key in ours)
    worse = sum(ours[key] < theirs[key] for key in ours)
    return Difference(float(means[0]), float(means[1]), gap, relative, better, worse)


def common_samples(
    first: Sequence[Prediction], second: Sequence[Prediction], metric: str
) -> tuple[list[Scored], list[Scored], int]:
    """Two systems' scores on the questions that both have answered, and how many questions an error takes out.

    Raises:
        InvalidInputError: The two were not asked the same questions.
    """
    asked = [{(one.conversation, one.question_id) for one in predictions} for predictions in (first, second)]
    _check_same(*asked)
    failed = {(one.conversation, one.question_id) for one in (*first, *second) if one.error is not None}
    ours, theirs = (
        samples((one for one in predictions if (one.conversation, one.question_id) not in failed), metric)
        for predictions in (first, second)
    )
    return ours, theirs, len(failed)


def over_seeds(runs: Sequence[Sequence[Scored]]) -> tuple[list[Scored], float]:
    """One system, run with several seeds: each question's mean score, and the standard deviation of the runs' means.

    The interval of the averaged scores says how sure the score is for other conversations; the deviation (0 with one
    run) says how much sampling alone moves it.

    Raises:
        InvalidInputError: There is no run, or the runs are not about the same questions.
    """
    if not runs or not runs[0]:
        raise InvalidInputError("There are no scores to average.", hint="Score at least one run.")
    values: dict[tuple[str, str], list[float]] = {(one.conversation, one.question): [] for one in runs[0]}
    for run in runs:
        _check_same(set(values), {(one.conversation, one.question) for one in run})
        for one in run:
            values[one.conversation, one.question].append(one.value)
    means = [statistics.fmean(one.value for one in run) for run in runs]
    spread = statistics.stdev(means) if len(means) > 1 else 0.0
    return [Scored(*key, statistics.fmean(several)) for key, several in values.items()], spread


def _check_same(ours: set[tuple[str, str]], theirs: set[tuple[str, str]]) -> None:
    if ours == theirs:
        return
    conversation, question = min(ours ^ theirs)
    raise InvalidInputError(
        f"The two do not have the same questions: {len(ours)} and {len(theirs)}, {len(ours & theirs)} in common; "
        f"{question!r} of {conversation!r} is only in the {'first' if (conversation, question) in ours else 'second'}.",
        hint="Run both on the same data, conversations and limits.",
    )


def _grouped(
    systems: Sequence[Sequence[Scored]],
) -> tuple[Array, Array, Literal["conversation", "question"], int]:
    """Sums of scores (cluster x system), questions per cluster, what a cluster is, and the number of conversations."""
    if not systems[0]:
        raise InvalidInputError("There are no scores.", hint="Was every question left out, or did every one fail?")
    clusters = {one.conversation for one in systems[0]}
    unit: Literal["conversation", "question"] = "conversation" if len(clusters) > 1 else "question"
    columns = []
    for scored in systems:
        if len({(one.conversation, one.question) for one in scored}) < len(scored):
            raise InvalidInputError("A question is scored twice.", hint="Delete its line in predictions.jsonl.")
        groups: dict[str, list[float]] = defaultdict(list)
        for one in scored:
            groups[one.conversation if unit == "conversation" else one.question].append(one.value)
        columns.append([groups[name] for name in sorted(groups)])
    # a sum that does not depend on the order of the scores
    sums = np.array([[math.fsum(values) for values in column] for column in columns]).T
    if not np.isfinite(sums).all():
        raise InvalidInputError("A score is not a finite number.", hint="Score the predictions anew.")
    return sums, np.array([float(len(values)) for values in columns[0]]), unit, len(clusters)


def _resample(sums: Array, counts: Array, *, seed: int, resamples: int) -> Array:
    """Draw clusters with replacement; a row a resample: each system's sum of scores, then the number of questions."""
    if resamples < 1:
        raise InvalidInputError("The bootstrap needs at least one resample.", hint=f"The default is {RESAMPLES}.")
    table = np.column_stack([sums, counts])
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(table))
    parts = []
    for start in range(0, resamples, step):
        picked = rng.integers(0, len(table), size=(min(step, resamples - start), len(table)), dtype=np.int32)
        parts.append(np.stack([column[picked].sum(axis=1) for column in table.T], axis=1))
    return np.concatenate(parts)


def _ends(statistic: Array, k: int, level: float) -> tuple[float | None, float | None]:
    if not 0 < level < 1:
        raise InvalidInputError(f"A level of {level} is not between 0 and 1.", hint="The default is 0.95.")
    if k < 2:
        return None, None
    tail = _NORMAL.cdf(-math.sqrt(k / (k - 1)) * student_t((1 + level) / 2, k - 1))
    low, high = np.quantile(statistic, [tail, 1 - tail])
    return float(low), float(high)
