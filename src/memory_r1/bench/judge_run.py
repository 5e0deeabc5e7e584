"""Lets judges grade the answers of a run, and keeps what they say and what it took with the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from memory_r1.bench.judging import AnswerJudge, judge_predictions
from memory_r1.bench.records import Prediction
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.bench.system import Cost
from memory_r1.errors import InvalidInputError

_AT_ONCE = 128
"""Answers between two reports of progress; a judge keeps its verdicts more often than that."""

OnProgress = Callable[[str, str, int, int], None]
"""Told the system, the metric, how many of its answers are judged, and how many it has."""


def judge_run(
    folder: BenchFolder, judges: Sequence[AnswerJudge], *, on_progress: OnProgress = lambda *told: None
) -> dict[str, dict[str, Any]]:
    """Add the scores of judges to all answers of a run; earlier ones by the same prompt are replaced.

    Nothing is written before all is judged; a judge with a cache loses no verdict when it is stopped.

    Args:
        folder: The run; it may be unfinished.
        judges: Each with another prompt.
        on_progress: Told from time to time.

    Returns:
        What stands under `judges` in `config.json`: by metric, the judge's name and what it took.

    Raises:
        NotFoundError: There is no run in the folder.
        InvalidInputError: Nothing is answered yet, or a file of the run is damaged.
        ModelError: A judge failed, or gave no verdict; the run stays as it was.
        StoreError: The folder cannot be written.
    """
    folder.config()
    with folder.alone():
        config = folder.config()
        answers = {name: list(folder.predictions(name).values()) for name in folder.systems()}
        if not any(answers.values()):
            raise InvalidInputError(f"{folder.path} holds no answers yet.", hint="Judge them once there are some.")
        for judge in judges:
            answers = {name: _judged(name, found, judge, on_progress) for name, found in answers.items()}
        # only now, so that a run never mixes the verdicts of two models
        for name, found in answers.items():
            folder.replace(name, found)
        before = config.get("judges")
        told = {**before} if isinstance(before, Mapping) else {}
        count = sum(one.error is None and one.gold is not None for found in answers.values() for one in found)
        told.update({judge.metric: _told(judge, told.get(judge.metric), count) for judge in judges})
        folder.write_config({**config, "judges": told})
    return told


def _judged(
    system: str, predictions: Sequence[Prediction], judge: AnswerJudge, on_progress: OnProgress
) -> list[Prediction]:
    judged: list[Prediction] = []
    for start in range(0, len(predictions), _AT_ONCE):
        judged += judge_predictions(predictions[start : start + _AT_ONCE], judge)
        on_progress(system, judge.metric, len(judged), len(predictions))
    return judged


def _told(judge: AnswerJudge, before: Any, answers: int) -> dict[str, Any]:
    """Who judged and what it took, with what it took for this run before, if it was the same model."""
    old = before if isinstance(before, Mapping) and before.get("model") == judge.name else {}
    cost = judge.cost + Cost(
        int(old.get("calls", 0)),
        int(old.get("prompt_tokens", 0)),
        int(old.get("completion_tokens", 0)),
        float(old.get("seconds", 0.0)),
    )
    return {
        "model": judge.name,
        "answers": answers,
        "calls": cost.calls,
        "prompt_tokens": cost.prompt_tokens,
        "completion_tokens": cost.completion_tokens,
        "seconds": round(cost.seconds, 3),
        "reminded": judge.reminded + int(old.get("reminded", 0)),
        "from_cache": judge.cached,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
