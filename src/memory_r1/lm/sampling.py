"""Picks the next tokens from logits. Imports torch: load it lazily."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def generators(count: int, seed: int | None, first: int = 0) -> list[torch.Generator]:
    """One random source for each chat, so that a chat's draws do not depend on its neighbours in the batch.

    Args:
        count: Number of chats.
        seed: Makes them repeatable; None draws fresh entropy.
        first: Index of the first chat within the request.
    """
    sources = []
    for index in range(first, first + count):
        source = torch.Generator(device="cpu")
        if seed is None:
            source.seed()
        else:
            source.manual_seed((seed * 1_000_003 + index) % 2**63)
        sources.append(source)
    return sources


def choose(logits: torch.Tensor, temperature: float, top_p: float, sources: Sequence[torch.Generator]) -> torch.Tensor:
    """Pick one token for each row.

    Args:
        logits: Shape (rows, vocabulary).
        temperature: 0 takes the most likely token.
        top_p: Sample from the smallest set of tokens whose probability reaches this.
        sources: A random source for each row; not used at temperature 0.

    Returns:
        Token ids, shape (rows,).
    """
    if temperature == 0:
        return logits.argmax(-1)
    # float64, because the tail of a float32 running sum over 50,000 tokens is too coarse to draw from
    probabilities = torch.softmax(logits.double() / temperature, -1)
    ids = None
    if top_p < 1:
        probabilities, ids = probabilities.sort(-1, descending=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    running = probabilities.cumsum(-1)
    draws = torch.stack([torch.rand((), generator=source, dtype=torch.float64) for source in sources])
    targets = draws.to(running.device)[:, None] * running[:, -1:]
    picked = torch.searchsorted(running, targets, right=True).clamp_(max=running.shape[-1] - 1)
    return (picked if ids is None else ids.gather(-1, picked)).squeeze(-1)


def log_probability(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Natural-log probability of one token in each row at temperature 1.

    Args:
        logits: Shape (rows, vocabulary).
        ids: Shape (rows,).

    Returns:
        Shape (rows,), float32.
    """
    return torch.log_softmax(logits.float(), -1).gather(-1, ids[:, None]).squeeze(-1)
