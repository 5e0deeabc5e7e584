"""Who is told how far a measurement is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from memory_r1.bench.watch import NOT_KNOWN, duration

if TYPE_CHECKING:
    from rich.console import Console

_LINE_SECONDS = 15.0
"""Without a terminal, how often a line says how far it is."""


class Told(Protocol):
    """Is told of one stage after another."""

    def began(self, stage: str, total: int) -> None:
        """A stage begins, of so many steps."""
        ...

    def went_on(self, steps: int) -> None:
        """So many more steps are done."""
        ...

    def says(self, text: str) -> None:
        """What is being done at the moment."""
        ...

    def ended(self) -> None:
        """The stage is over, done or not."""
        ...


class Silent:
    """Tells nobody."""

    def began(self, stage: str, total: int) -> None:
        """Nothing."""

    def went_on(self, steps: int) -> None:
        """Nothing."""

    def says(self, text: str) -> None:
        """Nothing."""

    def ended(self) -> None:
        """Nothing."""


class Stages:
    """A bar a stage at a terminal; elsewhere a line every quarter of a minute and one at its end.

    Args:
        console: Where to.
        clock: In seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console, self._clock = console, clock
        self._bar = Progress(
            TextColumn("{task.fields[stage]}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, stage="")
        self._stage, self._doing = "", ""
        self._total = self._done = 0
        self._began = self._line_at = clock()

    def began(self, stage: str, total: int) -> None:
        """Begin a bar."""
        self._stage, self._total, self._done, self._doing = stage, total, 0, ""
        self._began = self._line_at = self._clock()
        self._bar.reset(self._task, total=total, description="", stage=stage)
        self._bar.start()

    def went_on(self, steps: int) -> None:
        """Move the bar."""
        self._done += steps
        self._show()

    def says(self, text: str) -> None:
        """Show it behind the bar."""
        self._doing = text
        self._show()

    def ended(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()
        if not self._console.is_terminal and self._total:
            took = duration(self._clock() - self._began)
            self._console.print(f"{self._stage}: {self._done:,}/{self._total:,} in {took}", markup=False)
        self._total = 0

    def _left(self) -> str:
        if not self._done:
            return NOT_KNOWN
        return f"about {duration((self._clock() - self._began) / self._done * (self._total - self._done))} left"

    def _show(self) -> None:
        told = "; ".join([self._left(), *([self._doing] if self._doing else [])])
        self._bar.update(self._task, completed=self._done, description=told)
        if not self._console.is_terminal and self._clock() - self._line_at >= _LINE_SECONDS:
            self._line_at = self._clock()
            self._console.print(f"{self._stage}: {self._done:,}/{self._total:,}; {told}", markup=False)
