"""What a language model is to memory-r1: chats in, completions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypedDict, runtime_checkable


class Message(TypedDict):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode."""

    max_tokens: int = 256
    """Most new tokens per completion."""
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Decoding ends before the first of these strings, which is cut off."""
    seed: int | None = None
    """Makes sampling at temperature > 0 repeatable where the backend can."""
    logprobs: bool = False
    """Return token ids and log-probabilities where the backend has them."""
    json_object: bool = False
    """End once the text holds one complete JSON object; remote endpoints get a JSON response format if they know it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered to one chat."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish: Literal["stop", "length"]
    """`length`: the token limit cut it off."""
    seconds: float
    """Wall time; of a batch's time its part."""
    cached_tokens: int = 0
    """Prompt tokens that were not computed anew because a prefix cache held them."""
    token_ids: tuple[int, ...] | None = None
    """Ids of the completion as sampled, never re-tokenised text; None unless asked for and known."""
    logprobs: tuple[float, ...] | None = None
    """Natural-log probability of each id in `token_ids` under the sampling distribution at temperature 1."""


@runtime_checkable
class LanguageModel(Protocol):
    """A chat model, local or remote. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Short name for logs, e.g. `smollm2-135m-instruct`."""
        ...

    @property
    def context_length(self) -> int:
        """Most tokens that prompt and completion may have together."""
        ...

    def complete(
        self,
        chats: Sequence[Sequence[Message]],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
    ) -> list[Completion]:
        """Answer each chat, in order.

        Args:
            chats: One message list per completion; may be empty.
            sampling: How to decode; `Sampling()` if None.
            adapter: Name of a loaded LoRA adapter; None is the base model.

        Raises:
            PromptTooLongError: A chat does not fit the context window with room for one new token.
            ConfigError: The adapter is unknown.
            EndpointError: A remote endpoint failed for good.
        """
        ...

    def count_tokens(self, chat: Sequence[Message]) -> int:
        """Tokens of a chat as a prompt, template included (an estimate where the tokenizer is not at hand)."""
        ...

    def close(self) -> None:
        """Free what the model holds; a second call does nothing."""
        ...
