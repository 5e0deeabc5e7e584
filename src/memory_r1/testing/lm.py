"""A language model that says what it is told to, for tests of everything above it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from memory_r1.errors import ConfigError, ModelError, PromptTooLongError
from memory_r1.lm.base import Completion, Message, Sampling
from memory_r1.lm.request import check_sampling, clean_chat, estimate_text_tokens, estimate_tokens
from memory_r1.lm.stopping import StopRule


@dataclass(frozen=True, slots=True)
class Endless:
    """A reply that never ends by itself: `text` over and over, until the token limit."""

    text: str


Reply = str | Endless | Completion | BaseException
"""What to answer; a `Completion` is handed back untouched, an exception is raised."""

Script = Reply | Sequence[Reply] | Callable[[Sequence[Message]], Reply]
"""One reply for every chat, a reply for each chat in turn, or a function of the chat."""


@dataclass(frozen=True, slots=True)
class Call:
    """One chat that a `ScriptedLM` was asked to complete."""

    chat: tuple[Message, ...]
    sampling: Sampling
    adapter: str | None

    @property
    def prompt(self) -> str:
        """All messages' contents, joined by blank lines: handy for `in`."""
        return "\n\n".join(message["content"] for message in self.chat)


class ScriptedLM:
    """A `LanguageModel` with scripted replies. It keeps the contract: limits, stop strings, adapters, thread safety.

    A token is four bytes here.

    Args:
        script: What to answer, see `Script`. A list that runs out raises `ModelError`.
        name: As for any model.
        context_length: In tokens.
        adapters: Adapter names it knows; None accepts any.

    Example:
        >>> lm = ScriptedLM(["first", Endless("la ")])
        >>> chat = [{"role": "user", "content": "Sing"}]
        >>> [done.text for done in lm.complete([chat, chat], Sampling(max_tokens=3))]
        ['first', 'la la la la ']
        >>> lm.calls[1].prompt
        'Sing'
    """

    def __init__(
        self,
        script: Script = "",
        *,
        name: str = "scripted",
        context_length: int = 8192,
        adapters: Collection[str] | None = None,
    ) -> None:
        self.calls: list[Call] = []
        """Every chat so far, in the order of the replies."""
        self.closed = False
        """Whether `close` was called."""
        self._script = script
        self._next = 0
        self._name = name
        self._context_length = context_length
        self._adapters = adapters
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    @property
    def context_length(self) -> int:
        """As given, in tokens of four bytes."""
        return self._context_length

    def complete(
        self,
        chats: Sequence[Sequence[Message]],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
    ) -> list[Completion]:
        """Answer each chat with the next reply of the script; all chats are recorded in `calls`."""
        sampling = check_sampling(sampling)
        if adapter is not None and self._adapters is not None and adapter not in self._adapters:
            raise ConfigError(f"Unknown adapter {adapter!r}.", hint=f"Known: {', '.join(self._adapters) or 'none'}.")
        return [self._answer(clean_chat(chat), sampling, adapter) for chat in chats]

    def count_tokens(self, chat: Sequence[Message]) -> int:
        """Four bytes a token, four tokens a message."""
        return estimate_tokens(clean_chat(chat))

    def close(self) -> None:
        """Sets `closed`."""
        self.closed = True

    def _answer(self, chat: list[Message], sampling: Sampling, adapter: str | None) -> Completion:
        prompt_tokens = estimate_tokens(chat)
        if prompt_tokens >= self._context_length:
            raise PromptTooLongError(f"The prompt has {prompt_tokens} tokens; the model takes {self._context_length}.")
        with self._lock:
            self.calls.append(Call(tuple(chat), sampling, adapter))
            reply = self._reply()
        if callable(reply):
            reply = reply(chat)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, Completion):
            return reply
        room = min(sampling.max_tokens, self._context_length - prompt_tokens)
        return _complete(reply, sampling, room, prompt_tokens)

    def _reply(self) -> Reply | Callable[[Sequence[Message]], Reply]:
        if isinstance(self._script, str | Endless | Completion | BaseException) or callable(self._script):
            return self._script
        if self._next >= len(self._script):
            raise ModelError(f"The script has only {len(self._script)} replies.", hint="Add one, or pass a function.")
        self._next += 1
        return self._script[self._next - 1]


def _complete(reply: str | Endless, sampling: Sampling, room: int, prompt_tokens: int) -> Completion:
    endless = isinstance(reply, Endless)
    text = reply.text * (4 * room) if isinstance(reply, Endless) else reply
    cut = text.encode("utf-8", "replace")[: 4 * room].decode("utf-8", "ignore")
    end = StopRule.of(sampling).end(cut)
    limited = end is None and (endless or len(cut) < len(text))
    text = cut if end is None else cut[:end]
    return Completion(
        text=text,
        prompt_tokens=prompt_tokens,
        completion_tokens=estimate_text_tokens(text),
        finish="length" if limited else "stop",
        seconds=0.0,
    )
