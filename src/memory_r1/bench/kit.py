"""The kit of a run: what `Kit` says, and what the run knows about its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from memory_r1.bench.system import Kit
from memory_r1.errors import ConfigError

ANSWERER, MANAGER, EXTRACTOR = "answerer", "manager", "extractor"
AGENTS = (EXTRACTOR, MANAGER, ANSWERER)
"""The agents that an adapter may be for."""


@dataclass(frozen=True, slots=True)
class RunKit(Kit):
    """A kit whose language model knows each adapter of `adapters` by its agent's name."""

    facts: Path | None = None
    """Where facts are kept between runs; None: nowhere."""
    identity: str = ""
    """Which language model it is, weights included."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each adapter, by agent."""


def adapter_of(kit: Kit, agent: str) -> str | None:
    """What to pass as `adapter` for an agent: its name if the kit has a trained policy for it."""
    return agent if agent in kit.adapters else None


def policies_told(kit: Kit, agents: tuple[str, ...]) -> str:
    """Which of some agents are trained, in words.

    Example:
        >>> from memory_r1.testing import HashEmbedder, ScriptedLM
        >>> kit = Kit(ScriptedLM(), HashEmbedder(), Path("."), adapters={"manager": "runs/manager/adapter"})
        >>> policies_told(kit, ("manager", "answerer"))
        'manager trained, answerer untrained'
    """
    hashes = kit.hashes if isinstance(kit, RunKit) else {}

    def told(agent: str) -> str:
        if agent not in kit.adapters:
            return f"{agent} untrained"
        return f"{agent} trained (adapter {hashes[agent][:8]})" if agent in hashes else f"{agent} trained"

    return ", ".join(map(told, agents))


def read_options(kit: Kit, **defaults: str) -> dict[str, str]:
    """A system's options, with defaults for those that were not given.

    Raises:
        ConfigError: One is unknown.
    """
    if unknown := sorted(set(kit.options) - set(defaults)):
        known = ", ".join(sorted(defaults)) or "none"
        raise ConfigError(f"The option {unknown[0]!r} is unknown to this system.", hint=f"It knows: {known}.")
    return {**defaults, **kit.options}


def positive(value: str, what: str) -> int:
    """An option that is a positive whole number.

    Raises:
        ConfigError: It is something else.
    """
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"{what}={value} is not a positive whole number.")
    return int(value)
