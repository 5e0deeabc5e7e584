"""What a run writes and the disk does not take: our own error, and nothing half written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from memory_r1.errors import TrainingError

_LEAST_FREE = 2**16
"""With fewer free bytes than this a disk counts as full."""


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Around whatever writes a file or folder of a run.

    Raises:
        TrainingError: The disk is full, or the place cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{target} cannot be written: {getattr(error, 'strerror', None) or error}.",
            hint="Make room or the folder writable, then go on from the last checkpoint with --resume.",
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file in whole or not at all.

    Raises:
        TrainingError: It cannot be written; what was there before is still there.
    """
    with writing(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of another when the block ends well, and is gone when it does not."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def system_error(folder: Path, error: RuntimeError) -> OSError:
    """What the system said to torch, whose writer only tells that a position is wrong."""
    if shutil.disk_usage(folder).free < _LEAST_FREE:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(str(error).splitlines()[0])
