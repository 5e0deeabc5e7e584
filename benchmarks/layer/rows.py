"""The rows of the table: each starts the systems it needs on fresh folders and lets them take turns."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.layer.results import Cell, Row, cells_from, percentile
from benchmarks.layer.systems import OURS, AdapterError, NoSuchCall, Running, System, running

BANK = "bank"
Rounds = dict[str, list[Any] | str]


@dataclass(frozen=True)
class Plan:
    """What to run and how often."""

    systems: list[System]
    work: Path
    """Folder for the banks; it should be on a real disk, not in memory."""
    repeats: int = 3
    searches: int = 100
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    rival_limit: int = 10_000
    """Rivals are not measured on banks larger than this."""

    @property
    def ours(self) -> System:
        """memory-r1."""
        return next(system for system in self.systems if system.name == OURS)


def take_turns(
    plan: Plan, measure: Callable[[Running, int], Any], prepare: Callable[[Running], Any] | None = None
) -> Rounds:
    """Answers of every system for every repeat; within one they run one after another, another one first each time.

    A system that is not installed, lacks the call or fails has the reason in place of its answers.
    """
    rounds: Rounds = {system.name: [] if system.installed else "not installed" for system in plan.systems}
    processes: dict[str, Running] = {}
    with ExitStack() as stack:

        def begin(system: System) -> Any:
            folder = fresh(plan.work / "turns" / system.name)
            processes[system.name] = stack.enter_context(running(system, folder))
            return prepare(processes[system.name]) if prepare else None

        for system in plan.systems:
            _record(rounds, system.name, lambda s=system: begin(s))
        for answers in rounds.values():
            if isinstance(answers, list):
                answers.clear()
        for repeat in range(plan.repeats):
            for system in _turn(plan.systems, repeat):
                _record(rounds, system.name, lambda s=system, r=repeat: measure(processes[s.name], r))
    return rounds


def search(plan: Plan) -> list[Row]:
    """Search k=30 at every size, with the recall of our dense half from 10,000 on."""
    rows = []
    for size in plan.sizes:
        rows += _search_together(plan, size) if size <= plan.rival_limit else _search_alone(plan, size)
        if size >= 10_000:
            with _bank(plan, size) as process:
                recall = process.call("extra", name="recall", scope=BANK, k=30, count=plan.searches, of=size)
            cells = {OURS: Cell([recall])}
            rows.append(Row(f"search.{size}.recall", f"dense recall@30 at {size:,}", "share", 0.98, "higher", cells))
    return rows


def add(plan: Plan) -> list[Row]:
    """Single raw adds, each durable before it returns where the system keeps anything at all."""
    rounds = take_turns(
        plan,
        lambda process, repeat: process.call("add", scope=f"adds-{repeat}", count=100, seed=10 + repeat),
        lambda process: process.call("add", scope="warm", count=3, seed=9),
    )
    p50 = cells_from(rounds, lambda answer: statistics.median(answer["wall"]))
    p95 = cells_from(rounds, lambda answer: percentile(answer["wall"], 0.95))
    rows = [
        Row("add.p50", "raw add, durable: p50", "ms", 4, cells=p50),
        Row("add.p95", "raw add, durable: p95", "ms", cells=p95),
        Row("add.cpu", "raw add, durable: CPU", "ms", cells=cells_from(rounds, lambda answer: answer["cpu"])),
    ]
    return [_volatile(plan, row) for row in rows]


def add_batch(plan: Plan) -> list[Row]:
    """1,000 raw adds in one call."""
    rounds = take_turns(
        plan,
        lambda process, repeat: process.call("add_batch", scope=f"batch-{repeat}", count=1000, seed=20 + repeat),
        lambda process: process.call("add", scope="warm", count=3, seed=9),
    )
    row = Row("add_batch", "batched add of 1,000: per item", "ms", 0.2)
    row.cells = cells_from(rounds, lambda answer: answer["wall"][0] / 1000)
    return [_volatile(plan, row)]


def delete_all(plan: Plan) -> list[Row]:
    """Deleting a scope of 900."""

    def measure(process: Running, repeat: int) -> Any:
        scope = f"doomed-{repeat}"
        process.call("fill", scope=scope, count=900, seed=30 + repeat)
        answer = process.call("delete_all", scope=scope)
        left = process.call("count", scope=scope)
        if left:
            raise AdapterError(f"{left} of 900 left")
        return answer

    rounds = take_turns(plan, measure)
    return [Row("delete_all", "delete_all of 900", "ms", 50, cells=cells_from(rounds, lambda a: a["wall"][0]))]


def concurrency(plan: Plan) -> list[Row]:
    """8 threads x 20 adds, and 4 identical adds at once; what is stored is counted by a fresh process if it can be."""
    many: Rounds = {system.name: [] if system.installed else "not installed" for system in plan.systems}
    same: Rounds = {system.name: [] if system.installed else "not installed" for system in plan.systems}
    for repeat in range(plan.repeats):
        for system in _turn(plan.systems, repeat):
            _record(many, system.name, lambda s=system: _storm(plan, s, threads=8, each=20))
            _record(same, system.name, lambda s=system: _storm(plan, s, threads=4, each=1, same=True))
    lost = cells_from(many, lambda a: 160 - a["stored"])
    errors = cells_from(many, lambda a: len(a["errors"]), lambda a: a["errors"][0].split(":")[0] if a["errors"] else "")
    stored = cells_from(same, lambda a: a["stored"])
    rows = [
        Row("threads.lost", "8 threads x 20 adds: lost", "of 160", 0, "equal", lost),
        Row("threads.errors", "8 threads x 20 adds: errors", "calls", 0, "equal", errors),
        Row("identical", "4 identical concurrent adds: stored", "memories", 1, "equal", stored),
    ]
    return [_volatile(plan, row) for row in rows]


def resident(plan: Plan) -> list[Row]:
    """Memory of a fresh process that opens a bank of 100,000 and searches it, without a language model."""
    with _bank(plan, 100_000) as process:
        _search(process, 100_000, count=50, seed=0)
        answer = process.call("rss")
    return [
        Row("rss.now", "resident memory, 100,000 memories, no LM", "MB", 600, cells={OURS: Cell([answer["now"]])}),
        Row("rss.peak", "resident memory, 100,000 memories: peak", "MB", cells={OURS: Cell([answer["peak"]])}),
    ]


def start(plan: Plan) -> list[Row]:
    """Wall time of `memory-r1 --help`, and of an empty Python for comparison."""
    command = [str(Path(sys.executable).with_name("memory-r1")), "--help"]
    row = Row("help", "memory-r1 --help", "s", 0.4, cells={OURS: Cell(_seconds(command, 5))})
    if row.reached is False:
        row.cells[OURS].note = "slowest imports: " + ", ".join(_slowest_imports())
    bare = Row("python", "an empty Python, for comparison", "s")
    bare.cells[OURS] = Cell(_seconds([sys.executable, "-c", "pass"], 5))
    return [row, bare]


LAYER_ROWS: dict[str, Callable[[Plan], list[Row]]] = {
    "search": search,
    "add": add,
    "batch": add_batch,
    "delete": delete_all,
    "threads": concurrency,
    "rss": resident,
    "help": start,
}


def _turn(systems: list[System], repeat: int) -> list[System]:
    """The systems in order, another one first each time."""
    first = repeat % len(systems)
    return systems[first:] + systems[:first]


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _record(rounds: Rounds, name: str, measure: Callable[[], Any]) -> None:
    """Add an answer to a system's; after a failure its reason stands there and it takes no further part."""
    answers = rounds[name]
    if isinstance(answers, str):
        return
    try:
        answers.append(measure())
    except NoSuchCall as error:
        rounds[name] = str(error)
    except AdapterError as error:
        rounds[name] = f"failed: {error}"


