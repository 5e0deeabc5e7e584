"""`models`: which language models and adapters there are, and fetching the bundled one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from memory_r1.lm.bundled import BundledStatus

app = typer.Typer(help="List models and adapters; fetch the bundled language model.", no_args_is_help=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")]


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List models and adapters; fetch the bundled language model."""
    if context.invoked_subcommand is not None:
        return
    from memory_r1.cli.output import print_json
    from memory_r1.config import load_settings
    from memory_r1.lm.bundled import bundled_status
    from memory_r1.policies import chosen

    settings = load_settings()
    found = {
        "model": settings.model,
        "adapters": chosen(settings.model, settings.adapters),
        "embedder": settings.embedder,
        "bundled": _status(bundled_status()),
        "hub_cache": _hub_cache(),
    }
    if as_json:
        print_json(found)
    else:
        _print(found)


@app.command()
def fetch(as_json: AsJson = False) -> None:
    """Fetch the bundled language model into the cache, if it is not there."""
    from memory_r1.cli.fetch import fetch_bundled
    from memory_r1.cli.output import console, note, print_json
    from memory_r1.lm.bundled import bundled_status

    path = fetch_bundled(console(stderr=True))
    if as_json:
        print_json(_status(bundled_status()))
    else:
        note(f"The bundled language model is in {path}")


def _status(status: BundledStatus) -> dict[str, Any]:
    from memory_r1.lm.bundled import NAME

    return {
        "name": NAME,
        "state": status.state,
        "path": str(status.path),
        "bytes": status.size,
        "problem": status.problem,
    }


def _hub_cache() -> list[dict[str, Any]]:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    return sorted(
        (
            {"name": one.repo_id, "bytes": one.size_on_disk, "path": str(one.repo_path)}
            for one in repositories
            if one.repo_type == "model"
        ),
        key=lambda model: str(model["name"]),
    )


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from memory_r1.cli.checks import size
    from memory_r1.cli.output import console, shown

    bundled = found["bundled"]
    advice = "" if bundled["state"] == "ready" else "  → memory-r1 models fetch"
    rows = [
        ("in use", f"{found['model']}, embedder {found['embedder']}"),
        *((f"adapter {agent}", folder) for agent, folder in found["adapters"].items()),
        ("bundled", f"{bundled['name']}: {bundled['state']}, {size(bundled['bytes'])}, {bundled['path']}{advice}"),
        *(("hub cache", f"{model['name']}: {size(model['bytes'])}, {model['path']}") for model in found["hub_cache"]),
    ]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(label, Text(shown(value)))
    console().print(grid)
