"""`bench publish`: a run's scores without its data, for a public repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def publish(
    folder: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where the copy goes.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="In place of a copy that is there.")] = False,
) -> None:
    """Copy a run without a word of its data: scores and costs of every question by its id, and the report's tables.

    Questions, answers and gold answers become hashes; memories and evidence are left out. `bench compare` and
    `bench seeds` read the copy like any run.
    """
    from memory_r1.bench.publish import publish_run
    from memory_r1.bench.run_folder import BenchFolder
    from memory_r1.cli.output import console, shown

    publish_run(BenchFolder(folder), BenchFolder(to), replace=replace)
    console().print(f"Wrote {shown(str(to))}", markup=False)
