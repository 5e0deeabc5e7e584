"""A model's weights laid out once as oneDNN wants them, which halves the time of a token on a CPU.

Imports torch: load it lazily.

For the few rows of a token a matrix product takes as long as reading the weights. torch's usual library reads them at
half of the machine's rate or less (benchmarks/products.py); oneDNN at all of it, unless it has to lay them out first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

_LEAST_SIDE = 64
"""Smaller matrices, such as an adapter's, gain nothing."""

_WORTH_PACKING = 6
"""Tokens after which the layout is made: it takes as long as it has saved by then."""

_MOST_BYTES = 2 * 2**30
"""Larger models are left as they are: whoever has the memory for one copy may not have it for two."""


class PackedWeights:
    """A second copy of a model's weights, as large as the first, made when enough tokens have been written.

    Only float32 on a CPU, up to 2 GiB, and only for inference: there is no gradient through it.

    Args:
        model: A transformers causal LM, with or without PEFT's layers in it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._packed: list[tuple[torch.nn.Linear, torch.Tensor]] = []
        self._steps = 0
        onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        self._able = model.device.type == "cpu" and onednn

    @property
    def ready(self) -> bool:
        """Whether the layout is there."""
        return bool(self._packed)

    @contextmanager
    def used(self, steps: int = 0) -> Iterator[None]:
        """Multiply by the laid out weights, if they are there, while the context is open.

        Args:
            steps: Tokens that each row is given in it; counted towards making the layout.
        """
        self._steps += steps
        if self._able and not self._packed and self._steps > _WORTH_PACKING:
            self._pack()
        for linear, packed in self._packed:
            # past Module.__setattr__, which would take a tenth of a millisecond in all
            linear.__dict__["forward"] = partial(_product, packed, linear.bias)
        try:
            yield
        finally:
            for linear, _ in self._packed:
                linear.__dict__.pop("forward", None)

    @contextmanager
    def anew(self, steps: int = 0) -> Iterator[None]:
        """Have other weights in the model while the context is open; what was laid out is there again after it.

        Args:
            steps: Tokens that each row is going to be given, as far as that is known.
        """
        aside = self._packed, self._steps
        self._packed, self._steps = [], steps
        try:
            yield
        finally:
            self._packed, self._steps = aside

    def _pack(self) -> None:
        linears = [
            module
            for module in self._model.modules()
            if isinstance(module, torch.nn.Linear) and min(module.weight.shape) >= _LEAST_SIDE
        ]
        size = sum(linear.weight.nbytes for linear in linears)
        if size > _MOST_BYTES or any(linear.weight.dtype != torch.float32 for linear in linears):
            self._able = False
            return
        self._packed = [
            (linear, torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), 1)) for linear in linears
        ]


def _product(packed: torch.Tensor, bias: torch.Tensor | None, states: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, packed, bias, "none", [], "")
    return result
