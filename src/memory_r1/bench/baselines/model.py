"""A rival's calls of the language model: prompts from files, data cut to fit, every token counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

from memory_r1.agents.prompts import Placeholders, Prompt
from memory_r1.bench.system import Cost
from memory_r1.errors import PromptTooLongError
from memory_r1.lm.base import Completion, LanguageModel, Message, Sampling

_SAFETY = 8
"""Tokens kept free, because those of parts do not add up exactly to those of a chat."""


def load_prompt(package: str, name: str, *placeholders: str) -> Prompt:
    """The prompt in the file `NAME.txt` of a package.

    Args:
        package: E.g. `memory_r1.bench.baselines.amem`.
        name: The file's name without its ending.
        placeholders: What the file must hold.
    """
    text = (resources.files(package) / f"{name}.txt").read_text(encoding="utf-8")
    return Prompt.parse(text, Placeholders(frozenset(placeholders)), origin=f"{package}/{name}.txt")


class Model:
    """The language model as a rival calls it: greedy, and never with a prompt that is too long.

    Args:
        lm: The backbone.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self._empty = lm.count_tokens([Message(role="user", content="")])

    def ask(
        self, prompt: Prompt, rows: Sequence[Mapping[str, str]], *, max_tokens: int, json_object: bool = False
    ) -> list[Completion]:
        """Fill the prompt with each row and answer them in one batch.

        Data that do not fit the context window are cut at their end, the longest first.

        Raises:
            PromptTooLongError: Not even the instructions fit.
            EndpointError: A remote model failed for good.
        """
        chats = [self._fitted(prompt, row, max_tokens) for row in rows]
        return self.lm.complete(chats, Sampling(max_tokens=max_tokens, json_object=json_object)) if chats else []

    def tokens(self, text: str) -> int:
        """Tokens of a text, the frame of a message left out."""
        return self.lm.count_tokens([Message(role="user", content=text)]) - self._empty

    def shortened(self, texts: Sequence[str], most: int) -> list[str]:
        """Texts of at most `most` tokens in all: the longest are cut at their end, all to the same length."""
        sizes = [self.tokens(text) for text in texts]
        limit, left = most, most
        for place, size in enumerate(sorted(sizes)):
            limit = left // (len(sizes) - place)
            if size > limit:
                break
            left -= size
        return [
            text if size <= limit or sum(sizes) <= most else self._cut(text, limit)
            for text, size in zip(texts, sizes, strict=True)
        ]

    def _fitted(self, prompt: Prompt, row: Mapping[str, str], max_tokens: int) -> list[Message]:
        budget = self.lm.context_length - max_tokens
        chat = prompt.render(**row)
        excess = self.lm.count_tokens(chat) - budget
        if excess <= 0:
            return chat
        room = budget - self.lm.count_tokens(prompt.render(**dict.fromkeys(row, ""))) - _SAFETY
        while room > 0:
            chat = prompt.render(**dict(zip(row, self.shortened(list(row.values()), room), strict=True)))
            if self.lm.count_tokens(chat) <= budget:
                return chat
            room = room * 9 // 10
        raise PromptTooLongError(
            f"The instructions alone do not fit {self.lm.name}'s context window of {self.lm.context_length} tokens.",
            hint="Use a model with a longer context window.",
        )

    def _cut(self, text: str, most: int) -> str:
        while text and (size := self.tokens(text)) > most:
            text = text[: min(len(text) - 1, len(text) * most // size)]
        return text


def cost_of(completions: Sequence[Completion], seconds: float = 0.0) -> Cost:
    """What completions took, with the wall time that went by.

    Example:
        >>> cost_of([Completion("yes", 10, 2, "stop", 0.5)] * 2, seconds=1.2)
        Cost(calls=2, prompt_tokens=20, completion_tokens=4, seconds=1.2)
    """
    return Cost(
        len(completions),
        sum(one.prompt_tokens for one in completions),
        sum(one.completion_tokens for one in completions),
        seconds,
    )
