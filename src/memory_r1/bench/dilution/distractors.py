"""What a bank is diluted with: turns of other people's conversations.

A distractor must not bear on the question, or finding it would be right. So nothing comes from a conversation with a
speaker of the same name as one of those asked about (three of LoCoMo's ten have a John), and no turn that names one of
them, by the very rule by which the search finds names in a question. Data in which every conversation has the same
speakers (LongMemEval's User and Assistant) is for that reason never diluted with itself.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import Provenance
from memory_r1.bench.loading import BenchData, open_benchmark
from memory_r1.data.conversation import Conversation
from memory_r1.data.synthetic import SPLITS, Split, generate
from memory_r1.errors import ConfigError, InvalidInputError
from memory_r1.retrieval.speakers import take_names_out
from memory_r1.rl.retrieved import turn_texts

SYNTHETIC = "synthetic"
"""The last source of distractors, which never runs out."""

_FIRST_SEED = 1_000_000
"""Far from the seeds that anyone trains or asks with."""
_FRUITLESS = 200
"""Generated conversations in a row that may have nothing to give before it is an error."""


@dataclass(frozen=True, slots=True)
class Distractor:
    """A memory of someone else's."""

    fact: Fact
    talk: str
    """Id of the conversation it comes from."""
    source: str
    """Which data that is of."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation that others may be diluted with."""

    id: str
    speakers: tuple[str, ...]
    facts: tuple[Fact, ...]
    source: str


class Distractors:
    """Conversations to dilute with, in a fixed order: the data's own, those of further data, then generated ones.

    Each source is shuffled as a whole; turns of a conversation stay together and in order, as they would in a bank.

    Args:
        sources: (name, conversations) in the order in which they are used up.
        seed: Of the shuffles.
        split: Which part of the generator's names and phrasings the generated ones use.
    """

    def __init__(
        self, sources: Sequence[tuple[str, Sequence[Conversation]]], *, seed: int = 0, split: Split = "train"
    ) -> None:
        self._split: Split = split
        self._listed: list[tuple[str, Conversation]] = []
        for name, conversations in sources:
            shuffled = list(conversations)
            random.Random(f"{seed}/{name}").shuffle(shuffled)
            self._listed += [(name, one) for one in shuffled]
        self._talks: list[Talk] = []

    def beside(self, asked: Conversation) -> Iterator[Distractor]:
        """Distractors for one conversation, without end.

        Raises:
            InvalidInputError: Not even generated conversations have anything to give.
        """
        fruitless = 0
        for talk in self._all():
            given = 0
            if _apart(talk, asked):
                for fact in talk.facts:
                    if not take_names_out(fact.text, asked.speakers).named:
                        given += 1
                        yield Distractor(fact, talk.id, talk.source)
            if talk.source == SYNTHETIC:
                fruitless = 0 if given else fruitless + 1
            if fruitless >= _FRUITLESS:
                raise InvalidInputError(
                    f"{asked.id} cannot be diluted: all generated turns name one of its speakers, "
                    f"{' and '.join(asked.speakers)}.",
                    hint="Rename the speakers.",
                )

    def usable(self, asked: Sequence[Conversation]) -> dict[str, tuple[int, int]]:
        """For each source but the generator: how many conversations can dilute some asked one, and how many it has."""
        used: Counter[str] = Counter()
        for name, one in self._listed:
            used[name] += any(_apart(one, other) for other in asked)
        there = Counter(name for name, _ in self._listed)
        return {name: (used[name], number) for name, number in there.items()}

    def _all(self) -> Iterator[Talk]:
        for place in count():
            if place == len(self._talks):
                self._talks.append(self._make(place))
            yield self._talks[place]

    def _make(self, place: int) -> Talk:
        if place < len(self._listed):
            source, one = self._listed[place]
            return Talk(one.id, one.speakers, tuple(facts_of(one)), source)
        made = generate(_FIRST_SEED + place, split=self._split).conversation
        return Talk(made.id, made.speakers, tuple(facts_of(made)), SYNTHETIC)


def open_distractors(data: BenchData, name: str, further: Sequence[str] = (), *, seed: int = 0) -> Distractors:
    """What a data set is diluted with.

    Args:
        data: What is asked.
        name: As it was opened, e.g. `locomo:PATH`: the conversations of all its parts serve.
        further: More data to use before generated conversations, each as for `--data`.
        seed: Of the order.

    Raises:
        ConfigError: There is no such data, or generated data is named where it comes by itself.
        InvalidInputError: The data cannot be read.
    """
    made = name.partition(":")[0].partition("@")[0] == SYNTHETIC
    own = data.conversations if made else open_benchmark(name, part="all").conversations
    sources = [(data.name, own)]
    for one in further:
        if re.match(rf"{SYNTHETIC}\b", one):
            raise ConfigError(f"--distractor {one} is not needed.", hint="Generated conversations come last anyway.")
        found = open_benchmark(one, part="all")
        sources.append((found.name, found.conversations))
    split: Split = next((one for one in SPLITS if made and one == data.part), "train")
    return Distractors(sources, seed=seed, split=split)


def facts_of(conversation: Conversation) -> list[Fact]:
    """The memories of a conversation: its turns, a long one in pieces, as the system `rag-hybrid` has them."""
    return [
        Fact(
            text,
            turn.time,
            Provenance(turn_id=turn.id, session_id=session.id, speaker=turn.speaker, role=turn.role),
        )
        for session in conversation.sessions
        for turn in session.turns
        for text in turn_texts(turn)
    ]


def same_names(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two conversations have speakers with the same name or first name.

    Example:
        >>> same_names(["John Lee", "Maria"], ["john", "Tim"]), same_names(["Jon"], ["John"])
        (True, False)
    """
    return not _first_names(first).isdisjoint(_first_names(second))


def _apart(one: Talk | Conversation, asked: Conversation) -> bool:
    return one.id != asked.id and not same_names(one.speakers, asked.speakers)


def _first_names(speakers: Sequence[str]) -> set[str]:
    return {name.split()[0].casefold() for name in speakers if name.split()}
