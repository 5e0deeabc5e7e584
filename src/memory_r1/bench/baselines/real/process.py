"""A real package's adapter process, and how to talk to it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from memory_r1.errors import MemoryR1Error

ADAPTER = Path(__file__).with_name("adapter.py")
_QUIET = {
    # no telemetry, no hub, no tracing, a key that opens nothing, no proxy between the package and our endpoint
    "MEM0_TELEMETRY": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "OPENAI_API_KEY": "none",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "PYTHONWARNINGS": "ignore",
    "PYTHONUTF8": "1",
}
_DROPPED = ("MEMORY_R1_", "PYTHON", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "MEM0_")
_GOODBYE_S = 60


class PackageError(MemoryR1Error):
    """A real package failed at a request, or its process died."""


class PackageProcess:
    """An adapter process.

    Args:
        python: The Python of the package's environment.
        name: Which adapter, e.g. `mem0`.
        folder: For its log and whatever the package keeps.
        script: The adapter program.
    """

    def __init__(self, python: Path, name: str, folder: Path, *, script: Path = ADAPTER) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._lock = threading.Lock()
        self._log = (folder / f"{name}.log").open("a", encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
        self._process = subprocess.Popen(
            [str(python), str(script), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env={**kept, **_QUIET, "MEM0_DIR": str(folder / "mem0-home")},
        )

    def call(self, op: str, **arguments: Any) -> Any:
        """Send a request and wait for its reply; requests of several threads take turns.

        Raises:
            PackageError: The request failed, or the process died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._lock:
                self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:
            raise PackageError(f"The process of {self._name} died: {self._last_words()}")
        reply = json.loads(line)
        if "error" in reply:
            raise PackageError(f"{self._name} failed at {op}: {reply['error']}")
        return reply["ok"]

    def stop(self) -> None:
        """End the process; what goes wrong then is in its log, and no longer matters. A second call does nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._log.closed:
            return
        try:
            self._process.stdin.write('{"op": "close"}\n')
            self._process.stdin.close()
            self._process.wait(timeout=_GOODBYE_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdout.close()
            self._log.close()

    def _last_words(self) -> str:
        self._process.wait(timeout=_GOODBYE_S)
        lines = Path(self._log.name).read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit {self._process.returncode}")
