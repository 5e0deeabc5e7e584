"""A LoRA adapter added into the weights for a while: decoding then runs one small matrix product instead of three."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def merged(tuner: Any, adapter: str) -> Iterator[None]:
    """Let a model have W + BA for W while the context is open.

    The weights themselves are set aside and come back untouched, so nothing drifts; it costs one copy of the adapted
    layers. A model that is not in float32 is left as it is: its weights are too coarse to hold an adapter's changes.

    Args:
        tuner: PEFT's LoRA model.
        adapter: Name of the adapter, which is switched on.
    """
    from peft.tuners.lora import LoraLayer

    layers = [layer for layer in tuner.modules() if isinstance(layer, LoraLayer)]
    if any(layer.get_base_layer().weight.dtype != torch.float32 or adapter not in layer.lora_A for layer in layers):
        yield
        return
    aside = [layer.get_base_layer().weight.data for layer in layers]
    try:
        for layer, weight in zip(layers, aside, strict=True):
            layer.get_base_layer().weight.data = weight + layer.get_delta_weight(adapter)
        tuner.disable_adapter_layers()
        yield
    finally:
        for layer, weight in zip(layers, aside, strict=True):
            layer.get_base_layer().weight.data = weight
        tuner.enable_adapter_layers()
