"""Brings one file over HTTP, going on where an earlier transfer broke off."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from memory_r1.errors import MemoryR1Error

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all; 0 in all if that is not known."""

TRIES = 5
"""How often a transfer is begun or taken up before it is given up."""

_CHUNK = 1 << 18
_TIMEOUT_S = 60
_PAUSE_S = 1.0


def transfer(url: str, partial: Path, *, size: int | None = None, on_progress: Progress) -> None:
    """Bring a file's bytes. What is in `partial` already is not asked for again.

    When the connection breaks, the transfer is taken up a few times; what came by then stays in `partial`, for a later
    call to go on from.

    Args:
        url: Where the file is.
        partial: Where the bytes go.
        size: How many are expected, if the server does not say.
        on_progress: Told of every piece.

    Raises:
        MemoryR1Error: The server refuses, or cannot be reached.
        OSError: `partial` cannot be written.
    """
    for tried in range(1, TRIES + 1):
        try:
            _receive(url, partial, size, on_progress)
            return
        except HTTPError as error:
            error.close()
            if error.code == 416:  # the part is longer than the file: it is another file's
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                partial.unlink(missing_ok=True)
                raise MemoryR1Error(
                    f"{url} answered {error.code} {error.reason}.",
                    hint="Fetch the file by other means, and take it with --from FOLDER.",
                ) from error
            why: object = f"it answered {error.code} {error.reason}"
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            why = getattr(error, "reason", None) or error
        if tried < TRIES:
            time.sleep(_PAUSE_S * tried)
    kept = partial.stat().st_size if partial.is_file() else 0
    more = f" {kept:,} bytes are kept: run the command again to go on." if kept else ""
    raise MemoryR1Error(f"{url} cannot be fetched: {why}.{more}", hint="Without a network, use --from FOLDER.")


def _receive(url: str, partial: Path, size: int | None, on_progress: Progress) -> None:
    done = partial.stat().st_size if partial.is_file() else 0
    headers = {"User-Agent": "memory-r1", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S) as reply:
        if reply.status != 206:
            done = 0
        length = reply.headers.get("Content-Length")
        total = done + int(length) if length is not None else size or 0
        with partial.open("ab" if done else "wb") as file:
            on_progress(done, total)
            for chunk in iter(lambda: _read_some(reply), b""):
                file.write(chunk)
                done += len(chunk)
                on_progress(done, total)
    if length is not None and done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _read_some(reply: IO[bytes]) -> bytes:
    try:
        return reply.read1(_CHUNK)  # type: ignore[attr-defined,no-any-return]
    except OSError as error:
        # told apart from a disk that cannot be written
        raise ConnectionError(str(error)) from error
