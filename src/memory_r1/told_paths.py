"""Paths as a run tells them to others: without the folders that lead to them on one person's machine."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_PATH_IN_ARGUMENT = re.compile(r"(?:^|(?<=[=:]))/(?!/)[^:=]*")
"""An absolute path, by itself or behind `--out=`, `locomo:` or `rag:answerer=`; not what follows `http:`."""


def told_path(path: str | Path) -> str:
    """A path as others may read it.

    What lies in this package, in the working folder or in the home folder is told from there on; anything else that is
    absolute by its name alone. A relative path stays as it was typed.

    Example:
        >>> told_path("/srv/share/of/ann/adapter"), told_path("runs/reader/adapter"), told_path("~/adapter")
        ('.../adapter', 'runs/reader/adapter', '~/adapter')
        >>> told_path(Path.home() / "adapter"), told_path(Path.cwd() / "runs" / "a")
        ('~/adapter', 'runs/a')
    """
    text = str(path)
    if not os.path.isabs(text):
        return text
    for folder, name in _known_folders():
        if text == str(folder):
            return name or "."
        if text.startswith(f"{folder}{os.sep}"):
            rest = text[len(str(folder)) + 1 :]
            return f"{name}/{rest}" if name else rest
    return f".../{Path(text).name}" if Path(text).name else text


def told_name(name: str) -> str:
    """A model's name; where it is the path of a folder, that folder's own name, wherever one calls from.

    Example:
        >>> told_name("/srv/models/gte-small"), told_name("hash-384")
        ('gte-small', 'hash-384')
    """
    return Path(name).name if os.path.isabs(name) else name


def told_argument(argument: str) -> str:
    """An argument of a command line, the absolute paths in it as `told_path` tells them.

    Example:
        >>> told_argument("locomo:/srv/data"), told_argument("http://localhost:8000/v1#toy")
        ('locomo:.../data', 'http://localhost:8000/v1#toy')
    """
    return _PATH_IN_ARGUMENT.sub(lambda match: told_path(match[0]), argument)


def told_command(arguments: Sequence[str]) -> str:
    """A command line of ours, ready to be typed.

    Args:
        arguments: What follows the program's name.

    Example:
        >>> told_command(["bench", "run", "--data", "locomo:/srv/data"])
        'memory-r1 bench run --data locomo:.../data'
    """
    return shlex.join(["memory-r1", *map(told_argument, arguments)])


def told_text(text: str) -> str:
    """A text, such as an error, in which this person's folders are shortened as by `told_path`.

    Example:
        >>> told_text(f"no file {Path.home() / 'x.json'}")
        'no file ~/x.json'
    """
    for folder, name in (*_known_folders(), (Path(sys.prefix), "...")):
        start = re.escape(f"{folder}{os.sep}")
        text = re.sub(rf"(?<![\w.~-]){start}", f"{name}/" if name else "", text)
    return text


def _known_folders() -> list[tuple[Path, str]]:
    """Folders and what stands for them, the inner ones first."""
    folders = [(_PACKAGE, _PACKAGE.name), (Path.cwd(), ""), (Path.home(), "~")]
    # a root would turn every path into one that looks relative
    return [(folder, name) for folder, name in folders if len(folder.parts) > 1]