def _search(process: Running, size: int, *, count: int, seed: int) -> Any:
    answer = process.call("search", scope=BANK, k=30, count=count, of=size, seed=seed)
    short = sum(found < 30 for found in answer["results"])
    if short:
        raise AdapterError(f"{short} of {count} searches found fewer than 30")
    return answer


def _search_together(plan: Plan, size: int) -> list[Row]:
    def prepare(process: Running) -> None:
        process.call("fill", scope=BANK, count=size)
        _search(process, size, count=5, seed=0)

    def measure(process: Running, repeat: int) -> Any:
        return _search(process, size, count=plan.searches, seed=1 + repeat)

    return _search_rows(size, take_turns(plan, measure, prepare))


def _search_alone(plan: Plan, size: int) -> list[Row]:
    with _bank(plan, size) as process:
        began = time.perf_counter()
        _search(process, size, count=1, seed=0)
        first = Cell([time.perf_counter() - began])
        _search(process, size, count=5, seed=0)
        answers = [_search(process, size, count=plan.searches, seed=1 + repeat) for repeat in range(plan.repeats)]
    fill = Cell([float((_bank_folder(plan, size) / "seconds").read_text(encoding="utf-8")) * 1000 / size])
    return [
        *_search_rows(size, {system.name: answers if system.name == OURS else "not run" for system in plan.systems}),
        Row(f"search.{size}.first", f"first search after opening at {size:,}", "s", cells={OURS: first}),
        Row(f"search.{size}.fill", f"filling {size:,} in batches of 1,000: per item", "ms", cells={OURS: fill}),
    ]


