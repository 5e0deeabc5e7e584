"""Keys and values of past tokens, kept in slabs that are written in place. Imports torch: load it lazily.

transformers' own cache concatenates, so it copies everything it holds at every token; at 16 chats of 1,000 tokens that
costs more than the model itself.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

LayerKV = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one layer for one row, each of shape (kv_heads, tokens, head_dim)."""


class SlabLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, shape (rows, kv_heads, capacity, head_dim), of which `used` columns are filled."""

    def __init__(self, rows: int, capacity: int) -> None:
        super().__init__()
        self.rows, self.capacity, self.used = rows, capacity, 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate for tensors of this kind, shape (rows, kv_heads, tokens, head_dim)."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = (
            # zeros, not empty: masked columns are still multiplied by 0, and 0 * NaN is NaN
            states.new_zeros((self.rows, states.shape[1], self.capacity, states.shape[3]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new columns behind the used ones and return all used columns as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.used + key_states.shape[2]
        self.keys[: self.rows, :, self.used : end] = key_states
        self.values[: self.rows, :, self.used : end] = value_states
        self.used = end
        return self.keys[: self.rows, :, :end], self.values[: self.rows, :, :end]

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self.used


class SlabCache(Cache):  # type: ignore[misc]
    """A slab for each layer of a model.

    Args:
        layers: Number of layers.
        rows: Chats in the batch.
        capacity: Most tokens of a row.
    """

    def __init__(self, layers: int, rows: int, capacity: int) -> None:
        super().__init__(layers=[SlabLayer(rows, capacity) for _ in range(layers)])

    @property
    def rows(self) -> int:
        """Rows still in use."""
        return int(self.layers[0].rows)

    @property
    def spare(self) -> int:
        """Rows that were dropped and may be used again."""
        first = self.layers[0]
        return int(first.keys.shape[0]) - self.rows if first.is_initialized else 0

    @property
    def capacity(self) -> int:
        """Most tokens of a row."""
        return int(self.layers[0].capacity)

    def add(self) -> int:
        """Use a spare row again, behind the others; what it held has to be masked."""
        for layer in self.layers:
            layer.rows += 1
        return self.rows - 1

    def write(self, row: int, column: int, kv: list[LayerKV]) -> None:
        """Put the keys and values of some tokens into a row, from a column on."""
        for layer, (keys, values) in zip(self.layers, kv, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(keys[None], values[None])
            layer.keys[row, :, column : column + keys.shape[1]] = keys
            layer.values[row, :, column : column + keys.shape[1]] = values

    def read(self, row: int, start: int, end: int) -> list[LayerKV]:
        """Views of columns `start` to `end` of a row."""
        return [(layer.keys[row, :, start:end], layer.values[row, :, start:end]) for layer in self.layers]

    def fill(self, columns: int) -> None:
        """Declare the first columns to be in use."""
        for layer in self.layers:
            layer.used = columns

    def drop(self, row: int) -> None:
        """Remove a row; the last one takes its place."""
        last = self.rows - 1
        for layer in self.layers:
            if row != last:
                layer.keys[row, :, : layer.used] = layer.keys[last, :, : layer.used]
                layer.values[row, :, : layer.used] = layer.values[last, :, : layer.used]
            layer.rows = last


def kv_bytes(kv: list[LayerKV]) -> int:
    """Memory that keys and values take if copied out."""
    return sum(tensor.numel() * tensor.element_size() for pair in kv for tensor in pair)


def copy_kv(kv: list[LayerKV]) -> list[LayerKV]:
    """Copies that do not keep a slab alive."""
    return [(keys.clone(), values.clone()) for keys, values in kv]


def cut_kv(kv: list[LayerKV], tokens: int) -> list[LayerKV]:
    """Views of the first tokens."""
    return [(keys[:, :tokens], values[:, :tokens]) for keys, values in kv]
