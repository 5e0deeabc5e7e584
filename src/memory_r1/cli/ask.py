"""`search`, `ask` and `list`: what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from memory_r1.cli.options import BankOptions, ModelOptions

if TYPE_CHECKING:
    from memory_r1.recall import AnswerResult

Preset = Annotated[
    Literal["auto", "paper"] | None,
    typer.Option(help="How many memories: auto cuts where relevance falls off, paper takes 30 per speaker."),
]
TopK = Annotated[int | None, typer.Option("--top-k", "-k", min=1, help="A fixed number of memories instead.")]


def search(
    options: BankOptions,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    top_k: TopK = None,
    preset: Preset = None,
    threshold: Annotated[float | None, typer.Option(help="Least score, 0 to 1.")] = None,
    filters: Annotated[str | None, typer.Option("--filter", metavar="JSON", help="Condition on metadata.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show how each score came about.")] = False,
) -> None:
    """Find memories, best first."""
    from memory_r1.cli.output import note, print_json
    from memory_r1.cli.remember import parse_object

    where = parse_object(filters, "--filter")
    with options.open() as memory:
        found = memory.search(
            query,
            **options.scope,
            filters=where,
            top_k=top_k,
            preset=preset,
            threshold=threshold,
            explain=explain,
        )
    if options.as_json:
        print_json(found)
        return
    _print_items(found["results"])
    if not found["results"]:
        note("No memory of this scope matches.")


def ask(
    options: ModelOptions,
    question: Annotated[str, typer.Argument(help="The question; '-' reads it from standard input.")],
    top_k: TopK = None,
    preset: Preset = None,
    now: Annotated[str | None, typer.Option(metavar="ISO8601", help="When the question is asked.")] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Answer so often, up to 64 times, and give what the others agree with most (1)."),
    ] = None,
) -> None:
    """Answer a question from memory, and show what the answer rests on."""
    from rich.text import Text

    from memory_r1.cli.output import console, note, print_json, shown
    from memory_r1.cli.remember import read_text
    from memory_r1.cli.render import usage_line

    question = read_text(question)
    with options.open_with_model() as memory:
        answer = memory.answer(question, **options.scope, preset=preset, top_k=top_k, now=now, samples=samples)
    if options.as_json:
        print_json({"question": question, **answer_dict(answer)})
        return
    out = console()
    out.print(Text(shown(answer.text), style="yellow" if answer.abstained else "bold"))
    for record in answer.distilled:
        out.print(Text.assemble(("  · ", "dim"), (shown(record.text), "dim")))
    agreed = "" if answer.agreement is None else f"{100 * answer.agreement:.0f} % agreement; "
    note(f"{agreed}{len(answer.kept)} of {len(answer.memories)} retrieved memories kept; {usage_line([answer.usage])}")


def list_memories(
    options: BankOptions,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, oldest first.")] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="ISO8601", help="The memories as they stood at this time.")
    ] = None,
) -> None:
    """List the memories of a scope, oldest first."""
    from memory_r1 import shapes
    from memory_r1.cli.output import note, print_json

    with options.open() as memory:
        if as_of is None:
            items = memory.get_all(**options.scope, limit=limit)["results"]
        else:
            items = [shapes.item(record) for record in memory.as_of(as_of, **options.scope)][:limit]
    if options.as_json:
        print_json({"results": items})
        return
    _print_items(items)
    if not items:
        note("There is no memory in this scope.")


def answer_dict(answer: AnswerResult) -> dict[str, Any]:
    """An answer as JSON."""
    from memory_r1.cli.render import record_dict, usage_dict

    return {
        "answer": answer.text,
        "abstained": answer.abstained,
        "agreement": answer.agreement,
        "memories": [record_dict(record) for record in answer.memories],
        "kept": list(answer.kept),
        "raw": answer.raw,
        "usage": usage_dict(answer.usage),
        "retrieval_seconds": round(answer.retrieval_seconds, 4),
    }


def _print_items(items: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from memory_r1.cli.output import console, shown
    from memory_r1.cli.render import SHORT_ID

    if not items:
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    if scored := "score" in items[0]:
        grid.add_column(no_wrap=True, style="cyan", justify="right")
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for item in items:
        text = Text(shown(item["memory"]))
        for name, value in cast("dict[str, float]", item.get("score_details", {})).items():
            text.append(f"  {name} {value:.3f}", style="dim")
        score = [f"{item['score']:.3f}"] if scored else []
        grid.add_row(item["id"][:SHORT_ID], *score, _day(item), text)
    console().print(grid)


def _day(item: dict[str, Any]) -> str:
    return str(item.get("event_time") or item["created_at"])[:10]
