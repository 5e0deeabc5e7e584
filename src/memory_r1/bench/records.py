"""A benchmark run on disk: one line a question, one line a conversation, and what was run.

FOLDER/config.json                     what was run: command, data and its hash, model, systems, seed, version
FOLDER/systems/NAME/predictions.jsonl  `Prediction`, one a line, in the order in which they were answered
FOLDER/systems/NAME/stats.jsonl        `ConversationStats`, one a line, once a conversation is done
FOLDER/report.md, FOLDER/report.html   the report
FOLDER/.local                          what only the machine of the run can use; see `run_folder`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from memory_r1.bench.system import Cost, Stats, UsedMemory
from memory_r1.errors import InvalidInputError


class Prediction(BaseModel):
    """One question, as one system answered it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conversation: str
    question_id: str
    question: str
    category: str
    gold: str | None
    """None: the conversation does not say."""
    evidence: tuple[str, ...] = ()
    answer: str
    """Empty if there was an error."""
    abstained: bool = False
    memories: tuple[UsedMemory, ...] = ()
    cost: Cost = Field(default_factory=Cost)
    error: str | None = None
    """Why the system gave no answer; such a line is never scored as one."""
    scores: Mapping[str, float] = Field(default_factory=dict)
    """By metric, e.g. `mem0_f1`; empty with an error. For an unanswerable question only `abstention`."""


class ConversationStats(BaseModel):
    """What reading one conversation came to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conversation: str
    turns: int
    stats: Stats


def read_lines(path: Path, kind: type[Prediction] | type[ConversationStats]) -> list[Any]:
    """Read records of one kind; a last line cut short by a kill is left out.

    Raises:
        InvalidInputError: Another line is not such a record; the message names it.
    """
    if not path.is_file():
        return []
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(adapter.validate_json(line))
        except ValidationError as error:
            if number == len(lines):
                break
            raise InvalidInputError(
                f"{path}, line {number} is no {kind.__name__}: {error.errors()[0]['msg']}.",
                hint="Delete the line; the run answers that question again on --resume.",
            ) from error
    return records


def append_line(path: Path, record: Prediction | ConversationStats) -> None:
    """Add one record to a file, whole or not at all as far as a reader can tell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        end = file.tell()
        if end:
            with path.open("rb") as before:
                before.seek(end - 1)
                # what a kill cut short must not swallow this line
                lead = b"" if before.read(1) == b"\n" else b"\n"
        else:
            lead = b""
        file.write(lead + record.model_dump_json().encode("utf-8") + b"\n")
