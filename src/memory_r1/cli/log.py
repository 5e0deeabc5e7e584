"""`log`, `history` and `undo`: what was done, why, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_r1.cli.options import BankOptions

if TYPE_CHECKING:
    from rich.console import Console

    from memory_r1.bank.operation import Operation

SHOWN = 20


def log(
    options: BankOptions,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = SHOWN,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    why: Annotated[bool, typer.Option("--why", help="Show what the manager saw and said.")] = False,
) -> None:
    """Show the operations of a scope, the newest last."""
    from memory_r1.cli.output import console, note, print_json
    from memory_r1.cli.render import operation_dict, operation_line

    with options.open() as memory:
        operations = memory.log(**options.scope, limit=None if everything else limit, newest_first=True)[::-1]
    if options.as_json:
        print_json({"operations": [operation_dict(operation) for operation in operations]})
        return
    out = console()
    for operation in operations:
        out.print(operation_line(f"#{operation.seq}", operation, two_lines=out.is_terminal))
        if why:
            _print_reasons(out, operation)
    if not operations:
        note("Nothing has happened in this scope.")


def history(
    options: BankOptions,
    memory_id: Annotated[str, typer.Argument(metavar="MEMORY", help="Id of a memory, or its beginning.")],
) -> None:
    """Show what happened to one memory, oldest first."""
    from rich.text import Text

    from memory_r1.bank.operation import OperationKind
    from memory_r1.cli import refs
    from memory_r1.cli.output import console, print_json, shown
    from memory_r1.cli.render import kind_label, log_line
    from memory_r1.errors import NotFoundError

    with options.open() as memory:
        rows = memory.history(refs.memory_id(memory, options.scope, memory_id))
    if not rows:
        raise NotFoundError(f"No memory has the id {memory_id!r}.", hint="`memory-r1 list` shows ids.")
    if options.as_json:
        print_json({"history": rows})
        return
    out = console()
    for row in rows:
        text = Text.assemble((f"{row['updated_at'][:16].replace('T', ' ')}  ", "dim"))
        text.append(shown(row["new_memory"] or row["old_memory"] or "(text erased)"))
        version = f"v{row['version']}" if row["version"] else "-"
        out.print(log_line(version, kind_label(OperationKind(row["event"])), text, lead_width=3))


def undo(
    options: BankOptions,
    operation: Annotated[
        str | None, typer.Argument(metavar="[OPERATION]", help="#number or id, as `log` shows it.")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest operation of the scope.")] = False,
    cascade: Annotated[bool, typer.Option(help="Take back later operations on the same memory too.")] = False,
) -> None:
    """Take an operation back. An undo can be undone."""
    from memory_r1.cli import refs
    from memory_r1.cli.output import console, print_json
    from memory_r1.cli.render import operation_dict, operation_line
    from memory_r1.errors import InvalidInputError, NotFoundError

    if (operation is None) != last:
        raise InvalidInputError("Name one operation to undo, or say --last.", hint="`memory-r1 log` lists them.")
    with options.open() as memory:
        if operation is None:
            newest = memory.log(**options.scope, limit=1, newest_first=True)
            if not newest:
                raise NotFoundError("Nothing has happened in this scope, so nothing can be undone.")
            wanted = newest[0].id
        else:
            wanted = refs.operation_id(memory, options.scope, operation)
        undone = memory.undo(wanted, cascade=cascade)
    if options.as_json:
        print_json({"operations": [operation_dict(one) for one in undone]})
        return
    out = console()
    for one in undone:
        out.print(operation_line(f"#{one.seq}", one))


def _print_reasons(out: Console, operation: Operation) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from memory_r1.cli.output import shown

    def tell(label: str, value: Any) -> None:
        out.print(Padding(Text.assemble((f"{label}: ", "dim"), shown(str(value))), (0, 0, 0, 8), expand=False))

    tell("at", operation.at.isoformat(timespec="seconds"))
    tell("by", operation.actor)
    if operation.memory_id:
        tell("memory", operation.memory_id)
    if operation.undoes:
        tell("undoes", operation.undoes)
    if decision := operation.decision:
        tell("fact", decision.fact.text)
        if turn := decision.fact.provenance.turn_id:
            tell("turn", turn)
        tell("saw", ", ".join(f"{one.memory_id[:8]} v{one.version}" for one in decision.candidates) or "nothing")
        if decision.raw:
            tell("said", decision.raw)
        if decision.rejected:
            tell("rejected", decision.rejected)
        if decision.doubted:
            tell("doubted", decision.doubted)
        if decision.policy:
            tell("policy", decision.policy)
