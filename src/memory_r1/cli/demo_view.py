"""Shows a demo run: live on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from memory_r1.cli import demo_text
from memory_r1.cli.output import shown
from memory_r1.cli.render import operation_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from memory_r1.data.conversation import Conversation, Question
    from memory_r1.demo.report import Asked, DemoReport
    from memory_r1.ingest import IngestEvent

# turns are read in batches that may take a minute; a shorter memory would make the ETA jump
ETA_SECONDS = 600.0


class View:
    """Shows a run on a console. It is a `memory_r1.demo.run.Watcher`.

    Args:
        out: Where to show it.
        live: Draw a progress bar with ETA below the growing log; by default if `out` is a terminal.
    """

    def __init__(self, out: Console, *, live: bool | None = None) -> None:
        self.out = out
        self._live = out.is_terminal if live is None else live
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._session_of: dict[str, str] = {}
        self._session = ""
        self._lead = 0

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what is being waited for."""
        if self._live:
            with self.out.status(what):
                yield
        else:
            self.out.print(f"{what} ...")
            yield

    def introduce(self, conversation: Conversation, model: str, store: str) -> None:
        """Show what is about to be read, by which model, into which store."""
        self._session_of = demo_text.session_titles(conversation)
        self._lead = max((len(turn.id) for turn in conversation.turns), default=0)
        self.out.print(demo_text.header(conversation, model, store))
        self._heading("Operations")
        self._start("reading", len(conversation.turns), "turns")

    def reading(self, event: IngestEvent) -> None:
        """Show a step of reading."""
        if event.operation is not None:
            self._enter_session(event.turn.id)
            turn = event.turn.id.ljust(self._lead)
            lead = turn if self.out.is_terminal else f"[{event.done}/{event.total}] {turn}"
            self.out.print(operation_line(lead, event.operation, two_lines=self.out.is_terminal))
        self._move(event.done)

    def asking(self, question: Question, place: int, total: int) -> None:
        """Show that a question is being answered."""
        if place == 1:
            self.stop()
            self._heading("Questions")
            self._start("answering", total, "questions")

    def answered(self, asked: Asked, place: int, total: int) -> None:
        """Show an answer beside the gold answer."""
        self.out.print(demo_text.answer_block(asked))
        self._move(place)

    def summarise(self, report: DemoReport) -> None:
        """Show the report."""
        self.stop()
        self._heading("Summary")
        self.out.print(demo_text.summary(report))

    def close_with(self, store: Path, *, kept: bool) -> None:
        """Say where the bank is, or that it is gone."""
        end = f"The bank is kept in {store}" if kept else "The bank was temporary; --keep or --store keeps it."
        self.out.print(Text(shown(end), style="dim"))

    def stop(self) -> None:
        """Take the progress bar away; a second call does nothing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self, what: str, total: int, unit: str) -> None:
        if not self._live or not total:
            return
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn(what),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.out,
            transient=True,
            expand=True,
            speed_estimate_period=ETA_SECONDS,
        )
        self._task = self._bar.add_task(what, total=total)
        self._bar.start()

    def _move(self, done: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)

    def _enter_session(self, turn_id: str) -> None:
        title = self._session_of.get(turn_id, "")
        if title != self._session:
            self._session = title
            self.out.print(Text(title, style="bold dim"))

    def _heading(self, title: str) -> None:
        self.out.print(Text(f"\n{title}", style="bold"))
