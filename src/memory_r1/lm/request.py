"""What every backend checks and cleans before it runs a request."""

from __future__ import annotations

from collections.abc import Sequence

from memory_r1.errors import InvalidInputError
from memory_r1.lm.base import Message, Sampling

ROLES = ("system", "user", "assistant")


def clean_chat(chat: Sequence[Message]) -> list[Message]:
    """A copy of the chat that can be encoded: lone surrogates become U+FFFD.

    Raises:
        InvalidInputError: The chat is empty, or a message has no known role or no text.

    Example:
        >>> clean_chat([{"role": "user", "content": "Hi"}])
        [{'role': 'user', 'content': 'Hi'}]
    """
    if not chat:
        raise InvalidInputError("A chat is empty.", hint="Give it at least one message.")
    cleaned: list[Message] = []
    for message in chat:
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise InvalidInputError(f"A message has the role {role!r}.", hint=f"Use one of {', '.join(ROLES)}.")
        if not isinstance(content, str):
            raise InvalidInputError(f"A message's content is a {type(content).__name__}.", hint="Pass a string.")
        cleaned.append({"role": role, "content": encodable(content)})
    return cleaned


def encodable(text: str) -> str:
    r"""The text with lone surrogates, which UTF-8 cannot carry, replaced by U+FFFD.

    Example:
        >>> encodable("a\ud800b") == "a\ufffdb"
        True
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def check_sampling(sampling: Sampling | None) -> Sampling:
    """The sampling, or the default one for None.

    Raises:
        InvalidInputError: A value is out of its range.
    """
    sampling = sampling or Sampling()
    if sampling.max_tokens < 1:
        raise InvalidInputError(f"max_tokens is {sampling.max_tokens}.", hint="Give at least 1.")
    if not sampling.temperature >= 0:
        raise InvalidInputError(f"temperature is {sampling.temperature}.", hint="Give 0 (greedy) or more.")
    if not 0 < sampling.top_p <= 1:
        raise InvalidInputError(f"top_p is {sampling.top_p}.", hint="Give more than 0 and at most 1.")
    if isinstance(sampling.stop, str) or "" in sampling.stop:
        raise InvalidInputError("stop must be a tuple of non-empty strings.")
    return sampling


def estimate_tokens(chat: Sequence[Message]) -> int:
    """Rough size of a chat as a prompt: a token for every four bytes, and four for each message's frame.

    Example:
        >>> estimate_tokens([{"role": "user", "content": "How are you?"}])
        7
    """
    return sum(4 + estimate_text_tokens(message["content"]) for message in chat)


def estimate_text_tokens(text: str) -> int:
    """Rough number of tokens of a text: one for every four bytes of UTF-8, rounded up.

    Example:
        >>> estimate_text_tokens("How are you?")
        3
    """
    return -(-len(text.encode("utf-8", "replace")) // 4)
