"""How many memories to return: the `auto` rule."""

from __future__ import annotations

from collections.abc import Sequence

DEFAULT_BUDGET_TOKENS = 1_500
"""Most tokens of memory text that `auto` returns."""

AUTO_MOST = 60
"""Most memories that `auto` returns."""

AUTO_LEAST = 3
"""Memories that `auto` returns however far they fall behind the best, if there are so many."""

AUTO_GAP = 5.0
"""How far a memory's score may fall behind the best, in log-odds: then its odds are e^-5, 1 in 150, of the best's."""

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MEMORY = 8


def estimate_tokens(text: str) -> int:
    """About how many tokens a memory takes in a prompt: a token for 4 bytes, and 8 for its date and speaker.

    Example:
        >>> estimate_tokens("Ann adopted a cat in May.")
        15
    """
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN) + _TOKENS_PER_MEMORY


def fall_off(totals: Sequence[float]) -> int:
    """How many of the best are worth returning, by score alone.

    Args:
        totals: Fused scores in log-odds, best first.

    Example:
        >>> fall_off([9.0, 8.5, 5.0, 4.2, 3.9, 1.0])
        4
        >>> fall_off([9.0, 1.0])
        2
    """
    if not totals:
        return 0
    worth = sum(total >= totals[0] - AUTO_GAP for total in totals[:AUTO_MOST])
    return max(worth, min(AUTO_LEAST, len(totals)))


def within_budget(texts: Sequence[str], budget_tokens: int) -> int:
    """How many texts, from the first, fit a token budget; always at least one.

    Example:
        >>> within_budget(["Ann likes tea."] * 10, 30)
        2
    """
    spent = 0
    for count, text in enumerate(texts):
        spent += estimate_tokens(text)
        if spent > budget_tokens and count:
            return count
    return len(texts)
