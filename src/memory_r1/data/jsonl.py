"""A plain format for your own conversations and questions: JSON Lines, one record a line, UTF-8.

    {"type": "conversation", "id": "demo", "speakers": ["Ann", "Bob"]}
    {"type": "session", "id": "S1", "time": "2024-01-14T19:10:00Z"}
    {"type": "turn", "id": "S1:1", "speaker": "Ann", "text": "I moved to Leeds."}
    {"type": "turn", "id": "S1:2", "speaker": "Bob", "text": "At last!"}
    {"type": "question", "text": "Where is Ann now?", "answer": "Leeds", "category": "single-hop", "evidence": ["S1:1"]}

A turn belongs to the session above it, a session or question to the conversation above it. Only `type`, and a turn's
`speaker` and `text`, and a question's `text` are needed:

- `conversation`: without one, the file is one conversation named after the file; `speakers` default to those who speak.
- `session`: without one, all turns are one session. `time` is ISO 8601, UTC if it names no zone, oldest session first.
- `turn`: `id` defaults to `SESSION:NUMBER`, `time` to the session's; also `image_caption` and `role` (default `user`).
- `question`: `answer` is null (or left out) if the conversation does not say; `evidence` lists turn ids; also `id`,
  `category`, and `time` (when it is asked).

Blank lines are skipped. Anything else is an error that names its line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.errors import InvalidInputError


def _to_utc(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("a time is an ISO 8601 string such as 2024-01-14T19:10:00Z")
    time = datetime.fromisoformat(value)
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


Name = Annotated[str, Field(min_length=1, pattern=r"\S")]
Time = Annotated[datetime | None, BeforeValidator(_to_utc)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _ConversationRecord(_Record):
    type: Literal["conversation"]
    id: Name
    speakers: list[Name] = []


class _SessionRecord(_Record):
    type: Literal["session"]
    id: Name | None = None
    time: Time = None


class _TurnRecord(_Record):
    type: Literal["turn"]
    id: Name | None = None
    speaker: Name
    text: str
    time: Time = None
    image_caption: str | None = None
    role: Literal["user", "assistant", "system"] = "user"


class _QuestionRecord(_Record):
    type: Literal["question"]
    id: Name | None = None
    text: Name
    answer: str | None = None
    category: str = ""
    evidence: list[Name] = []
    time: Time = None


_LINE: TypeAdapter[_ConversationRecord | _SessionRecord | _TurnRecord | _QuestionRecord] = TypeAdapter(
    Annotated[
        _ConversationRecord | _SessionRecord | _TurnRecord | _QuestionRecord,
        Field(discriminator="type"),
    ]
)


def load_jsonl(path: str | Path) -> list[Conversation]:
    """Read conversations from a JSON Lines file (see the module's own words for the format).

    Raises:
        InvalidInputError: The file cannot be read, holds no turn, or a line is not as it should be; the message names
            the file and line.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    return parse_jsonl(text.split("\n"), name=path.stem, source=str(path))


def parse_jsonl(lines: Iterable[str], *, name: str = "conversation", source: str = "input") -> list[Conversation]:
    """Read conversations from lines of JSON.

    Args:
        lines: One record each.
        name: Id of a conversation that has no record of its own.
        source: What error messages call the input.

    Raises:
        InvalidInputError: As `load_jsonl`.

    Example:
        >>> parse_jsonl(['{"type": "turn", "speaker": "Ann", "text": "Hi"}'])[0].turns[0].id
        'S1:1'
    """
    reader = _Reader(name, source)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            reader.take(number, line)
    reader.finish()
    if not any(conversation.sessions for conversation in reader.conversations):
        raise InvalidInputError(f"{source} holds no turn.", hint='Add lines such as {"type": "turn", ...}.')
    return reader.conversations


def dump_jsonl(conversations: Iterable[Conversation], path: str | Path) -> None:
    """Write conversations so that `load_jsonl` reads the same ones back.

    Raises:
        InvalidInputError: The file cannot be written.
    """
    text = "".join(f"{line}\n" for conversation in conversations for line in to_lines(conversation))
    try:
        Path(path).expanduser().write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be written: {error.strerror or error}.") from error


def to_lines(conversation: Conversation) -> Iterator[str]:
    """The conversation as JSON lines, without line ends."""
    yield _line("conversation", id=conversation.id, speakers=list(conversation.speakers))
    for session in conversation.sessions:
        yield _line("session", id=session.id, time=_iso(session.time))
        for turn in session.turns:
            own_time = {} if turn.time == session.time else {"time": _iso(turn.time)}
            role = {} if turn.role == "user" else {"role": turn.role}
            caption = {} if turn.image_caption is None else {"image_caption": turn.image_caption}
            yield _line("turn", id=turn.id, speaker=turn.speaker, text=turn.text, **own_time, **role, **caption)
    for question in conversation.questions:
        asked = {} if question.time is None else {"time": _iso(question.time)}
        yield _line(
            "question",
            id=question.id,
            text=question.text,
            answer=question.answer,
            category=question.category,
            evidence=list(question.evidence),
            **asked,
        )


def _line(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass
class _Reader:
    """Puts records together, line by line."""

    name: str
    source: str
    conversations: list[Conversation] = field(default_factory=list)
    _head: _ConversationRecord | None = None
    _sessions: list[tuple[str, datetime | None, list[Turn]]] = field(default_factory=list)
    _questions: list[tuple[int, Question]] = field(default_factory=list)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def take(self, number: int, line: str) -> None:
        try:
            record = _LINE.validate_json(line)
        except ValidationError as error:
            raise self._error(number, _explain(error), _hint(error)) from error
        match record:
            case _ConversationRecord():
                self.finish()
                self._claim(number, "conversation", record.id)
                self._head = record
            case _SessionRecord():
                self._open_session(number, record)
            case _TurnRecord():
                self._add_turn(number, record)
            case _QuestionRecord():
                self._add_question(number, record)

    def finish(self) -> None:
        """Close the conversation that is being read."""
        if self._head is None and not self._sessions and not self._questions:
            return
        sessions = tuple(Session(name, time, tuple(turns)) for name, time, turns in self._sessions)
        turn_ids = {turn.id for session in sessions for turn in session.turns}
        for number, question in self._questions:
            for missing in [name for name in question.evidence if name not in turn_ids]:
                raise self._error(
                    number,
                    f"evidence {missing!r} is no turn of this conversation",
                    "Name a turn's id, or leave the evidence out.",
                )
        spoke = dict.fromkeys(turn.speaker for session in sessions for turn in session.turns)
        speakers = tuple(self._head.speakers) if self._head and self._head.speakers else tuple(spoke)
        questions = tuple(question for _, question in self._questions)
        self.conversations.append(Conversation(self._id, speakers, sessions, questions))
        self._head = None
        self._sessions.clear()
        self._questions.clear()
        self._seen = {key for key in self._seen if key[0] == "conversation"}

    @property
    def _id(self) -> str:
        return self._head.id if self._head else self.name

    def _open_session(self, number: int, record: _SessionRecord) -> None:
        name = record.id or f"S{len(self._sessions) + 1}"
        self._claim(number, "session", name)
        earlier = [time for _, time, _ in self._sessions if time is not None]
        if record.time is not None and earlier and record.time < earlier[-1]:
            raise self._error(number, "this session is older than the one before; put the oldest first")
        self._sessions.append((name, record.time, []))

    def _add_turn(self, number: int, record: _TurnRecord) -> None:
        if self._head and self._head.speakers and record.speaker not in self._head.speakers:
            raise self._error(number, f"speaker {record.speaker!r} is not among the conversation's speakers")
        if not self._sessions:
            self._sessions.append(("S1", None, []))
        session, time, turns = self._sessions[-1]
        name = record.id or f"{session}:{len(turns) + 1}"
        self._claim(number, "turn", name)
        own_time = record.time if "time" in record.model_fields_set else time
        turns.append(Turn(name, record.speaker, record.text, own_time, record.image_caption, record.role))

    def _add_question(self, number: int, record: _QuestionRecord) -> None:
        name = record.id or f"{self._id}#{len(self._questions)}"
        self._claim(number, "question", name)
        question = Question(name, record.text, record.answer, record.category, tuple(record.evidence), time=record.time)
        self._questions.append((number, question))

    def _claim(self, number: int, kind: str, name: str) -> None:
        if (kind, name) in self._seen:
            raise self._error(number, f"there is already a {kind} {name!r}", "Give each its own id.")
        self._seen.add((kind, name))

    def _error(self, number: int, problem: str, hint: str = "") -> InvalidInputError:
        return InvalidInputError(f"{self.source}, line {number}: {problem}.", hint=hint)


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    # the union's tag comes first in the path; the user's own key names follow it
    path = ".".join(str(part) for part in first["loc"][1:])
    return f"{path}: {first['msg']}" if path else first["msg"].rstrip(".")


def _hint(error: ValidationError) -> str:
    first = error.errors()[0]
    given = first["input"]
    number = isinstance(given, int | float) and not isinstance(given, bool)
    return f'Write it as a text: "{given}".' if first["type"] == "string_type" and number else ""
