"""The folder that a benchmark run is kept in: what was asked for, so that nothing else is ever mixed into it."""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memory_r1.bench.records import ConversationStats, Prediction, append_line, read_lines
from memory_r1.errors import ConfigError, InvalidInputError, NotFoundError, StoreError
from memory_r1.told_paths import told_text

CONFIG_FILE, PREDICTIONS_FILE, STATS_FILE, ERRORS_FILE = "config.json", "predictions.jsonl", "stats.jsonl", "errors.log"
STORES = "stores"
LOCAL, REQUEST_FILE, LOCK_FILE = ".local", "request.json", "lock"
"""What only this machine can use, such as paths; git passes over that folder by itself."""

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
            not self.path.is_dir() or any(one.name not in (STORES, LOCAL) for one in self.path.iterdir())
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
            local = self.path / LOCAL
            local.mkdir(parents=True, exist_ok=True)
            (local / ".gitignore").write_text("*\n", encoding="utf-8")
            lock = FileLock(local / LOCK_FILE)
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
        self._replace(self.path / CONFIG_FILE, json.dumps(config, indent=2, ensure_ascii=False) + "\n")

    def request(self) -> dict[str, Any]:
        """What was asked for on the command line, as it was typed; empty where the run came from another machine.

        Raises:
            NotFoundError: There is no run in the folder.
            InvalidInputError: It is damaged.
        """
        config = self.config()
        file = self.path / LOCAL / REQUEST_FILE
        if not file.is_file():
            # runs of before kept it in their configuration
            old = config.get("request")
            return dict(old) if isinstance(old, Mapping) else {}
        try:
            request = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"{file} cannot be read: {error}.", hint="Delete it.") from error
        return request if isinstance(request, dict) else {}

    def write_request(self, request: Mapping[str, Any]) -> None:
        """Keep what was asked for on the command line, apart from what a run publishes.

        Raises:
            StoreError: The folder cannot be written.
        """
        self._replace(self.path / LOCAL / REQUEST_FILE, json.dumps(request, indent=2, ensure_ascii=False) + "\n")

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

    def replace(self, system: str, predictions: Iterable[Prediction]) -> None:
        """Put these in the place of all answers of a system, in whole or not at all.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        lines = "".join(f"{one.model_dump_json()}\n" for one in predictions)
        self._replace(self._file(system, PREDICTIONS_FILE), lines)

    def systems(self) -> list[str]:
        """The systems that have a folder, by name."""
        return sorted(one.name for one in (self.path / "systems").glob("*") if one.is_dir())

    def add_traceback(self, system: str, where: str, error: BaseException) -> None:
        """Keep where in a system an error came from."""
        path = self._file(system, ERRORS_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(told_text(f"--- {where}\n{''.join(traceback.format_exception(error))}\n"))

    def _replace(self, file: Path, text: str) -> None:
        temporary = file.with_name(f".{file.name.removeprefix('.')}.new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, file)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error

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
        **{name: value for name, value in old.items() if name != "request"},
        **joined,
        "resumed": [*again, {"at": new["started"], "command": new["command"]}],
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
