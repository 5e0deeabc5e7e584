"""`bench judge` and `bench rescore`: score the answers of a run again, by a judge or by corrected labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memory_r1.bench.judge_prompts import PromptName
    from memory_r1.bench.judging import AnswerJudge
    from memory_r1.bench.run_folder import BenchFolder
    from memory_r1.config import Settings
    from memory_r1.lm.base import LanguageModel

BOTH = "both"

_PROBE = ("Where does Ann live?", "Leeds", "Leeds")


class Judges:
    """A judge's model with a judge for each prompt.

    Args:
        lm: The model; `close` closes it.
        judges: On this model.
        model: As the command line names it.
    """

    def __init__(self, lm: LanguageModel, judges: tuple[AnswerJudge, ...], model: str) -> None:
        self.judges = judges
        self._lm, self._model = lm, model

    def check(self) -> None:
        """Let the model judge one answer, past the cache, before any time is spent on what it should judge.

        Raises:
            ModelError: It is not there, or writes no verdict.
        """
        from memory_r1.bench.judging import AnswerJudge

        AnswerJudge(self._lm).judge([_PROBE])

    def judge(self, folder: BenchFolder) -> None:
        """Judge a run's answers, and say how far it is.

        Raises:
            ModelError: The judge failed; the hint says how to go on.
        """
        import shlex

        from memory_r1.bench.judge_run import judge_run
        from memory_r1.bench.scores import METRICS
        from memory_r1.cli.output import note
        from memory_r1.errors import ModelError

        again = f"memory-r1 bench judge {shlex.quote(str(folder.path))} --model {shlex.quote(self._model)}"
        try:
            told = judge_run(
                folder,
                self.judges,
                on_progress=lambda system, metric, done, total: note(
                    f"{METRICS[metric]}: {done:,} of {total:,} answers of {system}"
                ),
            )
        except KeyboardInterrupt:
            note(f"Stopped. Verdicts so far are kept. Go on: {again}")
            raise typer.Exit(130) from None
        except ModelError as error:
            error.hint = f"{error.hint} Answers and verdicts so far are kept; go on with: {again}".strip()
            raise
        for judge in self.judges:
            one = told[judge.metric]
            note(
                f"{METRICS[judge.metric]} by {one['model']}: {one['answers']:,} answers, {one['calls']:,} calls, "
                f"{one['from_cache']:,} verdicts from the cache."
            )

    def close(self) -> None:
        """Close the model."""
        self._lm.close()


def judge(
    folder: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The judge, e.g. http://HOST/v1#NAME.", show_default=False)
    ],
    prompt: Annotated[
        str, typer.Option(metavar="NAME", help="generous (as published J), strict, or both; see docs/metrics.md.")
    ] = BOTH,
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Verdicts kept between runs, as for `bench run`.")
    ] = None,
) -> None:
    """Let a language model judge the answers of a run: fills the J columns of its report.

    Verdicts are kept in the cache, so judging that was stopped goes on where it was.
    """
    from memory_r1.bench.report import write_report
    from memory_r1.bench.run_folder import BenchFolder
    from memory_r1.cli.bench_report import show_scores
    from memory_r1.cli.output import console, shown
    from memory_r1.config import load_settings
    from memory_r1.lm.bundled import cache_folder

    place = (cache or cache_folder() / "bench").expanduser()
    run = BenchFolder(folder)
    run.config()
    judges = open_judges(model, prompt, place, load_settings())
    try:
        judges.check()
        judges.judge(run)
    finally:
        judges.close()
    written = write_report(folder)
    show_scores(console(), written.document)
    console().print(f"Report: {shown(str(written.html))}", markup=False)


def rescore(
    folder: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    audit: Annotated[
        Path,
        typer.Option(
            "--audit", metavar="PATH", help="errors.json of LoCoMo's audit, or its folder.", show_default=False
        ),
    ],
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="locomo or locomo:PATH; what the run was asked from if none.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The new run's folder; FOLDER-audit if none.")
    ] = None,
) -> None:
    """Score a LoCoMo run by the labels that an audit corrected, as a run of its own. No system is asked again."""
    from memory_r1.bench.loading import open_benchmark
    from memory_r1.bench.relabel_run import relabel_run
    from memory_r1.bench.report import write_report
    from memory_r1.bench.run_folder import BenchFolder
    from memory_r1.cli.bench_report import show_scores
    from memory_r1.cli.output import console, note, shown
    from memory_r1.errors import ConfigError
    from memory_r1.told_paths import told_command

    source = BenchFolder(folder)
    named = data or source.request().get("data") or "locomo"
    if named.partition(":")[0] != "locomo":
        raise ConfigError(f"The audit is about LoCoMo, and the data is {named}.", hint="Name the data with --data.")
    whole = open_benchmark(named, part="all", adversarial=True).conversations
    target = BenchFolder(out or source.path.with_name(f"{source.path.resolve().name}-audit"))
    labels = relabel_run(source, target, whole, audit, command=told_command(sys.argv[1:]))
    written = write_report(target.path)
    note(
        f"By the audit, {labels.replaced:,} gold answers are new, {labels.cited:,} questions have other evidence, and "
        f"{labels.left_out:,} are left out."
    )
    show_scores(console(), written.document)
    console().print(f"Report: {shown(str(written.html))}", markup=False)


def open_judges(model: str, prompt: str, cache: Path, settings: Settings) -> Judges:
    """Judges on a model; nothing is contacted yet.

    Args:
        model: As `--model` names one.
        prompt: `generous`, `strict` or `both`.
        cache: Folder for verdicts.
        settings: Endpoint of `openai:` models, and key.

    Raises:
        ConfigError: There is no such model or prompt.
        InvalidInputError: The cache is damaged.
    """
    from memory_r1.bench.judge_prompts import PROMPTS
    from memory_r1.bench.judging import AnswerJudge
    from memory_r1.bench.workshop import model_identity
    from memory_r1.errors import ConfigError
    from memory_r1.lm.factory import make_lm

    prompts: tuple[PromptName, ...] = tuple(one for one in PROMPTS if prompt in (one, BOTH))
    if not prompts:
        raise ConfigError(f"There is no judge's prompt {prompt!r}.", hint=f"Choose from: {', '.join(PROMPTS)}, {BOTH}.")
    lm = make_lm(model, base_url=settings.base_url, api_key=settings.api_key)
    identity = model_identity(model, lm, settings.base_url)
    file = cache / "verdicts.jsonl"
    return Judges(lm, tuple(AnswerJudge(lm, one, cache=file, identity=identity) for one in prompts), model)
