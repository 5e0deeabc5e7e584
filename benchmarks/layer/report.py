"""Prints the table, and writes it with the machine, the date and the command into a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.layer.results import Row

_REACHED = {True: "yes", False: "no", None: ""}


def show(rows: list[Row], names: list[str], versions: dict[str, str], machine: dict[str, Any]) -> None:
    """Print the table to the terminal."""
    console = Console()
    table = Table(title="What the memory layer costs: median (range) of the repeats")
    table.add_column("")
    for name in names:
        table.add_column(f"{name} {versions.get(name, '')}".strip(), justify="right")
    table.add_column("target", justify="right")
    table.add_column("reached")
    for row in rows:
        colour = {True: "green", False: "red", None: ""}[row.reached]
        verdict = f"[{colour}]{_REACHED[row.reached]}[/]" if colour else ""
        table.add_row(escape(f"{row.title}, {row.unit}"), *map(escape, _cells(row, names)), row.target_text(), verdict)
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in machine.items()), style="dim", highlight=False)


def write(out: Path, rows: list[Row], names: list[str], about: dict[str, Any]) -> None:
    """Write `results.json` and `table.md`."""
    out.mkdir(parents=True, exist_ok=True)
    content = {**about, "rows": [row.as_dict() for row in rows]}
    (out / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    versions = about["versions"]
    heads = ["", *(f"{name} {versions.get(name, '')}".strip() for name in names), "target", "reached"]
    lines = [
        "# Layer benchmark",
        "",
        f"{about['date']}, `{about['command']}`",
        "",
        "Median (range) of the repeats; the systems take turns within each. Embedder: feature hash, 384 dimensions.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    lines += [
        f"| {' | '.join([f'{row.title}, {row.unit}', *_cells(row, names), row.target_text(), _REACHED[row.reached]])} |"
        for row in rows
    ]
    lines += ["", "Machine: " + ", ".join(f"{key} {value}" for key, value in about["machine"].items()) + ".", ""]
    (out / "table.md").write_text("\n".join(lines), encoding="utf-8")


def read(out: Path) -> list[Row]:
    """Rows of an earlier run into the same folder."""
    path = out / "results.json"
    return [Row.from_dict(row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]] if path.exists() else []


def _cells(row: Row, names: list[str]) -> list[str]:
    return [row.cells[name].text() if name in row.cells else "-" for name in names]
