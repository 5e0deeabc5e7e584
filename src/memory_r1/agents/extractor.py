"""The extractor: turns a conversation's turns into facts that stand on their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory_r1.agents.calendar_words import day_text
from memory_r1.agents.chitchat import states_something, without_chitchat
from memory_r1.agents.dates import annotate, without_dates
from memory_r1.agents.fact_extractor import FactExtractor
from memory_r1.agents.fact_lines import Reading, read_completion
from memory_r1.agents.grounding import Sources, overlap
from memory_r1.agents.policy import policy_name, usage_of
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.recall import Recalled
from memory_r1.agents.results import Extraction, Usage
from memory_r1.agents.text import EMBEDDED_CHARS, pieces, sentences
from memory_r1.agents.windows import Unit, Window, batches, context_lines, read_window
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import Provenance
from memory_r1.lm.base import Completion, LanguageModel, Message, Sampling

__all__ = ["Extractor", "Window"]

# share of a turn's words that its facts must hold
_LEAST_COVERAGE = 0.4
# where something is wrong, each sentence must be told to this share
_LEAST_OF_SENTENCE = 0.5
_LEAST_OF_CAPTION = 0.5


@dataclass(frozen=True, slots=True)
class _Request:
    """One call to the model: what it reads, for which window."""

    window: int
    units: tuple[Unit, ...]
    chat: list[Message]
    max_tokens: int


class Extractor(FactExtractor):
    """Takes facts from turns with a language model, and checks by rule what it wrote.

    Small talk is recognised without the model. A turn whose facts cannot be used becomes a fact itself, so nothing that
    was said is lost. So does every sentence that its facts leave out. For a
    model that writes well, untrained; the trained policy of a small one is `SelectingExtractor`.

    Args:
        lm: The model.
        prompts: Its instructions.
        adapter: LoRA adapter that makes it a trained policy; None is the base model.
        max_calls: Most model calls for one window; the rest of a huge message is kept verbatim.
    """

    def __init__(self, lm: LanguageModel, prompts: Prompts, *, adapter: str | None = None, max_calls: int = 16) -> None:
        self._lm = lm
        self._prompt = prompts.extract
        self._adapter = adapter
        self._max_calls = max_calls
        self.policy = policy_name(lm, adapter)

    def extract_many(self, windows: Sequence[Window], *, known: Sequence[str] = ()) -> list[Extraction]:
        """Take the facts from several windows in one batch of model calls; what a rule can tell asks no model."""
        recalled = [Recalled([*known, *window.known]) for window in windows]
        read = [read_window(window, memories) for window, memories in zip(windows, recalled, strict=True)]
        requests: list[_Request] = []
        unread: list[list[Unit]] = []
        for number, (window, (units, _)) in enumerate(zip(windows, read, strict=True)):
            asked, rest = self._requests(number, window, [unit for unit in units if not unit.chat])
            requests += asked
            unread.append(rest)
        completions = self._complete(requests)
        return [
            _assemble(
                window,
                units,
                [pair for pair in zip(requests, completions, strict=True) if pair[0].window == number],
                unread[number],
                recalled[number],
                repeated,
            )
            for number, (window, (units, repeated)) in enumerate(zip(windows, read, strict=True))
        ]

    def prompt(self, units: Sequence[Unit], context: str = "") -> list[Message]:
        """Render the prompt for units of one session."""
        time = units[0].turn.time
        return self._prompt.render(
            date=day_text(time) if time else "unknown date",
            context=context,
            turns="\n".join(unit.line(number) for number, unit in enumerate(units, start=1)),
        )

    def _requests(self, number: int, window: Window, units: Sequence[Unit]) -> tuple[list[_Request], list[Unit]]:
        """The calls for one window, and the units that no call will read."""
        if not units:
            return [], []
        context = context_lines(window)

        def fits(batch: Sequence[Unit]) -> bool:
            return self._lm.count_tokens(self.prompt(batch, context)) + _room(batch) <= self._lm.context_length

        shortest = [replace(units[0], turn=replace(units[0].turn, image_caption=None), text="")]
        if not fits(shortest):
            context = ""
        if not fits(shortest):
            return [], list(units)
        requests: list[_Request] = []
        rest: list[Unit] = []
        for batch, readable in batches(units, fits):
            if readable and len(requests) < self._max_calls:
                requests.append(_Request(number, tuple(batch), self.prompt(batch, context), _room(batch)))
            else:
                rest += batch
        return requests, rest

    def _complete(self, requests: Sequence[_Request]) -> list[Completion]:
        if not requests:
            return []
        sampling = Sampling(max_tokens=max(request.max_tokens for request in requests))
        return self._lm.complete([request.chat for request in requests], sampling, adapter=self._adapter)


def _room(units: Sequence[Unit]) -> int:
    """Tokens to leave for the facts: about as many as the turns have, at three characters a token."""
    return min(384, 24 + sum(len(unit.text) + len(unit.caption) for unit in units) // 3)


def _assemble(
    window: Window,
    units: Sequence[Unit],
    calls: Sequence[tuple[_Request, Completion]],
    unread: Sequence[Unit],
    recalled: Recalled,
    repeated: int,
) -> Extraction:
    """Join what the calls of one window came to."""
    texts: list[tuple[int, str]] = []
    reasons: list[str] = []
    for request, completion in calls:
        reading = read_completion(
            completion.text,
            request.units,
            context_lines(window),
            complete=completion.finish != "length",
        )
        for index, unit in enumerate(request.units):
            own, reason = _facts_of(unit, index, reading, window.names)
            texts += [(unit.place, text) for text in own]
            reasons += [reason] if reason else []
    for unit in unread:
        texts += [(unit.place, text) for text in verbatim(unit, window.names)]
    if unread:
        reasons.append("too long for the model")
    texts += [(unit.place, text) for unit in units if unit.chat for text in _caption_facts(unit, [])]
    texts.sort(key=lambda pair: pair[0])
    new = [pair for pair in dict.fromkeys(texts) if not recalled.repeats(pair[1])]
    return Extraction(
        facts=tuple(fact_of(window, place, text) for place, text in new),
        raw="\n".join(completion.text for _, completion in calls),
        fallback="; ".join(dict.fromkeys(reasons)) or None,
        usage=sum((usage_of(completion) for _, completion in calls), Usage()),
        repeated=repeated + len(set(texts)) - len(new),
    )


def _facts_of(unit: Unit, index: int, reading: Reading, names: Sequence[str]) -> tuple[list[str], str | None]:
    """The facts of one unit, and why the unit itself had to stand in for them, if it had to."""
    own = [annotate(line.text, unit.turn.time) for line in reading.lines if line.unit == index]
    if not own:
        if reading.unusable is None and not states_something(unit.text, names):
            return _caption_facts(unit, []), None
        return verbatim(unit, names), reading.unusable or "no fact for a turn that states one"
    stated = [said for said in sentences(unit.text) if not said.endswith("?") and states_something(said, names)]
    left_out = _left_out(stated, Sources([*own, *names]), thorough=reading.unusable is not None)
    if not left_out:
        return [*own, *_caption_facts(unit, own)], None
    if len(left_out) == len(stated):
        return verbatim(unit, names), reading.unusable or "the facts leave out most of the turn"
    rest = [f"{unit.speaker}: {piece}" for piece in pieces(" ".join(left_out), EMBEDDED_CHARS)]
    return [*own, *rest, *_caption_facts(unit, own)], reading.unusable or "the facts leave out part of the turn"


def _left_out(stated: Sequence[str], told: Sources, *, thorough: bool) -> list[str]:
    """Sentences that the facts do not tell: a number or name is missing, or most of the words."""
    thorough = thorough or told.support(" ".join(stated)).share < _LEAST_COVERAGE
    result = []
    for sentence in stated:
        support = told.support(without_dates(sentence))
        if not support.exact or (thorough and support.share < _LEAST_OF_SENTENCE):
            result.append(sentence)
    return result


def _caption_facts(unit: Unit, facts: Sequence[str]) -> list[str]:
    if not unit.caption or overlap(unit.caption, " ".join(facts)) >= _LEAST_OF_CAPTION:
        return []
    return [f"{unit.speaker} shared a picture: {unit.caption}"]


def verbatim(unit: Unit, names: Sequence[str]) -> list[str]:
    """The turn itself as facts, without the small talk around what it states."""
    picture = f" [shared picture: {unit.caption}]" if unit.caption else ""
    return [
        f"{unit.speaker}: {piece}" for piece in pieces(without_chitchat(unit.text, names) + picture, EMBEDDED_CHARS)
    ]


def fact_of(window: Window, place: int, text: str) -> Fact:
    turn = window.turns[place]
    return Fact(
        text,
        event_time=turn.time,
        provenance=Provenance(
            turn_id=turn.id,
            session_id=window.session_id,
            turn_index=None if window.first_index is None else window.first_index + place,
            speaker=turn.speaker,
            role=turn.role,
            source=window.source,
        ),
    )
