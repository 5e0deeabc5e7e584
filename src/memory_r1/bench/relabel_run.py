"""A finished run scored anew by LoCoMo's audited labels, as a run of its own: no system is asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from memory_r1.bench.audit import Labels
from memory_r1.bench.loading import BenchData, by_audit
from memory_r1.bench.records import Prediction
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.bench.scores import rescore
from memory_r1.data.conversation import Conversation
from memory_r1.errors import ConfigError, InvalidInputError

_Key = tuple[str, str]


def relabel_run(
    source: BenchFolder, target: BenchFolder, conversations: Sequence[Conversation], audit: str | Path, *, command: str
) -> Labels:
    """Write a run's answers into another folder, scored by the audit's labels.

    Verdicts of a judge stay where the gold answer stays; the others have to be asked for again.

    Args:
        source: The run; it stays as it is.
        target: Where to; it must not hold a run.
        conversations: LoCoMo with its own labels, category 5 included; more than the run asked does no harm.
        audit: `errors.json`, or a folder that holds it.
        command: What was called, for the configuration.

    Returns:
        What the labels change of the questions that the run asked.

    Raises:
        ConfigError: The target is not empty.
        NotFoundError: The source holds no run.
        InvalidInputError: The run asked other questions, or is scored by other labels already, or the audit cannot be
            read.
        StoreError: The target cannot be written.
    """
    config = source.config()
    if target.started():
        raise ConfigError(f"There is a run in {target.path}.", hint="Give another --out.")
    answers = {name: source.predictions(name) for name in source.systems()}
    own = _own_labels(conversations, [one for found in answers.values() for one in found.values()])
    data = by_audit(BenchData("locomo", "", own), audit)
    assert data.labels is not None
    told = config.get("data")
    about = {
        "hash": data.digest,
        "conversations": len(data.conversations),
        "questions": data.questions,
        "labels": asdict(data.labels),
    }
    # a conversation may have lost its last question; what was read of it stays
    known = [*data.conversations, *(replace(one, questions=()) for one in own)]
    by_id = {one.id: one for one in reversed(known)}
    with target.alone():
        for name, found in answers.items():
            target.replace(name, rescore(found.values(), list(by_id.values())).predictions)
            for one in source.stats(name).values():
                target.add(name, one)
        if request := source.request():
            target.write_request({**request, "audit": str(audit)})
        target.write_config(
            {
                **{name: value for name, value in config.items() if name != "request"},
                "data": {**(told if isinstance(told, Mapping) else {}), **about},
                "rescored": {"at": datetime.now(UTC).isoformat(timespec="seconds"), "command": command},
            }
        )
    return data.labels


def _own_labels(conversations: Sequence[Conversation], predictions: Sequence[Prediction]) -> tuple[Conversation, ...]:
    """The conversations with the questions that the run asked, after seeing that it was scored by their labels."""
    asked = {(one.conversation, one.question_id): one for one in predictions}
    if not asked:
        raise InvalidInputError("The run holds no answers yet.", hint="Score it anew once it has answered a question.")
    gold = {(one.id, question.id): question.answer for one in conversations for question in one.questions}
    for key, one in asked.items():
        if key not in gold or gold[key] != one.gold:
            there = repr(gold[key]) if key in gold else "missing"
            raise InvalidInputError(
                f"The run is not scored by these conversations' own labels: the gold answer of {key[1]!r} is "
                f"{one.gold!r} in the run and {there} in the data.",
                hint="Name the run's own data with --data, and a run that is scored by the usual labels.",
            )
    chosen = (
        replace(one, questions=tuple(question for question in one.questions if (one.id, question.id) in asked))
        for one in conversations
    )
    return tuple(one for one in chosen if one.questions)
