"""From single questions to figures with intervals, by size of the bank."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memory_r1.bench.dilution.measure import Measured
from memory_r1.bench.dilution.probe import CUTS, DEPTHS, CutProbe, Probe
from memory_r1.bench.report.costs import percentiles
from memory_r1.bench.statistics import Difference, Interval, Scored, mean_interval, paired_difference
from memory_r1.errors import InvalidInputError

F1 = "mem0_f1"
"""The F1 of tables; all others are in `questions.jsonl`."""

_OF_CUT: dict[str, Callable[[CutProbe], float | None]] = {
    "recall": lambda cut: cut.recall,
    "precision": lambda cut: cut.precision,
    "foreign": lambda cut: cut.foreign,
    "memories": lambda cut: cut.memories,
    "tokens": lambda cut: cut.tokens,
    "f1": lambda cut: None if cut.reading is None else cut.reading.scores.get(F1),
    "prompt_tokens": lambda cut: None if cut.reading is None else cut.reading.prompt_tokens,
}

KEPT = (*(f"recall@{k}" for k in DEPTHS), "dynamic.recall", "dynamic.f1", "fixed.f1")
"""Metrics of which it is told how much a larger bank keeps."""


@dataclass(frozen=True, slots=True)
class SizeSummary:
    """All questions on banks of one size."""

    size: int | None
    """None: undiluted."""
    memories: float
    """In a bank, on average."""
    metrics: dict[str, Interval]
    """`recall@10`, `recall@60`, and for each cut e.g. `dynamic.precision`; `.f1` only with a reader."""
    kept: dict[str, Interval]
    """For `KEPT`: the share of the undiluted bank's figure, with its paired interval; empty for that bank itself."""
    dynamic_over_fixed: dict[str, Difference]
    """`tokens`, `recall`, and with a reader `f1`: the dynamic cut less the fixed one, question by question."""
    seconds: tuple[float, float]
    """p50 and p95 of a search with the dynamic cut, without embedding the question."""
    load_seconds: float
    """Of the first search of a bank, on average."""
    sources: dict[str, float]
    """Distractors by where they come from, on average."""


def summarise(measured: Measured) -> list[SizeSummary]:
    """Figures by size, undiluted first.

    Raises:
        InvalidInputError: Nothing was measured.
    """
    sizes = list(dict.fromkeys(probe.size for probe in measured.probes))
    if not sizes:
        raise InvalidInputError("Nothing was measured.")
    by_size = {size: _metrics([one for one in measured.probes if one.size == size]) for size in sizes}
    return [_summary(measured, size, by_size[size], by_size[sizes[0]]) for size in sizes]


def _summary(
    measured: Measured, size: int | None, metrics: dict[str, list[Scored]], undiluted: dict[str, list[Scored]]
) -> SizeSummary:
    probes = [one for one in measured.probes if one.size == size]
    banks = [one for one in measured.banks if one.size == size]
    seconds = percentiles([one.cuts["dynamic"].seconds for one in probes])
    assert seconds is not None
    names = sorted({name for one in banks for name in one.sources})
    return SizeSummary(
        size,
        statistics.fmean(one.memories for one in banks),
        {name: mean_interval(scored) for name, scored in metrics.items()},
        {} if size is None else _kept(metrics, undiluted),
        {
            name: paired_difference(metrics[f"dynamic.{name}"], metrics[f"fixed.{name}"])
            for name in ("tokens", "recall", "f1")
            if f"dynamic.{name}" in metrics
        },
        seconds,
        statistics.fmean(one.load_seconds for one in banks),
        {name: statistics.fmean(one.sources.get(name, 0) for one in banks) for name in names},
    )


def _metrics(probes: Sequence[Probe]) -> dict[str, list[Scored]]:
    """Scores by metric; those that no question has are left out."""
    metrics: defaultdict[str, list[Scored]] = defaultdict(list)
    for probe in probes:
        found: dict[str, float | None] = {f"recall@{k}": probe.recall[k] for k in DEPTHS}
        found |= {f"{cut}.{name}": value(probe.cuts[cut]) for cut in CUTS for name, value in _OF_CUT.items()}
        for name, score in found.items():
            if score is not None:
                metrics[name].append(Scored(probe.conversation, probe.question_id, float(score)))
    return dict(metrics)


def _kept(metrics: dict[str, list[Scored]], undiluted: dict[str, list[Scored]]) -> dict[str, Interval]:
    kept = {}
    for name in KEPT:
        if name in metrics:
            relative = paired_difference(metrics[name], undiluted[name]).relative
            if relative is not None:
                kept[name] = _one_more(relative)
    return kept


def _one_more(relative: Interval) -> Interval:
    """From a relative difference to a share."""
    low = None if relative.low is None else 1 + relative.low
    high = None if relative.high is None else 1 + relative.high
    return Interval(1 + relative.mean, low, high, relative.n, relative.clusters, relative.unit, relative.level)
