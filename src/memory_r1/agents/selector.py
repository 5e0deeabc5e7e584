"""The trained extractor: chooses the sentences of a turn that are worth remembering, and keeps their words.

A model small enough for a laptop that retells what it read makes things up. Choosing invents nothing, and costs a
tenth of the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memory_r1.agents.chitchat import is_chitchat
from memory_r1.agents.extractor import Extractor, fact_of, verbatim
from memory_r1.agents.fact_extractor import FactExtractor
from memory_r1.agents.policy import policy_name, usage_of
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.recall import Recalled
from memory_r1.agents.results import Extraction, Usage
from memory_r1.agents.text import EMBEDDED_CHARS, clean, pieces, quote, sentences
from memory_r1.agents.windows import Unit, Window, read_window
from memory_r1.data.conversation import Turn
from memory_r1.lm.base import Completion, LanguageModel, Message, Sampling

NOTHING = "NONE"
"""What the model writes where nothing is worth remembering."""

# a turn of more sentences is read in parts
_MOST_SENTENCES = 12
_LONGEST_SENTENCE = 400
_TOKENS_A_SENTENCE = 4
_LINE = re.compile(r"\s*\d{1,3}(?:[\s,]+\d{1,3})*\s*")


@dataclass(frozen=True, slots=True)
class Part:
    """What one call reads: a turn, or some sentences of a long one."""

    unit: Unit
    sentences: tuple[str, ...]
    """In the prompt they have the numbers from 1."""
    asked: str = ""
    """The question before, if the turn may answer one; number 0."""
    asked_by: str = ""

    def text_of(self, numbers: Sequence[int]) -> str:
        """The words behind some numbers, as a fact."""
        said = " ".join(self.sentences[number - 1] for number in numbers if number)
        said = said.replace("[picture: ", "[shared picture: ")
        if 0 in numbers:
            return f"{self.asked_by} asked: {self.asked} {self.unit.speaker}: {said}"
        return f"{self.unit.speaker}: {said}"


class SelectingExtractor(FactExtractor):
    """Takes facts from turns by choosing sentences.

    Each thing told is a fact. The other sentences of a turn that are neither small talk nor questions, as a rule can
    tell, go with the one they follow, so nothing that was said is lost.

    Args:
        lm: The model.
        prompts: Its instructions.
        adapter: LoRA adapter that makes it a trained policy; None is the base model.
    """

    def __init__(self, lm: LanguageModel, prompts: Prompts, *, adapter: str | None = None) -> None:
        self._lm = lm
        self._prompt = prompts.select
        self._adapter = adapter
        self.policy = policy_name(lm, adapter)

    def extract_many(self, windows: Sequence[Window], *, known: Sequence[str] = ()) -> list[Extraction]:
        """Take the facts from several windows in one batch of model calls."""
        recalled = [Recalled([*known, *window.known]) for window in windows]
        read = [read_window(window, memories) for window, memories in zip(windows, recalled, strict=True)]
        parts = [
            (number, part)
            for number, (window, (units, _)) in enumerate(zip(windows, read, strict=True))
            for part in parts_of(window, units)
        ]
        completions = self._complete([part for _, part in parts])
        found: list[list[tuple[Part, Completion]]] = [[] for _ in windows]
        for (number, part), completion in zip(parts, completions, strict=True):
            found[number].append((part, completion))
        return [
            _assemble(window, units, calls, memories, repeated)
            for window, (units, repeated), calls, memories in zip(windows, read, found, recalled, strict=True)
        ]

    def prompt(self, part: Part) -> list[Message]:
        """Render the prompt for a part."""
        lines = (f"{number} {quote(sentence)}" for number, sentence in enumerate(part.sentences, start=1))
        question = f"0 {quote(part.asked_by)[1:-1]} asked: {quote(part.asked)}\n" if part.asked else ""
        return self._prompt.render(
            speaker=quote(part.unit.speaker)[1:-1], sentences="\n".join(lines), question=question
        )

    def _complete(self, parts: Sequence[Part]) -> list[Completion]:
        if not parts:
            return []
        sampling = Sampling(max_tokens=max(map(room, parts)))
        return self._lm.complete([self.prompt(part) for part in parts], sampling, adapter=self._adapter)


def make_extractor(lm: LanguageModel, prompts: Prompts, adapter: str | None) -> FactExtractor:
    """The extractor that suits a model: a trained policy chooses sentences, an untrained model writes facts.

    Args:
        lm: The model.
        prompts: The instructions of both.
        adapter: Name of the trained policy's LoRA adapter; None: the model is not trained for this.
    """
    return Extractor(lm, prompts) if adapter is None else SelectingExtractor(lm, prompts, adapter=adapter)


def room(part: Part) -> int:
    """Most tokens of a part's completion."""
    return 4 + _TOKENS_A_SENTENCE * (len(part.sentences) + 1)


