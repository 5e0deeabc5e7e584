"""Who is told of a run while it goes on, and how long it will still take."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from rich.console import Console

NOT_KNOWN = "time left not known yet"
_LINE_SECONDS = 15.0
"""Without a terminal, how often a line says how far the run is."""
_LEAST_TURNS, _LEAST_SECONDS = 5, 10.0
"""From how much of a conversation the pace of its reading is taken."""


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

    def turns(self, job: Job, read: int, seconds: float) -> None:
        """A system has read so many turns of a conversation, more than it said before, in so many seconds in all."""
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

    def turns(self, job: Job, read: int, seconds: float) -> None:
        """Nothing."""

    def read(self, job: Job, seconds: float) -> None:
        """Nothing."""

    def answered(self, job: Job, count: int, seconds: float) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class _Told(NamedTuple):
    """How far a conversation is that is being read."""

    seconds: float
    """Of reading so far."""
    read: int
    """Turns."""


class Remaining:
    """How long a run will still take, by what each system has taken for a turn and for a question so far.

    A system that has not begun is taken to be as fast as the mean of the others. Nothing is known while one reads its
    first conversation and has not said how far it is: at the pace of the others a slow one would seem nearly done.

    Args:
        jobs: What there is to do.
        at_once: How many jobs go on at the same time.

    Example:
        >>> one, other = Job("rag", "a", 10, 2), Job("rag", "b", 10, 4)
        >>> remaining = Remaining([one, other], 1)
        >>> remaining.read(one, 5.0)
        >>> remaining.answered(one, 2, 6.0)
        >>> remaining.seconds()
        17.0
        >>> remaining.told()
        'about 17 s left'
    """

    def __init__(self, jobs: Sequence[Job], at_once: int) -> None:
        self._at_once = at_once
        self._turns = {job: job.turns for job in jobs}
        self._questions = {job: job.questions for job in jobs}
        self._told: dict[Job, list[_Told]] = {}
        self._reading: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._answering: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def reading(self, job: Job) -> None:
        """A conversation begins to be read."""
        self._told[job] = []

    def turns(self, job: Job, read: int, seconds: float) -> None:
        """So many of its turns are read, after so many seconds; once it is read this says nothing."""
        if job in self._told:
            self._told[job].append(_Told(seconds, read))

    def read(self, job: Job, seconds: float) -> None:
        """A conversation was read."""
        self._over(job)
        self._reading[job.system][0] += job.turns
        self._reading[job.system][1] += seconds

    def answered(self, job: Job, count: int, seconds: float) -> None:
        """Questions were answered."""
        # one that could not be read is answered all the same, with errors
        self._over(job)
        self._questions[job] -= count
        self._answering[job.system][0] += count
        self._answering[job.system][1] += seconds

    def seconds(self) -> float | None:
        """How long; None while too little is known."""
        reading, answering = self._reading_left(), self._answering_left()
        return None if reading is None or answering is None else (reading + answering) / self._side_by_side()

    def told(self) -> str:
        """How long, in words; while no question was answered, at least how long."""
        if (seconds := self.seconds()) is not None:
            return f"about {duration(seconds)} left"
        reading = self._reading_left()
        return f"at least {duration(reading / self._side_by_side())} left" if reading else NOT_KNOWN

    def _over(self, job: Job) -> None:
        self._turns[job] = 0
        self._told.pop(job, None)

    def _side_by_side(self) -> int:
        going = sum(bool(self._turns[job] or self._questions[job]) for job in self._turns)
        return max(1, min(self._at_once, going))

    def _reading_left(self) -> float | None:
        waiting: Counter[str] = Counter()
        known = 0.0
        spent = {system: list(one) for system, one in self._reading.items()}
        for job, turns in self._turns.items():
            told = self._told.get(job, [])
            if (pace := _pace(told)) is None:
                waiting[job.system] += turns
                continue
            before, read = told[0].seconds, told[-1].read
            known += (turns - read) * pace
            so_far = spent.setdefault(job.system, [0.0, 0.0])
            so_far[0] += read
            so_far[1] += read * (pace + before / turns)
        if any(job.system not in spent for job in self._told):
            return None
        left = _left(waiting, spent)
        return None if left is None else known + left

    def _answering_left(self) -> float | None:
        waiting: Counter[str] = Counter()
        for job, questions in self._questions.items():
            waiting[job.system] += questions
        return _left(waiting, self._answering)


def _pace(told: Sequence[_Told]) -> float | None:
    """Seconds that a turn takes now; None while too little is known.

    Only the later half of the time counts. So it does not matter what came before the first turn, such as facts taken
    of all turns, and turns that came from a cache, or cost nothing in an empty memory, are soon forgotten.
    """
    if not told or told[-1].seconds - told[0].seconds < _LEAST_SECONDS:
        return None
    first, last = told[0], told[-1]
    halfway = bisect_right(told, (first.seconds + last.seconds) / 2, key=attrgetter("seconds"))
    enough = bisect_right(told, last.read - _LEAST_TURNS, key=attrgetter("read"))
    if not enough:
        return None
    since = told[min(halfway, enough) - 1]
    return (last.seconds - since.seconds) / (last.read - since.read)


def _left(open_: Mapping[str, int], spent: Mapping[str, Sequence[float]]) -> float | None:
    pace = {name: seconds / count for name, (count, seconds) in spent.items() if count}
    waiting = {name: count for name, count in open_.items() if count > 0}
    if not pace:
        return None if waiting else 0.0
    usual = sum(pace.values()) / len(pace)
    return sum(count * pace.get(name, usual) for name, count in waiting.items())


def duration(seconds: float) -> str:
    """A time span in words.

    Example:
        >>> duration(42), duration(3 * 60 + 5), duration(5 * 3600 + 600)
        ('42 s', '3 min', '5 h 10 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@dataclass(frozen=True, slots=True)
class _Doing:
    """What is being done, and how far it is."""

    what: str
    turns: str = ""
    calls: str = ""

    def __str__(self) -> str:
        far = ", ".join(filter(None, (self.turns, self.calls)))
        return f"{self.what} ({far})" if far else self.what


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
        self._now: dict[Job, _Doing] = {}
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
        with self._lock:
            self._remaining.reading(job)
            self._update(job, _Doing(f"{job.system} reads {job.conversation}"))

    def called(self, job: Job, calls: int) -> None:
        """Show how often the model was called."""
        with self._lock:
            self._update(job, replace(self._now[job], calls=f"{calls:,} calls"))

    def turns(self, job: Job, read: int, seconds: float) -> None:
        """Show how far it is read."""
        with self._lock:
            self._remaining.turns(job, read, seconds)
            self._update(job, replace(self._now[job], turns=f"{read:,} of {job.turns:,} turns"))

    def read(self, job: Job, seconds: float) -> None:
        """Show that answering begins."""
        with self._lock:
            self._remaining.read(job, seconds)
            self._update(job, _Doing(f"{job.system} answers on {job.conversation}"))
            if not self._console.is_terminal:
                self._line(f"{job.system} has read {job.conversation}: {job.turns:,} turns in {duration(seconds)}")

    def answered(self, job: Job, count: int, seconds: float) -> None:
        """Move the bar."""
        with self._lock:
            self._done += count
            self._remaining.answered(job, count, seconds)
            self._update(job, _Doing(f"{job.system} answers on {job.conversation}"))
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

    def _update(self, job: Job, doing: _Doing) -> None:
        self._now[job] = doing
        self._show(str(doing))
        if not self._console.is_terminal and self._clock() - self._told >= _LINE_SECONDS:
            self._line(str(doing))

    def _show(self, doing: str = "starting") -> None:
        told = f"{self._remaining.told()}; {doing}"
        self._bar.update(self._task, completed=self._done, total=self._total, description=told)

    def _line(self, doing: str) -> None:
        self._told = self._clock()
        parts = [f"{self._done:,}/{self._total:,} answers", self._remaining.told(), *([doing] if doing else [])]
        self._console.print("; ".join(parts), markup=False)
