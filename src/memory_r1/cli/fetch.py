"""Gets hold of language models: makes the one in use, and fetches the bundled one with progress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from memory_r1.config import Settings
    from memory_r1.lm.base import LanguageModel

STAGES = {
    "wait": "waiting for another process",
    "download": "downloading",
    "verify": "checking",
    "unpack": "unpacking",
    "convert": "converting",
}
"""What the stages of a fetch are called on the screen."""


def fetch_bundled(out: Console) -> Path:
    """The folder of the bundled language model; if it is not cached, it is fetched while `out` shows how far it is.

    Raises:
        ModelError: It cannot be fetched.
    """
    from memory_r1.lm.bundled import NAME, bundled_model_path, bundled_status

    status = bundled_status()
    if status.state == "ready":
        return status.path
    again = f" ({status.problem})" if status.problem else ""
    if not out.is_terminal:
        out.print(f"Fetching the language model {NAME} once{again} ...")
        return bundled_model_path()
    return _fetch_live(out, f"Fetching the language model {NAME} once{again}")


def make_model(settings: Settings) -> LanguageModel:
    """The language model that the settings name, not loaded yet.

    Raises:
        ConfigError: They name none.
    """
    from memory_r1.lm.factory import make_lm
    from memory_r1.policies import chosen

    adapters = chosen(settings.model, settings.adapters)
    return make_lm(settings.model, adapters=adapters, base_url=settings.base_url, api_key=settings.api_key)


def _fetch_live(out: Console, title: str) -> Path:
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from memory_r1.lm.bundled import bundled_model_path

    out.print(title)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task, current = bar.add_task("starting", total=None), ""

        def show(stage: str, done: int, total: int) -> None:
            nonlocal current
            if stage != current:
                current = stage
                bar.reset(task, description=STAGES.get(stage, stage), total=total or None)
            bar.update(task, completed=done, total=total or None)

        return bundled_model_path(show)
