"""Options that many commands share, each declared once.

A command takes an option group as a parameter, e.g. `options: BankOptions`; `expand_options` turns it into the group's
single options for typer and puts them together again before the command runs.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, get_type_hints

import typer

if TYPE_CHECKING:
    from memory_r1.memory import Memory

STORE_PANEL = "Store and models"
SCOPE_PANEL = "Whose memories"

DEFAULT_USER = "me"


class ScopeIds(TypedDict):
    """The ids of a scope as keyword arguments of `Memory`'s methods."""

    user_id: str | None
    agent_id: str | None
    run_id: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class StoreOptions:
    """Which store, and how to print."""

    store: Annotated[
        Path | None,
        typer.Option(help="SQLite file; by default one in your data folder.", rich_help_panel=STORE_PANEL),
    ] = None
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="minilm (default), hash, a path or hub id, or openai:NAME.",
            rich_help_panel=STORE_PANEL,
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")] = False

    def settings(self) -> dict[str, Any]:
        """What was given, by the names of `memory_r1.config.Settings`."""
        return {"store": self.store and str(self.store), "embedder": self.embedder}

    def open(self) -> Memory:
        """Open the memory that the options name."""
        return make_memory(**self.settings())


@dataclasses.dataclass(frozen=True, slots=True)
class BankOptions(StoreOptions):
    """Which bank of the store as well."""

    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            "-u",
            metavar="ID",
            help=f"User; '{DEFAULT_USER}' if no --user, --agent or --run is given.",
            rich_help_panel=SCOPE_PANEL,
        ),
    ] = None
    agent: Annotated[str | None, typer.Option(metavar="ID", help="Agent.", rich_help_panel=SCOPE_PANEL)] = None
    run: Annotated[str | None, typer.Option(metavar="ID", help="Run.", rich_help_panel=SCOPE_PANEL)] = None

    @property
    def scope(self) -> ScopeIds:
        """The ids that were given, or the default user."""
        nobody = self.user is None and self.agent is None and self.run is None
        return {"user_id": DEFAULT_USER if nobody else self.user, "agent_id": self.agent, "run_id": self.run}


@dataclasses.dataclass(frozen=True, slots=True)
class ModelOptions(BankOptions):
    """Which language model as well."""

    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="bundled (default), a path or hub id, openai:NAME, or http://HOST/v1#NAME.",
            rich_help_panel=STORE_PANEL,
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """What was given, by the names of `memory_r1.config.Settings`."""
        return {**StoreOptions.settings(self), "model": self.model}

    def open_with_model(self) -> Memory:
        """Open the memory; a bundled model that is not there yet is fetched first, with progress."""
        from memory_r1.cli.fetch import fetch_bundled
        from memory_r1.cli.output import console
        from memory_r1.config import load_settings

        if load_settings(**self.settings()).model == "bundled":
            fetch_bundled(console(stderr=True))
        return self.open()


def make_memory(**settings: Any) -> Memory:
    """Open a memory; the one place where the command line does."""
    from memory_r1 import Memory

    return Memory(**settings)


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the single options of the option groups among its parameters."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[StoreOptions]] = {}
    own: list[inspect.Parameter] = []
    shared: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        annotation = hints[parameter.name]
        if isinstance(annotation, type) and issubclass(annotation, StoreOptions):
            groups[parameter.name] = annotation
            shared.extend(_parameters_of(annotation))
        else:
            own.append(parameter.replace(annotation=annotation, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            fields = [field.name for field in dataclasses.fields(group)]
            given[name] = group(**{field: given.pop(field) for field in fields})
        command(**given)

    expanded = [*own, *shared]
    run.__signature__ = inspect.Signature(expanded)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in expanded}
    return run


def _parameters_of(group: type[StoreOptions]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(group)
    ]
