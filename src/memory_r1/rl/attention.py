"""Attention over packed groups: the prompt once, each completion over the prompt and itself.

A dense tree mask would make every token look at every other one and throw most of it away. Here the prompt attends to
itself with the fast causal kernel, and only the completions carry a mask: (GC, P + GC) instead of (P + GC, P + GC).

Registered with transformers under `NAME`, so any model that takes an attention implementation by name can use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from memory_r1.rl.packing import Span

NAME = "memory_r1_shared_prefix"


def completion_mask(span: Span, device: torch.device) -> torch.Tensor:
    """(sum C, P + sum C) boolean: what each completion token of a group may see.

    Example:
        >>> completion_mask(Span(0, 1, (2, 1)), torch.device("cpu")).int().tolist()
        [[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]
    """
    lengths = torch.tensor(span.completions, device=device)
    owner = torch.repeat_interleave(torch.arange(len(span.completions), device=device), lengths)
    place = torch.arange(len(owner), device=device)
    own = (owner[:, None] == owner[None, :]) & (place[:, None] >= place[None, :])
    return torch.cat([own.new_ones(len(owner), span.prompt), own], dim=1)


def shared_prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    spans: Sequence[Span] | None = None,
    masks: Sequence[torch.Tensor] | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a packed sequence, in transformers' calling convention.

    Args:
        module: The attention layer.
        query: (1, heads, T, dim).
        key: (1, key-value heads, T, dim).
        value: (1, key-value heads, T, dim).
        attention_mask: Not used; the layout says it all.
        scaling: Factor on the scores; 1/sqrt(dim) if None.
        dropout: Attention dropout.
        spans: Where the groups lie.
        masks: `completion_mask` of each span.

    Returns:
        (1, T, heads, dim), and no weights.

    Raises:
        ValueError: Called without a layout.
    """
    if spans is None or masks is None:
        raise ValueError(f"The attention {NAME!r} works on packed groups only.")
    if key.shape[1] != query.shape[1]:
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    pieces = []
    for span, mask in zip(spans, masks, strict=True):
        middle = span.start + span.prompt
        prompt, whole = slice(span.start, middle), slice(span.start, span.end)
        pieces.append(
            scaled_dot_product_attention(
                query[:, :, prompt], key[:, :, prompt], value[:, :, prompt],
                is_causal=True, scale=scaling, dropout_p=dropout,
            )
        )  # fmt: skip
        pieces.append(
            scaled_dot_product_attention(
                query[:, :, middle : span.end], key[:, :, whole], value[:, :, whole],
                attn_mask=mask, scale=scaling, dropout_p=dropout,
            )
        )  # fmt: skip
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(NAME, shared_prefix_attention)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def shared_prefix(model: PreTrainedModel) -> Iterator[None]:
    """Let a model attend by packed groups while the context is open."""
    usual = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)
