"""Lets managers rule on synthetic conversations: on the gold bank, and on the bank that their own rulings leave."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memory_r1.agents.results import Ruling, Usage
from memory_r1.bench.dilution.told import Silent, Told
from memory_r1.bench.operations.managers import Ruler, adding_all
from memory_r1.bench.operations.questions import (
    WANTED,
    Answered,
    QuestionRow,
    Wanted,
    answer_all,
    question_rows,
    questions_of,
)
from memory_r1.bench.operations.rates import Cause, Samples, accuracy_samples, causes, stream_samples
from memory_r1.bench.operations.story import WORDS, Story, Words
from memory_r1.bench.operations.stream import Stream
from memory_r1.bench.statistics import Interval, mean_interval
from memory_r1.data.synthetic import SPLITS, Split, SyntheticConversation, generate
from memory_r1.data.synthetic.generate import MAX_SPEAKERS
from memory_r1.data.synthetic.life import turn_order
from memory_r1.errors import ConfigError
from memory_r1.rl.bank_state import BankSearch, Cut
from memory_r1.rl.build_options import ManagerOptions
from memory_r1.rl.build_synthetic import manager_problems
from memory_r1.rl.operation_report import report_operations
from memory_r1.rl.problems import ManagerProblem
from memory_r1.rl.reader import FrozenReader

if TYPE_CHECKING:
    from memory_r1.retrieval.embedder import Embedder

_BATCH = 32
"""Problems on the gold bank ruled on between two signs of progress."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Raises:
        ConfigError: A number is out of range, or there is no such split.
    """

    sessions: tuple[int, ...] = (5, 20, 50, 200)
    """After how many sittings the bank is looked at, rising; conversations are as long as the last one."""
    conversations: int = 6
    seed: int = 0
    """Of the first conversation; the others follow."""
    split: Split = "test"
    """The generator's; `test` has names, places and phrasings that no training shows."""
    speakers: int = 2
    words: tuple[Words, ...] = ("fact",)
    """The words of facts, each measured by itself."""
    candidates: int = 3
    """How many memories the manager sees for a fact."""
    ask: Wanted = "none"
    """Which questions are asked at the end of each conversation."""
    reader_tokens: int = 400
    """Most tokens of memories that the reader is shown for a question."""
    gold_banks: bool = True
    """Whether accuracy on the gold bank is measured too; it is half of the work."""

    def __post_init__(self) -> None:
        if not self.sessions or min(self.sessions) < 1 or list(self.sessions) != sorted(set(self.sessions)):
            raise ConfigError(f"Sessions of {self.sessions} cannot be measured.", hint="Name rising numbers from 1 on.")
        for name in ("conversations", "candidates", "reader_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is not a positive number.")
        if self.split not in SPLITS:
            raise ConfigError(f"There is no split {self.split!r}.", hint=f"Choose one of: {', '.join(SPLITS)}.")
        if not 2 <= self.speakers <= MAX_SPEAKERS:
            raise ConfigError(f"{self.speakers} speakers are not possible.", hint=f"Ask for 2 to {MAX_SPEAKERS}.")
        if not self.words or not set(self.words) <= set(WORDS):
            raise ConfigError(f"There are no words {self.words}.", hint=f"Choose from: {', '.join(WORDS)}.")
        if self.ask not in WANTED:
            raise ConfigError(f"There are no questions {self.ask!r}.", hint=f"Choose one of: {', '.join(WANTED)}.")


@dataclass(frozen=True, slots=True)
class Row:
    """One manager after so many sessions."""

    manager: str
    words: Words
    sessions: int
    rates: Mapping[str, Interval]
    """By the names that `memory_r1.bench.operations.rates` lists; a rate of nothing is left out."""
    causes: Mapping[Cause, int]
    """Why facts are lost, over all conversations."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement."""

    rows: tuple[Row, ...]
    """By words, manager and sessions."""
    told: Mapping[int, Mapping[str, float]]
    """By sessions, a conversation's mean numbers: `facts`, gold operations by kind, `memories` and `characters` of the
    gold bank in the first of the words, and the `last` session that told anything."""
    usage: Mapping[tuple[str, Words], Usage]
    """What each manager's model calls have cost, those answered from the cache included."""
    questions: tuple[QuestionRow, ...] = ()
    """By words and manager; empty if nothing is asked."""


