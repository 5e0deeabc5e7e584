"""`bench`: measure memory systems, and read what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_r1.cli.bench_cases import cases
from memory_r1.cli.bench_dilute import dilute
from memory_r1.cli.bench_operations import operations
from memory_r1.cli.bench_options import (
    ASKED,
    DATA_HELP,
    MODELS,
    RUN,
    CacheOption,
    ConversationsOption,
    EmbedderOption,
    LimitOption,
    ModelOption,
    PartOption,
    RunJsonOption,
    SessionsOption,
    named_ids,
)
from memory_r1.cli.bench_publish import publish
from memory_r1.cli.bench_report import compare, report
from memory_r1.cli.bench_scoring import BOTH, judge, rescore
from memory_r1.cli.bench_seeds import seeds

if TYPE_CHECKING:
    from memory_r1.bench.loading import BenchData
    from memory_r1.bench.runner import Outcome, Runner
    from memory_r1.cli.bench_scoring import Judges
    from memory_r1.config import Settings

SYSTEMS, JUDGES = "Who answers", "Who judges"

DEFAULT_SYSTEMS = ("none", "full-context", "rag", "rag-hybrid", "add-all", "memory-r1")
DEFAULT_READER_TOKENS, DEFAULT_ANSWER_TOKENS = 1500, 96

app = typer.Typer(help="Measure memory systems on benchmarks.", no_args_is_help=True)
app.command("report")(report)
app.command("compare")(compare)
app.command("judge")(judge)
app.command("rescore")(rescore)
app.command("seeds")(seeds)
app.command("publish")(publish)
app.command("dilute")(dilute)
app.command("operations")(operations)
app.command("cases")(cases)


@app.command()
def run(
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            rich_help_panel=ASKED,
            help=DATA_HELP,
        ),
    ] = None,
    part: PartOption = None,
    adversarial: Annotated[
        bool | None, typer.Option("--adversarial", rich_help_panel=ASKED, help="LoCoMo's category 5 too.")
    ] = None,
    conversations: ConversationsOption = None,
    sessions: SessionsOption = None,
    limit: LimitOption = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=ASKED, help="Of the draw (0).")] = None,
    audit: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            rich_help_panel=ASKED,
            help="Score by LoCoMo's corrected labels: errors.json of its audit, or its folder.",
        ),
    ] = None,
    systems: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            "-s",
            metavar="[NAME=]METHOD",
            rich_help_panel=SYSTEMS,
            help="See `bench systems`, or my_module:MySystem; repeatable. By default ours.",
        ),
    ] = None,
    adapters: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter",
            metavar="[SYSTEM:]AGENT=FOLDER",
            rich_help_panel=SYSTEMS,
            help="LoRA adapter of extractor, manager or answerer; without a system for the trained rows; repeatable.",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="SYSTEM:NAME=VALUE", rich_help_panel=SYSTEMS, help="Of a system; repeatable."),
    ] = None,
    model: ModelOption = None,
    embedder: EmbedderOption = None,
    reader_tokens: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=MODELS, help="Most tokens of memories for the reader (1500).")
    ] = None,
    answer_tokens: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=MODELS, help="Most tokens of an answer (96).")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=MODELS, help="Context window in tokens, if not the model's own."),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(
            "--judge", metavar="NAME", rich_help_panel=JUDGES, help="Judges the answers, e.g. http://HOST/v1#NAME."
        ),
    ] = None,
    judge_prompt: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=JUDGES, help="generous, strict, or both (both).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", rich_help_panel=RUN, help="The run's folder; runs/bench-... if none."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", rich_help_panel=RUN, help="Go on with the run in --out; the rest may be left out."),
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", rich_help_panel=RUN, help="Ask again where a system raised.")
    ] = False,
    concurrency: Annotated[
        int,
        typer.Option(
            min=1, rich_help_panel=RUN, help="Conversations at once; a local model answers them in one batch."
        ),
    ] = 1,
    cache: CacheOption = None,
    as_json: RunJsonOption = False,
) -> None:
    """Let systems read conversations and answer questions; a run that was stopped goes on with --resume.

    Exit status: 0 done, 1 a system raised on more than 1 % of its questions, 2 an error that the message explains,
    130 interrupted.
    """
    given: dict[str, Any] = {
        "data": data,
        "part": part,
        "adversarial": adversarial,
        "conversations": conversations,
        "sessions": sessions,
        "limit": limit,
        "seed": seed,
        "audit": audit,
        "systems": systems,
        "adapters": adapters,
        "options": options,
        "model": model,
        "embedder": embedder,
        "reader_tokens": reader_tokens,
        "answer_tokens": answer_tokens,
        "context": context,
        "judge": judge_model,
        "judge_prompt": judge_prompt,
        "cache": cache and str(cache),
    }
    runner, judges = _prepare(given, _folder(out, resume), resume, retry_errors, concurrency)
    try:
        _go(runner, judges, as_json)
    finally:
        runner.workshop.close()
        if judges is not None:
            judges.close()


@app.command("systems")
def list_systems(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")] = False,
) -> None:
    """List the systems that `bench run --system` knows by name."""
    from memory_r1.bench.baselines import ABOUT
    from memory_r1.bench.systems import SYSTEMS as OURS
    from memory_r1.cli.output import console, print_json

    found = {**{name: one.about for name, one in OURS.items()}, **ABOUT}
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, about in found.items():
        grid.add_row(name, about)
    console().print(grid)


def _prepare(
    given: dict[str, Any], folder: Path, resume: bool, retry_errors: bool, concurrency: int
) -> tuple[Runner, Judges | None]:
    from memory_r1.bench.run_folder import BenchFolder
    from memory_r1.bench.runner import Runner
    from memory_r1.bench.specs import read_specs
    from memory_r1.bench.watch import Progress
    from memory_r1.bench.workshop import Limits, open_workshop
    from memory_r1.cli.bench_scoring import open_judges
    from memory_r1.cli.fetch import fetch_bundled
    from memory_r1.cli.output import console, note
    from memory_r1.errors import ConfigError
    from memory_r1.lm.bundled import cache_folder
    from memory_r1.told_paths import told_argument

    run_folder = BenchFolder(folder)
    request = _request(given, run_folder.request() if resume else {})
    if request["data"] is None:
        raise ConfigError("There is nothing to ask.", hint="Give --data, e.g. locomo or synthetic:4.")
    settings = _settings(request)
    request["model"], request["embedder"] = settings.model, settings.embedder
    if not resume and not request["adapters"]:
        request["adapters"] = [f"{agent}={path}" for agent, path in settings.adapters.items()]
    request["systems"] = request["systems"] or list(DEFAULT_SYSTEMS)
    specs = read_specs(request["systems"], request["adapters"], request["options"])
    asked = _open_data(request)
    if settings.model == "bundled":
        fetch_bundled(console(stderr=True))
    limits = Limits(
        request["reader_tokens"] or DEFAULT_READER_TOKENS, request["answer_tokens"] or DEFAULT_ANSWER_TOKENS
    )
    place = Path(request["cache"] or cache_folder() / "bench").expanduser()
    judges = None
    if request["judge"]:
        judges = open_judges(request["judge"], request["judge_prompt"] or BOTH, place, settings)
        judges.check()
    workshop = open_workshop(
        settings, specs, cache=place, limits=limits, context_length=request["context"], at_once=concurrency
    )
    if asked.published is False:
        note(f"{told_argument(request['data'])} is not the published file of {asked.name}; the report says so.")
    runner = Runner(
        workshop,
        asked,
        run_folder,
        seed=request["seed"] or 0,
        request=request,
        watcher=Progress(console(stderr=True)),
        resume=resume,
        retry_errors=retry_errors,
    )
    return runner, judges


def _request(given: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """What is asked for; what was not given is as the run began, and further systems join those it has."""
    request = {name: before.get(name) if value is None else value for name, value in given.items()}
    for name in ("systems", "adapters", "options"):
        old = before.get(name) or []
        request[name] = [*old, *(one for one in given[name] or [] if one not in old)]
    return request


def _settings(request: dict[str, Any]) -> Settings:
    from memory_r1.config import load_settings

    return load_settings(model=request["model"], embedder=request["embedder"])


def _open_data(request: dict[str, Any]) -> BenchData:
    from memory_r1.bench.loading import open_benchmark

    return open_benchmark(
        request["data"],
        part=request["part"],
        adversarial=bool(request["adversarial"]),
        conversations=named_ids(request["conversations"]),
        sessions=request["sessions"],
        limit=request["limit"],
        seed=request["seed"] or 0,
        audit=request["audit"],
    )


def _go(runner: Runner, judges: Judges | None, as_json: bool) -> None:
    from memory_r1.bench.report.write import write_report
    from memory_r1.cli.output import note
    from memory_r1.errors import ModelError

    sample = runner.data.sample
    drawn = f", drawn by category from {sample.of:,} with seed {sample.seed}" if sample else ""
    read = f", the first {runner.data.sessions} sessions of each" if runner.data.sessions else ""
    asked = f"{runner.data.questions:,} questions{drawn}, {len(runner.data.conversations):,} conversations{read}"
    note(
        f"{runner.data.name} ({runner.data.part}): {asked}. Run folder: {runner.folder.path}. Ctrl-C keeps all answers."
    )
    try:
        outcome = runner.run()
    except KeyboardInterrupt:
        note(f"Stopped. Go on: {runner.command}")
        raise typer.Exit(130) from None
    if judges is not None:
        try:
            judges.judge(runner.folder)
        except (ModelError, typer.Exit):
            write_report(runner.folder.path)
            raise
    _tell(runner, outcome, as_json)
    if outcome.failed:
        raise typer.Exit(1)


def _tell(runner: Runner, outcome: Outcome, as_json: bool) -> None:
    from memory_r1.bench.report.write import write_report
    from memory_r1.cli.bench_report import show_scores
    from memory_r1.cli.output import console, note, print_json, shown

    written = write_report(runner.folder.path)
    cached = runner.workshop.cached
    if cached.hits:
        note(f"{cached.hits:,} of {cached.hits + cached.misses:,} completions came from the cache.")
    for text in outcome.notes:
        note(f"Note: {text}")
    for one in outcome.systems:
        # of a failed system the report's own warning is shown
        if one.failed and as_json:
            note(f"Failed: {one.name} raised on {one.errors} of {one.questions} questions.")
        elif one.errors and not one.failed:
            note(f"{one.name} raised on {one.errors} of {one.questions} questions; they are not scored.")
        if one.empty:
            note(f"{one.name} gave {one.empty} empty answers, scored as they are.")
    if as_json:
        scores = _scores(runner.folder.path)
        print_json(
            {
                "folder": str(runner.folder.path),
                "asked": outcome.asked,
                "failed": outcome.failed,
                "systems": {
                    one.name: {
                        "questions": one.questions,
                        "errors": one.errors,
                        "empty": one.empty,
                        "failed": one.failed,
                        "scores": {metric: found["mean"] for metric, found in scores[one.name].items()},
                        "intervals": scores[one.name],
                    }
                    for one in outcome.systems
                },
            }
        )
        return
    show_scores(console(), written.document)
    console().print(f"Report: {shown(str(written.html))}", markup=False)


def _scores(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each system and metric the mean, how many questions it is over, and its 95 % interval."""
    from memory_r1.bench.report.means import Means, Metric
    from memory_r1.bench.report.run import load_run
    from memory_r1.bench.scores import METRICS

    means = Means(load_run(folder))
    return {
        system.name: {
            key: {"n": mean.n, "mean": mean.mean, "low": mean.low, "high": mean.high}
            for key, label in METRICS.items()
            if (mean := means.mean(system, Metric(key, label))) is not None
        }
        for system in means.run.systems
    }


def _folder(out: Path | None, resume: bool) -> Path:
    from memory_r1.cli.run_folders import next_folder
    from memory_r1.errors import ConfigError

    if out is not None:
        return out
    if resume:
        raise ConfigError("Which run is to go on?", hint="Name its folder: --out FOLDER --resume.")
    return next_folder("bench")
