"""Runs systems over conversations: what is on disk is never asked again, and nothing that fails is scored."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from memory_r1.bench.book import Book
from memory_r1.bench.loading import BenchData
from memory_r1.bench.meter import Stopped
from memory_r1.bench.report.run import MOST_ERRORS
from memory_r1.bench.run_folder import BenchFolder, check_same, merged
from memory_r1.bench.sitting import Sitting, Task
from memory_r1.bench.watch import Silent, Watcher
from memory_r1.bench.workshop import Workshop
from memory_r1.errors import ConfigError, ModelError, StoreError
from memory_r1.told_paths import told_command, told_name


@dataclass(frozen=True, slots=True)
class SystemOutcome:
    """How one system did, in all that is on disk."""

    name: str
    questions: int
    """Answered so far, errors included."""
    errors: int
    empty: int
    """Answers without a word in them that are no abstention; they are scored as they are."""
    scores: Mapping[str, float]
    """Mean of each metric over the questions that have it."""

    @property
    def failed(self) -> bool:
        """Whether it raised on too many of its questions."""
        return self.errors > MOST_ERRORS * self.questions


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    systems: tuple[SystemOutcome, ...]
    asked: int
    """Questions that were answered by this call, and not by an earlier one."""
    notes: tuple[str, ...] = field(default=())
    """What went wrong without ending the run, besides single questions."""

    @property
    def failed(self) -> bool:
        """Whether any system raised on too many of its questions."""
        return any(system.failed for system in self.systems)


class Runner:
    """One call of a run: begins it, or goes on with it.

    Args:
        workshop: Models, limits and systems.
        data: What is asked.
        folder: Where the run is kept.
        seed: For whatever is drawn; kept with the run.
        request: What was asked for on the command line, kept so that a later call can go on from it.
        watcher: Is told of everything.
        resume: Go on with a run; without it the folder must be empty.
        retry_errors: Ask again where a system raised.
    """

    def __init__(
        self,
        workshop: Workshop,
        data: BenchData,
        folder: BenchFolder,
        *,
        seed: int = 0,
        request: Mapping[str, Any] | None = None,
        watcher: Watcher | None = None,
        resume: bool = False,
        retry_errors: bool = False,
    ) -> None:
        self.workshop, self.data, self.folder = workshop, data, folder
        self.watcher = watcher or Silent()
        self._seed, self._request = seed, dict(request or {})
        self._resume, self._retry = resume, retry_errors
        self._stop = threading.Event()
        self._book = Book(folder)

    def run(self) -> Outcome:
        """Do what there is to do.

        Returns:
            How every system of the call did.

        Raises:
            ConfigError: The folder holds another run, or one with other settings.
            ModelError: The model or the embedder is gone; what is answered stays, and the hint says how to go on.
            KeyboardInterrupt: Ctrl-C; the same holds.
        """
        with self.folder.alone():
            self._begin()
            tasks, done = self._tasks()
            self.watcher.started([task.job for task in tasks], done, self.workshop.at_once)
            try:
                if tasks:
                    self.watcher.note(f"Calling {self.workshop.lm.name} and {self.workshop.embedder.name} ...")
                    self.workshop.check_alive()
                    self._go(tasks)
            except (ModelError, StoreError) as error:
                error.hint = f"{error.hint} What is answered is kept; go on with: {self.command}".strip()
                raise
            finally:
                self.watcher.close()
            return self._outcome()

    @property
    def command(self) -> str:
        """What goes on with this run."""
        return f"memory-r1 bench run --out {shlex.quote(str(self.folder.path))} --resume"

    def _begin(self) -> None:
        started = self.folder.started()
        if started and not self._resume:
            raise ConfigError(f"There is a run in {self.folder.path}.", hint="Give another --out, or add --resume.")
        if self._resume and not started:
            raise ConfigError(f"There is no run in {self.folder.path} to go on with.", hint="Leave --resume out.")
        config = self._config()
        if started:
            old = self.folder.config()
            check_same(old, config)
            config = merged(old, config)
        self.folder.write_request(self._request)
        self.folder.write_config(config)

    def _config(self) -> dict[str, Any]:
        from memory_r1 import __version__

        limits = self.workshop.limits
        return {
            "command": told_command(sys.argv[1:]),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "data": self.data.told(),
            "model": self.workshop.lm.name,
            "embedder": told_name(self.workshop.embedder.name),
            "seed": self._seed,
            "systems": self.workshop.about(self.folder.stores),
            "limits": {"reader_tokens": limits.reader_tokens, "answer_tokens": limits.answer_tokens},
            "adapters": self.workshop.adapters_told(),
            "made": self.workshop.made_told(),
        }

    def _tasks(self) -> tuple[list[Task], int]:
        """What is left to do, system after system, and how many answers there are."""
        tasks: list[Task] = []
        done = 0
        for spec in self.workshop.specs:
            answers, stats = self.folder.predictions(spec.name), self.folder.stats(spec.name)
            kept = {key for key, one in answers.items() if one.error is None or not self._retry}
            for one in self.data.conversations:
                missing = tuple(question for question in one.questions if (one.id, question.id) not in kept)
                done += len(one.questions) - len(missing)
                unread = not missing and all(answers[one.id, question.id].error for question in one.questions)
                # a kill between the last answer and the stats leaves a conversation to be read once more
                if missing or (one.id not in stats and not unread):
                    tasks.append(Task(len(tasks), spec, one, missing))
        return tasks, done

    def _go(self, tasks: Sequence[Task]) -> None:
        sittings = [Sitting(task, self.workshop, self.folder, self._book, self.watcher, self._stop) for task in tasks]
        if self.workshop.at_once == 1:
            for sitting in sittings:
                sitting.run()
            return
        with ThreadPoolExecutor(self.workshop.at_once, thread_name_prefix="memory-r1-bench") as pool:
            futures = [pool.submit(sitting.run) for sitting in sittings]
            try:
                finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
            except BaseException:
                self.watcher.note("Stopping; what is being asked is let finish.")
                raise
            finally:
                self._stop.set()
                for future in futures:
                    future.cancel()
        failures = [error for future in finished if not future.cancelled() and (error := future.exception())]
        for failure in sorted(failures, key=lambda error: isinstance(error, Stopped)):
            raise failure

    def _outcome(self) -> Outcome:
        systems = [self._summed(spec.name) for spec in self.workshop.specs]
        return Outcome(tuple(systems), self._book.asked, tuple(dict.fromkeys(self._book.notes)))

    def _summed(self, name: str) -> SystemOutcome:
        predictions = list(self.folder.predictions(name).values())
        scores: dict[str, list[float]] = {}
        for one in predictions:
            for metric, score in one.scores.items():
                scores.setdefault(metric, []).append(score)
        return SystemOutcome(
            name,
            len(predictions),
            sum(one.error is not None for one in predictions),
            sum(one.error is None and not one.abstained and not one.answer.strip() for one in predictions),
            {metric: sum(values) / len(values) for metric, values in scores.items()},
        )
