"""Kinds of question, in the order and under the numbers of their data set."""

from __future__ import annotations

from dataclasses import dataclass

from memory_r1.bench.report.run import Run
from memory_r1.data.locomo import CATEGORIES
from memory_r1.data.longmemeval import TYPES

_NUMBERS = {name: number for number, name in CATEGORIES.items()}


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of question."""

    key: str
    """As the predictions name it."""
    number: int | None
    """LoCoMo's number; None in other data."""
    known: bool = True
    """False: LoCoMo has no such category."""

    @property
    def label(self) -> str:
        """Number and name.

        Example:
            >>> Category("temporal", 2).label, Category("lore", None, known=False).label
            ('2 temporal', 'unknown category: lore')
        """
        if not self.known:
            return f"unknown category: {self.key or '(none)'}"
        return f"{self.number} {self.key}" if self.number else self.key or "(no category)"


def categories_of(run: Run, *, answerable: bool) -> list[Category]:
    """The categories of a run's questions: LoCoMo's by number, LongMemEval's as its paper lists them, others as met.

    Args:
        run: The run.
        answerable: Of the questions that the conversation answers, or of those that it does not.
    """
    keys = dict.fromkeys(one.category for one in run.questions.values() if (one.gold is not None) == answerable)
    if run.is_locomo:
        known = [Category(name, number) for name, number in _NUMBERS.items() if name in keys]
        return known + [Category(key, None, known=False) for key in keys if key not in _NUMBERS]
    order = {name: place for place, name in enumerate(TYPES)}
    return [Category(key, None) for key in sorted(keys, key=lambda key: order.get(key, len(order)))]
