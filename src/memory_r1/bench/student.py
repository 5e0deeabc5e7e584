"""Quantiles of Student's t, for intervals from few conversations."""

from __future__ import annotations

import math
from functools import cache


@cache
def student_t(probability: float, freedom: int) -> float:
    """Quantile of Student's t for a probability from 0.5 up, by bisection.

    The distribution for whole degrees of freedom is in closed form (Abramowitz and Stegun, 26.7.3 and 26.7.4).

    Example:
        >>> round(student_t(0.975, 7), 3), round(student_t(0.975, 1), 3), round(student_t(0.95, 30), 3)
        (2.365, 12.706, 1.697)
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < 2 * probability - 1:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if _within(middle, freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return high


def _within(t: float, freedom: int) -> float:
    """Probability that Student's t lies between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for step in range(2 + odd, freedom - 1, 2):
        term *= square * (step - 1) / step
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
