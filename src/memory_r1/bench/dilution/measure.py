"""Asks the questions of a data set on banks that grow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from memory_r1.bench.dilution.bank import MixedBank, Search, mix
from memory_r1.bench.dilution.distractors import facts_of
from memory_r1.bench.dilution.probe import CUTS, DEPTHS, FIXED, CutName, Probe, Reading, probe_cut, recall
from memory_r1.bench.dilution.told import Silent
from memory_r1.errors import ConfigError, InvalidInputError

if TYPE_CHECKING:
    from memory_r1.bench.dilution.distractors import Distractors
    from memory_r1.bench.dilution.reading import DilutedReader
    from memory_r1.bench.dilution.told import Told
    from memory_r1.bench.loading import BenchData
    from memory_r1.bench.vectors import KeptEmbedder
    from memory_r1.data.conversation import Conversation, Question

SIZES = (1_000, 10_000, 100_000)
"""Sizes of the banks, unless others are asked for."""

_TIMED = 20


@dataclass(frozen=True, slots=True)
class Filled:
    """A bank as it was measured."""

    conversation: str
    size: int | None
    """As in `Probe.size`."""
    memories: int
    sources: dict[str, int]
    """How many distractors came from where."""
    load_seconds: float
    """The first search: vectors are read from the store."""


@dataclass
class Measured:
    """Everything that was measured."""

    probes: list[Probe] = field(default_factory=list)
    banks: list[Filled] = field(default_factory=list)
    left_out: int = 0
    """Questions without an answer or without known evidence."""
    embed_seconds: list[float] = field(default_factory=list)
    """Wall times of embedding a question by itself, computed and not from the cache."""


class Dilution:
    """The measurement.

    Args:
        data: What is asked.
        distractors: What banks are filled up with.
        embedder: Embeds memories and questions.
        sizes: Sizes of the banks in memories, each larger than any conversation; undiluted comes first by itself.
        budget_tokens: Budget of the dynamic cut, as for `Retriever.search`.
        told: Is told how far it is.

    Raises:
        ConfigError: A size cannot be used.
        InvalidInputError: No question has known evidence.
    """

    def __init__(
        self,
        data: BenchData,
        distractors: Distractors,
        embedder: KeptEmbedder,
        *,
        sizes: Sequence[int] = SIZES,
        budget_tokens: int = 1500,
        told: Told | None = None,
    ) -> None:
        self.asked = [kept for one in data.conversations if (kept := _with_evidence(one)).questions]
        if not self.asked:
            raise InvalidInputError(
                f"No question of {data.name} names the turns that its answer rests on.",
                hint="Dilution is measured by them: choose data that has them, such as locomo or synthetic:20.",
            )
        self.sizes = _checked(sizes, self.asked)
        self._questions = sum(len(one.questions) for one in self.asked)
        self._left_out = data.questions - self._questions
        self._distractors, self._embedder = distractors, embedder
        self._budget = budget_tokens
        self._reader: DilutedReader | None = None
        self._told = told or Silent()

    def run(self, reader: DilutedReader | None = None) -> Measured:
        """Measure.

        Args:
            reader: Answers from what is found; None: retrieval alone is measured.

        Raises:
            InvalidInputError: There are not enough distractors.
            ModelError: The embedder or the reader's model failed.
            StoreError: A store failed.
        """
        self._reader = reader
        self._embed()
        measured = Measured(left_out=self._left_out)
        self._told.began("Questions", self._questions * (len(self.sizes) + 1))
        for conversation in self.asked:
            self._measure(conversation, measured)
        self._told.ended()
        measured.embed_seconds = self._time_embedding()
        return measured

    def _embed(self) -> None:
        """Embed all that will be needed and is not there yet, in large batches: one bar that tells how long."""
        self._told.began("Collecting texts", len(self.asked))
        missing: dict[str, None] = {}
        largest = self.sizes[-1] if self.sizes else None
        for conversation in self.asked:
            texts = [fact.text for fact in mix(conversation, self._distractors.beside(conversation), largest).facts]
            missing.update(dict.fromkeys(self._embedder.missing(texts)))
            self._told.went_on(1)
        self._told.ended()
        if missing:
            self._told.began("Embedding", len(missing))
            self._embedder.fill(list(missing), self._told.went_on)
            self._told.ended()

    def _measure(self, conversation: Conversation, measured: Measured) -> None:
        for size in (None, *self.sizes):
            mixture = mix(conversation, self._distractors.beside(conversation), size)
            with tempfile.TemporaryDirectory(prefix="memory-r1-dilute-") as folder:
                self._told.says(f"{conversation.id}: filling a bank of {len(mixture.facts):,}")
                bank = MixedBank(mixture, self._embedder, Path(folder))
                try:
                    load = bank.warm()
                    measured.banks.append(Filled(conversation.id, size, bank.size, mixture.sources, load))
                    self._told.says(f"{conversation.id}, {bank.size:,} memories")
                    for probe in self._ask(bank, size, conversation):
                        measured.probes.append(probe)
                        self._told.went_on(1)
                finally:
                    bank.close()

    def _ask(self, bank: MixedBank, size: int | None, conversation: Conversation) -> Iterator[Probe]:
        waiting = iter(conversation.questions)
        while batch := list(islice(waiting, 16)):
            searches = [self._search(bank, question) for question in batch]
            readings = self._read(batch, searches)
            for question, both, read in zip(batch, searches, readings, strict=True):
                yield Probe(
                    size=size,
                    conversation=conversation.id,
                    question_id=question.id,
                    category=question.category,
                    recall={k: recall(both["fixed"].found[:k], question.evidence) for k in DEPTHS},
                    cuts={name: probe_cut(both[name], question.evidence, read.get(name)) for name in CUTS},
                )

    def _search(self, bank: MixedBank, question: Question) -> dict[CutName, Search]:
        return {
            "dynamic": bank.search(question.text, budget_tokens=self._budget),
            "fixed": bank.search(question.text, k=FIXED),
        }

    def _read(
        self, questions: Sequence[Question], searches: Sequence[dict[CutName, Search]]
    ) -> list[dict[CutName, Reading]]:
        if self._reader is None:
            return [{} for _ in questions]
        by_cut = {name: self._reader.read(questions, [one[name] for one in searches], name) for name in CUTS}
        return [{name: by_cut[name][place] for name in CUTS} for place in range(len(questions))]

    def _time_embedding(self) -> list[float]:
        questions = [question.text for one in self.asked for question in one.questions][:_TIMED]
        self._embedder.inner.embed(["warm up"])
        seconds = []
        for text in questions:
            began = time.perf_counter()
            self._embedder.inner.embed([text])
            seconds.append(time.perf_counter() - began)
        return seconds


def _with_evidence(conversation: Conversation) -> Conversation:
    kept = tuple(one for one in conversation.questions if one.answer is not None and one.evidence)
    return replace(conversation, questions=kept)


def _checked(sizes: Sequence[int], asked: Sequence[Conversation]) -> tuple[int, ...]:
    kept = tuple(sorted(set(sizes)))
    longest = max(asked, key=lambda one: len(facts_of(one)))
    least = len(facts_of(longest))
    for size in kept:
        if size <= least:
            raise ConfigError(
                f"A bank of {size:,} cannot be diluted: {longest.id} alone has {least:,} memories.",
                hint="Give larger --sizes, or leave the conversation out.",
            )
    return kept
