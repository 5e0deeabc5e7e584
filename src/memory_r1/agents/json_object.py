"""Finds the first complete JSON object in whatever a model wrote, whatever that is."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

# far more than any decision needs; bounds the work on an endless completion
_MOST_CHARACTERS = 20_000
_DEEPEST = 50
_SINGLE_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*")|(?<=[{\[,:\s])'((?:[^'\\]|\\.|'(?![\s]*[,:}\]]))*)'""", re.DOTALL)
_BARE_WORDS = re.compile(r'("(?:[^"\\]|\\.)*")|\b(True|False|None)\b', re.DOTALL)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_WORDS = {"True": "true", "False": "false", "None": "null"}


def first_object(text: str) -> dict[str, Any] | Literal["none", "cut off"]:
    """Read the first complete JSON object of a text.

    Prose, code fences and brackets around it are skipped; single quotes, Python's constants, a trailing comma and raw
    line breaks in strings are understood.

    Returns:
        The object; `none` if there is none; `cut off` if one begins and never ends.

    Example:
        >>> first_object("Sure: {'op': 'ADD',} {}")
        {'op': 'ADD'}
        >>> first_object('{"op": "AD')
        'cut off'
    """
    text = text[:_MOST_CHARACTERS]
    position = 0
    while (start := text.find("{", position)) >= 0:
        end = _end_of_object(text, start)
        if end is None:
            if text[start + 1 :].lstrip()[:1] in ('"', "'", ""):
                return "cut off"
            position = start + 1
            continue
        found = _read(text[start:end])
        if found is not None:
            return found
        position = start + 1
    return "none"


def _end_of_object(text: str, start: int) -> int | None:
    depth = 0
    quote = ""
    position = start
    before = ""
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote and (quote == '"' or text[position + 1 :].lstrip()[:1] in (",", ":", "}", "]", "")):
                quote = ""
        elif character == '"' or (character == "'" and before in "{[,:"):
            quote = character
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                return position + 1
        if depth > _DEEPEST:
            return None
        if not character.isspace():
            before = character
        position += 1
    return None


def _read(text: str) -> dict[str, Any] | None:
    for candidate in (text, _lenient(text)):
        try:
            found = json.loads(candidate, strict=False)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def _lenient(text: str) -> str:
    text = _SINGLE_QUOTED.sub(lambda m: m[1] or json.dumps(m[2].replace("\\'", "'"), ensure_ascii=False), text)
    text = _BARE_WORDS.sub(lambda m: m[1] or _WORDS[m[2]], text)
    return _TRAILING_COMMA.sub(lambda m: m[1] or "", text)
