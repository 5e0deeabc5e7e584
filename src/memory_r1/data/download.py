"""Fetches the benchmarks' data from where it is published, and checks that it is what was published.

Nothing is shipped with memory-r1: the data has its own licences, which are shown and must be accepted.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from filelock import FileLock, Timeout

from memory_r1.data.msc_original import to_our_format
from memory_r1.data.published import DataSet, Source
from memory_r1.data.transfer import Progress, transfer
from memory_r1.errors import InvalidInputError, MemoryR1Error

State = Literal["here", "missing", "damaged"]
"""What is found of a data set."""

_CHUNK = 1 << 18


def data_state(wanted: DataSet, folder: Path) -> tuple[State, Path]:
    """Whether a data set is in a folder, whole, and where its file is or would be. Hashes what it finds."""
    target = folder / wanted.loaded
    found = next((path for path in (target, target.with_name(f"{target.name}.gz")) if path.is_file()), None)
    if found is None:
        return "missing", target
    if wanted.made is None:
        return ("here" if _hash(found) == wanted.source.sha256 else "damaged"), found
    if _hash(found) == wanted.made.sha256:
        return "here", found
    return ("here" if _is_made_from(folder / wanted.source.file, found, wanted.source) else "damaged"), found


def is_published(wanted: DataSet, file: Path) -> bool:
    """Whether a file holds, gzipped or not, exactly what was published, or what we make of it."""
    found = _hash(file)
    if found == wanted.source.sha256 or (wanted.made is not None and found == wanted.made.sha256):
        return True
    return wanted.made is not None and _is_made_from(file.with_name(Path(wanted.source.file).name), file, wanted.source)


def download(wanted: DataSet, folder: Path, *, on_progress: Progress = lambda done, total: None) -> Path:
    """Fetch a data set into a folder, unless it is there.

    A file has its name only once it is whole and its hash is right. When the connection breaks, the transfer goes on
    where it was, a few times now, and in a later call after that.

    Args:
        wanted: What to fetch.
        folder: Where to; see `data_folder`.
        on_progress: Told of every piece.

    Returns:
        The file that the loader reads.

    Raises:
        InvalidInputError: What came is not what was published. It is deleted.
        MemoryR1Error: It cannot be had or written.
    """
    state, path = data_state(wanted, folder)
    if state == "here":
        return path
    source = wanted.source
    brought = _bring(
        source,
        folder,
        lambda partial: transfer(source.url, partial, size=source.size, on_progress=on_progress),
        source.url,
    )
    return _made(wanted, folder) if wanted.made is not None else brought


def take_from(wanted: DataSet, source: Path, folder: Path, *, on_progress: Progress = lambda done, total: None) -> Path:
    """Copy a data set from a folder on this machine, where it may lie as it is or gzipped, after checking its hash.

    Args:
        wanted: What to take.
        source: A folder with the layout of the data folder, e.g. with `locomo/locomo10.json`, or with the file itself.
        folder: Where to.
        on_progress: Told of every piece.

    Returns:
        The file that the loader reads.

    Raises:
        InvalidInputError: It is not there, or not what was published.
        MemoryR1Error: It cannot be written.
    """
    offered = [(wanted.source, path) for path in _places(source, wanted.source)]
    if wanted.made is not None:
        offered += [(wanted.made, path) for path in _places(source, wanted.made)]
    if not offered:
        names = " or ".join(one.file for one in (wanted.source, wanted.made) if one is not None)
        raise InvalidInputError(f"{source} holds no {names}, gzipped or not.", hint="Check the folder of --from.")
    which, found = offered[0]
    brought = _bring(which, folder, lambda partial: _copy(found, partial, which, on_progress), str(found))
    return _made(wanted, folder) if wanted.made is not None and which is wanted.source else brought


def _bring(which: Source, folder: Path, fetch: Callable[[Path], None], origin: str) -> Path:
    """Let a file be fetched; give it its name once its hash is right."""
    target = folder / which.file
    with _alone(target):
        partial = _partial(target)
        _guarded(lambda: fetch(partial), partial)
        _check(partial, which, origin)
        partial.replace(target)
    return target


def _made(wanted: DataSet, folder: Path) -> Path:
    """Turn the published file into the one that our loader reads."""
    made = folder / wanted.loaded
    partial = _partial(made)
    _guarded(lambda: to_our_format(folder / wanted.source.file, partial), partial)
    partial.replace(made)
    return made


def _is_made_from(original: Path, made: Path, source: Source) -> bool:
    """Whether a file is what we make of the published one, which must be beside it."""
    if not original.is_file() or _hash(original) != source.sha256:
        return False
    again = made.with_name(f".{made.name}.check")
    try:
        to_our_format(original, again)
        return _hash(again) == _hash(made)
    finally:
        again.unlink(missing_ok=True)


def _places(folder: Path, source: Source) -> Iterator[Path]:
    folder = folder.expanduser()
    for place in (folder / source.file, folder / Path(source.file).name):
        for path in (place, place.with_name(f"{place.name}.gz")):
            if path.is_file():
                yield path


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """While open, no other process fetches the same file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(target.parent, error) from error
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise MemoryR1Error(f"Another process is fetching {target}.", hint="Wait for it.") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)


def _guarded(work: Callable[[], object], partial: Path) -> None:
    """Do something that writes; say so plainly if the disk does not take it."""
    try:
        work()
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritable(partial, error) from error


def _unwritable(path: Path, error: OSError) -> MemoryR1Error:
    return MemoryR1Error(
        f"{path} cannot be written: {error.strerror or error}.", hint="Free some space, or name another folder by --to."
    )


def _copy(found: Path, partial: Path, which: Source, on_progress: Progress) -> None:
    try:
        with _opened(found) as reading, partial.open("wb") as file:
            done = 0
            while chunk := reading.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                on_progress(done, which.size or 0)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        partial.unlink(missing_ok=True)
        raise InvalidInputError(
            f"{found} is cut off or damaged: {error}.", hint="Copy or fetch it anew; nothing was kept of it."
        ) from error


def _check(partial: Path, source: Source, origin: str) -> None:
    found = _hash(partial)
    if found == source.sha256:
        return
    size = partial.stat().st_size
    with suppress(OSError):
        partial.unlink()
    told = f" and has {size:,} bytes instead of {source.size:,}" if source.size and size != source.size else ""
    raise InvalidInputError(
        f"{origin} is not the published file: its SHA-256 is {found} instead of {source.sha256}{told}.",
        hint="It is damaged, cut off or another edition; nothing was kept of it. Try again, or take it from elsewhere.",
    )


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _hash(path: Path) -> str:
    """SHA-256 of a file, unpacked; of a damaged gzip file something that no file has."""
    digest = hashlib.sha256()
    try:
        with _opened(path) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return "damaged"
    return digest.hexdigest()
