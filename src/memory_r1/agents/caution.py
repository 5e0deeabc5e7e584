"""What a small policy is not believed: faults that cost more than a memory too many. ADD takes the ruling's place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from memory_r1.agents.joining import put_behind
from memory_r1.agents.parser import Parsed
from memory_r1.agents.text import EMBEDDED_CHARS
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import OperationKind
from memory_r1.lm.base import Completion

# what it may call known: 95 % of true repetitions (synthetic) are more alike than 0.68 and have half of their words in
# the memory; on real talk it calls much known that is merely on the same topic
_LEAST_ALIKE = 0.6
_LEAST_KNOWN = 0.5

# how sure it must be that a fact tells nothing; at 0.8 twice as many of those dropped on real talk are asked about
_LEAST_SURE = 0.9


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near a memory is to a fact."""

    alike: float
    """Cosine similarity."""
    known: float
    """Share of the fact's words, without its speaker's name, that the memory holds."""


def unless_doubtful(parsed: Parsed, likeness: Sequence[Likeness], completion: Completion) -> Parsed:
    """A NOOP only if the memory that it names is much like the fact, or if, naming none, it is sure.

    Args:
        parsed: What the policy said.
        likeness: Of each candidate to the fact; empty where it is not known, and then every name counts.
        completion: How it said so; without log-probabilities it counts as sure.
    """
    if parsed.kind is not OperationKind.NOOP:
        return parsed
    if parsed.target is None:
        logprobs = completion.logprobs
        believed = logprobs is None or math.exp(math.fsum(logprobs)) >= _LEAST_SURE
    else:
        one = likeness[parsed.target] if likeness else None
        believed = one is None or (one.alike >= _LEAST_ALIKE and one.known >= _LEAST_KNOWN)
    return parsed if believed else Parsed(OperationKind.ADD)


def unless_misplaced(parsed: Parsed, fact: Fact, candidates: Sequence[MemoryRecord]) -> Parsed:
    """An UPDATE or DELETE only of what the fact's own speaker told, and no fact behind a memory that is full.

    A memory is full where the embedder would not read what is put behind it. Where a speaker is not known, any will do.
    """
    if parsed.kind not in (OperationKind.UPDATE, OperationKind.DELETE) or parsed.target is None:
        return parsed
    memory = candidates[parsed.target]
    speaker, other = fact.provenance.speaker, memory.provenance.speaker
    anothers = speaker is not None and other is not None and speaker != other
    behind = parsed.kind is OperationKind.UPDATE and parsed.text is None
    full = behind and len(put_behind(memory, fact)) > EMBEDDED_CHARS
    return Parsed(OperationKind.ADD) if anothers or full else parsed
