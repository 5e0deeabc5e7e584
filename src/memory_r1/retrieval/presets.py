"""Named ways to choose how many memories a search returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from memory_r1.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Preset = Literal["auto", "paper"]
PRESETS: tuple[Preset, ...] = ("auto", "paper")
"""`auto`: cut where the score falls off, within a token budget. `paper`: Memory-R1's 60 memories, 30 for each of two
speakers."""

PAPER_TOTAL = 60


def check_preset(preset: str | None) -> Preset | None:
    """Return the preset if there is one of this name.

    Raises:
        InvalidInputError: There is not.
    """
    for known in PRESETS:
        if preset == known:
            return known
    if preset is None:
        return None
    raise InvalidInputError(f"Preset {preset!r} is unknown.", hint=f"Use one of: {', '.join(PRESETS)}.")


def share_among(ranked: Sequence[int] | NDArray[np.intp], owners: Sequence[int] | NDArray[np.int32]) -> list[int]:
    """The paper's choice: 60 in all, shared evenly among the speakers, each with their best.

    Without at least two speakers it is the best 60. Memories without a speaker (-1) count as those of one more.

    Args:
        ranked: Candidates, best first.
        owners: Speaker number of each.

    Returns:
        The chosen candidates, best first.

    Example:
        >>> chosen = share_among(range(100), [0] * 90 + [1] * 10)
        >>> len(chosen), chosen[29], chosen[30]
        (40, 29, 90)
    """
    groups = len(set(map(int, owners)))
    quota = PAPER_TOTAL // groups if groups > 1 else PAPER_TOTAL
    left: dict[int, int] = {}
    chosen: list[int] = []
    for candidate, owner in zip(ranked, owners, strict=True):
        taken = left.get(int(owner), 0)
        if taken < max(quota, 1) and len(chosen) < PAPER_TOTAL:
            left[int(owner)] = taken + 1
            chosen.append(int(candidate))
    return chosen
