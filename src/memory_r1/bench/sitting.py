"""One system with one conversation: it reads, and answers what has no answer yet."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory_r1.bench.book import Book, checked, checked_stats, failed, no_exit, scored, told
from memory_r1.bench.meter import Meter, MeteredLM, Stopped, metered
from memory_r1.bench.pricing import priced, priced_stats
from memory_r1.bench.records import ConversationStats, Prediction
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.bench.specs import Spec
from memory_r1.bench.system import Batched, Closable, System, SystemAnswer
from memory_r1.bench.watch import Job, Watcher
from memory_r1.bench.workshop import Workshop
from memory_r1.data.conversation import Conversation, Question
from memory_r1.errors import ConfigError, EndpointError, ModelError, PromptTooLongError, StoreError

_BATCH = 16
"""Questions that a system which takes many is handed at once: what a kill may cost."""


@dataclass(frozen=True, slots=True)
class Task:
    """What there is to do."""

    number: int
    """Unique in the run."""
    spec: Spec
    conversation: Conversation
    questions: tuple[Question, ...]
    """Those without an answer."""

    @property
    def job(self) -> Job:
        """The same for those who watch."""
        return Job(self.spec.name, self.conversation.id, len(self.conversation.turns), len(self.questions))


class Sitting:
    """Does one task.

    Args:
        task: What to do.
        workshop: Makes the system.
        folder: The run's.
        book: Where answers are written.
        watcher: Is told of each step.
        stop: When it is set, `run` ends with `Stopped` before the next question or call of the model.
    """

    def __init__(
        self, task: Task, workshop: Workshop, folder: BenchFolder, book: Book, watcher: Watcher, stop: threading.Event
    ) -> None:
        self._task, self._workshop, self._book = task, workshop, book
        self._watcher, self._stop = watcher, stop
        self._job = task.job
        self._folder = folder.stores / str(task.number)
        self._lock = threading.Lock()
        self._began = 0.0
        self._read = -1
        """Turns of which the system said that they are read."""

    def run(self) -> None:
        """Read, answer, and write all of it down.

        Raises:
            ModelError: The model or the embedder is gone.
            StoreError: A store, or the run's own folder, failed.
            ConfigError: The system is not usable as it is.
        """
        if self._stop.is_set():
            raise Stopped
        self._folder.mkdir(parents=True)
        system: System | None = None
        try:
            kit = self._workshop.kit(
                self._task.spec,
                self._folder,
                stop=self._stop,
                on_call=lambda calls: self._watcher.called(self._job, calls),
                on_turns=self._turns_read,
            )
            lm = metered(kit.lm)
            self._watcher.reading(self._job)
            meter, self._began = Meter(lm), time.perf_counter()
            try:
                with no_exit():
                    system = self._workshop.make(self._task.spec, kit)
                    # what it reads holds no questions: nobody prepares for them
                    system.ingest(replace(self._task.conversation, questions=()))
                    stats = self._stats(system, meter)
            except Exception as error:  # noqa: BLE001 - a system under test may raise anything
                self._unread(error)
                return
            self._read = self._job.turns
            self._watcher.read(self._job, time.perf_counter() - self._began)
            self._ask(system, lm)
            self._book.finish(self._task.spec.name, stats)
        finally:
            if isinstance(system, Closable):
                self._close(system)
            shutil.rmtree(self._folder, ignore_errors=True)

    def _turns_read(self, turns: int) -> None:
        """Pass on what the system says of itself; nonsense is not worth an error."""
        try:
            read = max(0, min(int(turns), self._job.turns))
        except (TypeError, ValueError, OverflowError):
            return
        with self._lock:
            if read > self._read:
                self._read = read
                self._watcher.turns(self._job, read, time.perf_counter() - self._began)

    def _stats(self, system: System, meter: Meter) -> ConversationStats:
        spent = meter.lap()
        one = self._task.conversation
        stats = priced_stats(checked_stats(system.stats()), spent)
        return ConversationStats(conversation=one.id, turns=len(one.turns), stats=stats)

    def _unread(self, error: Exception) -> None:
        """A conversation that the system could not read: an error for each of its questions."""
        # an endpoint that failed once may be up again, but the conversation would be lost
        if isinstance(error, EndpointError):
            raise error
        self._check_fatal(error)
        name, one = self._task.spec.name, self._task.conversation
        self._book.trouble(name, f"reading {one.id}", error, noted=True)
        self._watcher.note(f"{name} could not read {one.id}: {told(error)}")
        self._book.add(name, [failed(one, question, error) for question in self._task.questions])
        self._watcher.answered(self._job, len(self._task.questions), 0.0)

    def _ask(self, system: System, lm: MeteredLM) -> None:
        """Answer the questions; those of a batch that raised one by one."""
        size = _BATCH if isinstance(system, Batched) else 1
        for start in range(0, len(self._task.questions), size):
            batch = self._task.questions[start : start + size]
            if not (isinstance(system, Batched) and len(batch) > 1 and self._together(system, batch, lm)):
                for question in batch:
                    self._alone(system, question, lm)

    def _together(self, system: Batched, batch: Sequence[Question], lm: MeteredLM) -> bool:
        """Answer a batch, unless something in it raises."""
        self._go_on()
        meter, began = Meter(lm), time.perf_counter()
        try:
            with no_exit():
                answers = [checked(answer) for answer in system.answer_many([_blind(question) for question in batch])]
            if len(answers) != len(batch):
                raise ConfigError(
                    f"The system {self._task.spec.name!r} gave {len(answers)} answers to {len(batch)} questions.",
                    hint="`answer_many` has to answer each, in order.",
                )
            predictions = self._scored(batch, priced(answers, meter.lap()))
        except Exception as error:  # noqa: BLE001 - each is asked alone then, and raises again
            self._check_fatal(error)
            return False
        self._keep(predictions, began)
        return True

    def _alone(self, system: System, question: Question, lm: MeteredLM) -> None:
        self._go_on()
        meter, began = Meter(lm), time.perf_counter()
        try:
            with no_exit():
                answer = checked(system.answer(_blind(question)))
            predictions = self._scored([question], priced([answer], meter.lap()))
        except Exception as error:  # noqa: BLE001 - recorded for this question
            self._check_fatal(error)
            self._book.trouble(self._task.spec.name, question.id, error)
            predictions = [failed(self._task.conversation, question, error)]
        self._keep(predictions, began)

    def _scored(self, questions: Sequence[Question], answers: Sequence[SystemAnswer]) -> list[Prediction]:
        return [scored(self._task.conversation, *pair) for pair in zip(questions, answers, strict=True)]

    def _keep(self, predictions: Sequence[Prediction], began: float) -> None:
        self._book.add(self._task.spec.name, predictions)
        self._watcher.answered(self._job, len(predictions), time.perf_counter() - began)

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _check_fatal(self, error: Exception) -> None:
        """Raise what no other question would survive: a dead model, embedder or store, or a wrong setting.

        An endpoint may refuse one prompt and be well; so it is asked something small before the run ends.
        """
        if isinstance(error, PromptTooLongError) or not isinstance(error, ModelError | StoreError | ConfigError):
            return
        if isinstance(error, EndpointError):
            self._workshop.check_alive()
            return
        raise error

    def _close(self, system: Closable) -> None:
        try:
            system.close()
        except Exception as error:  # noqa: BLE001 - the answers are there; it is told at the end
            self._book.trouble(self._task.spec.name, f"closing after {self._task.conversation.id}", error, noted=True)


def _blind(question: Question) -> Question:
    """The question without what would give it away."""
    return replace(question, answer=None, category="", evidence=())
