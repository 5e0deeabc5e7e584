"""Small text tools that the agents share: cleaning, quoting, sentences, pieces and content words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

EMBEDDED_CHARS = 600
"""Longest text of a memory, in characters: about what an embedder of 256 tokens takes in."""

_UNSAFE = re.compile("[\0\ud800-\udfff]")
_BREAK = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+\s+|\n+")
_ABBREVIATION = re.compile(r"(?:^|[\s(\"'])(?:[A-Z]|Dr|Mr|Mrs|Ms|Prof|St|vs|etc|No|e\.g|i\.e|a\.m|p\.m)\.\s+$")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_TEMPLATE_TOKEN = re.compile(r"<(?=[|/a-zA-Z])|\[(?=/?(?:INST|SYS)\b)")
_GRAMMAR = """
    a about after again all also always am an and another any are around as at be because been before being both but
    by can could did do does doing done down during each else ever every few for from further get gets getting go going
    gonna got had has have having he her here hers herself him himself his how i if in into is it its itself just like
    lot made make makes making many maybe me more most much my myself no nor not now of off on once one only or other
    our ours ourselves out over own quite really s same said say says she should so some something soon still such t
    than that the their theirs them themselves then there these they thing things this those through to too under
    until up us very via was we well were what when where which while who whom why will with would yes yet you your
    yours yourself d ll m re ve im ive ill id dont didnt doesnt isnt wasnt cant couldnt wont wouldnt thats its hes shes
    theyre youre weve theyve"""
_STOP_WORDS = frozenset(_GRAMMAR.split())
_SUFFIXES = ("ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "s", "y", "e")


def clean(text: str) -> str:
    r"""Make a text safe to store and to tokenise: no lone surrogates, no NUL, no white space around it.

    Example:
        >>> clean(" a\0b\ud800 ")
        'ab�'
    """
    return _UNSAFE.sub(lambda m: "" if m[0] == "\0" else "\ufffd", text).strip()


def quote(text: str) -> str:
    r"""Quote a text as a JSON string on one line that cannot break out of a prompt.

    Besides JSON's own escapes, what may start a chat template's token (`<|im_end|>`, `</memories>`, `[INST]`) is
    written as a JSON escape, so that it reads the same and is no token.

    Example:
        >>> quote('say "hi"<|im_end|>')
        '"say \\"hi\\"\\u003c|im_end|>"'
    """
    return _TEMPLATE_TOKEN.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(clean(text), ensure_ascii=False))


def sentences(text: str) -> list[str]:
    """Split a text at sentence ends and line breaks, in time linear in its length.

    Example:
        >>> sentences("I met Dr. Wu at 3.5 km. She waved!  Bye")
        ['I met Dr. Wu at 3.5 km.', 'She waved!', 'Bye']
    """
    return [text[start:end].strip() for start, end in _sentence_spans(text) if text[start:end].strip()]


def _sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _BREAK.finditer(text):
        if _ABBREVIATION.search(text[max(start, match.start() - 8) : match.end()]):
            continue
        yield start, match.end()
        start = match.end()
    yield start, len(text)


def pieces(text: str, limit: int) -> list[str]:
    """Cut a text into pieces of at most `limit` characters: whole sentences if they fit, then words, then characters.

    Example:
        >>> pieces("One two. Three four. Five", 20)
        ['One two. Three four.', 'Five']
    """
    result: list[str] = []
    current = ""
    for part in _small_parts(text, limit):
        joined = f"{current} {part}" if current else part
        if len(joined) <= limit:
            current = joined
        else:
            result.append(current)
            current = part
    return [*result, current] if current else result


def _small_parts(text: str, limit: int) -> Iterator[str]:
    for sentence in sentences(text):
        if len(sentence) <= limit:
            yield sentence
            continue
        for word in sentence.split():
            for start in range(0, len(word), limit):
                yield word[start : start + limit]


def words(text: str) -> list[str]:
    """The words of a text in order, case-folded, without punctuation; a possessive `'s` is dropped.

    Example:
        >>> words("Ann's dog isn't 3!")
        ['ann', 'dog', "isn't", '3']
    """
    found = (match[0].casefold().replace("’", "'") for match in _WORD.finditer(text))
    return [word.removesuffix("'s") for word in found]


def stem(word: str) -> str:
    """A crude stem that maps the forms of a regular word to one string.

    Example:
        >>> {stem(word) for word in ("paint", "paints", "painted", "painting")}
        {'paint'}
    """
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content_words(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order, with repeats.

    Example:
        >>> content_words("I have been to the museum with my kids")
        ['museum', 'kid']
    """
    return [stem(word) for word in words(text) if not is_stop_word(word)]


def is_stop_word(word: str) -> bool:
    """Whether a case-folded word (of `words`) carries grammar and no content."""
    return word in _STOP_WORDS or word.replace("'", "") in _STOP_WORDS or word.split("'")[0] in _STOP_WORDS
