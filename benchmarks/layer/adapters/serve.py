"""The adapter process: one memory system behind JSON lines on stdin and stdout, timed where it runs."""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from workload import facts, queries


class Adapter(Protocol):
    """What a system must be able to do to take part. A call that it does not have raises NotImplementedError."""

    package: str

    def open(self, folder: Path, options: dict[str, Any]) -> None:
        """Open the system on a folder; make it if need be."""

    def add(self, text: str, scope: str) -> None:
        """Store one text as it is, as durably as the system can."""

    def add_batch(self, texts: Sequence[str], scope: str) -> None:
        """Store many texts as they are, by the system's quickest public way."""

    def fill(self, texts: Sequence[str], scope: str) -> None:
        """Like `add_batch`, by any way at all: prepares a bank and is not timed."""

    def search(self, query: str, scope: str, k: int) -> int:
        """Search; return how many memories came back."""

    def delete_all(self, scope: str) -> None:
        """Delete all memories of a scope."""

    def count(self, scope: str) -> int:
        """How many memories the scope has."""

    def close(self) -> None:
        """Release everything."""


def timed(call: Callable[[Any], Any], items: Iterable[Any]) -> dict[str, Any]:
    """Wall milliseconds of every call, and CPU milliseconds a call, all threads of this process together."""
    gc.collect()
    wall: list[float] = []
    results: list[Any] = []
    cpu = time.process_time()
    for item in items:
        began = time.perf_counter()
        results.append(call(item))
        wall.append((time.perf_counter() - began) * 1000)
    return {"wall": wall, "cpu": (time.process_time() - cpu) * 1000 / max(1, len(wall)), "results": results}


def resident_mb() -> dict[str, float]:
    """Resident memory now and at its highest, in MB (now = highest where the system does not tell)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    now = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), peak)
    return {"now": now, "peak": peak}


class Server:
    """Runs the requests of one harness on one adapter. Every public method is a request."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def open(self, folder: str, **options: Any) -> None:
        """Open the system on an existing folder."""
        self._adapter.open(Path(folder), options)

    def version(self) -> str:
        """The installed version of the system."""
        return version(self._adapter.package)

    def fill(self, scope: str, count: int, start: int = 0, seed: int = 0) -> dict[str, Any]:
        """Bring a scope to facts `start` to `start + count`, in batches of 1,000."""
        began = time.perf_counter()
        for at in range(start, start + count, 1000):
            self._adapter.fill(list(facts(at, min(1000, start + count - at), seed)), scope)
        return {"seconds": time.perf_counter() - began}

    def search(self, scope: str, k: int, count: int, of: int, seed: int) -> dict[str, Any]:
        """Time `count` searches for facts among the first `of`."""
        asked = queries(count, of, seed)
        return timed(lambda query: self._adapter.search(query, scope, k), asked)

    def add(self, scope: str, count: int, seed: int) -> dict[str, Any]:
        """Time single adds."""
        return timed(lambda text: self._adapter.add(text, scope), list(facts(0, count, seed)))

    def add_batch(self, scope: str, count: int, seed: int) -> dict[str, Any]:
        """Time one batched add."""
        return timed(lambda texts: self._adapter.add_batch(texts, scope), [list(facts(0, count, seed))])

    def delete_all(self, scope: str) -> dict[str, Any]:
        """Time the deletion of a scope."""
        return timed(self._adapter.delete_all, [scope])

    def count(self, scope: str) -> int:
        """How many memories the scope has."""
        return self._adapter.count(scope)

    def threads(self, scope: str, threads: int, each: int, same: bool = False) -> dict[str, Any]:
        """Add from several threads at once; with `same`, every add has the same text."""
        texts = list(facts(0, 1, seed=99)) * (threads * each) if same else list(facts(0, threads * each, seed=99))
        errors: list[str] = []
        gate = threading.Barrier(threads)

        def work(mine: list[str]) -> None:
            gate.wait()
            for text in mine:
                try:
                    self._adapter.add(text, scope)
                except Exception as error:  # noqa: BLE001 - what breaks, and how often, is the result
                    errors.append(f"{type(error).__name__}: {error}")

        workers = [threading.Thread(target=work, args=(texts[n * each : (n + 1) * each],)) for n in range(threads)]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - began
        return {"expected": 1 if same else len(texts), "errors": errors, "seconds": seconds}

    def rss(self) -> dict[str, float]:
        """Resident memory of this process."""
        gc.collect()
        return resident_mb()

    def extra(self, name: str, **arguments: Any) -> Any:
        """A request that only this adapter knows."""
        return getattr(self._adapter, name)(**arguments)

    def close(self) -> None:
        """Close the system."""
        self._adapter.close()


def serve(adapter: Adapter) -> None:
    """Answer requests until stdin ends. What libraries print goes to stderr, so that it cannot garble an answer."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server = Server(adapter)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"ok": getattr(server, request.pop("op"))(**request)}
        except NotImplementedError as error:
            reply = {"missing": str(error) or "no such call"}
        except Exception as error:  # noqa: BLE001 - the harness decides what a failed request means
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=out, flush=True)
