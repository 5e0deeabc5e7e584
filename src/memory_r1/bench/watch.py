"""Who is told of a run while it goes on, and how long it will still take."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_LINE_SECONDS = 15.0
"""Without a terminal, how often a line says how far the run is."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one system still has to do on one conversation."""

    system: str
    conversation: str
    turns: int
    questions: int


class Watcher(Protocol):
    """Is told of everything, from any thread."""

    def started(self, jobs: Sequence[Job], done: int, at_once: int) -> None:
        """The run begins: what there is to do, how many answers are there already, how many jobs go on at once."""
        ...

    def reading(self, job: Job) -> None:
        """A system begins to read a conversation."""
        ...

    def called(self, job: Job, calls: int) -> None:
        """A system has called the model so often for this conversation."""
        ...

    def read(self, job: Job, seconds: float) -> None:
        """A system has read a conversation."""
        ...

    def answered(self, job: Job, count: int, seconds: float) -> None:
        """A system has answered so many more questions."""
        ...

    def note(self, text: str) -> None:
        """Something a person should know."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


class Silent:
    """Tells nobody."""

    def started(self, jobs: Sequence[Job], done: int, at_once: int) -> None:
        """Nothing."""

    def reading(self, job: Job) -> None:
        """Nothing."""

    def called(self, job: Job, calls: int) -> None:
        """Nothing."""

    def read(self, job: Job, seconds: float) -> None:
        """Nothing."""

    def answered(self, job: Job, count: int, seconds: float) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Remaining:
    """How long a run will still take, by what each system has taken for a turn and for a question so far.

    A system that has not begun is taken to be as fast as the mean of the others.

    Args:
        jobs: What there is to do.
        at_once: How many jobs go on at the same time.

    Example:
        >>> remaining = Remaining([Job("rag", "a", 10, 2), Job("rag", "b", 10, 4)], 1)
        >>> remaining.read("rag", 10, 5.0)
        >>> remaining.answered("rag", 2, 6.0)
        >>> remaining.seconds()
        17.0
    """

    def __init__(self, jobs: Sequence[Job], at_once: int) -> None:
        self._at_once = max(1, min(at_once, len(jobs)))
        self._turns: defaultdict[str, int] = defaultdict(int)
        self._questions: defaultdict[str, int] = defaultdict(int)
        for job in jobs:
            self._turns[job.system] += job.turns
            self._questions[job.system] += job.questions
        self._reading: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._answering: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def read(self, system: str, turns: int, seconds: float) -> None:
        """A conversation was read."""
        self._turns[system] -= turns
        self._reading[system][0] += turns
        self._reading[system][1] += seconds

    def answered(self, system: str, count: int, seconds: float) -> None:
        """Questions were answered."""
        self._questions[system] -= count
        self._answering[system][0] += count
        self._answering[system][1] += seconds

    def seconds(self) -> float | None:
        """How long; None while nothing is known."""
        reading, answering = _left(self._turns, self._reading), _left(self._questions, self._answering)
        return None if reading is None or answering is None else (reading + answering) / self._at_once


def _left(open_: dict[str, int], spent: dict[str, list[float]]) -> float | None:
    pace = {name: seconds / count for name, (count, seconds) in spent.items() if count}
    waiting = {name: count for name, count in open_.items() if count > 0}
    if not pace:
        return None if waiting else 0.0
    usual = sum(pace.values()) / len(pace)
    return sum(count * pace.get(name, usual) for name, count in waiting.items())


def duration(seconds: float | None) -> str:
    """A time span in words.

    Example:
        >>> duration(None), duration(42), duration(3 * 60 + 5), duration(5 * 3600 + 600)
        ('unknown', '42 s', '3 min', '5 h 10 min')
    """
    if seconds is None:
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """A bar at a terminal; elsewhere a line for each conversation, and one every quarter of a minute.

    Args:
        console: Where to.
        clock: In seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._console, self._clock = console, clock
        self._lock = threading.RLock()
        self._bar = Bar(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._remaining = Remaining([], 1)
        self._done = self._total = 0
        self._now: dict[Job, str] = {}
        self._told = clock()

    def started(self, jobs: Sequence[Job], done: int, at_once: int) -> None:
        """Begin the bar."""
        with self._lock:
            self._remaining = Remaining(jobs, at_once)
            self._done, self._total = done, done + sum(job.questions for job in jobs)
            self._bar.start()
            self._show()
            if done:
                self._console.print(f"{done:,} of {self._total:,} answers are there already.", markup=False)

    def reading(self, job: Job) -> None:
        """Show what is read."""
        self._update(job, f"{job.system} reads {job.conversation}")

    def called(self, job: Job, calls: int) -> None:
        """Show how often the model was called."""
        with self._lock:
            doing = self._now.get(job, "").partition(" (")[0]
            self._update(job, f"{doing} ({calls:,} calls)")

    def read(self, job: Job, seconds: float) -> None:
        """Show that answering begins."""
        with self._lock:
            self._remaining.read(job.system, job.turns, seconds)
            self._update(job, f"{job.system} answers on {job.conversation}")
            if not self._console.is_terminal:
                self._line(f"{job.system} has read {job.conversation}: {job.turns:,} turns in {duration(seconds)}")

    def answered(self, job: Job, count: int, seconds: float) -> None:
        """Move the bar."""
        with self._lock:
            self._done += count
            self._remaining.answered(job.system, count, seconds)
            self._update(job, f"{job.system} answers on {job.conversation}")
            if self._done == self._total and not self._console.is_terminal:
                self._line("")

    def note(self, text: str) -> None:
        """Print above the bar."""
        with self._lock:
            self._console.print(text, markup=False)

    def close(self) -> None:
        """Leave the bar as it stands."""
        with self._lock:
            self._bar.stop()

    def _update(self, job: Job, doing: str) -> None:
        with self._lock:
            self._now[job] = doing
            self._show(doing)
            if not self._console.is_terminal and self._clock() - self._told >= _LINE_SECONDS:
                self._line(doing)

    def _show(self, doing: str = "starting") -> None:
        left = f"about {duration(self._remaining.seconds())} left"
        self._bar.update(self._task, completed=self._done, total=self._total, description=f"{left}; {doing}")

    def _line(self, doing: str) -> None:
        self._told = self._clock()
        left = f"about {duration(self._remaining.seconds())} left"
        parts = [f"{self._done:,}/{self._total:,} answers", left, *([doing] if doing else [])]
        self._console.print("; ".join(parts), markup=False)
