"""Which library multiplies matrices on a CPU: for many rows oneDNN, where it is as exact as torch's usual one (MKL).

On CPUs that MKL keeps from AVX-512 (AMD's), oneDNN takes half the time in full float32. torch chooses it by a setting
that also allows lower precision, which oneDNN uses where the CPU has units for it; so each process tries it once, and
leaves things as they are if the results are coarser.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch

ENOUGH_ROWS = 64
"""Fewer rows than this are no faster, since oneDNN lays the weights out anew in every call."""

_EXACT = 1e-5


@contextmanager
def quick_products(rows: int, device: torch.device) -> Iterator[None]:
    """Multiply float32 matrices on the CPU by the quicker library while the context is open.

    Args:
        rows: Tokens that go through the model at once; with fewer than `ENOUGH_ROWS` nothing is changed.
        device: Where the model is; on another than the CPU nothing is changed.
    """
    usual = torch.get_float32_matmul_precision()
    if device.type != "cpu" or rows < ENOUGH_ROWS or usual != "highest" or not _exact():
        yield
        return
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(usual)


@functools.cache
def _exact() -> bool:
    """Whether oneDNN's results are those of float32 on this CPU."""
    source = torch.Generator().manual_seed(0)
    left, right = (torch.randn(256, 256, generator=source) for _ in range(2))
    usual = left @ right
    torch.set_float32_matmul_precision("medium")
    try:
        quick = left @ right
    finally:
        torch.set_float32_matmul_precision("highest")
    return bool((quick - usual).norm() <= _EXACT * usual.norm())
