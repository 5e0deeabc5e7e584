"""Cases by hand for the Memory Manager, and what must be true of the bank afterwards."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from memory_r1.agents.results import Ruling
from memory_r1.rl.bank_state import Bank, BankSearch, Entry, NewFact, apply
from memory_r1.rl.problems import ManagerProblem

_SAID_BEFORE = datetime(2022, 5, 2, 18, tzinfo=UTC)
_SAID_NOW = datetime(2022, 6, 11, 18, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """One case: a bank, a fact, and what must be true afterwards, however the manager words it."""

    id: str
    why: str
    """What it is about."""
    problem: ManagerProblem
    together: tuple[tuple[str, ...], ...] = ()
    """Groups of words, each of which some one memory holds in full; `a|b` is either."""
    gone: tuple[str, ...] = ()
    """Words that no memory holds."""
    outdated: tuple[str, ...] = ()
    """Words that no memory holds, unless it holds the first of `together` as well."""
    unchanged: tuple[int, ...] = ()
    """Places of memories of the bank that keep their texts."""
    least: int = 0
    """Fewest memories afterwards."""
    most: int = 99
    """Most memories afterwards."""

    def ranked(self, search: BankSearch) -> Case:
        """The case with its memories in the order in which the product shows them."""
        bank = self.problem.bank
        found = search.for_fact(bank, self.problem.facts[0], len(bank))
        return replace(self, problem=replace(self.problem, candidates=tuple(entry.id for entry in found)))

    def check(self, bank: Bank) -> str | None:
        """What is wrong with a bank afterwards; None if nothing is.

        Args:
            bank: The bank that the manager left.
        """
        texts = [entry.text.casefold() for entry in bank]
        if not self.least <= len(texts) <= self.most:
            wanted = str(self.most) if self.least == self.most else f"at most {self.most}"
            return f"{len(texts)} memories instead of {wanted}"
        for place in self.unchanged:
            kept = self.problem.bank[place]
            if not any(entry.id == kept.id and entry.text == kept.text for entry in bank):
                return f"{kept.text!r} was changed or lost"
        for word in self.gone:
            if any(word.casefold() in text for text in texts):
                return f"{word!r} is still there"
        for word in self.outdated:
            newer = self.together[0] if self.together else None
            for text in texts:
                if word.casefold() in text and not (newer and all(_holds(text, one) for one in newer)):
                    return f"{word!r} is still told as if it held"
        for group in self.together:
            if not any(all(_holds(text, word) for word in group) for text in texts):
                return f"no memory holds {', '.join(group)} together"
        return None

    def check_ruling(self, ruling: Ruling) -> str | None:
        """What is wrong with the bank that a ruling leaves; None if nothing is."""
        if ruling.rejected is not None:
            return f"unusable: {ruling.rejected}"
        fact = self.problem.facts[0]
        return self.check(apply(self.problem.bank, ruling, self.problem.candidates, fact, "new"))


@dataclass(frozen=True, slots=True)
class Played:
    """A case, and what a manager made of it."""

    case: Case
    ruling: Ruling
    wrong: str | None
    """What is wrong with the bank afterwards; None if nothing is."""


@cache
def load_cases() -> tuple[Case, ...]:
    """All cases.

    Example:
        >>> load_cases()[0].id
        'second-pet'
    """
    text = (resources.files("memory_r1.rl") / "cases.toml").read_text(encoding="utf-8")
    return tuple(_case(table) for table in tomllib.loads(text)["case"])


def play_cases(
    rule: Callable[[Sequence[ManagerProblem]], Sequence[Ruling]], search: BankSearch | None = None
) -> list[Played]:
    """Let a manager rule on every case.

    Args:
        rule: Rules on problems, e.g. `lambda problems: rule_on(problems, manager)`.
        search: Ranks each case's memories as the product does; None: they come as they are written.

    Raises:
        ModelError: The manager's model or the embedder failed.
    """
    cases = [case if search is None else case.ranked(search) for case in load_cases()]
    rulings = rule([case.problem for case in cases])
    return [Played(case, ruling, case.check_ruling(ruling)) for case, ruling in zip(cases, rulings, strict=True)]


def _case(table: dict[str, Any]) -> Case:
    bank = tuple(
        Entry(f"m{place}", text, _SAID_BEFORE, speaker, (f"t{place}",))
        for place, (speaker, text) in enumerate(table["bank"])
    )
    speaker, text = table["fact"]
    fact = NewFact(text, _SAID_NOW, speaker, "now", table.get("planted", False))
    size = table.get("size")
    return Case(
        table["id"],
        table["why"],
        ManagerProblem(f"case/{table['id']}", bank, (fact,), tuple(entry.id for entry in bank)),
        tuple(tuple(group) for group in table.get("together", ())),
        tuple(table.get("gone", ())),
        tuple(table.get("outdated", ())),
        tuple(table.get("unchanged", ())),
        size if size is not None else 0,
        size if size is not None else table.get("most", 99),
    )


def _holds(text: str, word: str) -> bool:
    return any(one.casefold() in text for one in word.split("|"))
