"""`runs`: list training runs, and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from memory_r1.rl.run_folder import RunFolder

_WIDE = 120
"""Columns of a terminal from which on it is told when a run started."""


def runs(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Runs, or folders of runs; runs/ if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")] = False,
) -> None:
    """List training runs with their scores; of several runs, show in which settings they differ."""
    from memory_r1.cli.output import note, print_json
    from memory_r1.errors import NotFoundError, TrainingError
    from memory_r1.rl.run_folder import RunFolder

    given = folders or [Path("runs")]
    found = []
    for path in (path for folder in given for path in _run_folders(folder)):
        try:
            found.append(summary(RunFolder.open(path)))
        except TrainingError as error:  # one foreign run must not hide the others
            note(f"Left out: {error}")
    if not found:
        named = ", ".join(map(str, given))
        raise NotFoundError(f"There is no training run in {named}.", hint="`memory-r1 train` makes one.")
    if as_json:
        print_json(found)
    else:
        _print(found)


def summary(run: RunFolder) -> dict[str, Any]:
    """What there is to know of a run in short."""
    from memory_r1.rl.improvement import improvement

    about, config, better = run.about(), run.config(), improvement(run)
    steps = [row["step"] for row in run.metrics()]
    scored = [row["eval/reward"] for row in run.metrics() if "eval/reward" in row]
    return {
        "run": str(run.path),
        "agent": config.agent,
        "algorithm": config.algorithm,
        "done": max(steps, default=0),
        "steps": config.steps,
        "before": scored[0] if scored else None,
        "after": scored[-1] if len(scored) > 1 else None,
        "best": max(scored[1:], default=None),
        "better": better and {"mean": better.gap.mean, "low": better.gap.low, "high": better.gap.high},
        "held_out": about.get("held_out"),
        "started": about.get("started"),
        "data": about.get("data"),
        "settings": config.model_dump(mode="json"),
    }


def _run_folders(folder: Path) -> list[Path]:
    """A run by itself, or the runs in a folder; those of two agents that learn in turns lie one deeper."""
    from memory_r1.rl.run_folder import RUN_FILE

    if (folder / RUN_FILE).is_file():
        return [folder]
    return sorted(file.parent for pattern in ("*", "*/*") for file in folder.glob(f"{pattern}/{RUN_FILE}"))


def _print(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from memory_r1.cli.output import console, shown

    screen = console()
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "run": lambda one: shown(one["run"]),
        "agent": lambda one: one["agent"],
        "by": lambda one: one["algorithm"],
        "steps": lambda one: f"{one['done']}/{one['steps']}",
        "before": lambda one: _score(one["before"]),
        "after": lambda one: _score(one["after"]),
        "better by": lambda one: _better(one["better"]),
        "best": lambda one: _score(one["best"]),
        "n": lambda one: str(one["held_out"]),
        "started": lambda one: (one["started"] or "")[:16],
    }
    if screen.width < _WIDE:
        del columns["started"]
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=True)
    for one in found:
        table.add_row(*(cell(one) for cell in columns.values()))
    screen.print(table)
    names = [name for name in found[0]["settings"] if len({str(one["settings"].get(name)) for one in found}) > 1]
    if len(found) > 1 and names:
        _print_differences(found, names)


def _print_differences(found: list[dict[str, Any]], names: list[str]) -> None:
    """A row for each setting, in as many tables as it takes for the runs to fit beside each other."""
    from rich.table import Table

    from memory_r1.cli.output import console, shown

    screen = console()
    names_of = _short([one["run"] for one in found])
    columns = [
        [shown(names_of[one["run"]]), *(shown(str(one["settings"].get(name))) for name in names)] for one in found
    ]
    title = "Settings that differ"
    for band in _bands([max(map(len, column)) for column in columns], screen.width - max(map(len, names))):
        table = Table(box=None, pad_edge=False, title=title, title_justify="left")
        table.add_column("setting")
        for place in band:
            table.add_column(columns[place][0])
        for row, name in enumerate(names, start=1):
            table.add_row(name, *(columns[place][row] for place in band))
        screen.print(table)
        title = ""


def _bands(widths: list[int], room: int) -> list[list[int]]:
    """Places of columns that fit beside each other, in order, at least one at a time.

    Example:
        >>> _bands([5, 5, 20, 5], 15)
        [[0, 1], [2], [3]]
    """
    bands: list[list[int]] = []
    left = 0
    for place, width in enumerate(widths):
        # two columns of space before each
        if not bands or width + 2 > left:
            bands.append([])
            left = room
        bands[-1].append(place)
        left -= width + 2
    return bands


def _short(paths: list[str]) -> dict[str, str]:
    """Each run by the name of its folder, or by its whole path where two folders have one name."""
    last = [Path(path).name for path in paths]
    return {path: name if last.count(name) == 1 else path for path, name in zip(paths, last, strict=True)}


def _better(gap: dict[str, Any] | None) -> str:
    if gap is None:
        return "-"
    ends = "" if gap["low"] is None else f" ({gap['low']:+.3f} to {gap['high']:+.3f})"
    return f"{gap['mean']:+.3f}{ends}"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
