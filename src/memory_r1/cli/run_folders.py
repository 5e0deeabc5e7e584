"""Where runs go that are given no folder."""

from __future__ import annotations

from pathlib import Path


def next_folder(name: str) -> Path:
    """A folder for a run that is given none: the first free one of `runs/NAME-1`, `runs/NAME-2`, ..."""
    taken = 1
    while (folder := Path("runs") / f"{name}-{taken}").exists():
        taken += 1
    return folder
