"""`bench operations`: what Memory Managers make of conversations whose right bank is known."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memory_r1.cli.bench_options import RUN, CacheOption, EmbedderOption, ModelOption, RunJsonOption, managers_cache

if TYPE_CHECKING:
    from rich.console import Console

    from memory_r1.bench.operations.answering import ReaderSpec
    from memory_r1.bench.operations.measure import Measured, Plan
    from memory_r1.bench.operations.report import Setting
    from memory_r1.bench.operations.story import Words
    from memory_r1.bench.report.document import Document, Table
    from memory_r1.config import Settings
    from memory_r1.data.synthetic import Split

TOLD, MANAGERS, READS = "What is told", "Who rules", "What is asked, and who answers"

DEFAULT_SESSIONS = "5,20,50,200"

_WIDE = 160
"""Columns of a terminal from which on intervals fit beside the figures."""


def operations(
    sessions: Annotated[
        str, typer.Option(metavar="LIST", rich_help_panel=TOLD, help="After how many sessions to look at the bank.")
    ] = DEFAULT_SESSIONS,
    conversations: Annotated[
        int, typer.Option(min=1, rich_help_panel=TOLD, help="How many, each as long as the last of --sessions.")
    ] = 6,
    seed: Annotated[int, typer.Option(rich_help_panel=TOLD, help="Of the first conversation.")] = 0,
    part: Annotated[
        str, typer.Option(rich_help_panel=TOLD, help="train, validation or test; test is held out from training.")
    ] = "test",
    speakers: Annotated[int, typer.Option(min=2, max=4, rich_help_panel=TOLD, help="Of each conversation.")] = 2,
    words: Annotated[
        str,
        typer.Option(rich_help_panel=TOLD, help="fact (the generator's words), said (those it was told in), or both."),
    ] = "fact",
    managers: Annotated[
        list[str] | None,
        typer.Option(
            "--manager",
            "-m",
            metavar="[NAME=]WHAT",
            rich_help_panel=MANAGERS,
            help="gold, add-all, untrained, shipped, or an adapter's folder; repeatable. By default the first four.",
        ),
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, max=50, rich_help_panel=MANAGERS, help="Memories shown for a fact (3).")
    ] = None,
    gold_banks: Annotated[
        bool,
        typer.Option(
            "--gold-banks/--own-banks",
            rich_help_panel=MANAGERS,
            help="Rule on the gold bank as well, for accuracy by kind; or only on each manager's own.",
        ),
    ] = True,
    ask: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            rich_help_panel=READS,
            help="Questions on each manager's bank at the end: none, changed (about values that changed), all.",
        ),
    ] = "none",
    reader: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            rich_help_panel=READS,
            help="Answers for all managers: shipped (where there is one), untrained, or an adapter's folder.",
        ),
    ] = None,
    reader_tokens: Annotated[
        int, typer.Option(min=1, rich_help_panel=READS, help="Most tokens of memories shown for a question.")
    ] = 400,
    model: ModelOption = None,
    embedder: EmbedderOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", rich_help_panel=RUN, help="Write operations.md and operations.json here."),
    ] = None,
    cache: CacheOption = None,
    as_json: RunJsonOption = False,
) -> None:
    """Let Memory Managers go through made-up conversations, one fact after another, and compare with gold.

    Accuracy by kind on the gold bank; on the bank that a manager's own rulings left: lost facts, duplicates, stale
    values, wrong deletes, growth; with --ask, how right answers from that bank are. Completions are kept in the cache,
    so a measurement that was stopped loses little.
    """
    from memory_r1.bench.dilution.told import Stages
    from memory_r1.bench.operations.answering import open_agents
    from memory_r1.bench.operations.managers import needs_model, read_managers
    from memory_r1.bench.operations.measure import measure
    from memory_r1.bench.operations.report import Setting
    from memory_r1.cli.output import console, note
    from memory_r1.config import Settings, load_settings
    from memory_r1.parts import build_embedder
    from memory_r1.told_paths import told_argument, told_command, told_name

    shown = Settings.model_fields["candidates"].default if candidates is None else candidates
    plan = _plan(sessions, conversations, seed, part, speakers, words, shown, ask, reader_tokens, gold_banks)
    settings = load_settings(model=model, embedder=embedder)
    specs = read_managers(managers or (), settings.model)
    reads = _reader(ask, reader, settings)
    asks = needs_model(specs) or reads is not None
    _check_out(out)
    place = managers_cache(specs, settings, cache, reader=reads is not None)
    embeds = build_embedder(settings)
    try:
        with open_agents(specs, reads, settings, place, embeds) as (rulers, answers):
            measured = measure(plan, rulers, embeds, Stages(console(stderr=True)), answers.agent if answers else None)
            setting = Setting(
                command=told_command(sys.argv[1:]),
                version=_version(),
                plan=plan,
                managers=tuple(rulers),
                model=told_argument(settings.model) if asks else None,
                embedder=told_name(embeds.name),
                reader=answers,
            )
    except KeyboardInterrupt:
        note("Stopped. Completions so far are kept: the same command goes on from there.")
        raise typer.Exit(130) from None
    _tell(setting, measured, out, as_json)


def _plan(
    sessions: str,
    conversations: int,
    seed: int,
    part: str,
    speakers: int,
    words: str,
    candidates: int,
    ask: str,
    reader_tokens: int,
    gold_banks: bool,
) -> Plan:
    from memory_r1.bench.operations.measure import Plan
    from memory_r1.bench.operations.questions import WANTED
    from memory_r1.bench.operations.story import WORDS
    from memory_r1.data.synthetic import SPLITS
    from memory_r1.errors import ConfigError

    numbers = [part.strip() for part in sessions.split(",") if part.strip()]
    if not numbers or not all(number.isdecimal() and int(number) for number in numbers):
        raise ConfigError(f"--sessions {sessions} cannot be read.", hint=f"Write numbers, e.g. {DEFAULT_SESSIONS}.")
    chosen: tuple[Words, ...] = WORDS if words == "both" else tuple(one for one in WORDS if one == words)
    if not chosen:
        raise ConfigError(f"There are no words {words!r}.", hint=f"Choose from: {', '.join(WORDS)}, both.")
    split: Split | None = next((one for one in SPLITS if one == part), None)
    if split is None:
        raise ConfigError(f"There is no part {part!r}.", hint=f"Choose from: {', '.join(SPLITS)}.")
    wanted = next((one for one in WANTED if one == ask), None)
    if wanted is None:
        raise ConfigError(f"There are no questions {ask!r} for --ask.", hint=f"Choose from: {', '.join(WANTED)}.")
    looked = tuple(sorted(set(map(int, numbers))))
    return Plan(looked, conversations, seed, split, speakers, chosen, candidates, wanted, reader_tokens, gold_banks)


def _reader(ask: str, given: str | None, settings: Settings) -> ReaderSpec | None:
    from memory_r1.bench.operations.answering import read_reader
    from memory_r1.errors import ConfigError

    if ask != "none":
        return read_reader(given, settings.model)
    if given is not None:
        raise ConfigError("--reader answers questions, and none is asked.", hint="Give --ask changed or --ask all.")
    return None


def _check_out(out: Path | None) -> None:
    """A folder that cannot be written should be known before hours of work."""
    from memory_r1.errors import InvalidInputError

    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"{out} cannot be written: {error}.", hint="Name another --out.") from error


def _tell(setting: Setting, measured: Measured, out: Path | None, as_json: bool) -> None:
    from memory_r1.bench.operations.report import to_document, to_json, write_folder
    from memory_r1.cli.output import console, note, print_json

    written = write_folder(out, setting, measured) if out is not None else ()
    if as_json:
        print_json(to_json(setting, measured))
    else:
        _show(console(), to_document(setting, measured))
    for path in written:
        note(f"Wrote {path}")


def _show(screen: Console, document: Document) -> None:
    from memory_r1.bench.report.document import Table
    from memory_r1.cli.bench_report import rich_table
    from memory_r1.cli.output import note, shown

    for warning in document.warnings:
        note(warning)
    screen.print(shown(document.command), style="dim", markup=False)
    wide = screen.width >= _WIDE
    for section in document.sections:
        screen.print()
        screen.print(section.title, style="bold", markup=False)
        for block in section.blocks:
            if isinstance(block, Table):
                screen.print(rich_table(block if wide else _narrow(block)))
                for text in block.notes if wide else ():
                    screen.print(text, style="dim", markup=False)
                screen.print()
    if not wide:
        note("Intervals, n and what the figures mean: in a wider terminal, in --out FOLDER, or with --json.")


def _narrow(table: Table) -> Table:
    """A table without what is set behind its figures, and without remarks."""
    kept = [place for place, column in enumerate(table.columns) if column.number or place == 0]
    rows = tuple(tuple(replace(row[place], detail="") for place in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows)


def _version() -> str:
    from memory_r1 import __version__

    return __version__
