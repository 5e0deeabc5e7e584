"""The `memory-r1` command: its groups of commands, and how errors reach the user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from memory_r1.cli import ask, bench, chat, data, demo, doctor, log, models, remember, runs, train, transfer
from memory_r1.cli.options import expand_options
from memory_r1.errors import MemoryR1Error

BANK, LOG, DATA, SYSTEM = "Remember and ask", "Look back", "Move and delete", "Try and check"
LEARN, MEASURE = "Train", "Measure"

COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("demo", demo.demo, SYSTEM),
    ("add", remember.add, BANK),
    ("plan", remember.plan, BANK),
    ("search", ask.search, BANK),
    ("ask", ask.ask, BANK),
    ("chat", chat.chat, BANK),
    ("list", ask.list_memories, BANK),
    ("log", log.log, LOG),
    ("history", log.history, LOG),
    ("undo", log.undo, LOG),
    ("export", transfer.export, DATA),
    ("import", transfer.import_log, DATA),
    ("erase", transfer.erase, DATA),
    ("reembed", transfer.reembed, DATA),
    ("train", train.train, LEARN),
    ("runs", runs.runs, LEARN),
    ("doctor", doctor.doctor, SYSTEM),
)


class Group(TyperGroup):
    """Prints our own errors as one line with a hint and ends with status 2; any other error is a bug and shows."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except MemoryR1Error as error:
            if ctx.params.get("debug"):
                raise
            _print_error(error)
            raise typer.Exit(2) from error


def build() -> typer.Typer:
    """Put the commands together."""
    app = typer.Typer(
        cls=Group,
        name="memory-r1",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, command, panel in COMMANDS:
        app.command(name, rich_help_panel=panel)(expand_options(command))
    app.add_typer(bench.app, name="bench", rich_help_panel=MEASURE)
    app.add_typer(data.app, name="data", rich_help_panel=MEASURE)
    app.add_typer(models.app, name="models", rich_help_panel=SYSTEM)
    return app


def main() -> None:
    """Run `memory-r1`.

    Exit status: 0 done, 1 a check failed, 2 an error that the message explains, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # undecodable bytes of an argument come back out as they are, instead of ending the program
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="memory-r1")


def _print_version(wanted: bool) -> None:
    if wanted:
        from memory_r1 import __version__

        typer.echo(f"memory-r1 {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar="MEMORY_R1_DEBUG", help="Show tracebacks.")] = False,
) -> None:
    """Long-term memory that learns what to keep. Works offline; sends nothing anywhere."""


def _print_error(error: MemoryR1Error) -> None:
    from memory_r1.cli.output import shown

    typer.secho(f"Error: {shown(error.message)}", fg=typer.colors.RED, err=True)
    if error.hint:
        typer.secho(f"Hint: {shown(error.hint)}", err=True)


app = build()
