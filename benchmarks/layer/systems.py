"""Which systems take part, where their environments are, and how to talk to their adapter processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

ADAPTERS = Path(__file__).parent / "adapters"
OURS = "memory-r1"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# no telemetry, no network, a key that opens nothing
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "MEM0_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "OPENAI_API_KEY": "x",
    "PYTHONWARNINGS": "ignore",
}


class AdapterError(Exception):
    """A system failed at a request, or its process died."""


class NoSuchCall(AdapterError):
    """A system has no such operation."""


@dataclass(frozen=True)
class System:
    """A memory system and the environment it is installed in."""

    name: str
    python: Path
    script: Path
    persistent: bool = True
    """Whether what it stores is there after a restart."""
    requirements: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether its environment exists and is complete."""
        return self.python.exists() and (not self.requirements or (self.python.parents[1] / ".complete").exists())


def default_rivals_folder() -> Path:
    """Where the rivals' environments are if the user names no folder."""
    return Path(platformdirs.user_cache_dir("memory-r1", appauthor=False)) / "rivals"


def all_systems(rivals: Path) -> list[System]:
    """Ours first."""
    return [
        System(OURS, Path(sys.executable), ADAPTERS / "memory_r1_adapter.py"),
        System(
            "mem0",
            rivals / "mem0" / "bin" / "python",
            ADAPTERS / "mem0_adapter.py",
            requirements=("mem0ai==2.2.1", "qdrant-client==1.20.0"),
        ),
        System(
            "langmem",
            rivals / "langmem" / "bin" / "python",
            ADAPTERS / "langmem_adapter.py",
            persistent=False,
            requirements=("langmem==0.0.30", "langgraph==1.2.22", "numpy"),
        ),
    ]


class Running:
    """An adapter process."""

    def __init__(self, system: System, folder: Path, threads: int) -> None:
        self.system = system
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / f"{system.name}.log").open("a", encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEMORY_R1_", "PYTHON"))}
        self._process = subprocess.Popen(
            [str(system.python), str(system.script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env={**kept, **ENVIRONMENT, **dict.fromkeys(THREADS, str(threads)), "MEM0_DIR": str(folder / "mem0-home")},
        )

    def call(self, op: str, **arguments: Any) -> Any:
        """Send a request and wait for its answer.

        Raises:
            NoSuchCall: The system has no such operation.
            AdapterError: The request failed, or the process died; its log has the rest.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise AdapterError(f"the process died: {self._last_words()}")
        reply = json.loads(line)
        if "missing" in reply:
            raise NoSuchCall(reply["missing"])
        if "error" in reply:
            raise AdapterError(reply["error"])
        return reply["ok"]

    def _last_words(self) -> str:
        self._process.wait(timeout=10)
        lines = Path(self._log.name).read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit {self._process.returncode}")

    def stop(self) -> None:
        """Close the system and end the process; what goes wrong then is in the log, and no longer matters."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write('{"op": "close"}\n')
            self._process.stdin.close()
            self._process.wait(timeout=60)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdout.close()
            self._log.close()


@contextmanager
def running(system: System, folder: Path, *, threads: int = 1, **options: Any) -> Iterator[Running]:
    """A system's process, opened on a folder of its own; it closes the system and ends when the block does."""
    process = Running(system, folder, threads)
    try:
        process.call("open", folder=str(folder), **options)
        yield process
    finally:
        process.stop()
