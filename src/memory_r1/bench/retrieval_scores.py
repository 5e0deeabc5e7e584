"""Whether the reader was given what it needed: evidence among the memories, and among those it kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from memory_r1.bench.records import Prediction
from memory_r1.bench.statistics import Scored
from memory_r1.bench.system import UsedMemory

CUTS = (5, 10, 30, 60)
"""The k of recall@k: 60 is what the paper's reader gets."""


def recall_at(memories: Sequence[UsedMemory], evidence: Sequence[str], k: int) -> float | None:
    """Share of the evidence turns that the first k memories come from.

    Args:
        memories: As given to the reader, best first.
        evidence: Ids of the turns that the gold answer rests on.
        k: How many memories count; fewer may have been given.

    Returns:
        Between 0 and 1; None if the evidence is unknown, or if the system does not know where any of its memories
        comes from. A system that found no memory has a recall of 0.

    Example:
        >>> found = [UsedMemory("Rex is a dog.", ("D1:3", "D2:1")), UsedMemory("It rained.", ("D1:4",))]
        >>> recall_at(found, ["D1:3", "D1:4"], 1), recall_at(found, ["D1:3", "D1:4"], 2), recall_at(found, [], 2)
        (0.5, 1.0, None)
    """
    if not evidence or not _sourced(memories):
        return None
    return _recall(memories[:k], evidence)


def kept_scores(memories: Sequence[UsedMemory], evidence: Sequence[str]) -> dict[str, float] | None:
    """How well the reader distilled: the memories it kept, against the evidence.

    A kept memory is right if one of the turns it comes from is evidence. Precision is the share of kept memories that
    are right, recall the share of evidence turns that they come from, F1 their harmonic mean. Without a kept memory
    there is no precision, and recall and F1 are 0: ask only about systems that distil (see `distils`).

    Returns:
        `kept_precision` (unless nothing was kept), `kept_recall` and `kept_f1`; None as for `recall_at`.

    Example:
        >>> found = [UsedMemory("Rex is a dog.", ("D1:3",), kept=True), UsedMemory("It rained.", ("D1:4",), kept=True)]
        >>> kept_scores(found, ["D1:3"])
        {'kept_precision': 0.5, 'kept_recall': 1.0, 'kept_f1': 0.6666666666666666}
    """
    if not evidence or not _sourced(memories):
        return None
    kept = [memory for memory in memories if memory.kept]
    if not kept:
        return {"kept_recall": 0.0, "kept_f1": 0.0}
    precision = sum(not set(evidence).isdisjoint(memory.turns) for memory in kept) / len(kept)
    recall = _recall(kept, evidence)
    f1 = 2 * precision * recall / (precision + recall) if precision else 0.0
    return {"kept_precision": precision, "kept_recall": recall, "kept_f1": f1}


def distils(predictions: Iterable[Prediction]) -> bool:
    """Whether a system distils at all: whether it ever kept a memory."""
    return any(memory.kept for prediction in predictions for memory in prediction.memories)


def retrieval_samples(predictions: Sequence[Prediction], cuts: Sequence[int] = CUTS) -> Mapping[str, list[Scored]]:
    """One system's retrieval scores, by metric, for `statistics.mean_interval`.

    Questions with an error are left out, and for each metric those for which it is None. A metric that no question has
    is not among the keys: `kept_*` of a system that does not distil, all of one that does not know its sources.

    Returns:
        `recall@5` and so on for each cut, `kept_precision`, `kept_recall`, `kept_f1`.
    """
    with_kept = distils(predictions)
    scores: dict[str, list[Scored]] = {}
    # a question without memories would else be all that is scored of a system that does not know its sources
    if not _sourced([memory for one in predictions for memory in one.memories]):
        return scores
    for one in predictions:
        if one.error is not None:
            continue
        found = {f"recall@{k}": recall_at(one.memories, one.evidence, k) for k in cuts}
        if with_kept:
            found |= kept_scores(one.memories, one.evidence) or {}
        for metric, value in found.items():
            if value is not None:
                scores.setdefault(metric, []).append(Scored(one.conversation, one.question_id, value))
    return scores


def _sourced(memories: Sequence[UsedMemory]) -> bool:
    return not memories or any(memory.turns for memory in memories)


def _recall(memories: Sequence[UsedMemory], evidence: Sequence[str]) -> float:
    found = {turn for memory in memories for turn in memory.turns}
    wanted = set(evidence)
    return len(wanted & found) / len(wanted)
