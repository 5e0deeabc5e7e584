"""MSC-Self-Instruct as MemGPT publishes it, turned into the file that `memory_r1.data.msc` reads.

A line of the published file holds the first four sessions under `previous_dialogs`, whose turns alternate and name no
speaker (Speaker 1 begins, as in MSC), the fifth under `dialog`, and the question and answer under `self_instruct`:
asked by Speaker 2 (`B`), answered by Speaker 1 (`A`). Sessions 1 to 4 are kept. Personas and summaries hold the answers
in plain words and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory_r1.data.msc import SPEAKERS
from memory_r1.errors import InvalidInputError


def to_our_format(original: Path, target: Path) -> None:
    """Write the file that `load_msc` reads.

    Args:
        original: The published JSON Lines.
        target: Where to write; there, and whole, only if this returns.

    Raises:
        InvalidInputError: A line is not as it should be; the message names it.
        OSError: A file cannot be read or written.
    """
    lines = []
    for number, line in enumerate(original.read_text(encoding="utf-8").split("\n")):
        if not line.strip():
            continue
        try:
            lines.append(json.dumps(_converted(number, json.loads(line)), ensure_ascii=False))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(
                f"{original}, line {number + 1} is no MSC-Self-Instruct record ({type(error).__name__}: {error}).",
                hint="Fetch the file anew.",
            ) from error
    target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _converted(number: int, record: Mapping[str, Any]) -> dict[str, Any]:
    asked = record["self_instruct"]
    return {
        "idx": number,
        "initial_data_id": record["metadata"]["initial_data_id"],
        "question": str(asked["B"]),
        "answer": str(asked["A"]),
        "sessions": [
            {
                "session": place,
                "dialog": [
                    {"id": SPEAKERS[turn % 2], "text": str(said["text"])} for turn, said in enumerate(session["dialog"])
                ],
            }
            for place, session in enumerate(record["previous_dialogs"], start=1)
        ],
    }
