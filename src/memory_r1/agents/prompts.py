"""The agents' prompts: plain files that a user can read and replace.

A prompt file holds chat messages. `#` lines at its top are comments. A line `=== system ===` (or user, assistant)
begins a message. `$name` is replaced by data; `$$` is a dollar sign. Data is never read as a template, and what an
agent fills in is quoted so that it cannot end its own string, line or message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Literal, cast

from memory_r1.errors import ConfigError
from memory_r1.lm.base import Message

_MARK = re.compile(r"^=== *(\w+) *===[ \t]*$", re.MULTILINE)
_ROLES = ("system", "user", "assistant")
_HOW = "Compare it with the file of this name that comes with memory-r1."


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What may stand in a prompt file."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()


PROMPTS = {
    "extract": Placeholders(frozenset({"turns"}), frozenset({"date", "context"})),
    "select": Placeholders(frozenset({"speaker", "sentences"}), frozenset({"question"})),
    "manage": Placeholders(frozenset({"memories", "fact"}), frozenset({"date", "likeness"})),
    "answer": Placeholders(frozenset({"memories", "question"}), frozenset({"today"})),
}
"""Every prompt by its name (its file is `<name>.txt`) with its placeholders."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: messages with placeholders."""

    messages: tuple[tuple[Literal["system", "user", "assistant"], str], ...]

    @classmethod
    def parse(cls, text: str, placeholders: Placeholders, *, origin: str) -> Prompt:
        r"""Read a prompt file.

        Args:
            text: The file's content.
            placeholders: What it must and may hold.
            origin: The file's name, for errors.

        Raises:
            ConfigError: It has no message, an unknown role, or a wrong, missing or malformed placeholder.

        Example:
            >>> Prompt.parse("=== user ===\nHi $who", Placeholders(frozenset({"who"})), origin="x").render(who="$5")
            [{'role': 'user', 'content': 'Hi $5'}]
        """
        parts = _MARK.split(text)
        if len(parts) == 1 or any(line.strip() and not line.startswith("#") for line in parts[0].splitlines()):
            raise ConfigError(f"{origin} does not begin with a line like '=== system ==='.", hint=_HOW)
        messages = []
        for role, content in zip(parts[1::2], parts[2::2], strict=True):
            if role not in _ROLES:
                raise ConfigError(f"{origin} has a message of the unknown role '{role}'.", hint=f"Use one of {_ROLES}.")
            messages.append((cast("Literal['system', 'user', 'assistant']", role), content.strip()))
        _check_placeholders([content for _, content in messages], placeholders, origin)
        return cls(tuple(messages))

    def render(self, **values: str) -> list[Message]:
        """Fill in the placeholders, each once: what a value holds is never expanded again.

        Raises:
            ConfigError: A placeholder of the prompt has no value.
        """
        try:
            return [Message(role=role, content=Template(text).substitute(values)) for role, text in self.messages]
        except KeyError as error:
            raise ConfigError(f"The prompt's placeholder ${error.args[0]} has no value.") from error


def _check_placeholders(contents: list[str], placeholders: Placeholders, origin: str) -> None:
    found: set[str] = set()
    for content in contents:
        template = Template(content)
        if not template.is_valid():
            raise ConfigError(f"{origin} has a '$' that begins no placeholder.", hint="Write $$ for a dollar sign.")
        found.update(template.get_identifiers())
    allowed = placeholders.required | placeholders.optional
    if unknown := sorted(found - allowed):
        raise ConfigError(
            f"{origin} has the unknown placeholder ${unknown[0]}.",
            hint=f"Known are {', '.join(f'${name}' for name in sorted(allowed))}; write $$ for a dollar sign.",
        )
    if missing := sorted(placeholders.required - found):
        raise ConfigError(f"{origin} lacks the placeholder ${missing[0]}.", hint=_HOW)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of all agents."""

    extract: Prompt
    select: Prompt
    manage: Prompt
    answer: Prompt

    @classmethod
    def load(cls, folder: Path | None = None) -> Prompts:
        """Load the prompts that come with memory-r1, or a user's own in their place.

        Args:
            folder: Holds any of `extract.txt`, `select.txt`, `manage.txt`, `answer.txt` (UTF-8); the packaged
                ones stand in for those it lacks.

        Raises:
            ConfigError: The folder does not exist, holds another `.txt` file, or a file in it is not a usable prompt.

        Example:
            >>> Prompts.load().manage.messages[0][0]
            'system'
        """
        if folder is not None:
            _check_folder(folder)
        return cls(**{name: _load_one(name, folder) for name in PROMPTS})


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"The prompts folder {folder} does not exist.", hint="Create it, or unset `prompts`.")
    known = {f"{name}.txt" for name in PROMPTS}
    if strangers := sorted(path.name for path in folder.glob("*.txt") if path.name not in known):
        raise ConfigError(
            f"The prompts folder {folder} holds {strangers[0]}, which is no prompt.",
            hint=f"Prompts are {', '.join(sorted(known))}.",
        )


def _load_one(name: str, folder: Path | None) -> Prompt:
    own = folder / f"{name}.txt" if folder is not None else None
    if own is None or not own.is_file():
        text = (resources.files("memory_r1.agents") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")
        return Prompt.parse(text, PROMPTS[name], origin=f"{name}.txt")
    try:
        text = own.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{own} cannot be read: {error}.", hint="Save it as UTF-8 text.") from error
    return Prompt.parse(text, PROMPTS[name], origin=str(own))
