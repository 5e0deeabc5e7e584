"""Finds and reads the file of a benchmark, plain or gzipped, with errors that say where to get it."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_r1.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class DataFile:
    """One published file."""

    name: str
    """Its usual file name."""
    folder: str
    """The folder it may lie in."""
    title: str
    """What it is, for messages: `a LoCoMo file`."""
    hint: str
    """Where to get it."""

    def find(self, path: str | Path) -> Path:
        """The file that a file or folder path means.

        Raises:
            InvalidInputError: Nothing is there.
        """
        path = Path(path).expanduser()
        if path.is_file():
            return path
        if not path.exists():
            raise InvalidInputError(f"{path} does not exist.", hint=f"Give the path of {self.name}.")
        for folder in (path, path / self.folder):
            for name in (self.name, f"{self.name}.gz"):
                if (folder / name).is_file():
                    return folder / name
        raise InvalidInputError(
            f"{path} holds no {self.name} or {self.name}.gz.", hint=f"Put it there or under {path / self.folder}."
        )

    def text(self, file: Path) -> str:
        """The file's text, unpacked.

        Raises:
            InvalidInputError: It cannot be read, unpacked, or decoded as UTF-8.
        """
        try:
            content = file.read_bytes()
            return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self.foreign(file, f"the gzip data is cut off or damaged: {error}") from error
        except OSError as error:
            raise InvalidInputError(f"{file} cannot be read: {error.strerror or error}.") from error
        except UnicodeDecodeError as error:
            raise self.foreign(file, f"not UTF-8 at byte {error.start}") from error

    def items(self, file: Path, of: str) -> list[Any]:
        """The file's JSON list.

        Args:
            file: The file.
            of: What it should be a list of, for messages.

        Raises:
            InvalidInputError: It cannot be read, or is no list with something in it.
        """
        try:
            items = json.loads(self.text(file))
        except (json.JSONDecodeError, RecursionError) as error:
            raise self.foreign(file, f"no complete JSON: {error}") from error
        if not isinstance(items, list) or not items:
            raise self.foreign(file, f"not a list of {of}")
        return items

    def foreign(self, file: Path, why: str) -> InvalidInputError:
        """The error for a file that is something else, or damaged."""
        return InvalidInputError(f"{file} is not {self.title} ({why}).", hint=self.hint)
