"""LongMemEval: chats of one user with an assistant, and a question about each (Wu et al. 2024; data MIT).

A file of the cleaned release (`longmemeval_oracle.json`, `_s`, `_m`; as it is or gzipped) is a list of 500 items, each
with its own sessions. Each becomes a conversation with one question:

- sessions are put in time order (some items are not), turns are named `SESSION:NUMBER`, counted from 1;
- turns marked `has_answer` are the evidence;
- answers may be integers; questions that cannot be answered (their id ends in `_abs`) get the answer None, and what the
  file has in its place, an explanation, is given by `load_explanations`;
- `question_date` is when the question is asked. A few items hold a session that is later than that; it stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.files import DataFile

_FILE = DataFile(
    "longmemeval_oracle.json",
    "longmemeval",
    "a LongMemEval file",
    "Fetch the cleaned release anew; see github.com/xiaowu0162/LongMemEval.",
)

TYPES = (
    "single-session-user",
    "single-session-assistant",
    "single-session-preference",
    "multi-session",
    "temporal-reasoning",
    "knowledge-update",
)
"""The data set's kinds of question."""

SPEAKERS: Mapping[str, str] = {"user": "User", "assistant": "Assistant"}
"""Who speaks, by chat role."""

_TIME_FORMAT = "%Y/%m/%d (%a) %H:%M"
_ABSTENTION = "_abs"


def load_longmemeval(path: str | Path) -> list[Conversation]:
    """Read LongMemEval, one conversation an item, in the file's order.

    Args:
        path: The JSON file, gzipped or not, or a folder that holds `longmemeval_oracle.json` (or `.json.gz`), directly
            or under `longmemeval/`.

    Raises:
        InvalidInputError: There is no such file, it is cut off, or it is not LongMemEval's.
    """
    file = find_longmemeval(path)
    items = _FILE.items(file, "questions")
    conversations = []
    for place, item in enumerate(items):
        try:
            conversations.append(_conversation(item))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _FILE.foreign(file, f"item {place}: {type(error).__name__}: {error}") from error
    names = [one.id for one in conversations]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _FILE.foreign(file, f"the question {twice!r} is there twice")
    return conversations


def load_explanations(path: str | Path) -> dict[str, str]:
    """For each question that cannot be answered, by its id, the file's words on why.

    Raises:
        InvalidInputError: As `load_longmemeval`.
    """
    file = find_longmemeval(path)
    try:
        return {
            item["question_id"]: str(item["answer"])
            for item in _FILE.items(file, "questions")
            if item["question_id"].endswith(_ABSTENTION)
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise _FILE.foreign(file, f"{type(error).__name__}: {error}") from error


def find_longmemeval(path: str | Path) -> Path:
    """Find the file that a file or folder path means.

    Raises:
        InvalidInputError: Nothing is there.
    """
    return _FILE.find(path)


def _conversation(item: Mapping[str, Any]) -> Conversation:
    name = _text(item["question_id"])
    parts = zip(item["haystack_session_ids"], item["haystack_dates"], item["haystack_sessions"], strict=True)
    found = [_session(_text(session), _time(date), turns) for session, date, turns in parts if turns]
    if not found:
        raise ValueError(f"{name} has no turns")
    found.sort(key=lambda pair: pair[0].time or datetime.min.replace(tzinfo=UTC))
    evidence = tuple(turn for _, turns in found for turn in turns)
    category = _text(item["question_type"])
    if category not in TYPES:
        raise ValueError(f"unknown question type {category!r}")
    answer = item["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise TypeError(f"an answer is a text or number, not {answer!r}")
    gold = None if name.endswith(_ABSTENTION) else str(answer)
    question = Question(name, _text(item["question"]), gold, category, evidence, _time(item["question_date"]))
    sessions = tuple(session for session, _ in found)
    if len({session.id for session in sessions}) < len(sessions):
        raise ValueError(f"{name} has a session twice")
    return Conversation(name, tuple(SPEAKERS.values()), sessions, (question,))


def _session(name: str, time: datetime, items: list[Mapping[str, Any]]) -> tuple[Session, list[str]]:
    """A session and the ids of its turns that hold the answer."""
    turns = tuple(
        Turn(f"{name}:{number}", SPEAKERS[item["role"]], _text(item["content"]), time, role=item["role"])
        for number, item in enumerate(items, start=1)
    )
    evidence = [turn.id for turn, item in zip(turns, items, strict=True) if item.get("has_answer")]
    return Session(name, time, turns), evidence


def _time(text: str) -> datetime:
    return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {value!r}")
    return value
