"""LoCoMo: ten very long conversations between two people, with questions (Maharana et al. 2024; data CC BY-NC 4.0).

The file `locomo10.json` has quirks that a reader would trip over; they are mended here and nowhere else:

- answers may be integers, and questions that the conversation does not answer (category 5) carry their bait under
  `adversarial_answer`: they get the answer None;
- evidence ids may be joined (`D8:6; D9:17`), misspelt (`D:11:26`, `D30:05`) or name no turn: they are taken apart,
  mended, and dropped if no such turn exists;
- a conversation may date sessions that it does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.files import DataFile
from memory_r1.errors import InvalidInputError

_FILE = DataFile(
    "locomo10.json", "locomo", "a LoCoMo file", "Fetch data/locomo10.json of github.com/snap-research/LoCoMo anew."
)

CATEGORIES: Mapping[int, str] = {
    1: "multi-hop",
    2: "temporal",
    3: "open-domain",
    4: "single-hop",
    5: "adversarial",
}
"""Category names by the data's own evaluation code (other harnesses permute them)."""

_TIME_FORMAT = "%I:%M %p on %d %B, %Y"
_EVIDENCE_ID = re.compile(r"D:?(\d+):(\d+)")
_SESSION_KEY = re.compile(r"session_(\d+)")


def load_locomo(path: str | Path, conversation: str | None = None) -> list[Conversation]:
    """Read LoCoMo's conversations.

    Session times carry no zone in the data and are taken as UTC; every turn has the time of its session. Questions are
    named by their place, e.g. `conv-26#0`.

    Args:
        path: `locomo10.json`, or a folder that holds it (directly or under `locomo/`).
        conversation: Id of the one conversation to return, e.g. `conv-26`; None returns all, in the file's order.

    Raises:
        InvalidInputError: There is no such file or conversation, or the file is not LoCoMo's.
    """
    file = find_locomo(path)
    samples = _FILE.items(file, "conversations")
    try:
        loaded = [_conversation(sample) for sample in samples]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _FILE.foreign(file, f"{type(error).__name__}: {error}") from error
    if conversation is None:
        return loaded
    chosen = [one for one in loaded if one.id == conversation]
    if not chosen:
        raise InvalidInputError(
            f"{file} has no conversation {conversation!r}.",
            hint=f"It has: {', '.join(one.id for one in loaded)}.",
        )
    return chosen


def find_locomo(path: str | Path) -> Path:
    """Find the LoCoMo file that a file or folder path means.

    Raises:
        InvalidInputError: Nothing is there.
    """
    return _FILE.find(path)


def parse_evidence(raw: Sequence[str], known: Sequence[str] | frozenset[str]) -> tuple[str, ...]:
    """Mend a question's evidence ids and keep those that name a turn, in order and once each.

    Example:
        >>> parse_evidence(["D8:6; D9:17", "D:11:26", "D30:05", "D"], ["D8:6", "D9:17", "D11:26", "D30:5"])
        ('D8:6', 'D9:17', 'D11:26', 'D30:5')
    """
    mended = (f"D{int(session)}:{int(turn)}" for text in raw for session, turn in _EVIDENCE_ID.findall(text))
    return tuple(dict.fromkeys(turn_id for turn_id in mended if turn_id in known))


def _conversation(sample: Mapping[str, Any]) -> Conversation:
    talk = sample["conversation"]
    numbers = sorted(int(match[1]) for key in talk if (match := _SESSION_KEY.fullmatch(key)))
    sessions = tuple(_session(talk, number) for number in numbers if talk[f"session_{number}"])
    if not sessions:
        raise ValueError(f"{sample['sample_id']} has no turns")
    known = frozenset(turn.id for session in sessions for turn in session.turns)
    questions = tuple(
        _question(f"{sample['sample_id']}#{place}", item, known) for place, item in enumerate(sample["qa"])
    )
    return Conversation(_text(sample["sample_id"]), (talk["speaker_a"], talk["speaker_b"]), sessions, questions)


def _session(talk: Mapping[str, Any], number: int) -> Session:
    time = datetime.strptime(talk[f"session_{number}_date_time"], _TIME_FORMAT).replace(tzinfo=UTC)
    turns = tuple(
        Turn(_text(turn["dia_id"]), _text(turn["speaker"]), _text(turn["text"]), time, turn.get("blip_caption"))
        for turn in talk[f"session_{number}"]
    )
    return Session(f"session_{number}", time, turns)


def _question(name: str, item: Mapping[str, Any], known: frozenset[str]) -> Question:
    category = CATEGORIES.get(item["category"])
    if category is None:
        numbers = f"{min(CATEGORIES)} to {max(CATEGORIES)}"
        raise ValueError(f"question {name} is of the unknown category {item['category']!r}; LoCoMo has {numbers}")
    answer = None if category == "adversarial" else str(item["answer"])
    return Question(name, _text(item["question"]), answer, category, parse_evidence(item.get("evidence", ()), known))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {value!r}")
    return value
