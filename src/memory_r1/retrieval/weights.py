"""The few numbers that fuse what is known of a memory into one score.

They come from `python benchmarks/fit_fusion.py --data FOLDER`, which fits them on two LoCoMo conversations (conv-26 and
conv-30, 233 questions); the eight test conversations played no part. LoCoMo is CC BY-NC 4.0: the data stays out of
memory-r1, these sums over it are all that was taken. `elsewhere` cannot be fitted there, where all is said by two
people: it was set on conv-26 and on generated talks between 9,600 memories of other people (`memory-r1 bench dilute`),
where all values from -2 to -6 find as much.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """What each feature adds to a memory's score; see `memory_r1.retrieval.fusion` for the features."""

    dense: float
    """Per standard deviation of the cosine above the scope's mean."""
    lexical: float
    """Per unit of BM25 over log(1 + memories)."""
    speaker: float
    """If the question names the memory's speaker."""
    before: float
    """Lexical score of the memory written just before, if someone else said it: answers follow questions."""
    after: float
    """Lexical score of the one written just after, if someone else said it."""
    around: float
    """Sum of the lexical scores two places before and after, across someone else's."""
    elsewhere: float
    """If the question names speakers and the memory is not of a talk with them."""
    slope: float
    """With `bias`, turns the sum into a probability that the memory bears on the question."""
    bias: float

    @property
    def per_feature(self) -> tuple[float, ...]:
        """The fitted weights of `memory_r1.retrieval.fusion.features`, in the order of its columns."""
        return (self.dense, self.lexical, self.speaker, self.before, self.after, self.around)


WEIGHTS = FusionWeights(
    dense=0.75, lexical=1.88, speaker=2.57, before=1.69, after=0.51, around=0.93, elsewhere=-3.0, slope=1.12, bias=-4.41
)
"""The weights in use."""

COSINE_MEAN, COSINE_DEVIATION, COSINE_COUNT = 0.06, 0.11, 50
"""What a bank's cosines are taken to be before many were seen: in a bank of two, their own spread says nothing."""