def parts_of(window: Window, units: Sequence[Unit]) -> list[Part]:
    """What the model is asked about a window; a picture's caption is a sentence of its own."""
    parts = []
    for unit in units:
        if unit.chat:
            continue
        said = [piece for sentence in sentences(unit.text) for piece in pieces(sentence, _LONGEST_SENTENCE)]
        said += [f"[picture: {piece}]" for piece in pieces(unit.caption, _LONGEST_SENTENCE)]
        before = window.turns[unit.place - 1] if unit.place else next(iter(window.context[-1:]), None)
        asked = _last_question(before) if before is not None and before.speaker != unit.turn.speaker else ""
        for start in range(0, len(said), _MOST_SENTENCES):
            parts.append(
                Part(
                    unit,
                    tuple(said[start : start + _MOST_SENTENCES]),
                    asked if start == 0 else "",
                    before.speaker if before is not None and asked and start == 0 else "",
                )
            )
    return parts


def _last_question(turn: Turn) -> str:
    said = sentences(clean(turn.text))
    return said[-1][-_LONGEST_SENTENCE:] if said and said[-1].endswith("?") else ""


def read_selection(completion: str, part: Part) -> tuple[tuple[int, ...], ...] | None:
    """The sentences chosen, a tuple for each thing told; None if the completion cannot be used.

    A line with nothing but the question is left out; a sentence counts once.
    """
    text = completion.strip()
    if text.rstrip(".").upper() == NOTHING:
        return ()
    chosen: list[tuple[int, ...]] = []
    seen: set[int] = set()
    for line in text.splitlines():
        if not line.strip():
            continue
        if not _LINE.fullmatch(line):
            return None
        numbers = sorted({int(number) for number in re.findall(r"\d+", line)} - (seen - {0}))
        if numbers and numbers[-1] > len(part.sentences):
            return None
        seen.update(numbers)
        if numbers and numbers[-1] > 0 and (numbers[0] > 0 or part.asked):
            chosen.append(tuple(numbers))
    return tuple(chosen) if seen - {0} else None


def completed(part: Part, chosen: Sequence[Sequence[int]], names: Sequence[str]) -> list[tuple[int, ...]]:
    """What was chosen, with the other sentences that state something, as far as a rule can tell, where they were said.

    A policy trained on made-up talk passes over much that real people are asked about later, and a memory torn out of
    its turn is hard to read. A sentence joins the line that it follows, or the first.
    """
    lines = [set(line) for line in chosen]
    for number, said in enumerate(part.sentences, start=1):
        if any(number in line for line in lines) or said.endswith("?") or is_chitchat(said, names):
            continue
        if not lines:
            lines.append(set())
        before = [line for line in lines if line and min(line - {0}) < number]
        # lines grow in order, so the one that began last is the one that it follows
        (max(before, key=lambda line: min(line - {0})) if before else lines[0]).add(number)
    return [tuple(sorted(line)) for line in lines]


def _assemble(
    window: Window,
    units: Sequence[Unit],
    calls: Sequence[tuple[Part, Completion]],
    recalled: Recalled,
    repeated: int,
) -> Extraction:
    texts: list[tuple[int, str]] = []
    fallback = None
    for part, completion in calls:
        chosen = read_selection(completion.text, part)
        if chosen is None:
            fallback = "unusable completion"
        lines = completed(part, chosen or (), window.names)
        texts += [(part.unit.place, part.text_of(numbers)) for numbers in lines]
    texts += [
        (unit.place, text) for unit in units if unit.chat and unit.caption for text in verbatim(unit, window.names)
    ]
    texts.sort(key=lambda pair: pair[0])
    new = [pair for pair in dict.fromkeys(texts) if not recalled.repeats(pair[1])]
    return Extraction(
        facts=tuple(fact_of(window, place, piece) for place, text in new for piece in pieces(text, EMBEDDED_CHARS)),
        raw="\n".join(completion.text for _, completion in calls),
        fallback=fallback,
        usage=sum((usage_of(completion) for _, completion in calls), Usage()),
        repeated=repeated + len(set(texts)) - len(new),
    )
