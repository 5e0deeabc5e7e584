"""Writes down what systems answer, one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from memory_r1.bench.records import ConversationStats, Prediction
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.bench.scores import score_all
from memory_r1.bench.system import Cost, Stats, SystemAnswer, UsedMemory
from memory_r1.data.conversation import Conversation, Question
from memory_r1.retrieval.embedder import well_formed
from memory_r1.told_paths import told_text

_LONGEST_ERROR = 500


class Book:
    """What a call of a run adds to its folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: BenchFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.asked = 0
        """Questions written down so far."""
        self.notes: list[str] = []
        """What a person should hear of at the end."""

    def add(self, system: str, predictions: Sequence[Prediction]) -> None:
        """Write down answers."""
        with self._lock:
            for prediction in predictions:
                self._folder.add(system, prediction)
            self.asked += len(predictions)

    def finish(self, system: str, stats: ConversationStats) -> None:
        """Write down that a system is done with a conversation."""
        with self._lock:
            self._folder.add(system, stats)

    def trouble(self, system: str, where: str, error: Exception, *, noted: bool = False) -> None:
        """Keep where an error came from; `noted`: tell the person at the end as well."""
        with self._lock:
            self._folder.add_traceback(system, where, error)
            if noted:
                self.notes.append(f"{system}, {where}: {told(error)}")


def checked(answer: SystemAnswer) -> SystemAnswer:
    """An answer as a system gave it, if it is one.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(answer, SystemAnswer):
        raise TypeError(f"an answer is a SystemAnswer, not {answer!r}")
    if not isinstance(answer.text, str):
        raise TypeError(f"an answer's text is a string, not {answer.text!r}")
    if not isinstance(answer.cost, Cost):
        raise TypeError(f"an answer's cost is a Cost, not {answer.cost!r}")
    for memory in answer.memories:
        if not isinstance(memory, UsedMemory) or not isinstance(memory.text, str):
            raise TypeError(f"a memory is a UsedMemory with a text, not {memory!r}")
        if isinstance(memory.turns, str):
            # its letters would be taken for turns, and recall would be 0 without a word
            raise TypeError(f"a memory's turns are a tuple of ids, not {memory.turns!r}")
    return answer


def checked_stats(stats: Stats) -> Stats:
    """Stats as a system gave them, if they are some.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(stats, Stats):
        raise TypeError(f"stats() gives a Stats, not {stats!r}")
    return stats


@contextmanager
def no_exit() -> Iterator[None]:
    """Turns an attempt of a system to end the process into an error of that system.

    Raises:
        RuntimeError: It called `sys.exit`.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(f"the system called sys.exit({error.code!r})") from error


def scored(conversation: Conversation, question: Question, answer: SystemAnswer) -> Prediction:
    """An answer with its scores."""
    scores = score_all(question.category, answer.text, question.answer, abstained=answer.abstained)
    memories = tuple(
        UsedMemory(well_formed(one.text), tuple(map(str, one.turns)), bool(one.kept)) for one in answer.memories
    )
    return Prediction(
        **_asked(conversation, question),
        answer=well_formed(answer.text),
        abstained=bool(answer.abstained),
        memories=memories,
        cost=answer.cost,
        scores=scores,
    )


def failed(conversation: Conversation, question: Question, error: Exception) -> Prediction:
    """A question that a system raised on; it has no scores."""
    return Prediction(**_asked(conversation, question), answer="", error=told(error))


def told(error: Exception) -> str:
    """An error in one line."""
    said = told_text(" ".join(f"{type(error).__name__}: {error}".split()))
    return well_formed(said[:_LONGEST_ERROR])


def _asked(conversation: Conversation, question: Question) -> dict[str, Any]:
    return {
        "conversation": conversation.id,
        "question_id": question.id,
        "question": well_formed(question.text),
        "category": question.category,
        "gold": None if question.answer is None else well_formed(question.answer),
        "evidence": question.evidence,
    }
