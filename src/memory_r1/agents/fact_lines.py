"""Reads the extractor's completion into facts, and keeps only those that the turns bear out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from memory_r1.agents.chitchat import without_chitchat
from memory_r1.agents.grounding import Sources, negations, overlap
from memory_r1.agents.json_object import first_object
from memory_r1.agents.text import clean, content_words, is_stop_word, sentences, stem, words
from memory_r1.agents.windows import Unit

_LINE = re.compile(r"^\s*(?:[-*•]+\s*)?(?:\[(\d{1,3})\]|(\d{1,3})[.):])?\s*(?:[-*•:]\s*)?(.*)$")
_NONE = re.compile(r"(?:\[?\d*\]?[.):]?\s*)?(?:none|no facts?|nothing|n/a|\[\s*\])[.!]?", re.IGNORECASE)
_MOST_WORDS = 60
# share of a fact's content words that must come from the turns: the rest is room for another choice of verb
_LEAST_SUPPORT = 0.6
# who a fact is about must not be made up, however much of the rest is right
_KIN = """
    sister brother mother father mom dad parents son daughter child wife husband partner boyfriend girlfriend aunt uncle
    cousin grandmother grandfather friend boss colleague neighbour neighbor dog cat
"""
_RELATIONS = frozenset(_KIN.split())
_RELATED_SUBJECT = re.compile(rf"^(?:\w+, )?(?:my|our) (?:\w+ )?({'|'.join(_KIN.split())})\b", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"\b(?:i|i['’]m|i['’]ve|i['’]ll|i['’]d|my|me|we|our|us)\b", re.IGNORECASE)
# "Ann is a painter" is how small models retell "I painted a lake"
_IS_A = re.compile(r" (?:is|was) (?:a|an|the)\b")
_SAID_IS_A = re.compile(r"(?:\b(?:am|as|was|be|been|being|become|became|becoming)|['’]m) (?:a|an|the)\b", re.IGNORECASE)
_SECOND_PERSON = re.compile(r"\b(?:you|your|you['’]\w+)\b", re.IGNORECASE)
_THIRD_PERSON = re.compile(r"\b(?:she|he|her|his|him|hers)\b", re.IGNORECASE)
_LEADING_PRONOUN = re.compile(r"^(She|He|Her|His)\b(?:['’]s\b)?")


@dataclass(frozen=True, slots=True)
class FactLine:
    """One usable line: which unit it comes from and what it says."""

    unit: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A completion as understood."""

    lines: tuple[FactLine, ...]
    unusable: str | None
    """What was wrong with the first line that could not be used; None if all could."""
    none: bool
    """Whether the completion says that there is nothing."""


def read_completion(completion: str, units: Sequence[Unit], earlier: str, *, complete: bool) -> Reading:
    """Read facts from a completion and check each against the units.

    Args:
        completion: What the model wrote.
        units: What it read, in the order of their numbers from 1.
        earlier: Text before them, from which names may come.
        complete: False if the token limit cut the completion off; its last line is then dropped.

    Returns:
        The usable lines, each once. Never raises.
    """
    lines = _raw_lines(completion)
    if not lines or (len(lines) == 1 and _NONE.fullmatch(lines[0].strip())):
        return Reading((), None if lines else "empty completion", none=bool(lines))
    checker = _Checker(units, earlier)
    unusable: str | None = None
    if not complete:
        lines.pop()
        unusable = "cut off"
    kept: dict[str, FactLine] = {}
    for line in lines:
        if _NONE.fullmatch(line.strip()):
            continue
        number, text = _split(line)
        text = checker.without_speaker(text)
        index = checker.unit_of(number, text)
        problem = checker.problem(text, index)
        if problem:
            unusable = unusable or problem
            continue
        text = _self_contained(text, units[index], units)
        kept.setdefault(text.casefold(), FactLine(index, text))
    return Reading(_without_parts(list(kept.values())), unusable, none=False)


def _without_parts(lines: Sequence[FactLine]) -> tuple[FactLine, ...]:
    """Leave out a line that says no more than another one of its unit."""
    bags = [frozenset(content_words(line.text)) for line in lines]
    return tuple(
        line
        for place, line in enumerate(lines)
        if not any(
            other.unit == line.unit and negations(other.text) == negations(line.text) and bags[place] < bags[index]
            for index, other in enumerate(lines)
        )
    )


