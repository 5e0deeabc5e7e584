"""Attention over packed trees: each node over the nodes above it and over itself.

A dense tree mask would let every token look at every other one and throw most of it away. Here the roots use the fast
causal kernel, and every other node is a call of its own over just what it may see.

Registered with transformers under `NAME`, so any model that takes an attention implementation by name can use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from memory_r1.rl.packing import Call, Packed

NAME = "memory_r1_shared_prefix"


def shared_prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    calls: Sequence[Call] | None = None,
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
        calls: The layout.

    Returns:
        (1, T, heads, dim), and no weights.

    Raises:
        ValueError: Called without a layout.
    """
    if calls is None:
        raise ValueError(f"The attention {NAME!r} works on packed trees only.")
    if key.shape[1] != query.shape[1]:
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    pieces = [
        scaled_dot_product_attention(
            query[:, :, call.queries],
            _seen(key, call),
            _seen(value, call),
            attn_mask=call.mask,
            is_causal=call.mask is None,
            scale=scaling,
            dropout_p=dropout,
        )
        for call in calls
    ]
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


def _seen(states: torch.Tensor, call: Call) -> torch.Tensor:
    # nodes above that touch are one slice: a chain of first children is not copied
    spans: list[slice] = []
    for span in (*call.above, call.queries):
        if spans and spans[-1].stop == span.start:
            span = slice(spans.pop().start, span.stop)
        spans.append(span)
    return states[:, :, spans[0]] if len(spans) == 1 else torch.cat([states[:, :, span] for span in spans], dim=2)


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(NAME, shared_prefix_attention)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def shared_prefix(model: PreTrainedModel) -> Iterator[None]:
    """Let a model attend by packed trees while the context is open."""
    usual = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


def packed_logits(model: PreTrainedModel, packed: Packed) -> torch.Tensor:
    """(N, vocabulary) logits that predict the scored tokens; call it inside `shared_prefix`."""
    output = model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        use_cache=False,
        logits_to_keep=packed.predictors,
        calls=packed.calls,
    )
    logits: torch.Tensor = output.logits[0]
    return logits
