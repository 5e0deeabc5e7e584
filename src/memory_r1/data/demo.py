"""The conversation that ships with memory-r1: two friends over ten months, with facts that change, end and merge."""

from __future__ import annotations

from importlib.resources import files

from memory_r1.data.conversation import Conversation
from memory_r1.data.jsonl import parse_jsonl


def load_demo() -> Conversation:
    """The shipped conversation, with its questions.

    Example:
        >>> demo = load_demo()
        >>> demo.speakers, len(demo.sessions)
        (('Nadia', 'Owen'), 6)
    """
    text = files("memory_r1.data").joinpath("demo.jsonl").read_text(encoding="utf-8")
    [conversation] = parse_jsonl(text.split("\n"), source="demo.jsonl")
    return conversation
