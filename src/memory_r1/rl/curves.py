"""Draws a run's metrics over its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memory_r1.rl.disk import replacing, writing

PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reward", ("charts/reward", "eval/reward")),
    ("loss", ("losses/loss",)),
    ("KL", ("losses/reference_kl", "losses/approx_kl")),
    ("entropy", ("losses/entropy",)),
    ("completion length", ("charts/length",)),
    ("operations", ("ops/ADD", "ops/UPDATE", "ops/DELETE", "ops/NOOP")),
)
"""Title of each panel, and the metrics that it shows if they are there."""


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Write a PNG with a panel for each kind of metric that was measured; nothing if none was.

    Args:
        rows: Lines of `metrics.jsonl`.
        path: Where to.
        title: Above all panels.

    Raises:
        TrainingError: It cannot be written; the picture before is still there.
    """
    from matplotlib.figure import Figure  # a Figure of its own needs no display and no global state

    present = [(name, [one for one in series if any(one in row for row in rows)]) for name, series in PANELS]
    present = [(name, series) for name, series in present if series]
    if not present:
        return
    columns = min(3, len(present))
    height = -(-len(present) // columns)
    figure = Figure(figsize=(4 * columns, 2.8 * height), layout="constrained")
    figure.suptitle(title)
    for index, (name, series) in enumerate(present):
        axes = figure.add_subplot(height, columns, index + 1)
        for one in series:
            points = [(row["step"], row[one]) for row in rows if one in row]
            axes.plot(*zip(*points, strict=True), marker="o" if one.startswith("eval/") else None, ms=3, label=one)
        axes.set_title(name, fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    with writing(path), replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
