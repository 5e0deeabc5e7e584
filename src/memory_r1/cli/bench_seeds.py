"""`bench seeds`: one method run several times, and how much chance alone moves its scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from memory_r1.bench.report.seeds import Seeds, Spread


def seeds(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Runs' folders.", show_default=False)],
    systems: Annotated[
        list[str],
        typer.Option(
            "--system",
            "-s",
            metavar="NAME",
            help="A system that is one seed's run of the method; repeatable. Taken from every folder that has it.",
            show_default=False,
        ),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A system of another method, for the paired difference; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")] = False,
) -> None:
    """Average a method over runs with several seeds: mean with its interval, and the runs' standard deviation.

    The runs must have been asked the same questions. A question on which one of them raised is left out of all.
    """
    from memory_r1.bench.report.seeds import open_seeds, spreads, to_table
    from memory_r1.cli.bench_report import rich_table
    from memory_r1.cli.output import console, print_json

    ours = open_seeds(folders, systems)
    theirs = open_seeds(folders, against) if against else None
    found = spreads(ours, theirs)
    if as_json:
        print_json(_as_json(ours, found))
        return
    table = to_table(ours, theirs, found)
    console().print(rich_table(table))
    for text in table.notes:
        console().print(text, style="dim", markup=False)


def _as_json(ours: Seeds, found: list[Spread]) -> dict[str, Any]:
    def difference(one: Spread) -> dict[str, Any] | None:
        if one.difference is None:
            return None
        gap = one.difference.gap
        return {"mean": gap.mean, "low": gap.low, "high": gap.high}

    return {
        "runs": ours.names,
        "scores": {
            one.metric.key: {
                "n": one.mean.n,
                "mean": one.mean.mean,
                "low": one.mean.low,
                "high": one.mean.high,
                "deviation": one.deviation,
                "each": list(one.each),
                "difference": difference(one),
            }
            for one in found
        },
    }
