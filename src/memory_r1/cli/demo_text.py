"""The pieces of a demo's screen: header, answers, summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from memory_r1.bank.operation import OperationKind
from memory_r1.cli.output import shown
from memory_r1.cli.render import COLOURS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from memory_r1.data.conversation import Conversation
    from memory_r1.demo.report import Asked, DemoReport

DECIDED = (OperationKind.ADD, OperationKind.UPDATE, OperationKind.DELETE, OperationKind.NOOP)
GOOD, FAIR = 0.8, 0.3
NO_GOLD = "(the conversation does not say)"


def session_titles(conversation: Conversation) -> dict[str, str]:
    """Title of the session that holds a turn, by turn id."""
    return {
        turn.id: f"{session.id} · {session.time.day} {session.time:%B %Y}" if session.time else session.id
        for session in conversation.sessions
        for turn in session.turns
    }


def header(conversation: Conversation, model: str, store: str) -> RenderableType:
    """What is read, by which model, into which store."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    people = " and ".join(shown(speaker) for speaker in conversation.speakers)
    numbers = {
        "session": len(conversation.sessions),
        "turn": len(conversation.turns),
        "question": len(conversation.questions),
    }
    counts = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in numbers.items() if number)
    grid.add_row("conversation", Text(f"{shown(conversation.id)}: {people}, {counts}"))
    grid.add_row("model", Text(shown(model)))
    grid.add_row("store", Text(shown(store)))
    return grid


def answer_block(asked: Asked) -> RenderableType:
    """A question, its answer beside the gold answer, and the memories that were distilled."""
    question, result = asked.question, asked.result
    head = Text.assemble((shown(question.text), "bold"), (f"  {question.category}", "dim"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("answer", Text(shown(result.text), style=_colour(asked.f1)))
    grid.add_row("gold", Text.assemble(shown(question.answer or NO_GOLD), (f"   F1 {asked.f1:.2f}", _colour(asked.f1))))
    kept = result.distilled
    label = f"kept {len(kept)}/{len(result.memories)}"
    for place, record in enumerate(kept):
        turn = f"{record.provenance.turn_id}  " if record.provenance.turn_id else ""
        grid.add_row(label if place == 0 else "", Text.assemble((turn, "cyan"), shown(record.text), style="dim"))
    if not kept:
        grid.add_row(label, Text("no memory", style="dim"))
    return Group(head, Padding(grid, (0, 0, 1, 2), expand=False))


def summary(report: DemoReport) -> RenderableType:
    """Operations by kind beside scores by category, then time and tokens by stage."""
    beside = Table.grid(padding=(0, 4))
    beside.add_row(_operations(report), *([_scores(report)] if report.asked else []))
    notes = []
    if report.ingest.rejected:
        notes.append("! the manager's output could not be used; the fact was added as it is")
    if report.ingest.fallbacks:
        notes.append("extraction fallback: the extractor's output could not be used; the turn was kept as it is")
    return Group(beside, _stages(report), *(Text(note, style="dim") for note in notes))


def _operations(report: DemoReport) -> Table:
    table = _table("operations", "")
    for kind in DECIDED:
        table.add_row(Text(kind.value, style=COLOURS[kind]), str(report.ingest.operations[kind]))
    table.add_section()
    table.add_row("rejected !", str(report.ingest.rejected))
    table.add_row("extraction fallback", str(report.ingest.fallbacks))
    table.add_row("facts", str(report.ingest.facts))
    table.add_row("turns", str(report.ingest.turns))
    table.add_row(Text("memories", style="bold"), Text(str(report.bank_size), style="bold"))
    return table


def _scores(report: DemoReport) -> Table:
    table = _table("answers", "n", "F1", "EM")
    rows = report.scores()
    for row in rows:
        if row is rows[-1]:
            table.add_section()
        table.add_row(row.category, str(row.questions), Text(f"{row.f1:.2f}", style=_colour(row.f1)), f"{row.em:.2f}")
    return table


def _stages(report: DemoReport) -> Table:
    table = _table("time and tokens", "s", "calls", "prompt", "cached", "new")
    usage = report.usage()
    for stage, seconds in report.seconds().items():
        cost = usage.get(stage)
        numbers = (cost.calls, cost.prompt_tokens, cost.cached_tokens, cost.completion_tokens) if cost else ()
        table.add_row(stage, f"{seconds:.1f}", *(f"{number:,}" for number in numbers))
    table.add_section()
    total = sum(usage.values(), start=type(report.answering)())
    numbers = (total.calls, total.prompt_tokens, total.cached_tokens, total.completion_tokens)
    table.add_row("total", f"{report.total_seconds:.1f}", *(f"{number:,}" for number in numbers))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title, box=SIMPLE_HEAD, pad_edge=False, header_style="bold", border_style="dim")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _colour(score: float) -> str:
    return "green" if score >= GOOD else "yellow" if score >= FAIR else "red"
