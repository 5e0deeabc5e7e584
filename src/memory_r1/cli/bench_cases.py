"""`bench cases`: small dramas, written by hand, that a Memory Manager must get right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_r1.cli.bench_options import CacheOption, EmbedderOption, ModelOption, RunJsonOption, managers_cache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memory_r1.rl.cases import Played


def cases(
    managers: Annotated[
        list[str] | None,
        typer.Option(
            "--manager",
            "-m",
            metavar="[NAME=]WHAT",
            help="add-all, untrained, shipped, or an adapter's folder; repeatable. By default the first three.",
        ),
    ] = None,
    model: ModelOption = None,
    embedder: EmbedderOption = None,
    cache: CacheOption = None,
    as_json: RunJsonOption = False,
) -> None:
    """Let Memory Managers rule on cases written by hand, and check the bank that each leaves, however it is worded.

    "Buddy, then Scout" is the first of them. None of their words come from the synthetic conversations.
    """
    from memory_r1.bench.operations.managers import ADD_ALL, GOLD, UNTRAINED, open_managers, read_managers
    from memory_r1.cli.output import print_json
    from memory_r1.config import load_settings
    from memory_r1.errors import ConfigError
    from memory_r1.parts import build_embedder
    from memory_r1.rl.bank_state import BankSearch
    from memory_r1.rl.cases import play_cases

    settings = load_settings(model=model, embedder=embedder)
    specs = [one for one in read_managers(managers or (), settings.model) if managers or one.what != GOLD]
    if any(one.what == GOLD for one in specs):
        hint = f"Choose from: {ADD_ALL}, {UNTRAINED}, shipped, and the folder of an adapter."
        raise ConfigError("The cases have no gold operations: several may be right.", hint=hint)
    place = managers_cache(specs, settings, cache)
    embeds = build_embedder(settings)
    search = BankSearch(embeds)
    try:
        with open_managers(specs, settings, place, embeds) as rulers:
            played = {one.name: play_cases(one.rule, search) for one in rulers}
    finally:
        search.close()
    if as_json:
        print_json({name: _as_json(found) for name, found in played.items()})
    else:
        _show(played)


def _as_json(found: Sequence[Played]) -> dict[str, Any]:
    return {
        "right": sum(one.wrong is None for one in found),
        "cases": [
            {
                "id": one.case.id,
                "why": one.case.why,
                "ruled": str(one.ruling.kind),
                "text": one.ruling.text,
                "raw": one.ruling.raw,
                "wrong": one.wrong,
            }
            for one in found
        ],
    }


def _show(played: Mapping[str, Sequence[Played]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from memory_r1.cli.output import console, shown

    screen = console()
    for name, found in played.items():
        table = Table(box=None, pad_edge=False, title=name, title_justify="left", title_style="bold")
        for column in ("case", "ruled", "outcome"):
            table.add_column(column)
        for one in found:
            outcome = (
                Text("right", "green") if one.wrong is None else Text.assemble(("wrong: ", "red"), shown(one.wrong))
            )
            table.add_row(Text.assemble(one.case.id, "  ", (one.case.why, "dim")), str(one.ruling.kind), outcome)
        screen.print(table)
        screen.print(f"{sum(one.wrong is None for one in found)} of {len(found)} right")
        screen.print()