def _search_rows(size: int, rounds: Rounds) -> list[Row]:
    title = f"search k=30 at {size:,}"
    cpu = cells_from(rounds, lambda answer: answer["cpu"])
    p50 = cells_from(rounds, lambda answer: statistics.median(answer["wall"]))
    p95 = cells_from(rounds, lambda answer: percentile(answer["wall"], 0.95))
    return [
        Row(f"search.{size}.cpu", f"{title}: CPU", "ms", {1_000: 1.5}.get(size), cells=cpu),
        Row(f"search.{size}.p50", f"{title}: p50", "ms", {10_000: 3, 100_000: 10, 1_000_000: 40}.get(size), cells=p50),
        Row(f"search.{size}.p95", f"{title}: p95", "ms", cells=p95),
    ]


def _bank_folder(plan: Plan, size: int) -> Path:
    return plan.work / f"memory-r1-{size}"


@contextmanager
def _bank(plan: Plan, size: int) -> Iterator[Running]:
    """A fresh process of ours on a filled bank, which is kept for later rows and, with `--work`, for later runs."""
    folder = _bank_folder(plan, size)
    if not (folder / "seconds").exists():
        with running(plan.ours, fresh(folder)) as process:
            seconds = process.call("fill", scope=BANK, count=size)["seconds"]
        (folder / "seconds").write_text(f"{seconds}\n", encoding="utf-8")
    with running(plan.ours, folder) as process:
        yield process


def _storm(plan: Plan, system: System, **arguments: Any) -> Any:
    folder = fresh(plan.work / "storm")
    with running(system, folder) as process:
        answer = process.call("threads", scope=BANK, **arguments)
        if not system.persistent:
            return {**answer, "stored": process.call("count", scope=BANK)}
    with running(system, folder) as process:
        return {**answer, "stored": process.call("count", scope=BANK)}


def _volatile(plan: Plan, row: Row) -> Row:
    """Say so where a figure comes from a system that keeps nothing on disk."""
    for system in plan.systems:
        cell = row.cells[system.name]
        if not system.persistent and cell.values:
            cell.note = f"{cell.note} (in memory only)".strip()
    return row


def _seconds(command: list[str], times: int) -> list[float]:
    subprocess.run(command, check=True, capture_output=True)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return taken


def _slowest_imports() -> list[str]:
    """The top-level packages that `memory_r1.cli` spends longest on, with milliseconds."""
    command = [sys.executable, "-X", "importtime", "-c", "import memory_r1.cli"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
    cost: Counter[str] = Counter()
    for line in lines:
        own, _, module = line.removeprefix("import time:").split("|")
        if own.strip().isdigit():
            cost[module.strip().split(".")[0]] += int(own)
    return [f"{package} {microseconds / 1000:.0f} ms" for package, microseconds in cost.most_common(5)]
