"""Where the command line prints: results to stdout, messages to stderr, JSON if a program reads."""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# a plain reader (a pipe, a file) gets one line a record, never a line broken at a guessed width
UNBROKEN_WIDTH = 100_000

_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def console(*, stderr: bool = False) -> Console:
    """A rich console on stdout or stderr; without colours and line breaks where no terminal is."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(stderr=stderr, highlight=False, emoji=False)
    return Console(stderr=stderr, highlight=False, emoji=False, width=UNBROKEN_WIDTH, color_system=None)


def progress_console() -> Console:
    """Where a command that prints JSON shows how far it is: stderr, if a person may be watching it."""
    from rich.console import Console

    return console(stderr=True) if sys.stderr.isatty() else Console(quiet=True)


def print_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=_plain)
    sys.stdout.write("\n")


def note(message: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    sys.stderr.write(f"{shown(message)}\n")


def shown(text: str) -> str:
    r"""A text as one line that cannot move the cursor, colour the screen or reverse the reading order.

    Example:
        >>> shown("two\nlines\x1b[31m")
        'two lines�[31m'
    """
    one_line = " ".join(text.split())
    return "".join("\ufffd" if _unsafe(character) else character for character in one_line)


def _unsafe(character: str) -> bool:
    return character in _BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Cs")


def _plain(value: Any) -> Any:
    from datetime import datetime

    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
