"""A finished (or half-finished) benchmark run, read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_r1.bench.records import ConversationStats, Prediction, read_lines
from memory_r1.data.splits import LOCOMO_TEST
from memory_r1.errors import InvalidInputError, NotFoundError

MOST_ERRORS = 0.01
"""A system that raised on a larger share of its questions has failed the run."""

Key = tuple[str, str]
"""Conversation and question id."""


def key_of(prediction: Prediction) -> Key:
    """What names a question in all systems of all runs."""
    return prediction.conversation, prediction.question_id


@dataclass(frozen=True, slots=True)
class SystemRun:
    """What one system did."""

    name: str
    about: str
    """What it is, in its own words."""
    predictions: Mapping[Key, Prediction]
    """In the order in which they were first answered; of a question answered twice (a resumed run), the last."""
    stats: tuple[ConversationStats, ...]

    @property
    def errors(self) -> list[Prediction]:
        """Questions on which it raised."""
        return [one for one in self.predictions.values() if one.error is not None]

    @property
    def empty(self) -> list[Prediction]:
        """Answers without a word in them that are no abstention."""
        return [
            one
            for one in self.predictions.values()
            if one.error is None and not one.abstained and not one.answer.strip()
        ]

    @property
    def failed(self) -> bool:
        """Whether it raised on more than `MOST_ERRORS` of its questions."""
        return len(self.errors) > MOST_ERRORS * len(self.predictions)


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder's content."""

    folder: Path
    config: Mapping[str, Any]
    systems: tuple[SystemRun, ...]
    """Those with at least one answer, in the run's order."""
    waiting: tuple[str, ...]
    """Systems of the configuration that have answered nothing yet."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What the configuration says of the data: `name`, `part`, `hash`, `questions`, `sample`."""
        value = self.config.get("data")
        return value if isinstance(value, Mapping) else {"name": str(value or "unknown data")}

    @property
    def data_name(self) -> str:
        """The data set, e.g. `locomo`."""
        return str(self.data.get("name", "unknown data"))

    @property
    def part(self) -> str:
        """Which part of the data set, e.g. `test`; empty if it is not known."""
        return str(self.data.get("part") or "")

    @property
    def labels(self) -> Mapping[str, Any] | None:
        """Whose labels the answers are scored by, and what they change; None: the data set's own."""
        value = self.data.get("labels")
        return value if isinstance(value, Mapping) else None

    @property
    def asked(self) -> int:
        """How many questions the run has for every system, by its configuration; 0 if it does not say."""
        value = self.data.get("questions")
        return value if isinstance(value, int) else 0

    @property
    def questions(self) -> dict[Key, Prediction]:
        """Every question that some system was asked, with one of its predictions (for text, gold and category)."""
        found: dict[Key, Prediction] = {}
        for system in self.systems:
            for key, prediction in system.predictions.items():
                found.setdefault(key, prediction)
        return found

    @property
    def is_locomo(self) -> bool:
        """Whether the questions are LoCoMo's."""
        return self.data_name.lower().startswith("locomo")

    @property
    def is_locomo_test(self) -> bool:
        """Whether all questions are of the paper's eight test conversations."""
        return self.is_locomo and {conversation for conversation, _ in self.questions} <= set(LOCOMO_TEST)

    def system(self, name: str) -> SystemRun:
        """One system by name.

        Raises:
            NotFoundError: The run has none of this name.
        """
        for one in self.systems:
            if one.name == name:
                return one
        raise NotFoundError(
            f"{self.folder} has no answers of a system {name!r}.",
            hint=f"It has: {', '.join(one.name for one in self.systems)}.",
        )


def load_run(folder: str | Path) -> Run:
    """Read a run folder.

    Raises:
        NotFoundError: It is no run folder.
        InvalidInputError: A file of it is damaged, nothing was answered yet, or an answer was never scored.
    """
    folder = Path(folder)
    config = _config(folder / "config.json")
    named = config.get("systems")
    abouts = dict(named) if isinstance(named, Mapping) else dict.fromkeys(named or (), "")
    on_disk = [one.name for one in sorted((folder / "systems").glob("*")) if one.is_dir()]
    names = [*abouts, *(name for name in on_disk if name not in abouts)]
    systems = [_system(folder / "systems" / name, name, str(abouts.get(name) or "")) for name in names]
    answered = tuple(one for one in systems if one.predictions)
    if not answered:
        raise InvalidInputError(
            f"{folder} holds no answers yet.", hint="Report on it once `memory-r1 bench` has answered a question."
        )
    return Run(folder, config, answered, tuple(one.name for one in systems if not one.predictions))


def _config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise NotFoundError(
            f"{file.parent} is no benchmark run: it has no config.json.",
            hint="Name a folder that `memory-r1 bench` made.",
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(
            f"{file} is not JSON: {error}.", hint="Restore it, or run the benchmark anew."
        ) from error
    if not isinstance(config, dict):
        raise InvalidInputError(f"{file} is not a JSON object.", hint="Restore it, or run the benchmark anew.")
    return config


def _system(folder: Path, name: str, about: str) -> SystemRun:
    file = folder / "predictions.jsonl"
    predictions: dict[Key, Prediction] = {}
    for one in read_lines(file, Prediction):
        _check_scored(one, file)
        predictions[key_of(one)] = one
    stats = {one.conversation: one for one in read_lines(folder / "stats.jsonl", ConversationStats)}
    return SystemRun(name, about, predictions, tuple(stats.values()))


def _check_scored(prediction: Prediction, file: Path) -> None:
    if prediction.error is not None:
        return
    needed = "abstention" if prediction.gold is None else "mem0_f1"
    if needed not in prediction.scores:
        raise InvalidInputError(
            f"{file}: the answer to {prediction.question_id!r} has no score {needed!r}.",
            hint="Score the run again; a report never guesses a score.",
        )