def measure(
    plan: Plan,
    rulers: Sequence[Ruler],
    embedder: Embedder,
    told: Told | None = None,
    reader: FrozenReader | None = None,
) -> Measured:
    """Measure managers.

    Args:
        plan: What to measure.
        rulers: The managers.
        embedder: The product's; finds the candidates, and the memories for questions.
        told: Is told how far it is.
        reader: Answers the questions, for all managers alike; needed if the plan asks any.

    Raises:
        ConfigError: The plan asks questions, and there is no reader.
        ModelError: The embedder, a manager's model or the reader's failed.

    Example:
        >>> from memory_r1.bench.operations.managers import habits, read_managers
        >>> from memory_r1.testing import HashEmbedder
        >>> found = measure(Plan((2,), 1), habits(read_managers(["gold", "add-all"])), HashEmbedder(32))
        >>> [(row.manager, row.rates["accuracy/ADD"].mean, row.rates["lost"].mean) for row in found.rows]
        [('gold', 1.0, 0.0), ('add-all', 1.0, 0.0)]
    """
    if plan.ask != "none" and reader is None:
        raise ConfigError("There are questions, and nobody to answer them.", hint="Pass a reader.")
    told = told or Silent()
    try:
        return _Measurement(plan, embedder, told, reader if plan.ask != "none" else None).run(rulers)
    finally:
        told.ended()


