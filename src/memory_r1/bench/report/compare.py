"""Two runs beside each other, question by question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memory_r1.bench.records import Prediction
from memory_r1.bench.report.categories import Category, categories_of
from memory_r1.bench.report.means import (
    ABSTENTION,
    BLEU1,
    EM,
    F1,
    J_GENEROUS,
    J_STRICT,
    Metric,
    difference_of,
)
from memory_r1.bench.report.questions import is_right
from memory_r1.bench.report.run import Key, Run, SystemRun, load_run
from memory_r1.bench.statistics import Difference
from memory_r1.errors import InvalidInputError

METRICS = (F1, BLEU1, EM, J_GENEROUS, J_STRICT, ABSTENTION)
"""What is compared, as far as both have it."""

BOTH, FIRST, SECOND, NEITHER, LEFT_OUT = (
    "both right",
    "only the first right",
    "only the second right",
    "neither",
    "left out",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A system of the first run and one of the second, asked the same questions."""

    first: SystemRun
    second: SystemRun
    judged: bool
    """Whether the generous judge's verdicts say what is right; otherwise F1 does."""

    @property
    def name(self) -> str:
        """What is compared."""
        if self.first.name == self.second.name:
            return self.first.name
        return f"{self.first.name} and {self.second.name}"

    def verdict(self, key: Key) -> str:
        """Who is right on a question; `LEFT_OUT` if either raised."""
        one, other = (is_right(each.predictions[key], judged=self.judged) for each in (self.first, self.second))
        if one is None or other is None:
            return LEFT_OUT
        return BOTH if one and other else FIRST if one else SECOND if other else NEITHER

    def by_verdict(self) -> dict[str, list[Key]]:
        """The questions under each verdict, in the first run's order."""
        found: dict[str, list[Key]] = {name: [] for name in (BOTH, FIRST, SECOND, NEITHER, LEFT_OUT)}
        for key in self.first.predictions:
            found[self.verdict(key)].append(key)
        return found

    def difference(self, metric: Metric, category: Category | None = None) -> Difference | None:
        """Second minus first, paired by question; None if no question has the score in both."""
        return difference_of(_only(self.second, category), _only(self.first, category), metric)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs and the pairs of systems that are compared."""

    first: Run
    second: Run
    pairs: tuple[Pair, ...]

    @property
    def categories(self) -> list[Category]:
        """Of the answerable questions."""
        return categories_of(self.first, answerable=True)


def compare_runs(
    first: str | Path, second: str | Path, *, system: str | None = None, against: str | None = None
) -> Comparison:
    """Set two runs beside each other.

    Args:
        first: A run folder.
        second: Another, or the same one to compare two of its systems.
        system: The first run's system; by default all that both runs have, or the only one of each.
        against: The second run's system; by default the one of the same name.

    Raises:
        NotFoundError: A folder is no run, or has no such system.
        InvalidInputError: A run is damaged, the two have no system in common, or they were not asked the same questions
            with the same gold answers.
    """
    one, other = load_run(first), load_run(second)
    chosen = _chosen(one, other, system, against)
    for mine, theirs in chosen:
        check_same_questions(one, mine, other, theirs)
    return Comparison(one, other, tuple(Pair(mine, theirs, _judged(mine, theirs)) for mine, theirs in chosen))


def _chosen(one: Run, other: Run, system: str | None, against: str | None) -> list[tuple[SystemRun, SystemRun]]:
    if system is not None or against is not None:
        name = system or against or ""
        return [(one.system(name), other.system(against or name))]
    names = [each.name for each in one.systems]
    common = [name for name in names if name in {each.name for each in other.systems}]
    if common:
        return [(one.system(name), other.system(name)) for name in common]
    if len(one.systems) == len(other.systems) == 1:
        return [(one.systems[0], other.systems[0])]
    raise InvalidInputError(
        f"The two runs have no system in common: {', '.join(names)}; {', '.join(each.name for each in other.systems)}.",
        hint="Name one of each with --system and --against.",
    )


def check_same_questions(one: Run, mine: SystemRun, other: Run, theirs: SystemRun) -> None:
    """See that a system of one run and one of another were asked the same questions, with the same gold answers.

    Raises:
        InvalidInputError: They were not; the message says how many are in which, and names one.
    """
    only_mine = [key for key in mine.predictions if key not in theirs.predictions]
    only_theirs = [key for key in theirs.predictions if key not in mine.predictions]
    if only_mine or only_theirs:
        key = (only_mine or only_theirs)[0]
        where = one.folder if only_mine else other.folder
        asked = (mine if only_mine else theirs).predictions[key]
        raise InvalidInputError(
            f"The two were not asked the same questions: {len(mine.predictions):,} in {one.folder} ({mine.name}), "
            f"{len(theirs.predictions):,} in {other.folder} ({theirs.name}); {len(only_mine):,} only in the first, "
            f"{len(only_theirs):,} only in the second. The first of them is {key[1]!r} of {key[0]!r} in {where}: "
            f"{asked.question!r}.",
            hint="Run both on the same data, conversations, limits and labels, to the end.",
        )
    changed = [key for key, asked in mine.predictions.items() if _label(asked) != _label(theirs.predictions[key])]
    if changed:
        key = changed[0]
        raise InvalidInputError(
            f"{len(changed):,} of {len(mine.predictions):,} questions have another text or gold answer "
            f"in {other.folder}. The first is {key[1]!r} of {key[0]!r}: {mine.predictions[key].gold!r}, there "
            f"{theirs.predictions[key].gold!r}.",
            hint="Score both runs by the same labels.",
        )


def _label(prediction: Prediction) -> tuple[str, str | None]:
    return prediction.question, prediction.gold


def _judged(*systems: SystemRun) -> bool:
    """Whether every answerable question that was answered has the generous judge's verdict in every system."""
    answered = [
        one for system in systems for one in system.predictions.values() if one.error is None and one.gold is not None
    ]
    return bool(answered) and all(J_GENEROUS.key in one.scores for one in answered)


def _only(system: SystemRun, category: Category | None) -> SystemRun:
    if category is None:
        return system
    chosen = {key: one for key, one in system.predictions.items() if one.category == category.key}
    return SystemRun(system.name, system.about, chosen, system.stats)
