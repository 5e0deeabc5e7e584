"""The trained policies that come with the package: LoRA adapters for the bundled language model, each with its card.

They were trained by `memory-r1 train`; the cards (`README.md` in each folder) give data, commands, seeds and scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from memory_r1.lm.adapters import CONFIG_FILE

Agent = Literal["extractor", "manager", "answerer"]

AGENTS: tuple[Agent, ...] = ("extractor", "manager", "answerer")
"""Who may have a policy, and what its adapter is called."""

NONE = "none"
"""Named instead of a folder: the agent runs on the base model."""

_HERE = Path(__file__).parent


def shipped() -> dict[str, str]:
    """Folders of the shipped policies by agent.

    Example:
        >>> sorted(set(shipped()) - set(AGENTS))
        []
    """
    return {agent: str(_HERE / agent) for agent in AGENTS if (_HERE / agent / CONFIG_FILE).is_file()}


def chosen(model: str, named: Mapping[Agent, str]) -> dict[str, str]:
    """The adapters that a model runs with: those named, and the shipped ones for the rest if it is the bundled model.

    Args:
        model: The model as the settings name it.
        named: Folders by agent; `none` for the base model.

    Example:
        >>> chosen("bundled", dict.fromkeys(AGENTS, "none"))
        {}
        >>> chosen("openai:gpt-4o-mini", {})
        {}
    """
    adapters = shipped() if model == "bundled" else {}
    adapters.update({str(agent): folder for agent, folder in named.items()})
    return {agent: folder for agent, folder in adapters.items() if folder != NONE}
