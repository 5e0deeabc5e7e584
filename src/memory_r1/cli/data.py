"""`data`: fetch the benchmarks' data, and list what is here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from memory_r1.data.published import DataSet

app = typer.Typer(help="Fetch and list the data of benchmarks.", no_args_is_help=True)

ToFolder = Annotated[
    Path | None, typer.Option("--to", metavar="FOLDER", help="Where data is kept; MEMORY_R1_DATA or your data folder.")
]


@app.command()
def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="locomo, longmemeval or msc.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Take it from this folder instead of the network.")
    ] = None,
    to: ToFolder = None,
    accept: Annotated[bool, typer.Option("--accept-licence", help="I have read its licence and accept it.")] = False,
) -> None:
    """Fetch a benchmark's data from where it is published, and check that it is whole."""
    from memory_r1.cli.output import console
    from memory_r1.data.download import data_state, take_from
    from memory_r1.data.download import download as fetch
    from memory_r1.data.published import data_folder, find_data_set

    wanted, folder = find_data_set(name), (to or data_folder()).expanduser()
    out = console(stderr=True)
    state, path = data_state(wanted, folder)
    if state == "here":
        console().print(f"{name} is already in {path}", markup=False)
        return
    if state == "damaged":
        out.print(f"{path} is damaged and will be replaced.", markup=False)
    _accept(wanted, accept)
    if source is not None:
        with _shown(f"Copying {name}") as progress:
            path = take_from(wanted, source, folder, on_progress=progress)
    else:
        with _shown(f"Fetching {name}") as progress:
            path = fetch(wanted, folder, on_progress=progress)
    console().print(f"{name} is in {path}, and its SHA-256 is right.", markup=False)


@app.command("list")
def list_data(
    to: ToFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")] = False,
) -> None:
    """List the data sets, and which are here and whole."""
    from memory_r1.cli.output import print_json
    from memory_r1.data.download import data_state
    from memory_r1.data.published import DATA_SETS, data_folder

    folder = (to or data_folder()).expanduser()
    found = []
    for one in DATA_SETS.values():
        state, path = data_state(one, folder)
        found.append(
            {
                "name": one.name,
                "state": state,
                "path": str(path),
                "licence": one.licence,
                "title": one.title,
                "url": one.source.url,
                "sha256": one.source.sha256,
            }
        )
    if as_json:
        print_json(found)
    else:
        _print(found)


def _accept(wanted: DataSet, accepted: bool) -> None:
    """Show the licence; end unless it is accepted."""
    from memory_r1.cli.output import console
    from memory_r1.errors import ConfigError

    out = console(stderr=True)
    for line in (wanted.title, wanted.home, f"Licence: {wanted.licence}. {wanted.terms}"):
        out.print(line, markup=False)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise ConfigError("The licence was not accepted.", hint="Read it, then add --accept-licence.")
    if not typer.confirm("Do you accept it?", err=True):
        raise typer.Exit(1)


@contextmanager
def _shown(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar at a terminal, elsewhere two lines."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from memory_r1.cli.output import console

    out = console(stderr=True)
    if not out.is_terminal:
        out.print(f"{title} ...")
        yield lambda done, total: None
        return
    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _print(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from memory_r1.cli.output import console, shown

    table = Table(box=None, pad_edge=False)
    for column in ("name", "state", "licence", "what", "file"):
        table.add_column(column, no_wrap=column in ("name", "state", "licence"), overflow="fold")
    for one in found:
        table.add_row(*(shown(one[key]) for key in ("name", "state", "licence", "title", "path")))
    console().print(table)
