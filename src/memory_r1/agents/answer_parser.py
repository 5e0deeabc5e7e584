"""Reads the Answer Agent's completion: the numbers of the distilled memories, then the answer."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from memory_r1.agents.text import clean, sentences

ABSTENTION = "No information available."
"""The text of an answer that the memories do not hold."""

_MOST_CHARACTERS = 20_000
_MARKER = re.compile(r"\**[ \t]*\b(?:final[ \t]+)?answer[ \t]*\**[ \t]*:[ \t]*\**", re.IGNORECASE)
_BOLD_MARKER = re.compile(r"\*\*[ \t]*answer[ \t]*(?::[ \t]*\*\*|\*\*[ \t]*:)", re.IGNORECASE)
_BRACKETS = re.compile(r"\[([\d\s,;]+)\]")
_LINE_NUMBER = re.compile(r"^[ \t]*(?:[-*][ \t]*)?\[?(\d{1,4})\]?(?=[ \t.,:;)(]|$)", re.MULTILINE)
_ABSTAINS = re.compile(
    r"no (?:relevant |specific |such )?(?:information|info|mention|answer|data|memor(?:y|ies))\b"
    r"|(?:not|never) (?:mentioned|specified|stated|provided|given|known|available|clear|say)\b"
    r"|(?:do|does|did)(?:n['’]t| not) (?:say|mention|specify|state|tell|know|provide|contain)\b"
    r"|\b(?:unknown|unclear|n/?a|not sure|cannot (?:be determined|tell|answer)|can['’]t (?:tell|answer))\b",
    re.IGNORECASE,
)
# a longer text that happens to hold such words is an answer: "she did not say why she left the band in 2019"
_LONGEST_ABSTENTION = 12


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """A completion as understood."""

    text: str
    kept: tuple[int, ...]
    abstained: bool


def parse_answer(completion: str, *, shown: Collection[int], max_words: int) -> ParsedAnswer:
    r"""Read an answer from a completion.

    The text behind `**Answer:**` counts, else the last line that is not blank; of it, the first line, its first
    sentence if it is long, and at most `max_words` words.

    Args:
        completion: What the model wrote, and nothing of the prompt.
        shown: Indices of the memories it was shown; other numbers are dropped.
        max_words: Most words of an answer.

    Returns:
        The answer; an abstention if there is none. Never raises.

    Example:
        >>> parse_answer("[3, 9]\n**Answer:** 7 May 2023", shown=range(5), max_words=10)
        ParsedAnswer(text='7 May 2023', kept=(3,), abstained=False)
    """
    text = clean(completion[:_MOST_CHARACTERS])
    marker = _BOLD_MARKER.search(text) or _MARKER.search(text)
    if marker:
        before, answer = text[: marker.start()], text[marker.end() :]
        lines = [line for line in answer.splitlines() if line.strip(" *\t")]
        answer = lines[0] if lines else ""
    else:
        lines = [line for line in text.splitlines() if line.strip()]
        answer = lines[-1] if lines else ""
        before = "\n".join(lines[:-1])
        if _BRACKETS.fullmatch(answer.strip()):
            before, answer = text, ""
    answer = _short(answer, max_words)
    if not answer or _says_nothing(answer):
        return ParsedAnswer(ABSTENTION, _numbers(before, shown), abstained=True)
    return ParsedAnswer(answer, _numbers(before, shown), abstained=False)


def _short(answer: str, max_words: int) -> str:
    answer = answer.strip().strip("*`").strip()
    if len(answer.split()) > max_words:
        answer = sentences(answer)[0]
        answer = " ".join(answer.split()[:max_words])
    if len(answer) > 1 and answer[0] == answer[-1] and answer[0] in "\"'":
        answer = answer[1:-1]
    elif answer.count('"') == 1:
        answer = answer.strip('"')
    return answer.strip()


def _says_nothing(answer: str) -> bool:
    return len(answer.split()) <= _LONGEST_ABSTENTION and _ABSTAINS.search(answer) is not None


def _numbers(text: str, shown: Collection[int]) -> tuple[int, ...]:
    bracketed = [number for group in _BRACKETS.findall(text) for number in re.findall(r"\d{1,9}", group)]
    found = bracketed or _LINE_NUMBER.findall(text)
    return tuple(dict.fromkeys(int(number) for number in found if int(number) in shown))
