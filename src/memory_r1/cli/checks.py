"""The checks that `doctor` runs, one function each."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_r1.cli.findings import Finding, fail, ok, warn
from memory_r1.errors import MemoryR1Error
from memory_r1.lm.base import Sampling

if TYPE_CHECKING:
    from memory_r1.bank.store import EmbedderIdentity
    from memory_r1.config import Settings

PACKAGES = ("torch", "transformers", "peft", "gguf", "sentence-transformers", "numkong", "openai", "numpy")
FULL_BYTES, LOW_BYTES = 50 * 2**20, 2 * 2**30


def run_checks(arguments: Mapping[str, Any]) -> Iterator[Finding]:
    """Run all checks, quick ones first.

    Args:
        arguments: Settings given on the command line.
    """
    from memory_r1.config import config_file, load_settings

    yield _python()
    yield _packages()
    try:
        settings = load_settings(**arguments)
        file = config_file()
    except MemoryR1Error as error:
        yield fail("settings", error.message, error.hint)
        return
    yield ok("settings", f"from {file}" if file else "no configuration file; defaults, variables and arguments")
    yield _disk(settings)
    yield _store(settings)
    yield _language_model(settings)
    yield _embedder(settings)
    yield _hub()


def _python() -> Finding:
    found = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return ok("python", f"{found}, SQLite {sqlite3.sqlite_version}")


def _packages() -> Finding:
    found, missing = [], []
    for name in ("memory-r1", *PACKAGES):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return fail("packages", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return ok("packages", ", ".join(found))


def _disk(settings: Settings) -> Finding:
    folder = _existing(Path(settings.store).absolute())
    free = shutil.disk_usage(folder).free
    detail = f"{size(free)} free at {folder}"
    if free < FULL_BYTES:
        return fail("disk", detail, "Free some space: nothing more can be remembered.")
    if free < LOW_BYTES:
        return warn("disk", detail, "Free some space: models need up to 2 GB.")
    return ok("disk", detail)


def _store(settings: Settings) -> Finding:
    if settings.store == ":memory:":
        return ok("store", "in memory; gone when the program ends")
    path = Path(settings.store)
    if not path.exists():
        folder = _existing(path.absolute())
        if not os.access(folder, os.W_OK):
            return fail("store", f"{folder} is read-only", "Name a file elsewhere with --store or MEMORY_R1_STORE.")
        return ok("store", f"{path} will be made at the first use")
    try:
        return _store_file(path, settings)
    except MemoryR1Error as error:
        return fail("store", error.message, error.hint)
    except sqlite3.Error as error:
        return fail("store", f"{path}: {error}", "Restore a backup, or import an export into a new file.")


def _store_file(path: Path, settings: Settings) -> Finding:
    from memory_r1.bank.sqlite import SqliteStore

    with closing(SqliteStore(str(path), durable=settings.durable)) as store:
        detail = f"{path}, {size(path.stat().st_size)}, memories: {store.count():,}, banks: {len(store.scopes()):,}, "
        detail += f"log at #{store.head():,}"
        if identity := store.embedder():
            detail += f", vectors of {identity.name} ({identity.dimension})"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        problems = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    if problems != ["ok"]:
        advice = "Restore a backup; or export what can be read, and import it into a new file."
        return fail("store", f"{path} is damaged: {'; '.join(problems)}", advice)
    return ok("store", f"{detail}, format {schema}, intact")


def _language_model(settings: Settings) -> Finding:
    from memory_r1.cli.fetch import make_model

    name = "language model"
    try:
        lm = make_model(settings)
    except MemoryR1Error as error:
        return fail(name, error.message, error.hint)
    with closing(lm):
        if settings.model == "bundled":
            return _bundled(name)
        try:
            began = time.perf_counter()
            lm.complete([[{"role": "user", "content": "Hello"}]], Sampling(max_tokens=1))
        except MemoryR1Error as error:
            return fail(name, error.message, error.hint)
    return ok(name, f"{lm.name} answers, in {time.perf_counter() - began:.1f} s")


def _bundled(name: str) -> Finding:
    from memory_r1.lm.bundled import NAME, bundled_status

    status = bundled_status(thorough=True)
    if status.state == "ready":
        return ok(name, f"{NAME}, whole, {size(status.size)} in {status.path}")
    if status.state == "damaged":
        return warn(name, f"{NAME} in {status.path} is damaged: {status.problem}", "memory-r1 models fetch")
    return warn(name, f"{NAME} is not cached; it is fetched at the first use", "memory-r1 models fetch")


def _embedder(settings: Settings) -> Finding:
    from memory_r1.parts import build_embedder

    try:
        began = time.perf_counter()
        embedder = build_embedder(settings)
        embedder.embed(["How are you?"])
    except MemoryR1Error as error:
        return fail("embedder", error.message, error.hint)
    seconds = time.perf_counter() - began
    stored = _stored_vectors(settings)
    if stored is not None and (stored.name, stored.dimension) != (embedder.name, embedder.dimension):
        detail = f"{embedder.name}, but the store's vectors come from {stored.name}"
        return fail("embedder", detail, "Use that embedder again, or run `memory-r1 reembed`.")
    return ok("embedder", f"{embedder.name}, {embedder.dimension} dimensions, loads in {seconds:.1f} s")


def _stored_vectors(settings: Settings) -> EmbedderIdentity | None:
    from memory_r1.bank.sqlite import SqliteStore

    if settings.store == ":memory:" or not Path(settings.store).exists():
        return None
    try:
        with closing(SqliteStore(settings.store, durable=settings.durable)) as store:
            return store.embedder()
    except MemoryR1Error:
        # the store's own check tells what is wrong with it
        return None


def _hub() -> Finding:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "ON", "YES"):
        return ok("hub", "offline by HF_HUB_OFFLINE; models come from this machine only")
    return ok("hub", "online; asked only for models that you name by their hub id")


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.is_dir())


def size(count: int) -> str:
    """A number of bytes for people.

    Example:
        >>> size(269_000_000)
        '257 MB'
    """
    for unit, bytes_each in (("GB", 2**30), ("MB", 2**20)):
        if count >= bytes_each:
            return f"{count / bytes_each:.{1 if unit == 'GB' else 0}f} {unit}"
    return f"{count / 2**10:.0f} KB"