@dataclass
class _Measurement:
    plan: Plan
    embedder: Embedder
    told: Told
    reader: FrozenReader | None
    _usage: defaultdict[tuple[str, Words], Usage] = field(default_factory=lambda: defaultdict(Usage))

    def run(self, rulers: Sequence[Ruler]) -> Measured:
        made = self._made()
        rows: list[Row] = []
        asked: list[QuestionRow] = []
        numbers: dict[int, dict[str, float]] = {}
        search = BankSearch(self.embedder)
        try:
            for words in self.plan.words:
                stories = [Story(one, words) for one in made]
                problems = self._problems(made, words, search) if self.plan.gold_banks else [[] for _ in made]
                numbers = numbers or _told(stories, self.plan.sessions)
                answered: dict[str, Answered] = {}
                for ruler in rulers:
                    rulings = self._on_gold_banks(ruler, problems, words)
                    streams = self._on_own_banks(ruler, stories, search)
                    rows += self._rows(ruler.name, streams, problems, rulings)
                    if self.reader is not None:
                        answered[ruler.name] = self._answered(self.reader, ruler.name, streams, search)
                asked += question_rows(words, answered, adding_all(rulers)) if answered else []
        finally:
            search.close()
        return Measured(tuple(rows), numbers, dict(self._usage), tuple(asked))

    def _made(self) -> list[SyntheticConversation]:
        plan, made = self.plan, []
        self.told.began("making conversations", plan.conversations)
        for seed in range(plan.seed, plan.seed + plan.conversations):
            made.append(generate(seed, sessions=plan.sessions[-1], speakers=plan.speakers, split=plan.split))
            self.told.went_on(1)
        self.told.ended()
        return made

    def _problems(
        self, made: Sequence[SyntheticConversation], words: Words, search: BankSearch
    ) -> list[list[ManagerProblem]]:
        options = ManagerOptions(
            candidates=self.plan.candidates, unlinked=True, most_questions=0, stored=words, planted=False
        )
        self.told.began(f"searching gold banks ({words})", len(made))
        problems = []
        for one in made:
            problems.append(manager_problems([one], search, options))
            self.told.went_on(1)
        self.told.ended()
        search.close()
        return problems

    def _rows(
        self,
        manager: str,
        streams: Sequence[Stream],
        problems: Sequence[Sequence[ManagerProblem]],
        rulings: Sequence[Sequence[Ruling]],
    ) -> list[Row]:
        rows = []
        for sessions in self.plan.sessions:
            samples: Samples = defaultdict(list)
            lost: Counter[Cause] = Counter()
            for stream, asked, ruled in zip(streams, problems, rulings, strict=True):
                known = [place for place, one in enumerate(asked) if _session(one) <= sessions]
                if known:
                    report = report_operations([asked[place] for place in known], [ruled[place] for place in known])
                    _add(samples, accuracy_samples(stream.story.id, report))
                place = stream.story.last_place(sessions)
                if place >= 0:
                    _add(samples, stream_samples(stream, place))
                    lost += causes(stream, place)
            rates = {name: mean_interval(values) for name, values in samples.items()}
            rows.append(Row(manager, streams[0].story.words, sessions, rates, dict(lost)))
        return rows

    def _on_gold_banks(
        self, ruler: Ruler, problems: Sequence[Sequence[ManagerProblem]], words: Words
    ) -> list[list[Ruling]]:
        if not self.plan.gold_banks:
            return [[] for _ in problems]
        self.told.began(f"{ruler.name} on the gold bank ({words})", sum(map(len, problems)))
        found = []
        for asked in problems:
            ruled: list[Ruling] = []
            for start in range(0, len(asked), _BATCH):
                ruled += self._ruled(ruler, asked[start : start + _BATCH], words)
            found.append(ruled)
        self.told.ended()
        return found

    def _on_own_banks(self, ruler: Ruler, stories: Sequence[Story], search: BankSearch) -> list[Stream]:
        stops = [frozenset(map(story.last_place, self.plan.sessions)) for story in stories]
        found = search if ruler.searches else None
        streams = [
            Stream(story, places, found, self.plan.candidates) for story, places in zip(stories, stops, strict=True)
        ]
        words = stories[0].words
        self.told.began(f"{ruler.name} on its own bank ({words})", sum(len(story.facts) for story in stories))
        # conversations go side by side, so that a model has several facts at a time
        while asked := [(stream, problem) for stream in streams if (problem := stream.problem()) is not None]:
            for (stream, problem), ruling in zip(
                asked, self._ruled(ruler, [problem for _, problem in asked], words), strict=True
            ):
                stream.take(problem, ruling)
        self.told.ended()
        search.close()
        return streams

    def _answered(self, reader: FrozenReader, manager: str, streams: Sequence[Stream], search: BankSearch) -> Answered:
        wanted = self.plan.ask
        total = sum(len(questions_of(stream.story.made, wanted)) for stream in streams)
        self.told.began(f"questions on the bank of {manager} ({streams[0].story.words})", total)
        answered = answer_all(reader, search, streams, wanted, Cut(budget_tokens=self.plan.reader_tokens), self.told)
        self.told.ended()
        search.close()
        return answered

    def _ruled(self, ruler: Ruler, problems: Sequence[ManagerProblem], words: Words) -> Sequence[Ruling]:
        rulings = ruler.rule(problems)
        self._usage[ruler.name, words] += sum((ruling.usage for ruling in rulings), Usage())
        self.told.went_on(len(problems))
        return rulings


def _session(problem: ManagerProblem) -> int:
    return turn_order(problem.facts[0].turn_id or "")[0]


def _add(samples: Samples, more: Samples) -> None:
    for name, values in more.items():
        samples[name].extend(values)


def _told(stories: Sequence[Story], sessions: Sequence[int]) -> dict[int, dict[str, float]]:
    found = {}
    for number in sessions:
        counts: Counter[str] = Counter()
        for story in stories:
            place = story.last_place(number)
            counts["facts"] += place + 1
            counts["last"] += story.facts[place].session if place >= 0 else 0
            counts.update(str(one.life.kind) for one in story.facts[: place + 1])
            bank = story.gold_bank(place) if place >= 0 else ()
            counts["memories"] += len(bank)
            counts["characters"] += sum(len(entry.text) for entry in bank)
        found[number] = {name: count / len(stories) for name, count in counts.items()}
    return found