def _raw_lines(completion: str) -> list[str]:
    text = clean(completion)
    fenced = text.strip("`").removeprefix("json").strip()
    if fenced.startswith("["):
        try:
            found = json.loads(fenced)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and all(isinstance(item, str) for item in found):
            return [clean(item) for item in found] or ["NONE"]
    if fenced.startswith("{"):
        entry = first_object(fenced)
        if isinstance(entry, dict) and isinstance(entry.get("facts"), list):
            return [clean(item) for item in entry["facts"] if isinstance(item, str)] or ["NONE"]
    return [line for line in text.splitlines() if line.strip(" \t`-*")]


def _split(line: str) -> tuple[int | None, str]:
    match = _LINE.match(line)
    if match is None:
        return None, line.strip()
    number = match[1] or match[2]
    return (int(number) if number else None), match[3].strip().strip('"').strip()


class _Checker:
    """Judges lines against what the model read."""

    def __init__(self, units: Sequence[Unit], earlier: str) -> None:
        self._units = units
        said = [f"{unit.speaker}: {unit.text} {unit.caption}" for unit in units]
        self._said = Sources(said)
        self._heard = Sources([*said, earlier])
        self._names = {stem(word) for unit in units for word in words(unit.speaker)}

    def unit_of(self, number: int | None, text: str) -> int:
        """The unit a line belongs to: by its number, else by the words they share."""
        if number is not None and 1 <= number <= len(self._units) and len(self._units) > 1:
            return number - 1
        scores = [overlap(text, f"{unit.speaker} {unit.text} {unit.caption}") for unit in self._units]
        return scores.index(max(scores))

    def without_speaker(self, text: str) -> str:
        """A line without a speaker's name and colon before it, as in a transcript."""
        for unit in self._units:
            if text.startswith(f"{unit.speaker}:"):
                return text[len(unit.speaker) + 1 :].strip().strip('"').strip()
        return text

    def problem(self, text: str, index: int) -> str | None:
        """Why a line is no usable fact, or None."""
        said = words(text)
        if len(said) < 2 or text.endswith((":", "?")):
            return "not a statement"
        if len(said) > _MOST_WORDS or (len(said) > 12 and len(set(said)) < 0.45 * len(said)):
            return "endless or repetitive"
        body = [word for word in said if not is_stop_word(word) and stem(word) not in self._names]
        if not body:
            return "says nothing"
        support = self._said.support(" ".join(body))
        heard = self._heard.support(text)
        if support.share < _LEAST_SUPPORT:
            return "made up: its words are not in the turn"
        if heard.unknown_numbers:
            return f"made up: the number {heard.unknown_numbers[0][:20]}"
        if invented := [word for word in said if word in _RELATIONS and not self._heard.holds(stem(word))]:
            return f"made up: a {invented[0]}"
        if wrong := self._wrong_subject(text, index):
            return wrong
        first = said[0]
        if heard.unknown_names or not (is_stop_word(first) or self._heard.holds(stem(first))):
            return "made up: a name"
        return None

    def _wrong_subject(self, text: str, index: int) -> str | None:
        """Whether a line says of the speaker what was said of another: "my mother moved" does not mean "I moved"."""
        unit = self._units[index]
        near = max(sentences(unit.text) or [""], key=lambda sentence: overlap(text, sentence))
        subject = _RELATED_SUBJECT.match(near)
        if subject and stem(subject[1].lower()) not in map(stem, words(text)):
            return f"says of the speaker what was said of their {subject[1].lower()}"
        if (
            _IS_A.match(text[len(unit.speaker) :])
            and text.startswith(unit.speaker)
            and not _SAID_IS_A.search(unit.text)
        ):
            return "made up: what the speaker is"
        of_speaker = text.startswith(unit.speaker) and unit.speaker not in near
        if of_speaker and _SECOND_PERSON.search(near) and not _FIRST_PERSON.search(near):
            return "says of the speaker what was said to another"
        return None


def _self_contained(text: str, unit: Unit, units: Sequence[Unit]) -> str:
    """Name the speaker where a line speaks of I or of no one."""
    if _FIRST_PERSON.search(text):
        return f"{unit.speaker}: {without_chitchat(text, [other.speaker for other in units])}"
    pronoun = _LEADING_PRONOUN.match(text)
    if pronoun and not _THIRD_PERSON.search(unit.text):
        # no other she or he is spoken of, so the speaker is meant
        name = unit.speaker + ("'s" if pronoun[1] in ("Her", "His") else "")
        return name + text[len(pronoun[1]) :]
    told = text.casefold()
    if any(word in told for other in units for word in words(other.speaker)):
        return text
    return f"{unit.speaker}: {text}"
