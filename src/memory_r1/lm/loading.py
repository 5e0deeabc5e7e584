"""Brings a transformers model into memory. Imports torch: load it lazily."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM

from memory_r1.errors import ConfigError, ModelError
from memory_r1.lm.quiet import quiet_transformers
from memory_r1.lm.rows import attend_by_rows

_ATTENTION_KINDS = {"full_attention", "sliding_attention", "chunked_attention"}


def load_model(source: str | Path, device: str, dtype: str) -> Any:
    """Load a causal LM for inference.

    Raises:
        ModelError: It cannot be found or read.
        ConfigError: It has no KV cache of keys and values, or the device does not exist.
    """
    placed = _device(device)
    try:
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(str(source), dtype=_dtype(dtype, placed))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"The model {source} cannot be loaded: {next(iter(str(error).strip().splitlines()), '')}",
            hint="Check the path or id; a hub id needs the network once.",
        ) from error
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if getattr(model, "_is_stateful", False) or not kinds <= _ATTENTION_KINDS:
        raise ConfigError(
            f"The model {source} keeps recurrent states, which are not supported.", hint="Use a transformer."
        )
    try:
        model = model.to(placed).eval().requires_grad_(False)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"The model does not go onto {placed}: {error}", hint="Try device='cpu'.") from error
    attend_by_rows(model)
    return model


def load_config(source: str | Path) -> Any:
    """A model's text configuration, without its weights.

    Raises:
        ModelError: It cannot be found or read.
    """
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(str(source)).get_text_config()
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The model {source} cannot be found: {next(iter(str(error).strip().splitlines()), '')}",
            hint="Check the path or id; a hub id needs the network once.",
        ) from error


def _device(device: str) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"Unknown device {device!r}.", hint="Use cpu, cuda, cuda:1 or mps.") from error


def _dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    chosen = getattr(torch, dtype)
    assert isinstance(chosen, torch.dtype)
    return chosen


def eos_ids(model: Any, tokenizer_eos: int | None) -> frozenset[int]:
    """All ids that end a completion: the model's own, and the tokenizer's end of turn."""
    ids: set[int] = set()
    for found in (model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id, tokenizer_eos):
        ids.update([found] if isinstance(found, int) else found or ())
    return frozenset(ids)
