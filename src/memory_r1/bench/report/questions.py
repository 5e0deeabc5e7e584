"""Every question with every answer and the memories behind it, packed for the report's page.

The same memory is given to many questions and systems, so texts are kept once and named by number; the whole is
gzipped and base64-encoded, which a browser undoes by itself. A full LoCoMo run with ten systems stays a few megabytes.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from memory_r1.bench.records import Prediction
from memory_r1.bench.report.categories import Category
from memory_r1.bench.report.run import Key, SystemRun
from memory_r1.bench.retrieval_scores import distils
from memory_r1.bench.scores import METRICS

RIGHT_F1 = 0.5
"""Without a judge, an answer counts as right from this F1 (Mem0) on."""


def is_right(prediction: Prediction, *, judged: bool) -> bool | None:
    """Whether an answer counts as right; None if there was an error or it has no such score.

    Args:
        prediction: The answer.
        judged: By the generous judge instead of by F1. Abstention counts for unanswerable questions either way.
    """
    name = "abstention" if prediction.gold is None else "judge_generous" if judged else "mem0_f1"
    if prediction.error is not None or name not in prediction.scores:
        return None
    return prediction.scores[name] >= RIGHT_F1


def pack(
    systems: Sequence[tuple[str, SystemRun]],
    questions: Mapping[Key, Prediction],
    categories: Sequence[Category],
    *,
    judged: bool,
) -> str:
    """All questions as base64 of gzipped JSON; `page.js` reads it.

    Args:
        systems: Label and answers of each system.
        questions: The questions, in order.
        categories: Their categories.
        judged: How `is_right` decides.
    """
    memories = _Numbered()
    packed = [
        {
            "i": key[1],
            "v": key[0],
            "q": one.question,
            "g": one.gold,
            "c": one.category,
            "e": list(one.evidence),
            "a": [_answer(system.predictions.get(key), memories, judged=judged) for _, system in systems],
        }
        for key, one in questions.items()
    ]
    value = {
        "systems": [label for label, _ in systems],
        "distils": [distils(system.predictions.values()) for _, system in systems],
        "metrics": dict(METRICS),
        "categories": [[kind.key, kind.label] for kind in categories],
        "memories": memories.items,
        "questions": packed,
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # no time stamp: the same run gives the same page, byte for byte
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), mtime=0)).decode("ascii")


class _Numbered:
    def __init__(self) -> None:
        self.items: list[list[Any]] = []
        self._numbers: dict[tuple[str, tuple[str, ...]], int] = {}

    def number(self, text: str, turns: tuple[str, ...]) -> int:
        place = (text, turns)
        if place not in self._numbers:
            self._numbers[place] = len(self.items)
            self.items.append([text, list(turns)])
        return self._numbers[place]


def _answer(prediction: Prediction | None, memories: _Numbered, *, judged: bool) -> dict[str, Any] | None:
    if prediction is None:
        return None
    packed: dict[str, Any] = {
        # the last bit says whether the reader kept it
        "m": [2 * memories.number(one.text, one.turns) + one.kept for one in prediction.memories],
    }
    if prediction.error is not None:
        return {**packed, "x": prediction.error}
    return {
        **packed,
        "t": prediction.answer,
        "n": prediction.abstained,
        "r": is_right(prediction, judged=judged),
        "s": {name: round(score, 4) for name, score in prediction.scores.items()},
        "k": [prediction.cost.calls, prediction.cost.prompt_tokens + prediction.cost.completion_tokens],
        "w": round(prediction.cost.seconds, 3),
    }
