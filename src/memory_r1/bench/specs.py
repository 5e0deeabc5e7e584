"""Which systems a run compares: read from the command line, found by name, given their adapters and options."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from memory_r1.bench.kit import AGENTS
from memory_r1.bench.system import Kit, System
from memory_r1.errors import ConfigError

EVERYONE = "all"
"""In place of a system's name: all of them."""

Maker = Callable[[Kit], System]
"""A system's class, or a function that makes one."""

_LABELLED = re.compile(r"(?:(?P<label>[^=:]+)=)?(?P<method>[^=]+)")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_ADAPTER = re.compile(r"(?:(?P<label>[^:=]+):)?(?P<agent>\w+)=(?P<folder>.+)")
_OPTION = re.compile(r"(?P<label>[^:=]+):(?P<name>[\w-]+)=(?P<value>.*)")


@dataclass(frozen=True, slots=True)
class Spec:
    """One system of a run."""

    name: str
    """In tables and folders."""
    method: str
    """A name of `SYSTEMS` or `BASELINES`, or `my_module:MySystem`."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """LoRA folder by agent."""
    options: Mapping[str, str] = field(default_factory=dict)


def read_specs(systems: Sequence[str], adapters: Sequence[str] = (), options: Sequence[str] = ()) -> list[Spec]:
    """Read what the command line says of systems.

    Args:
        systems: Each `METHOD`, or `NAME=METHOD` to have one method several times.
        adapters: Each `AGENT=FOLDER` (for the systems whose row is trained), or `NAME:AGENT=FOLDER`; `all` is every
            system. What names a system wins over `all`, and that over what names none.
        options: Each `NAME:OPTION=VALUE`.

    Raises:
        ConfigError: One cannot be read or found, a name is there twice, or an adapter or option names no system.

    Example:
        >>> [spec.name for spec in read_specs(["none", "wide=rag"], options=["wide:k=60"])]
        ['none', 'wide']
        >>> read_specs(["none", "wide=rag"], options=["wide:k=60"])[1].options
        {'k': '60'}
    """
    specs = [_spec(given) for given in systems]
    names = [spec.name for spec in specs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"There are two systems {twice!r}.", hint=f"Name one of them: --system other={twice}.")
    given = [_adapter(text, names) for text in adapters]
    own: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in options:
        match = _OPTION.fullmatch(text)
        if match is None:
            raise ConfigError(f"--option {text} cannot be read.", hint="Write --option SYSTEM:NAME=VALUE.")
        for name in _meant(match["label"], names, f"--option {text}"):
            own[name][match["name"]] = match["value"]
    return [replace(spec, adapters=_adapters_of(spec, given), options=own[spec.name]) for spec in specs]


def find_maker(method: str) -> Maker:
    """What makes a system of a method.

    Raises:
        ConfigError: There is no such method, or its module cannot be imported.
    """
    from memory_r1.bench.baselines import BASELINES
    from memory_r1.bench.systems import SYSTEMS

    if method in SYSTEMS:
        module, _, name = SYSTEMS[method].home.partition(":")
        return cast("Maker", getattr(importlib.import_module(f"memory_r1.bench.systems.{module}"), name))
    if method in BASELINES:
        return BASELINES[method]
    module, colon, name = method.partition(":")
    if not colon or not module or not name:
        known = ", ".join([*SYSTEMS, *BASELINES])
        raise ConfigError(f"There is no system {method!r}.", hint=f"Known: {known}; your own: my_module:MySystem.")
    return _own_maker(module, name)


def weights_hash(folder: str | Path) -> str:
    """SHA-256 of an adapter: its configuration and its weights.

    Raises:
        ConfigError: The folder holds no LoRA adapter.
    """
    from memory_r1.lm.adapters import CONFIG_FILE, WEIGHTS_FILE, check_folder

    checked = check_folder(str(folder), Path(folder).expanduser())
    digest = hashlib.sha256()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        digest.update(hashlib.sha256((checked / name).read_bytes()).digest())
    return digest.hexdigest()


def _spec(given: str) -> Spec:
    match = _LABELLED.fullmatch(given)
    if match is None:
        raise ConfigError(f"--system {given} cannot be read.", hint="Write --system METHOD or --system NAME=METHOD.")
    method = match["method"]
    maker = find_maker(method)
    own = getattr(maker, "name", None)
    label = match["label"] or (own if isinstance(own, str) and ":" in method else method.partition(":")[2] or method)
    if not _LABEL.fullmatch(label) or label == EVERYONE:
        raise ConfigError(f"A system cannot be called {label!r}.", hint="Use letters, digits, '.', '_', '+' and '-'.")
    return Spec(label, method)


def _adapter(text: str, names: Sequence[str]) -> tuple[str | None, str, str]:
    match = _ADAPTER.fullmatch(text)
    if match is None:
        raise ConfigError(f"--adapter {text} cannot be read.", hint="Write AGENT=FOLDER or SYSTEM:AGENT=FOLDER.")
    if match["agent"] not in AGENTS:
        raise ConfigError(f"--adapter {text} names no agent.", hint=f"Agents are: {', '.join(AGENTS)}.")
    if match["label"] is not None:
        _meant(match["label"], names, f"--adapter {text}")
    return match["label"], match["agent"], match["folder"]


def _meant(label: str, names: Sequence[str], text: str) -> Sequence[str]:
    if label == EVERYONE:
        return names
    if label not in names:
        raise ConfigError(f"{text}: there is no system {label!r}.", hint=f"The run has: {', '.join(names)}.")
    return [label]


def _adapters_of(spec: Spec, given: Sequence[tuple[str | None, str, str]]) -> dict[str, str]:
    """What names no system first, so that the more special comes later and wins."""
    trained = getattr(find_maker(spec.method), "policies", ())
    found = {agent: folder for label, agent, folder in given if label is None and agent in trained}
    found.update({agent: folder for label, agent, folder in given if label == EVERYONE})
    found.update({agent: folder for label, agent, folder in given if label == spec.name})
    return found


def _own_maker(module: str, name: str) -> Maker:
    # a console script does not see the folder it is called in
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"There is no module {error.name!r}, which --system {module}:{name} needs.",
            hint="Call the command in the folder of your module, or set PYTHONPATH.",
        ) from error
    except AttributeError as error:
        raise ConfigError(f"--system {module}:{name}: {error}.", hint="Name a class of the module.") from error
    if not callable(found):
        raise ConfigError(f"{module}:{name} is no class.", hint="Name a class that takes a `Kit`.")
    return cast("Maker", found)
