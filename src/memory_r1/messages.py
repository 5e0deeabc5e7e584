"""From what a caller hands in (a string, a chat message, a list of them) to turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from memory_r1.bank.text import check_text
from memory_r1.data.conversation import Turn
from memory_r1.errors import InvalidInputError

ROLES = ("user", "assistant", "system", "tool", "developer")

_HOW = "Pass a string, a message {'role': ..., 'content': ...}, or a list of messages."


def to_turns(messages: Any, *, time: datetime, max_chars: int) -> list[Turn]:
    """Read messages in any of the shapes mem0 accepts.

    Args:
        messages: A string (a user's message), one message, or a list of either. A message's `content` is text or a list
            of OpenAI content parts, of which the texts count; `name` is the speaker.
        time: When they were said.
        max_chars: Longest text accepted.

    Returns:
        One turn per message with text; at least one.

    Raises:
        InvalidInputError: A message is malformed, empty, too long, or not storable as text.

    Example:
        >>> [turn.speaker for turn in to_turns("hello", time=datetime.now(UTC), max_chars=100)]
        ['User']
    """
    if isinstance(messages, str | Mapping):
        messages = [messages]
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        raise InvalidInputError(f"messages is a {type(messages).__name__}.", hint=_HOW)
    turns = [_turn(message, index, time, max_chars) for index, message in enumerate(messages)]
    if not turns:
        raise InvalidInputError("There is no message.", hint=_HOW)
    return turns


def _turn(message: Any, index: int, time: datetime, max_chars: int) -> Turn:
    if isinstance(message, str):
        message = {"role": "user", "content": message}
    if not isinstance(message, Mapping) or "content" not in message:
        raise InvalidInputError(f"Message {index} has no 'content'.", hint=_HOW)
    role = message.get("role", "user")
    if role not in ROLES:
        raise InvalidInputError(
            f"Message {index} has the unknown role {role!r}.", hint=f"Use one of {', '.join(ROLES)}."
        )
    text = check_text(_content(message["content"], index), what=f"Message {index}", max_chars=max_chars)
    speaker = message.get("name") or role.capitalize()
    return Turn(
        id=f"m{index}", speaker=check_text(speaker, what="The speaker", max_chars=256), text=text, time=time, role=role
    )


def _content(content: Any, index: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [part.get("text", "") for part in content if isinstance(part, Mapping)]
        return "\n".join(part for part in parts if part)
    raise InvalidInputError(f"Message {index}: content is a {type(content).__name__}.", hint=_HOW)


def to_time(value: Any, *, what: str = "timestamp") -> datetime:
    """Read a time: aware or naive datetime (naive counts as UTC), date, Unix seconds, or ISO 8601 text.

    Raises:
        InvalidInputError: It is none of these.

    Example:
        >>> to_time("2023-05-08T13:56:00").isoformat()
        '2023-05-08T13:56:00+00:00'
    """
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInputError(f"{what}={value!r} is not a time: {error}.", hint="Use ISO 8601.") from error
    if not isinstance(value, datetime):
        raise InvalidInputError(f"{what}={value!r} is not a time.", hint="Use a datetime, ISO 8601 or Unix seconds.")
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
