"""`runs`: list training runs, and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from memory_r1.rl.run_folder import RunFolder


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

    table = Table(box=None, pad_edge=False)
    for column in ("run", "agent", "by", "steps", "before", "after", "better by", "best", "n", "started"):
        table.add_column(column, no_wrap=True)
    for one in found:
        table.add_row(
            shown(one["run"]),
            one["agent"],
            one["algorithm"],
            f"{one['done']}/{one['steps']}",
            _score(one["before"]),
            _score(one["after"]),
            _better(one["better"]),
            _score(one["best"]),
            str(one["held_out"]),
            (one["started"] or "")[:16],
        )
    console().print(table)
    names = [name for name in found[0]["settings"] if len({str(one["settings"].get(name)) for one in found}) > 1]
    if len(found) > 1 and names:
        differences = Table(box=None, pad_edge=False, title="Settings that differ", title_justify="left")
        differences.add_column("setting")
        names_of = _short([one["run"] for one in found])
        for one in found:
            differences.add_column(shown(names_of[one["run"]]))
        for name in names:
            differences.add_row(name, *(shown(str(one["settings"].get(name))) for one in found))
        console().print(differences)


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
