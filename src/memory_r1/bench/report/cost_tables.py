"""The tables that say what the answers rest on and what they took."""

from __future__ import annotations

from collections import Counter

from memory_r1.bench.report.costs import Spent, kinds_of, spent_by
from memory_r1.bench.report.document import NOTHING, Cell, Column, Table, count_cell, score_cell, seconds_cell
from memory_r1.bench.report.evidence import found_by
from memory_r1.bench.report.run import MOST_ERRORS, Run, SystemRun
from memory_r1.bench.report.score_tables import name_cell
from memory_r1.bench.retrieval_scores import CUTS

_SYSTEM = Column("system", number=False)


def retrieval(run: Run) -> Table:
    """What the reader was given, and what it kept."""
    cuts = [f"recall@{cut}" for cut in CUTS]
    distilled = ("kept_precision", "kept_recall", "kept_f1")
    rows = []
    for system in run.systems:
        found = found_by(system)
        rows.append(
            (
                name_cell(system),
                count_cell(found.given, 1),
                *(score_cell(found.scores.get(cut)) for cut in cuts),
                count_cell(found.kept, 1),
                *(score_cell(found.scores.get(name)) for name in distilled),
            )
        )
    columns = (
        _SYSTEM,
        *(Column(name, group="given to the reader") for name in ("memories", *cuts)),
        *(Column(name, group="kept by the reader") for name in ("memories", "precision", "recall", "F1")),
    )
    return Table(
        "Evidence among the memories",
        columns,
        tuple(rows),
        notes=(
            "Memories: mean a question. Recall@k: share of a question's evidence turns that the first k "
            "memories come from. Precision: share of the kept memories that come from an evidence turn. Over "
            f"answerable questions that name evidence; {NOTHING} where a system does not know its memories' turns, or "
            "keeps none.",
        ),
    )


def bank(run: Run) -> Table:
    """Size of the banks, and the operations that made them."""
    bills = [spent_by(system) for system in run.systems]
    kinds = kinds_of(bills)
    rows = tuple(
        (
            name_cell(system),
            count_cell(bill.conversations),
            count_cell(bill.memories_each, 1),
            count_cell(bill.memories if bill.conversations else None),
            count_cell(bill.characters / bill.memories if bill.memories else None, 0),
            *(count_cell(bill.operations[kind] if bill.operations else None) for kind in kinds),
        )
        for system, bill in zip(run.systems, bills, strict=True)
    )
    columns = (
        _SYSTEM,
        Column("conversations"),
        *(Column(name, group="memories") for name in ("a conversation", "in all", "characters each")),
        *(Column(kind, group="operations") for kind in kinds),
    )
    return Table("The bank after reading", columns, rows)


def effort(run: Run) -> Table:
    """Tokens, calls and seconds, for reading and for answering."""
    rows = tuple(_effort(system, spent_by(system)) for system in run.systems)
    columns = (
        _SYSTEM,
        *(Column(name, group="reading") for name in ("LM calls", "tokens", "tokens a turn", "s an add, p50", "p95")),
        *(
            Column(name, group="answering")
            for name in ("LM calls", "tokens", "tokens an answer", "s an answer, p50", "p95")
        ),
    )
    return Table(
        "Tokens, calls and seconds",
        columns,
        rows,
        notes=(
            "Tokens are prompt and completion together. Seconds are wall time on the machine of this run, embedder and "
            "store included; p50 is the median, p95 what 95 of 100 stay under. An add is a turn or a fact, as the "
            "system works.",
        ),
    )


def _effort(system: SystemRun, bill: Spent) -> tuple[Cell, ...]:
    read = bill.conversations > 0
    adds, answers = bill.add_seconds or (None, None), bill.answer_seconds or (None, None)
    return (
        name_cell(system),
        count_cell(bill.reading.calls if read else None),
        count_cell(bill.reading.prompt_tokens + bill.reading.completion_tokens if read else None),
        count_cell(bill.tokens_a_turn),
        seconds_cell(adds[0]),
        seconds_cell(adds[1]),
        count_cell(bill.answering.calls),
        count_cell(bill.answering.prompt_tokens + bill.answering.completion_tokens),
        count_cell(bill.tokens_an_answer),
        seconds_cell(answers[0]),
        seconds_cell(answers[1]),
    )


def errors(run: Run) -> tuple[Table, ...]:
    """On how many questions each system raised, and what was raised; nothing if none did."""
    raised = [system for system in run.systems if system.errors]
    if not raised:
        return ()
    counts = tuple(
        (
            name_cell(system),
            count_cell(len(system.predictions)),
            count_cell(len(system.errors)),
            Cell(
                f"{100 * len(system.errors) / len(system.predictions):.1f} %",
                f"more than {100 * MOST_ERRORS:.0f} %: failed" if system.failed else "",
                order=len(system.errors) / len(system.predictions),
                warning=system.failed,
            ),
        )
        for system in raised
    )
    said = tuple(
        (Cell(system.name), count_cell(count), Cell(message))
        for system in raised
        for message, count in Counter(one.error or "" for one in system.errors).most_common(_MOST_MESSAGES)
    )
    return (
        Table(
            "Questions on which a system raised",
            (_SYSTEM, Column("asked"), Column("errors"), Column("share")),
            counts,
            notes=("They are counted here and left out of every score and difference.",),
        ),
        Table("What was raised", (_SYSTEM, Column("times"), Column("error", number=False)), said),
    )


_MOST_MESSAGES = 5
"""Different messages shown for each system, the most frequent first."""
