"""Options that several `bench` commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memory_r1.bench.operations.managers import ManagerSpec
    from memory_r1.config import Settings

ASKED, MODELS, RUN = "What is asked", "Models and limits", "How it runs"

DATA_HELP = "locomo, longmemeval or msc, each also with :PATH; synthetic:COUNT@SEED; or a .jsonl."

PartOption = Annotated[
    str | None, typer.Option(rich_help_panel=ASKED, help="train, validation, test or all; test where there is one.")
]
ConversationsOption = Annotated[
    str | None, typer.Option(metavar="IDS", rich_help_panel=ASKED, help="Only these, e.g. conv-41,conv-42.")
]
SessionsOption = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=ASKED, help="Read the first so many of each; ask what they have evidence for."),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, rich_help_panel=ASKED, help="Only so many questions, drawn by category.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", rich_help_panel=MODELS, help="bundled, a path or hub id, http://HOST/v1#NAME."),
]
EmbedderOption = Annotated[
    str | None, typer.Option(metavar="NAME", rich_help_panel=MODELS, help="minilm, hash, a path or hub id.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", rich_help_panel=RUN, help="Completions, facts and vectors are kept here between runs."
    ),
]
RunJsonOption = Annotated[bool, typer.Option("--json", rich_help_panel=RUN, help="Print JSON for programs to read.")]


def named_ids(text: str | None) -> list[str]:
    """The ids in a list with commas.

    Example:
        >>> named_ids("conv-41, conv-42")
        ['conv-41', 'conv-42']
    """
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def managers_cache(
    specs: Sequence[ManagerSpec], settings: Settings, cache: Path | None, *, reader: bool = False
) -> Path:
    """The folder for what the agents' model writes; the bundled model is fetched if a manager or a reader needs it."""
    from memory_r1.bench.operations.managers import needs_model
    from memory_r1.cli.output import console
    from memory_r1.lm.bundled import cache_folder

    if (reader or needs_model(specs)) and settings.model == "bundled":
        from memory_r1.cli.fetch import fetch_bundled

        fetch_bundled(console(stderr=True))
    return Path(cache or cache_folder() / "bench").expanduser()
