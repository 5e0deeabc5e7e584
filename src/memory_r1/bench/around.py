"""What language models around another one have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memory_r1.lm.base import LanguageModel, Message


class AroundLM:
    """All of a language model but `complete`, as the model inside has it.

    Args:
        inner: The model. `close` leaves it open: it is its maker's.
    """

    def __init__(self, inner: LanguageModel) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        """The model's own."""
        return self._inner.name

    @property
    def context_length(self) -> int:
        """The model's own."""
        return self._inner.context_length

    def count_tokens(self, chat: Sequence[Message]) -> int:
        """The model's own count."""
        return self._inner.count_tokens(chat)

    def close(self) -> None:
        """Leaves the model open."""
