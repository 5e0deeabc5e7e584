"""Attention of a batch's next tokens, each over its own row's columns and not over the padding of shorter ones.

Registered with transformers under `NAME`; all that is no such step goes to transformers' own function. Imports torch:
load it lazily.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "memory_r1_rows"

_MOST_PADDING = 0.1
"""Share of the columns from which on a call for each row is quicker than one for all."""


def rows_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    starts: Sequence[int] | None = None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in transformers' calling convention.

    Args:
        module: The attention layer.
        query: (rows, heads, T, dim); T is 1 if there are starts.
        key: (rows, key-value heads, columns, dim).
        value: (rows, key-value heads, columns, dim).
        attention_mask: What may be seen; not looked at if there are starts.
        starts: The column at which each row begins; None leaves all to transformers.
        scaling: Factor on the scores; 1/sqrt(dim) if None.
        **rest: For transformers' function.

    Returns:
        (rows, T, heads, dim), and no weights.
    """
    if starts is None:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
        return found
    rows, heads, _, dim = query.shape
    grouped = query.reshape(rows, key.shape[1], heads // key.shape[1], dim)
    pieces = [
        scaled_dot_product_attention(
            grouped[row : row + 1], key[row : row + 1, :, start:], value[row : row + 1, :, start:], scale=scaling
        )
        for row, start in enumerate(starts)
    ]
    return torch.cat(pieces).reshape(rows, 1, heads, dim), None


AttentionInterface.register(NAME, rows_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def attend_by_rows(model: Any) -> None:
    """Let a model on a CPU that attends by torch's kernels, to all that came before, do so row by row."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    # some name their kinds of layers, some have a window in all of them
    whole = kinds == {"full_attention"} and not any(
        getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")
    )
    if whole and model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


def starts_of(model: Any, lengths: Sequence[int], columns: int) -> list[int] | None:
    """Where right-aligned rows begin; None if the model does not attend by rows or there is little padding."""
    padding = 1 - sum(lengths) / (len(lengths) * columns)
    if padding <= _MOST_PADDING or model.config._attn_implementation != NAME:
        return None
    return [columns - length for length in lengths]
