"""How memories and operations look, for people (rich) and for programs (dictionaries)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memory_r1.bank.operation import OperationKind
from memory_r1.cli.output import shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from memory_r1.agents.results import Usage
    from memory_r1.bank.memory import MemoryRecord
    from memory_r1.bank.operation import Operation
    from memory_r1.curator import PlannedOperation

COLOURS = {
    OperationKind.ADD: "green",
    OperationKind.UPDATE: "yellow",
    OperationKind.DELETE: "red",
    OperationKind.NOOP: "bright_black",
    OperationKind.UNDO: "magenta",
    OperationKind.ERASE: "bold red",
}

SHORT_ID = 8


def what_changed(
    kind: OperationKind,
    before: MemoryRecord | None,
    after: MemoryRecord | None,
    fact: str = "",
    *,
    two_lines: bool = False,
) -> Text:
    """An operation's effect: the new text, and what it replaces, or the text it retires.

    Args:
        kind: What was done.
        before: The memory's state before.
        after: The memory's state after.
        fact: What the manager was told; why a memory went, and all there is to say of a NOOP without a memory.
        two_lines: Put a new text below the one it replaces.
    """
    from rich.text import Text

    old = shown(before.text) if before and before.live else ""
    new = shown(after.text) if after and after.live else ""
    fact = shown(fact)
    if old and new and old != new:
        return Text.assemble((old, "strike dim"), ("\n→ " if two_lines else " → ", "dim"), new)
    if kind is OperationKind.NOOP:
        known = f" (known: {old})" if old and old != fact else ""
        return Text.assemble((fact or old, "dim"), (known, "dim"))
    if old and not new:
        why = f" (because: {fact})" if fact and fact != old else ""
        return Text.assemble((old, "strike"), (why, "dim"))
    return Text(new or old or ("(text erased)" if kind is OperationKind.ERASE else "(text gone)"))


def kind_label(kind: OperationKind, *, rejected: bool = False) -> Text:
    """The coloured name of an operation; `!` marks a decision that could not be used."""
    from rich.text import Text

    return Text(f"{kind.value}{' !' if rejected else ''}", style=COLOURS[kind])


def operation_line(lead: str, operation: Operation, *, two_lines: bool = False) -> RenderableType:
    """One line of the log, its text wrapped beside its kind."""
    rejected = bool(operation.decision and operation.decision.rejected)
    fact = operation.decision.fact.text if operation.decision else ""
    return log_line(
        lead,
        kind_label(operation.kind, rejected=rejected),
        what_changed(operation.kind, operation.before, operation.after, fact, two_lines=two_lines),
    )


def planned_line(lead: str, planned: PlannedOperation) -> RenderableType:
    """One planned operation, as it would stand in the log."""
    return log_line(
        lead,
        kind_label(planned.kind, rejected=planned.ruling.rejected is not None),
        what_changed(planned.kind, planned.before, planned.after, planned.fact.text),
    )


def log_line(lead: str, label: Text, text: Text, *, lead_width: int = 7) -> RenderableType:
    """Three columns: where, what, and the text, which alone wraps."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=max(lead_width, len(lead)), no_wrap=True, style="cyan")
    grid.add_column(width=8, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(shown(lead), label, text)
    return grid


def event_line(result: Mapping[str, Any]) -> RenderableType:
    """One result of `Memory.add`, as it stands in the log."""
    from rich.text import Text

    text = Text(shown(result["memory"]))
    if "previous_memory" in result:
        text = Text.assemble((shown(result["previous_memory"]), "strike dim"), (" → ", "dim"), text)
    label = kind_label(OperationKind(result["event"]), rejected="rejected" in result)
    return log_line(str(result["id"] or "-")[:SHORT_ID], label, text, lead_width=SHORT_ID)


def operation_dict(operation: Operation) -> dict[str, Any]:
    """An operation as JSON, with everything it carries."""
    from memory_r1.bank.codec import encode_decision

    return {
        "seq": operation.seq,
        "id": operation.id,
        "kind": operation.kind.value,
        **operation.scope.as_dict(),
        "at": operation.at.isoformat(),
        "memory_id": operation.memory_id,
        "before": operation.before and record_dict(operation.before),
        "after": operation.after and record_dict(operation.after),
        "decision": operation.decision and encode_decision(operation.decision),
        "undoes": operation.undoes,
        "actor": operation.actor,
        "idempotency_key": operation.idempotency_key,
    }


def planned_dict(planned: PlannedOperation) -> dict[str, Any]:
    """A planned operation as JSON."""
    return {
        "kind": planned.kind.value,
        "fact": planned.fact.text,
        "before": planned.before and record_dict(planned.before),
        "after": planned.after and record_dict(planned.after),
        "candidates": [record_dict(memory) for memory in planned.candidates],
        "raw": planned.ruling.raw,
        "rejected": planned.ruling.rejected,
        "policy": planned.ruling.policy,
        "usage": usage_dict(planned.ruling.usage),
    }


def record_dict(record: MemoryRecord) -> dict[str, Any]:
    """A memory as JSON."""
    from memory_r1.bank.codec import encode_record

    return {"id": record.id, **record.scope.as_dict(), **encode_record(record)}


def usage_dict(usage: Usage) -> dict[str, Any]:
    """What model calls cost, as JSON."""
    from dataclasses import asdict

    return {**asdict(usage), "seconds": round(usage.seconds, 3)}


def usage_line(usages: Sequence[Usage]) -> str:
    """What model calls cost, in words.

    Example:
        >>> from memory_r1.agents.results import Usage
        >>> usage_line([Usage(2, 300, 200, 40, 1.25)])
        '2 calls, 300 prompt tokens (200 cached), 40 completion tokens, 1.2 s'
    """
    from memory_r1.agents.results import Usage

    total = sum(usages, Usage())
    if not total.calls:
        return "no model was called"
    return (
        f"{total.calls} {'call' if total.calls == 1 else 'calls'}, {total.prompt_tokens:,} prompt tokens "
        f"({total.cached_tokens:,} cached), {total.completion_tokens:,} completion tokens, {total.seconds:.1f} s"
    )
