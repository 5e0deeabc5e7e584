"""Made-up conversations over many sessions, with gold facts, operations, banks, questions and answers.

`generate` makes one; `write_synthetic` and `read_synthetic` keep them in a file; `measure` tells how varied they are.
"""

from memory_r1.data.synthetic.codec import read_synthetic, write_synthetic
from memory_r1.data.synthetic.director import Knobs
from memory_r1.data.synthetic.generate import generate
from memory_r1.data.synthetic.gold import (
    GoldAnswer,
    GoldFact,
    GoldMemory,
    GoldOperation,
    GoldTurn,
    SyntheticConversation,
    replay,
)
from memory_r1.data.synthetic.measure import Measures, measure
from memory_r1.data.synthetic.vocabulary import SPLITS, Split

__all__ = [
    "SPLITS",
    "GoldAnswer",
    "GoldFact",
    "GoldMemory",
    "GoldOperation",
    "GoldTurn",
    "Knobs",
    "Measures",
    "Split",
    "SyntheticConversation",
    "generate",
    "measure",
    "read_synthetic",
    "replay",
    "write_synthetic",
]
