"""MSC-Self-Instruct: two people over four sessions, and a question about each pair (Xu et al. 2022; MemGPT).

The questions are MemGPT's 500 (its deep memory retrieval task), asked by Speaker 2 to Speaker 1 in a session of their
own. The conversations are sessions 1 to 4 of MSC's validation set; MemGPT's file also had a fifth, which is not public
beside the rest. On average sessions 1 to 4 hold 95% of an answer's words. Say "MSC-Self-Instruct, sessions 1 to 4" with
results.

A file is JSON Lines, as it is or gzipped, one conversation a line:

    {"initial_data_id": "valid_1", "question": "...", "answer": "...",
     "sessions": [{"session": 1, "dialog": [{"id": "Speaker 1", "text": "..."}, ...]}, ...]}

Nothing is dated, and no turn is named as evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.files import DataFile

_FILE = DataFile(
    "msc_self_instruct_reconstructed_s1-4.jsonl",
    "msc",
    "a file of MSC-Self-Instruct conversations",
    "See docs/training-data.md for the format.",
)

SPEAKERS = ("Speaker 1", "Speaker 2")
"""Everybody's names."""

CATEGORY = "self-instruct"
"""The one kind of question."""


def load_msc(path: str | Path) -> list[Conversation]:
    """Read MSC-Self-Instruct, one conversation a line. Turns are named as in LoCoMo, e.g. `D2:5`.

    Args:
        path: The file, gzipped or not, or a folder that holds it, directly or under `msc/`.

    Raises:
        InvalidInputError: There is no such file, it is cut off, or a line is not as it should be; the message names it.
    """
    file = find_msc(path)
    conversations: dict[str, Conversation] = {}
    for number, line in enumerate(_FILE.text(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            one = _conversation(json.loads(line))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise _FILE.foreign(file, f"line {number}: {type(error).__name__}: {error}") from error
        if one.id in conversations:
            raise _FILE.foreign(file, f"line {number}: there is already a conversation {one.id!r}")
        conversations[one.id] = one
    if not conversations:
        raise _FILE.foreign(file, "it is empty")
    return list(conversations.values())


def find_msc(path: str | Path) -> Path:
    """Find the file that a file or folder path means.

    Raises:
        InvalidInputError: Nothing is there.
    """
    return _FILE.find(path)


def _conversation(record: Mapping[str, Any]) -> Conversation:
    name = _text(record["initial_data_id"])
    sessions = tuple(_session(item) for item in record["sessions"] if item["dialog"])
    if not sessions:
        raise ValueError(f"{name} has no turns")
    if len({session.id for session in sessions}) < len(sessions):
        raise ValueError(f"{name} has a session twice")
    answer = record["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise TypeError(f"an answer is a text or number, not {answer!r}")
    question = Question(f"{name}#0", _text(record["question"]).strip(), str(answer).strip(), CATEGORY)
    return Conversation(name, SPEAKERS, sessions, (question,))


def _session(item: Mapping[str, Any]) -> Session:
    number = int(item["session"])
    turns = []
    for place, said in enumerate(item["dialog"], start=1):
        if said["id"] not in SPEAKERS:
            raise ValueError(f"unknown speaker {said['id']!r}")
        turns.append(Turn(f"D{number}:{place}", said["id"], _text(said["text"])))
    return Session(f"session_{number}", None, tuple(turns))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {value!r}")
    return value
