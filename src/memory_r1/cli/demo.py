"""`demo`: the main job, shown as it happens."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memory_r1.cli.options import STORE_PANEL

if TYPE_CHECKING:
    from memory_r1.cli.demo_view import View
    from memory_r1.config import Settings
    from memory_r1.data.conversation import Conversation
    from memory_r1.demo.report import DemoReport
    from memory_r1.lm.base import LanguageModel
    from memory_r1.retrieval.embedder import Embedder


def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="Your own .jsonl conversation, or LoCoMo (its JSON file or folder); ours by default."),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="ID", help="Which conversation of the data, e.g. conv-26; default the first.")
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(min=1, help="Read only the first so many, and ask what they answer.")
    ] = None,
    questions: Annotated[int | None, typer.Option(min=0, help="Ask only the first so many.")] = None,
    preset: Annotated[
        Literal["auto", "paper"] | None, typer.Option(help="How many memories an answer may draw on.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", metavar="ID", help="User of the bank.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="SQLite file; a temporary one by default.", rich_help_panel=STORE_PANEL)
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the temporary store.", rich_help_panel=STORE_PANEL)
    ] = False,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Language model.", rich_help_panel=STORE_PANEL)
    ] = None,
    embedder: Annotated[str | None, typer.Option(metavar="NAME", help="Embedder.", rich_help_panel=STORE_PANEL)] = None,
    train: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", min=0.1, help="Then let the Memory Manager learn by GRPO for so long."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where --train keeps its run; runs/demo-... if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read a conversation, decide what to keep, answer questions about it."""
    from memory_r1.cli.demo_view import View
    from memory_r1.cli.output import console, print_json, progress_console
    from memory_r1.config import load_settings
    from memory_r1.demo.source import load_conversation, shorten

    if train is not None:
        from memory_r1.cli.run_folders import next_folder
        from memory_r1.rl.preflight import check_free

        run = out or next_folder("demo")
        check_free(run)
    chosen = shorten(load_conversation(data, conversation), sessions, questions)
    screen = console() if not as_json else progress_console()
    with _store_path(store, keep) as path:
        settings = load_settings(model=model, embedder=embedder, store=str(path))
        view = View(screen)
        try:
            report = _run(settings, chosen, view, user or chosen.id, preset)
        finally:
            view.stop()
        view.close_with(path, kept=keep or store is not None)
    if as_json:
        print_json(report.as_dict())
    if train is not None:
        from memory_r1.cli.demo_train import train_manager

        train_manager(run, train, progress_console())


def load_models(settings: Settings, view: View) -> tuple[LanguageModel, Embedder]:
    """Load the language model and the embedder, so that the first turn does not pay for it.

    Raises:
        ModelError: One cannot be loaded.
    """
    from memory_r1.cli.fetch import fetch_bundled, make_model
    from memory_r1.lm.base import Sampling
    from memory_r1.lm.local import LocalLM
    from memory_r1.parts import build_embedder

    if settings.model == "bundled":
        fetch_bundled(view.out)
    lm = make_model(settings)
    if isinstance(lm, LocalLM):
        with view.waiting(f"Loading the language model {lm.name}"):
            lm.complete([[{"role": "user", "content": "Hello"}]], Sampling(max_tokens=1))
    with view.waiting(f"Loading the embedder {settings.embedder}"):
        embedder = build_embedder(settings)
        embedder.embed(["Hello"])
    return lm, embedder


def _run(
    settings: Settings,
    conversation: Conversation,
    view: View,
    user_id: str,
    preset: Literal["auto", "paper"] | None,
) -> DemoReport:
    from memory_r1.cli.options import make_memory
    from memory_r1.demo.run import run_demo

    began = time.perf_counter()
    lm, embedder = load_models(settings, view)
    seconds = time.perf_counter() - began
    view.introduce(conversation, lm.name, settings.store)
    with make_memory(model=lm, embedder=embedder, store=settings.store) as memory:
        report = run_demo(
            memory, conversation, view, user_id=user_id, model_name=lm.name, preset=preset, load_seconds=seconds
        )
    view.summarise(report)
    return report


@contextmanager
def _store_path(store: Path | None, keep: bool) -> Iterator[Path]:
    if store is not None:
        yield store
        return
    folder = Path(tempfile.mkdtemp(prefix="memory-r1-demo-"))
    try:
        yield folder / "memory.db"
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
