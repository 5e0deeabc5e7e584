"""One method, run several times with other seeds: its mean, how sure it is, and how much chance alone moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memory_r1.bench.report.compare import METRICS, check_same_questions
from memory_r1.bench.report.document import Cell, Column, Table, count_cell, gap_cell, percent, score_cell
from memory_r1.bench.report.means import Metric
from memory_r1.bench.report.run import Key, Run, SystemRun, load_run
from memory_r1.bench.scores import METRICS as NAMES
from memory_r1.bench.statistics import (
    Difference,
    Interval,
    Scored,
    mean_interval,
    over_seeds,
    paired_difference,
    samples,
)
from memory_r1.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Seeds:
    """The same method several times, asked the same questions."""

    runs: tuple[tuple[Run, SystemRun], ...]
    """A run folder and a system of it, for each seed."""

    @property
    def names(self) -> list[str]:
        """What the runs are called: by their systems, or by their folders if the systems have one name."""
        systems = [system.name for _, system in self.runs]
        if len(set(systems)) == len(systems):
            return systems
        return [f"{run.folder.name}/{system.name}" for run, system in self.runs]

    @property
    def failed(self) -> set[Key]:
        """Questions on which a run raised; they are left out of all."""
        return {key for _, system in self.runs for key, one in system.predictions.items() if one.error is not None}

    def scores(self, metric: Metric, without: set[Key]) -> list[list[Scored]]:
        """Each run's scores; empty unless every run has the metric."""
        kept = ([one for key, one in system.predictions.items() if key not in without] for _, system in self.runs)
        found = [samples(predictions, metric.key) for predictions in kept]
        return found if all(found) else []


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric over the seeds."""

    metric: Metric
    mean: Interval
    """Of each question's mean over the runs: how sure the score is for other conversations."""
    deviation: float
    """Standard deviation of the runs' means: how much the seed alone moves it."""
    each: tuple[float, ...]
    """The runs' means."""
    difference: Difference | None
    """Less the other method, if there is one; both averaged over their runs."""


def open_seeds(folders: Sequence[str | Path], systems: Sequence[str]) -> Seeds:
    """Take systems of runs for one method under several seeds.

    Args:
        folders: Run folders.
        systems: Names of systems; each is taken from every folder that has it.

    Raises:
        NotFoundError: A folder is no run.
        InvalidInputError: No run has such a system, or they were not asked the same questions.
    """
    runs = [load_run(folder) for folder in folders]
    found = tuple((run, one) for run in runs for one in run.systems if one.name in systems)
    missing = [name for name in systems if name not in {one.name for _, one in found}]
    if missing:
        there = ", ".join(dict.fromkeys(one.name for run in runs for one in run.systems))
        raise InvalidInputError(f"No run has a system {missing[0]!r}.", hint=f"There are: {there}.")
    for run, one in found[1:]:
        check_same_questions(*found[0], run, one)
    return Seeds(found)


def spreads(seeds: Seeds, against: Seeds | None = None) -> list[Spread]:
    """Every metric that all runs have.

    Args:
        seeds: The method.
        against: Another one, e.g. the best rival; it may have one run.

    Raises:
        InvalidInputError: The other was not asked the same questions.
    """
    if against is not None:
        check_same_questions(*seeds.runs[0], *against.runs[0])
    without = seeds.failed | (against.failed if against else set())
    found = []
    for metric in METRICS:
        scores = seeds.scores(metric, without)
        if not scores:
            continue
        averaged, deviation = over_seeds(scores)
        theirs = against.scores(metric, without) if against else []
        difference = paired_difference(averaged, over_seeds(theirs)[0]) if theirs else None
        each = tuple(sum(one.value for one in run) / len(run) for run in scores)
        found.append(Spread(metric, mean_interval(averaged), deviation, each, difference))
    return found


def to_table(seeds: Seeds, against: Seeds | None, found: Sequence[Spread]) -> Table:
    """The spreads for people."""
    columns = [Column("score", number=False), Column("n"), Column("mean"), Column("SD of runs")]
    columns += [Column(name) for name in seeds.names]
    if against is not None:
        other = against.names[0] if len(against.runs) == 1 else f"mean of {len(against.runs)}"
        columns += [Column(f"minus {other}"), Column("relative")]
    rows = []
    for one in found:
        cells = [
            Cell(NAMES[one.metric.key]),
            count_cell(one.mean.n),
            score_cell(one.mean),
            Cell(percent(one.deviation)),
        ]
        cells += [Cell(percent(value), order=value) for value in one.each]
        if against is not None:
            gap = one.difference
            cells += [gap_cell(gap.gap if gap else None), gap_cell(gap.relative if gap else None, unit=" %")]
        rows.append(tuple(cells))
    left = len(seeds.failed | (against.failed if against else set()))
    notes = [f"{left:,} questions on which a run raised are left out."] if left else []
    return Table(f"{len(seeds.runs)} runs of one method", tuple(columns), tuple(rows), tuple(notes))
