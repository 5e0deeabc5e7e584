"""Installs the real packages that take part, each into a virtual environment of its own.

    python -m memory_r1.bench.baselines.real.install mem0 langmem

The environments go into the user's cache folder (or `MEMORY_R1_CACHE`), under `rivals`.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from memory_r1.errors import ConfigError
from memory_r1.lm.bundled import cache_folder

_COMPLETE = ".complete"
_MODULE = "memory_r1.bench.baselines.real.install"


@dataclass(frozen=True, slots=True)
class Package:
    """A package and what is installed for it, at the versions that the adapter was written for."""

    name: str
    """As on the package index."""
    version: str
    requirements: tuple[str, ...]


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "mem0": Package("mem0ai", "2.2.1", ("mem0ai==2.2.1", "qdrant-client==1.20.0")),
        "langmem": Package("langmem", "0.0.30", ("langmem==0.0.30", "langgraph==1.2.22", "numpy")),
    }
)
"""The packages that can take part, by the name of their system."""


def environments() -> Path:
    """The folder with an environment for each package."""
    return cache_folder() / "rivals"


def python_of(name: str) -> Path:
    """The Python of a package's environment.

    Raises:
        ConfigError: It is not installed; the hint is the command that does it.
    """
    home = environments() / _known(name)
    if not (home / _COMPLETE).exists():
        raise ConfigError(
            f"The package {PACKAGES[name].name} is not installed for the benchmark.",
            hint=f"Run `python -m {_MODULE} {name}` once; it gets an environment of its own.",
        )
    return _python(home)


def install(name: str, *, report: Callable[[str], None] | None = None) -> Path:
    """Make a package's environment, if it is not there.

    Args:
        name: A name in `PACKAGES`.
        report: Told what is going on, a line each.

    Returns:
        The environment's Python.

    Raises:
        ConfigError: There is no such package, or pip failed.
    """
    say = report or (lambda line: None)
    home = environments() / _known(name)
    requirements = PACKAGES[name].requirements
    if (home / _COMPLETE).exists():
        say(f"{name}: already in {home}")
        return _python(home)
    say(f"{name}: installing {', '.join(requirements)} into {home}")
    home.parent.mkdir(parents=True, exist_ok=True)
    venv.create(home, with_pip=True, clear=True)
    pip = [str(_python(home)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        why = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it does not say why")
        raise ConfigError(f"pip could not install {', '.join(requirements)}: {why}", hint="Check the network.")
    (home / _COMPLETE).touch()
    say(f"{name}: done")
    return _python(home)


def _known(name: str) -> str:
    if name not in PACKAGES:
        raise ConfigError(f"There is no package {name!r} to install.", hint=f"Known: {', '.join(PACKAGES)}.")
    return name


def _python(home: Path) -> Path:
    return home / "Scripts" / "python.exe" if os.name == "nt" else home / "bin" / "python"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: names of packages, or none for all."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description="Install real packages to compare with.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PACKAGES)}; all if none is given")
    names = parser.parse_args(arguments).names or list(PACKAGES)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for name in names:
            install(name, report=logging.getLogger(__name__).info)
    except ConfigError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
