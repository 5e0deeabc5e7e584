"""Turns chats into tokens by a tokenizer's chat template, and tokens back into text."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memory_r1.errors import ConfigError, ModelError
from memory_r1.lm.base import Message
from memory_r1.lm.prefix import Tokens, common_prefix
from memory_r1.lm.quiet import quiet_transformers
from memory_r1.lm.request import clean_chat

_HEADS = 64
"""How many system messages' token counts are remembered."""


class ChatTokenizer:
    """A tokenizer with a chat template. Safe to share between threads.

    Args:
        tokenizer: A transformers tokenizer.
        name: The model's name, for messages.

    Raises:
        ConfigError: The tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigError(
                f"The model {name} has no chat template, so it cannot be asked in turns.",
                hint="Use an instruction-tuned (chat) model.",
            )
        self._tokenizer = tokenizer
        self._name = name
        self._lock = threading.Lock()
        self._heads: OrderedDict[str, Tokens] = OrderedDict()
        special = sorted({*tokenizer.all_special_tokens, *_added_specials(tokenizer)}, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special))) if special else None

    @classmethod
    def load(cls, source: str | Path, name: str) -> ChatTokenizer:
        """Load a model's tokenizer from its folder or hub id.

        Raises:
            ModelError: It cannot be loaded.
            ConfigError: It has no chat template.
        """
        from transformers import AutoTokenizer

        try:
            with quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(str(source))
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"The tokenizer of {source} cannot be loaded: {_first_line(error)}",
                hint="Check the path or id; a hub id needs the network once.",
            ) from error
        return cls(tokenizer, name)

    @property
    def eos_id(self) -> int | None:
        """The end-of-turn token."""
        found = self._tokenizer.eos_token_id
        return None if found is None else int(found)

    @property
    def size(self) -> int:
        """Number of tokens, added ones included."""
        return len(self._tokenizer)

    def encode(self, chat: Sequence[Message]) -> tuple[Tokens, int]:
        """Tokens of the chat with the header of the answer behind it.

        A special token that a message spells out (`<|im_end|>`) is broken up by a space, so that no text can pass
        itself off as another turn.

        Returns:
            The tokens, and how many of them the system message makes up (0 if there is none).

        Raises:
            InvalidInputError: The chat is empty or a message is malformed.
            ConfigError: The template does not take this sequence of roles.
        """
        messages = [self._defused(message) for message in clean_chat(chat)]
        with self._lock:
            tokens = self._render(messages, answer=True)
            head = self._head(messages[0]) if messages[0]["role"] == "system" else ()
        return tokens, common_prefix([head, tokens]) if head else 0

    def encode_answer(self, text: str) -> Tokens:
        """Tokens of an assistant's answer as a model would write it, the end-of-turn token included."""
        [message] = clean_chat([{"role": "assistant", "content": text}])
        content = self._defused(message)["content"]
        with self._lock:
            ids = self._tokenizer.encode(content, add_special_tokens=False)
        return (*map(int, ids), *(() if self.eos_id is None else (self.eos_id,)))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        with self._lock:
            text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer into a model's folder."""
        with self._lock:
            self._tokenizer.save_pretrained(str(folder))

    def _defused(self, message: Message) -> Message:
        if self._special is None:
            return message
        content = self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", message["content"])
        return {"role": message["role"], "content": content}

    def _head(self, system: Message) -> Tokens:
        known = self._heads.get(system["content"])
        if known is None:
            try:
                known = self._render([system], answer=False)
            except ConfigError:
                known = ()
            self._heads[system["content"]] = known
            if len(self._heads) > _HEADS:
                self._heads.popitem(last=False)
        return known

    def _render(self, messages: Sequence[Message], *, answer: bool) -> Tokens:
        from jinja2 import TemplateError

        try:
            return self._apply(messages, answer=answer)
        except TemplateError as error:
            if messages[0]["role"] != "system" or len(messages) < 2:
                raise ConfigError(
                    f"The chat template of {self._name} refused the chat: {error}.",
                    hint="Most templates want user and assistant in turns, the user first.",
                ) from error
            # some templates, Gemma's for one, know no system role
            merged = f"{messages[0]['content']}\n\n{messages[1]['content']}"
            return self._render([{"role": messages[1]["role"], "content": merged}, *messages[2:]], answer=answer)

    def _apply(self, messages: Sequence[Message], *, answer: bool) -> Tokens:
        ids = self._tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=answer, tokenize=True, return_dict=False
        )
        return tuple(map(int, ids))


def _added_specials(tokenizer: Any) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
