"""One question on a bank of one size: what two ways to cut returned, and what it was worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory_r1.retrieval.cut import estimate_tokens

if TYPE_CHECKING:
    from memory_r1.bench.dilution.bank import Found, Search

CutName = Literal["dynamic", "fixed"]
CUTS: tuple[CutName, ...] = ("dynamic", "fixed")

FIXED = 60
"""Memories of the fixed cut: what the paper's reader gets."""
DEPTHS = (10, FIXED)
"""The k of recall@k."""


class Reading(BaseModel):
    """What the reader made of a cut."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: str
    abstained: bool
    prompt_tokens: int
    """Of the whole prompt, by the model's own tokenizer."""
    scores: Mapping[str, float]
    """By metric, e.g. `mem0_f1`."""


class CutProbe(BaseModel):
    """What one way to cut handed to the reader."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memories: int
    tokens: int
    """Of the memories' texts, as `memory_r1.retrieval.cut.estimate_tokens` counts."""
    recall: float
    """Share of the evidence turns among the memories."""
    precision: float
    """Share of the memories that come from an evidence turn."""
    foreign: float
    """Share of the memories that come from other conversations."""
    seconds: float
    """Wall time of the search, without embedding the question."""
    reading: Reading | None = None


class Probe(BaseModel):
    """One question on a bank of one size; a line of `questions.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int | None
    """Memories in the bank; None: the conversation's own alone."""
    conversation: str
    question_id: str
    category: str
    recall: Mapping[int, float] = Field(default_factory=dict)
    """Recall@k by k, in one search for the largest."""
    cuts: Mapping[CutName, CutProbe] = Field(default_factory=dict)


def recall(found: Sequence[Found], evidence: Sequence[str]) -> float:
    """Share of the evidence turns that memories come from."""
    turns = {turn for one in found for turn in one.turns}
    return len(turns & set(evidence)) / len(set(evidence))


def probe_cut(search: Search, evidence: Sequence[str], reading: Reading | None = None) -> CutProbe:
    """Measure what a search handed over."""
    found = search.found
    right = sum(not set(evidence).isdisjoint(one.turns) for one in found)
    return CutProbe(
        memories=len(found),
        tokens=sum(estimate_tokens(one.hit.memory.text) for one in found),
        recall=recall(found, evidence),
        precision=right / len(found) if found else 0.0,
        foreign=sum(not one.turns for one in found) / len(found) if found else 0.0,
        seconds=search.seconds,
        reading=reading,
    )
