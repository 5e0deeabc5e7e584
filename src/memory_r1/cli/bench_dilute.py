"""`bench dilute`: the same questions on banks that grow."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_r1.cli.bench_options import (
    ASKED,
    DATA_HELP,
    RUN,
    CacheOption,
    ConversationsOption,
    EmbedderOption,
    LimitOption,
    ModelOption,
    PartOption,
    RunJsonOption,
    named_ids,
)

if TYPE_CHECKING:
    from memory_r1.bench.dilution.measure import Measured
    from memory_r1.bench.dilution.reading import DilutedReader
    from memory_r1.bench.dilution.summary import SizeSummary
    from memory_r1.bench.dilution.write import Setting
    from memory_r1.bench.workshop import Limits
    from memory_r1.config import Settings

BANKS, READS = "The banks", "Who answers"

DEFAULT_SIZES = "1000,10000,100000"
DEFAULT_BUDGET, DEFAULT_ANSWER_TOKENS = 1500, 96


def dilute(
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            rich_help_panel=ASKED,
            show_default=False,
            help=DATA_HELP,
        ),
    ],
    part: PartOption = None,
    conversations: ConversationsOption = None,
    limit: LimitOption = None,
    seed: Annotated[int, typer.Option(rich_help_panel=ASKED, help="Of the draw and of what fills the banks.")] = 0,
    sizes: Annotated[
        str, typer.Option(metavar="LIST", rich_help_panel=BANKS, help="Memories in a bank; undiluted comes by itself.")
    ] = DEFAULT_SIZES,
    distractors: Annotated[
        list[str] | None,
        typer.Option(
            "--distractor",
            metavar="DATA",
            rich_help_panel=BANKS,
            help="Further data to fill with, before generated conversations; repeatable.",
        ),
    ] = None,
    embedder: EmbedderOption = None,
    budget: Annotated[
        int, typer.Option("--reader-tokens", min=1, rich_help_panel=BANKS, help="Budget of the dynamic cut.")
    ] = DEFAULT_BUDGET,
    reader: Annotated[
        bool, typer.Option("--reader", rich_help_panel=READS, help="Answer as well: F1, at the price of model time.")
    ] = False,
    model: ModelOption = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=READS,
            help="LoRA adapter of the answerer; the shipped one for the bundled model; none: the base model.",
        ),
    ] = None,
    answer_tokens: Annotated[
        int, typer.Option(min=1, rich_help_panel=READS, help="Most tokens of an answer.")
    ] = DEFAULT_ANSWER_TOKENS,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", rich_help_panel=RUN, help="Write dilution.md, .json and questions.jsonl here."),
    ] = None,
    cache: CacheOption = None,
    as_json: RunJsonOption = False,
) -> None:
    """Ask the same questions while other people's memories fill the bank: recall, precision, tokens, F1, latency.

    Every conversation has a bank in one scope: its turns, then turns of other conversations up to each size. Vectors
    are kept in the cache, so a second run is quick and a stopped one loses little.
    """
    from memory_r1.bench.dilution.distractors import open_distractors
    from memory_r1.bench.dilution.measure import Dilution
    from memory_r1.bench.dilution.summary import summarise
    from memory_r1.bench.dilution.told import Stages
    from memory_r1.bench.dilution.write import Setting, check_folder
    from memory_r1.bench.loading import open_benchmark
    from memory_r1.bench.vectors import KeptEmbedder, VectorFile
    from memory_r1.bench.workshop import Limits
    from memory_r1.cli.output import console, note
    from memory_r1.config import load_settings
    from memory_r1.errors import ConfigError
    from memory_r1.lm.bundled import cache_folder
    from memory_r1.retrieval.factory import make_embedder
    from memory_r1.told_paths import told_argument, told_command, told_name

    wanted = _sizes(sizes)
    if adapter is not None and not reader:
        raise ConfigError("--adapter is for the reader, and there is none.", hint="Give --reader too.")
    if out is not None:
        check_folder(out)
    settings = load_settings(model=model, embedder=embedder)
    asked = open_benchmark(data, part=part, conversations=named_ids(conversations), limit=limit, seed=seed)
    others = open_distractors(asked, data, distractors or (), seed=seed)
    embeds = make_embedder(
        settings.embedder, base_url=settings.embedder_base_url or settings.base_url, api_key=settings.api_key
    )
    place = Path(cache or cache_folder() / "bench").expanduser()
    told = Stages(console(stderr=True))
    file = VectorFile(place / "vectors.sqlite")
    try:
        dilution = Dilution(asked, others, KeptEmbedder(embeds, file), sizes=wanted, budget_tokens=budget, told=told)
        with _open_reader(settings, reader, adapter, place, Limits(budget, answer_tokens)) as answers:
            measured = dilution.run(answers)
    except KeyboardInterrupt:
        note("Stopped. Vectors and answers so far are kept: the same command goes on from there.")
        raise typer.Exit(130) from None
    finally:
        told.ended()
        file.close()
    setting = Setting(
        command=told_command(sys.argv[1:]),
        version=_version(),
        data=asked.told(),
        embedder=told_name(embeds.name),
        budget_tokens=budget,
        seed=seed,
        usable=others.usable(dilution.asked),
        model=told_argument(settings.model) if reader else None,
        answerer=_answerer_told(settings, adapter) if reader else None,
        machine=_machine(),
    )
    _tell(setting, measured, summarise(measured), out, as_json)


def _sizes(text: str) -> tuple[int, ...]:
    from memory_r1.errors import ConfigError

    parts = [part.strip().replace("_", "") for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(f"--sizes {text} cannot be read.", hint=f"Write numbers, e.g. {DEFAULT_SIZES}.")
    return tuple(map(int, parts))


@contextmanager
def _open_reader(
    settings: Settings, wanted: bool, adapter: str | None, cache: Path, limits: Limits
) -> Iterator[DilutedReader | None]:
    if not wanted:
        yield None
        return
    from memory_r1.bench.dilution.reading import DilutedReader
    from memory_r1.bench.kit import ANSWERER
    from memory_r1.bench.specs import Spec
    from memory_r1.bench.workshop import open_workshop
    from memory_r1.cli.fetch import fetch_bundled
    from memory_r1.cli.output import console

    folder = _answerer(settings, adapter)
    spec = Spec("dilute", "rag-hybrid", adapters={} if folder is None else {ANSWERER: folder})
    if settings.model == "bundled":
        fetch_bundled(console(stderr=True))
    workshop = open_workshop(settings, [spec], cache=cache, limits=limits)
    try:
        workshop.check_alive()
        with tempfile.TemporaryDirectory() as scratch:
            yield DilutedReader(workshop.kit(spec, Path(scratch)))
    finally:
        workshop.close()


def _answerer(settings: Settings, adapter: str | None) -> str | None:
    """Folder of the reader's adapter: the one named, the settings', or the one that comes with the bundled model."""
    from memory_r1.bench.kit import ANSWERER
    from memory_r1.policies import chosen

    named = settings.adapters if adapter is None else {**settings.adapters, "answerer": adapter}
    return chosen(settings.model, named).get(ANSWERER)


def _answerer_told(settings: Settings, adapter: str | None) -> str | None:
    from memory_r1.bench.specs import weights_hash
    from memory_r1.told_paths import told_path

    folder = _answerer(settings, adapter)
    return None if folder is None else f"{told_path(folder)} ({weights_hash(folder)[:12]})"


def _tell(setting: Setting, measured: Measured, sizes: list[SizeSummary], out: Path | None, as_json: bool) -> None:
    from memory_r1.bench.dilution.write import to_document, to_json, write_folder
    from memory_r1.bench.report.document import Points, Table
    from memory_r1.cli.bench_report import rich_table
    from memory_r1.cli.output import console, note, print_json, shown

    written = write_folder(out, setting, measured, sizes) if out is not None else ()
    document = to_document(setting, measured, sizes)
    for warning in document.warnings:
        note(warning)
    if as_json:
        print_json(to_json(setting, measured, sizes))
    else:
        screen = console()
        for section in document.sections:
            for block in section.blocks:
                if isinstance(block, Table):
                    screen.print(rich_table(block))
                    for text in block.notes:
                        screen.print(text, style="dim", markup=False)
                    screen.print()
                elif isinstance(block, Points):
                    for line in block.lines:
                        screen.print(f"- {shown(line)}", markup=False)
    for path in written:
        note(f"Wrote {path}")


def _machine() -> dict[str, Any]:
    import os
    import platform
    import sqlite3

    return {
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _version() -> str:
    from memory_r1 import __version__

    return __version__
