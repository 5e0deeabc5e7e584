"""The layer benchmark: `python -m benchmarks.layer --help`."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.layer import machine, report
from benchmarks.layer.lm_rows import language_model
from benchmarks.layer.results import Row
from benchmarks.layer.rows import LAYER_ROWS, Plan
from benchmarks.layer.systems import AdapterError, all_systems, default_rivals_folder, running

ROWS = {**LAYER_ROWS, "lm": language_model}


def main() -> None:
    """Measure, print, write."""
    arguments = _arguments()
    systems = all_systems(arguments.rivals.absolute())
    names = [system.name for system in systems]
    with ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memory-r1-bench-")))
        work = work.absolute()
        work.mkdir(parents=True, exist_ok=True)
        plan = Plan(systems, work, arguments.repeats, arguments.searches, arguments.sizes, arguments.rival_limit)
        about: dict[str, Any] = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["python", "-m", "benchmarks.layer", *sys.argv[1:]]),
            "machine": machine.describe(work),
            "versions": {},
        }
        about["versions"] = _versions(plan)
        rows = report.read(arguments.out) if arguments.out else []
        failed = []
        for name in arguments.rows:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                rows = _merged(rows, ROWS[name](plan))
            except AdapterError as error:
                failed.append(f"{name}: {error}")
            if arguments.out:
                report.write(arguments.out, rows, names, about)
    report.show(rows, names, about["versions"], about["machine"])
    if failed:
        sys.exit("Not measured: " + "; ".join(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layer", description=__doc__)
    parser.add_argument(
        "--rows",
        type=_row_names,
        default=list(LAYER_ROWS),
        help=f"some of {','.join(ROWS)} (default: all but lm)",
    )
    parser.add_argument("--sizes", type=_sizes, default=(1_000, 10_000, 100_000), help="bank sizes for search")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each measurement (default: 3)")
    parser.add_argument("--searches", type=int, default=100, help="searches in each round (default: 100)")
    parser.add_argument("--rival-limit", type=int, default=10_000, help="largest bank for rivals (default: 10,000)")
    parser.add_argument(
        "--lm", dest="rows", action="store_const", const=list(ROWS), help="all rows, the language model's included"
    )
    parser.add_argument("--rivals", type=Path, default=default_rivals_folder(), help="folder of setup_rivals")
    parser.add_argument("--work", type=Path, help="folder for banks, kept afterwards (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="folder for results.json and table.md; rows of earlier runs are kept")
    return parser.parse_args()


def _row_names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = set(names) - set(ROWS)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown rows {', '.join(sorted(unknown))}; known: {', '.join(ROWS)}")
    return names


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size.replace("_", "")) for size in text.split(","))


def _versions(plan: Plan) -> dict[str, str]:
    """Version of every system that is installed and starts."""
    found = {}
    for system in plan.systems:
        if system.installed:
            try:
                with running(system, plan.work / "versions" / system.name) as process:
                    found[system.name] = str(process.call("version"))
            except AdapterError as error:
                print(f"{system.name} does not start: {error}", file=sys.stderr)
    return found


def _merged(rows: list[Row], new: list[Row]) -> list[Row]:
    """Rows with new figures in their old places."""
    fresh = {row.key: row for row in new}
    kept = [fresh.pop(row.key, row) for row in rows]
    return kept + list(fresh.values())


if __name__ == "__main__":
    main()
