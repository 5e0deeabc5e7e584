"""How often a Memory Manager does what it should, by kind of operation, against gold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.results import Ruling
from memory_r1.bank.operation import OperationKind
from memory_r1.bench.metrics import token_f1
from memory_r1.errors import InvalidInputError
from memory_r1.rl.problems import ManagerProblem

KINDS = (OperationKind.ADD, OperationKind.UPDATE, OperationKind.DELETE, OperationKind.NOOP)
"""What a manager decides on, in the order of the reports."""

_BATCH = 64


@dataclass(frozen=True, slots=True)
class KindScore:
    """The rulings on facts of one gold kind."""

    count: int = 0
    right: int = 0
    """Right kind and, for UPDATE and DELETE, right memory."""
    right_kind: int = 0
    text_f1: float = 0.0
    """For UPDATE, mean token F1 of the text written and the gold text over those that are right."""

    @property
    def accuracy(self) -> float:
        """Share that is right; 0 if there was none to rule on."""
        return self.right / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class OperationReport:
    """A manager's rulings against gold."""

    by_kind: Mapping[OperationKind, KindScore]
    """By the gold kind."""
    mix: Mapping[OperationKind, int]
    """How often the manager did what, whatever was right."""
    confusion: Mapping[tuple[OperationKind, OperationKind], int] = field(default_factory=dict)
    """How often for (gold, ruled)."""
    rejected: int = 0
    """Rulings that could not be used and fell back to ADD. They are never right, not even where ADD is."""

    @property
    def count(self) -> int:
        """Rulings in all."""
        return sum(score.count for score in self.by_kind.values())

    @property
    def accuracy(self) -> float:
        """Share of all rulings that is right."""
        return sum(score.right for score in self.by_kind.values()) / self.count

    def lines(self) -> list[str]:
        """The report as a Markdown table."""
        rows = ["| gold | n | right | right kind | ADD | UPDATE | DELETE | NOOP | text F1 |", "|---|" + "---:|" * 8]
        for kind, one in self.by_kind.items():
            ruled = " | ".join(str(self.confusion.get((kind, other), 0)) for other in KINDS)
            text = f"{one.text_f1:.3f}" if kind is OperationKind.UPDATE else ""
            share = one.right_kind / one.count if one.count else 0.0
            rows.append(f"| {kind} | {one.count} | {one.accuracy:.1%} | {share:.1%} | {ruled} | {text} |")
        ruled = " | ".join(str(self.mix[kind]) for kind in KINDS)
        rows.append(f"| all | {self.count} | {self.accuracy:.1%} | | {ruled} | |")
        return [*rows, "", f"{self.rejected} of {self.count} could not be used."]


def report_operations(problems: Sequence[ManagerProblem], rulings: Sequence[Ruling]) -> OperationReport:
    """Compare rulings with gold.

    Args:
        problems: Each with one fact that has a gold ruling.
        rulings: One for each, on the problem's candidates.

    Raises:
        InvalidInputError: There is no problem, or one has no single fact with a gold ruling.
    """
    found: dict[OperationKind, list[tuple[bool, bool, float]]] = {kind: [] for kind in KINDS}
    confusion: Counter[tuple[OperationKind, OperationKind]] = Counter()
    for problem, ruling in zip(problems, rulings, strict=True):
        if len(problem.facts) != 1 or problem.facts[0].gold is None:
            raise InvalidInputError(f"The problem {problem.id!r} has no single fact with a gold ruling.")
        gold = problem.facts[0].gold
        kind = ruling.kind is gold.kind and ruling.rejected is None
        right = gold.allows(ruling, problem.candidates)
        text = token_f1(ruling.text or "", gold.text or "") if right else 0.0
        found[gold.kind].append((right, kind, text))
        confusion[gold.kind, ruling.kind] += 1
    if not problems:
        raise InvalidInputError("There is no problem to compare rulings on.")
    return OperationReport(
        {kind: _score(rows) for kind, rows in found.items()},
        {kind: sum(count for (_, ruled), count in confusion.items() if ruled is kind) for kind in KINDS},
        dict(confusion),
        sum(ruling.rejected is not None for ruling in rulings),
    )


def rule_on(problems: Sequence[ManagerProblem], manager: MemoryManager) -> list[Ruling]:
    """Let a manager rule on the one fact of each problem, as the product would.

    Raises:
        ModelError: The manager's model failed.
    """
    rulings: list[Ruling] = []
    for start in range(0, len(problems), _BATCH):
        asked = []
        for problem in problems[start : start + _BATCH]:
            by_id = {entry.id: entry for entry in problem.bank}
            asked.append((problem.facts[0].fact(), [by_id[name].record() for name in problem.candidates]))
        rulings += manager.decide_many(asked)
    return rulings


def _score(rows: Sequence[tuple[bool, bool, float]]) -> KindScore:
    right = [text for is_right, _, text in rows if is_right]
    return KindScore(len(rows), len(right), sum(kind for _, kind, _ in rows), sum(right) / len(right) if right else 0.0)
