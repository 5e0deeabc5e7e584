"""The folder that a benchmark run is kept in: what was asked for, so that nothing else is ever mixed into it."""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memory_r1.bench.records import ConversationStats, Prediction, append_line, read_lines
from memory_r1.errors import ConfigError, InvalidInputError, NotFoundError, StoreError

CONFIG_FILE, PREDICTIONS_FILE, STATS_FILE, ERRORS_FILE = "config.json", "predictions.jsonl", "stats.jsonl", "errors.log"
STORES, LOCK_FILE = "stores", ".lock"

_FIXED = {
    "data": "the data or the choice of questions",
    "model": "the language model",
    "embedder": "the embedder",
    "limits": "the limits of the reader",
}
"""What every line of a run must have in common."""


class BenchFolder:
    """One run's folder. Only one process may write into it; see `alone`.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    @property
    def stores(self) -> Path:
        """Where systems may put what they hold while the run goes on."""
        return self.path / STORES

    def started(self) -> bool:
        """Whether there is a run in the folder.

        Raises:
            ConfigError: There is something else in it.
        """
        if (self.path / CONFIG_FILE).is_file():
            return True
        if self.path.exists() and (
            not self.path.is_dir() or any(one.name not in (LOCK_FILE, STORES) for one in self.path.iterdir())
        ):
            raise ConfigError(f"{self.path} is no benchmark run and not empty.", hint="Give another --out.")
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While open, no other process may open the folder; what a killed one left half-done is removed.

        Raises:
            ConfigError: Another process has it open.
            StoreError: It cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK_FILE)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(f"Another process is at work in {self.path}.", hint="Wait for it, or stop it.") from error
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        try:
            shutil.rmtree(self.stores, ignore_errors=True)
            for file in self.path.glob("systems/*/*.jsonl"):
                _cut_torn_line(file)
            yield
        finally:
            shutil.rmtree(self.stores, ignore_errors=True)
            lock.release()

    def config(self) -> dict[str, Any]:
        """What the run was asked for.

        Raises:
            NotFoundError: There is no run in the folder.
            InvalidInputError: Its configuration is damaged.
        """
        file = self.path / CONFIG_FILE
        if not file.is_file():
            raise NotFoundError(f"{self.path} is no benchmark run: it has no {CONFIG_FILE}.", hint="Check --out.")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"{file} cannot be read: {error}.", hint="Start the run anew.") from error
        if not isinstance(config, dict):
            raise InvalidInputError(f"{file} is no JSON object.", hint="Start the run anew.")
        return config

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the configuration in whole or not at all.

        Raises:
            StoreError: The folder cannot be written.
        """
        temporary = self.path / f".{CONFIG_FILE}.new"
        try:
            temporary.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(temporary, self.path / CONFIG_FILE)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    def predictions(self, system: str) -> dict[tuple[str, str], Prediction]:
        """A system's answers by conversation and question; of a question answered twice, the last."""
        lines = read_lines(self._file(system, PREDICTIONS_FILE), Prediction)
        return {(one.conversation, one.question_id): one for one in lines}

    def stats(self, system: str) -> dict[str, ConversationStats]:
        """What a system has made of each conversation that it is done with."""
        return {one.conversation: one for one in read_lines(self._file(system, STATS_FILE), ConversationStats)}

    def add(self, system: str, record: Prediction | ConversationStats) -> None:
        """Append a record.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        name = PREDICTIONS_FILE if isinstance(record, Prediction) else STATS_FILE
        try:
            append_line(self._file(system, name), record)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    def add_traceback(self, system: str, where: str, error: BaseException) -> None:
        """Keep where in a system an error came from."""
        path = self._file(system, ERRORS_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"--- {where}\n{''.join(traceback.format_exception(error))}\n")

    def _file(self, system: str, name: str) -> Path:
        return self.path / "systems" / system / name


def _cut_torn_line(file: Path) -> None:
    """Cut off a last line that a kill left unfinished; the next one must not come to stand behind it."""
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        with file.open("r+b") as open_:
            open_.truncate(content.rfind(b"\n") + 1)


def check_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """See that a run goes on with what it began with; more systems may be added.

    Args:
        old: The configuration on disk.
        new: That of the call.

    Raises:
        ConfigError: Something differs.
    """
    for key, what in _FIXED.items():
        before, after = old.get(key), new.get(key)
        if key == "data":
            before, after = _mapping(before).get("hash"), _mapping(after).get("hash")
        if before != after:
            raise ConfigError(
                f"The run began with other settings: {what} has changed from {before} to {after}.",
                hint="Go on with the same settings, or give another --out.",
            )
    for name, now in _mapping(new.get("made")).items():
        then = _mapping(old.get("made")).get(name, now)
        if then != now:
            raise ConfigError(
                f"The run began with another system {name!r}: {then} then, {now} now.",
                hint="Give it another name (--system NAME=METHOD), or another --out.",
            )


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a resumed run: as it began, with the systems that came later."""
    both = ("systems", "made", "adapters")
    joined = {key: {**_mapping(old.get(key)), **_mapping(new.get(key))} for key in both}
    again: Sequence[Any] = old.get("resumed") or []
    return {
        **old,
        **joined,
        "request": new["request"],
        "resumed": [*again, {"at": new["started"], "command": new["command"]}],
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
