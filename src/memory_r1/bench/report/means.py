"""Mean scores of a run's systems, with intervals: over all questions, by category, and against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from memory_r1.bench.records import Prediction
from memory_r1.bench.report.categories import Category, categories_of
from memory_r1.bench.report.run import Run, SystemRun
from memory_r1.bench.scores import METRICS
from memory_r1.bench.statistics import Difference, Interval, Scored, mean_interval, paired_difference


class Metric(NamedTuple):
    """One score of `Prediction.scores`."""

    key: str
    short: str
    """Where the report has said whose definition it is."""

    @property
    def name(self) -> str:
        """In full, with whose definition it is."""
        return METRICS[self.key]


F1 = Metric("mem0_f1", "F1")
BLEU1 = Metric("mem0_bleu1", "BLEU-1")
EM = Metric("mem0_em", "EM")
J_GENEROUS = Metric("judge_generous", "J")
J_STRICT = Metric("judge_strict", "J, strict")
ABSTENTION = Metric("abstention", "abstention")

HEADLINE = (F1, BLEU1, EM)
JUDGES = (J_GENEROUS, J_STRICT)
_F1_FIRST = sorted(METRICS, key=lambda key: not key.endswith("_f1"))
DEFINITIONS = tuple(
    Metric(key, METRICS[key]) for key in _F1_FIRST if key not in (ABSTENTION.key, J_GENEROUS.key, J_STRICT.key)
)
"""Every definition that needs no judge: those of F1 first."""


class Means:
    """All means of a run, each bootstrapped once.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.categories = categories_of(run, answerable=True)
        self._means: dict[tuple[str, str, str | None], Interval | None] = {}
        self._differences: dict[tuple[str, str, str], Difference | None] = {}

    @property
    def judges(self) -> tuple[Metric, ...]:
        """The judges that scored at least one answer."""
        return tuple(one for one in JUDGES if any(self.mean(system, one) is not None for system in self.run.systems))

    def mean(self, system: SystemRun, metric: Metric, category: Category | None = None) -> Interval | None:
        """Mean score of the questions that the system answered; None if no answer has this score."""
        place = (system.name, metric.key, category.key if category else None)
        if place not in self._means:
            self._means[place] = mean_of(
                system,
                lambda one: one.scores.get(metric.key) if category is None or one.category == category.key else None,
            )
        return self._means[place]

    def difference(self, system: SystemRun, other: SystemRun, metric: Metric) -> Difference | None:
        """`system` minus `other` over the questions that both answered; None if there is none."""
        place = (system.name, other.name, metric.key)
        if place not in self._differences:
            self._differences[place] = difference_of(system, other, metric)
        return self._differences[place]

    def best(self, metric: Metric = F1, category: Category | None = None) -> SystemRun | None:
        """The system with the highest mean, failed ones apart; the first of equals, None if none has the score."""
        found: SystemRun | None = None
        top = float("-inf")
        for system in self.run.systems:
            mean = None if system.failed else self.mean(system, metric, category)
            if mean is not None and mean.mean > top:
                found, top = system, mean.mean
        return found


def mean_of(system: SystemRun, value: Callable[[Prediction], float | None]) -> Interval | None:
    """Mean of what a function gives for each answered question, clustered by conversation; None without any."""
    scored = [
        Scored(one.conversation, one.question_id, number)
        for one in system.predictions.values()
        if one.error is None and (number := value(one)) is not None
    ]
    return mean_interval(scored) if scored else None


def difference_of(system: SystemRun, other: SystemRun, metric: Metric) -> Difference | None:
    """Paired difference of two systems, of one run or of two, over the questions that have this score in both."""
    mine, theirs = (
        {
            key: Scored(*key, one.scores[metric.key])
            for key, one in each.predictions.items()
            if one.error is None and metric.key in one.scores
        }
        for each in (system, other)
    )
    common = [key for key in mine if key in theirs]
    return paired_difference([mine[key] for key in common], [theirs[key] for key in common]) if common else None
