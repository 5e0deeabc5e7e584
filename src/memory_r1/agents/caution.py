"""What a small policy is not believed: faults that cost more than a memory too many, or one that is longer.

ADD takes the place of such a ruling. Where a memory is worded anew the words may not count; see `agents/renewal.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory_r1.agents.joining import has_room
from memory_r1.agents.orders import orders_assistant
from memory_r1.agents.parser import Parsed
from memory_r1.agents.text import clean
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord, content_hash
from memory_r1.bank.operation import OperationKind
from memory_r1.lm.base import Completion

# what it may call known: 95 % of true repetitions (synthetic) are more alike than 0.68 and have half of their words in
# the memory; on real talk it calls much known that is merely on the same topic
_LEAST_ALIKE = 0.6
_LEAST_KNOWN = 0.5

# how sure it must be that a fact tells nothing; at 0.8 twice as many of those dropped on real talk are asked about
_LEAST_SURE = 0.9

# with less than that and no less than this, a fact is hardly worth a memory of its own; see `agents/asides.py`
_LEAST_SURE_OF_ASIDES = 0.75

# with less, what gives orders to an assistant is dropped: no talk between people (21,000 turns) reads like it
_LEAST_SURE_OF_ORDERS = 0.5

# on the generator's validation split, 8 of 8 memories worded anew with more are right, and none of 6 with less
_LEAST_SURE_OF_WORDS = 0.2

# a repetition whose memory it does not name is of one as alike as this, told by the same speaker
_PLAINLY_ALIKE = 0.85


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near a memory is to a fact."""

    alike: float
    """Cosine similarity."""
    known: float
    """Share of the fact's words, without its speaker's name, that the memory holds."""


def unless_doubtful(
    parsed: Parsed,
    fact: Fact,
    candidates: Sequence[MemoryRecord],
    likeness: Sequence[Likeness],
    completion: Completion,
) -> Parsed:
    """A NOOP only if the fact is much like a memory that is named, or plainly like one; else only if it is sure.

    Args:
        parsed: What the policy said.
        fact: What it said it about.
        candidates: The memories it was shown.
        likeness: Of each candidate to the fact; empty where it is not known, and then every name counts.
        completion: How it said so; without log-probabilities it counts as sure.
    """
    if parsed.kind is not OperationKind.NOOP:
        return parsed
    if parsed.target is not None:
        one = likeness[parsed.target] if likeness else None
        if one is None or (one.alike >= _LEAST_ALIKE and one.known >= _LEAST_KNOWN):
            return parsed
        near = f"{100 * one.alike:.0f} % alike, {100 * one.known:.0f} % known"
        return Parsed(OperationKind.ADD, doubted=f"NOOP: memory {parsed.target} does not say so ({near})")
    sure = _certainty(completion)
    if sure >= _LEAST_SURE or (sure >= _LEAST_SURE_OF_ORDERS and orders_assistant(fact.text)):
        return parsed
    for index, (memory, one) in enumerate(zip(candidates, likeness, strict=False)):
        own = memory.provenance.speaker == fact.provenance.speaker
        if own and one.alike >= _PLAINLY_ALIKE and one.known >= _LEAST_KNOWN:
            return Parsed(OperationKind.NOOP, target=index)
    return Parsed(OperationKind.ADD, doubted=f"NOOP: {100 * sure:.0f} % sure", aside=sure >= _LEAST_SURE_OF_ASIDES)


def unless_misworded(parsed: Parsed, candidates: Sequence[MemoryRecord], completion: Completion) -> Parsed:
    """A memory worded anew only if it is sure enough of the words and they are not the old ones; else words are found.

    Args:
        parsed: What the policy said.
        candidates: The memories it was shown.
        completion: How it said so; without log-probabilities it counts as sure.
    """
    if parsed.kind is not OperationKind.UPDATE or parsed.target is None or parsed.text is None:
        return parsed
    sure = _certainty(completion)
    same = content_hash(parsed.text) == content_hash(clean(candidates[parsed.target].text))
    if not same and sure >= _LEAST_SURE_OF_WORDS:
        return parsed
    doubt = "its old words" if same else f"{100 * sure:.0f} % sure of the words"
    return replace(parsed, text=None, renews=not same, doubted=f"UPDATE of memory {parsed.target} anew: {doubt}")


def unless_misplaced(parsed: Parsed, fact: Fact, candidates: Sequence[MemoryRecord]) -> Parsed:
    """An UPDATE or DELETE only of what the fact's own speaker told, and no fact behind a memory that is full.

    Where a speaker is not known, any will do.
    """
    if parsed.kind not in (OperationKind.UPDATE, OperationKind.DELETE) or parsed.target is None:
        return parsed
    memory = candidates[parsed.target]
    speaker, other = fact.provenance.speaker, memory.provenance.speaker
    if speaker is not None and other is not None and speaker != other:
        doubt = "another person told it"
    elif parsed.kind is OperationKind.UPDATE and parsed.text is None and not has_room(memory, fact):
        doubt = "it is full"
    else:
        return parsed
    return Parsed(OperationKind.ADD, doubted=f"{parsed.kind} of memory {parsed.target}: {doubt}")


def _certainty(completion: Completion) -> float:
    """The probability of all that was written; 1 if it is not known."""
    return 1.0 if completion.logprobs is None else math.exp(math.fsum(completion.logprobs))
