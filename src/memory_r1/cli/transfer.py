"""`export`, `import`, `erase` and `reembed`: what moves a bank or removes from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from memory_r1.cli.options import BankOptions, StoreOptions
from memory_r1.errors import InvalidInputError


def export(
    options: BankOptions,
    file: Annotated[Path, typer.Argument(help="Where to write; a JSON Lines file.")],
    everything: Annotated[bool, typer.Option("--all", help="All scopes of the store.")] = False,
) -> None:
    """Write the log of a scope to a file. It holds everything: `import` brings back the same bank and history."""
    from memory_r1.cli.output import note, print_json

    with options.open() as memory:
        count = memory.export(file) if everything else memory.export(file, **options.scope)
    if options.as_json:
        print_json({"operations": count, "file": str(file)})
    else:
        note(f"{count} {_operations(count)} written to {file}")


def import_log(
    options: StoreOptions, file: Annotated[Path, typer.Argument(help="A file that `export` wrote.")]
) -> None:
    """Read an exported file, all of it or nothing; what is already there is passed over."""
    from memory_r1.cli.output import note, print_json

    with options.open() as memory:
        count = memory.import_(file)
    if options.as_json:
        print_json({"operations": count, "file": str(file)})
    else:
        note(f"{count} new {_operations(count)} read from {file}")


def erase(
    options: BankOptions,
    memory_id: Annotated[
        str | None, typer.Argument(metavar="[MEMORY]", help="Id of a memory, or its beginning.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every memory of the scope.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Really delete memories, for privacy: all versions, and their texts in the log. This cannot be undone."""
    from memory_r1.cli import refs
    from memory_r1.cli.output import note, print_json
    from memory_r1.cli.render import operation_dict

    if (memory_id is None) != everything:
        raise InvalidInputError("Name one memory to erase, or say --all.", hint="`memory-r1 list` shows ids.")
    scope = options.scope
    who = ", ".join(f"{name} {value}" for name, value in scope.items() if value)
    _confirm(f"Erase {'everything of ' + who if everything else memory_id}, for good?", yes)
    with options.open() as memory:
        if memory_id is None:
            operations = memory.erase(**scope)
        else:
            operations = memory.erase(refs.memory_id(memory, scope, memory_id), **scope)
    if options.as_json:
        print_json({"operations": [operation_dict(operation) for operation in operations]})
    else:
        note(f"{len(operations)} {'memory' if len(operations) == 1 else 'memories'} erased")


def reembed(options: StoreOptions) -> None:
    """Compute all vectors of the store anew, with the embedder now in use."""
    from memory_r1.cli.output import console, note, print_json
    from memory_r1.config import load_settings
    from memory_r1.reembed import reembed as reembed_store

    settings = load_settings(**options.settings())
    with console(stderr=True).status("embedding") as status:
        count = reembed_store(settings, on_progress=lambda done: status.update(f"embedding: {done:,} texts"))
    if options.as_json:
        print_json({"memories": count, "embedder": settings.embedder, "store": settings.store})
    else:
        note(f"{count} vectors of {settings.store} now come from {settings.embedder}")


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError("This needs a yes.", hint="Add --yes to run it without a terminal.")
    typer.confirm(question, abort=True, err=True)


def _operations(count: int) -> str:
    return "operation" if count == 1 else "operations"
