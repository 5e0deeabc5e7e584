"""The Memory Manager's task: rule on facts, and be judged by what the bank can then answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from memory_r1.agents.joining import put_behind
from memory_r1.agents.manager import DecisionPrompt, MemoryManager
from memory_r1.agents.results import Answer, Ruling
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import OperationKind
from memory_r1.errors import ConfigError
from memory_r1.lm.base import Completion
from memory_r1.rl.bank_state import Bank, BankSearch, Cut, GoldRuling, NewFact, apply
from memory_r1.rl.episode import Observation, Reward
from memory_r1.rl.judge import Judge
from memory_r1.rl.problems import ManagerProblem
from memory_r1.rl.reader import Ask, FrozenReader
from memory_r1.rl.rewards import WEIGHTS, Weights, answer_em, answer_f1, budget, mean


@dataclass(frozen=True, slots=True)
class ManagerWorld:
    """What manager episodes share.

    Raises:
        ConfigError: The judge counts and there is none.
    """

    manager: MemoryManager
    """Writes the prompts and reads the completions; its own model is asked for nothing but token counts."""
    reader: FrozenReader
    search: BankSearch
    weights: Weights = WEIGHTS["default"]
    cut: Cut = field(default_factory=Cut)
    """How many memories the reader gets for a question."""
    candidates: int = 3
    """How many memories the manager sees for a fact, where the problem does not name them."""
    judge: Judge | None = None

    def __post_init__(self) -> None:
        if self.weights.judge and self.judge is None:
            raise ConfigError("The reward term 'judge' counts, but there is no judge.", hint="Name a judge's endpoint.")


class ManagerTask:
    """One problem in one world.

    Args:
        problem: The bank, the facts and the linked questions.
        world: What to rule and answer with.
    """

    def __init__(self, problem: ManagerProblem, world: ManagerWorld) -> None:
        self.problem = problem
        self._world = world

    @property
    def id(self) -> str:
        """The problem's id."""
        return self.problem.id

    @property
    def family(self) -> str | None:
        """Problems with the same memories in their prompts have the same one."""
        return self.problem.family

    def start(self) -> ManagerEpisode:
        """A fresh episode from the same bank."""
        return ManagerEpisode(self.problem, self._world)

    def demonstration(self) -> str | None:
        """The gold ruling on the one fact of the problem, as the manager should write it; None if it is not known."""
        if len(self.problem.facts) != 1 or self.problem.facts[0].gold is None:
            return None
        episode = self.start()
        if episode.observe() is None:
            return None
        return episode.oracle(self.problem.facts[0].gold)


@dataclass(slots=True)
class _Pending:
    """A fact that the policy is asked about."""

    fact: NewFact
    candidates: tuple[str, ...]
    records: list[MemoryRecord]
    prompt: DecisionPrompt


class ManagerEpisode:
    """Rules on the facts of a problem, one after another, then lets the reader answer.

    Facts that need no model are ruled on as the product does, without asking the policy.
    """

    def __init__(self, problem: ManagerProblem, world: ManagerWorld) -> None:
        self.bank: Bank = problem.bank
        """The bank as it stands."""
        self.rulings: list[Ruling] = []
        """The policy's rulings so far."""
        self._problem = problem
        self._world = world
        self._next = 0
        self._pending: _Pending | None = None
        self._usable: list[bool] = []
        self._gold: list[bool] = []

    def observe(self) -> Observation | None:
        """The prompt for the next fact that needs the policy; None when all are ruled on."""
        while self._pending is None and self._next < len(self._problem.facts):
            fact = self._problem.facts[self._next]
            candidates = self._candidates(fact)
            by_id = {entry.id: entry for entry in self.bank}
            records = [by_id[name].record() for name in candidates]
            ruling = self._world.manager.by_rule(fact.fact(), records)
            prompt = self._world.manager.prompt(fact.fact(), records) if ruling is None else None
            if prompt is not None:
                self._pending = _Pending(fact, candidates, records, prompt)
            else:
                self._carry_out(ruling or Ruling(OperationKind.ADD, text=fact.text), candidates, fact)
        if self._pending is None:
            return None
        prompt = self._pending.prompt
        return Observation(tuple(prompt.chat), prompt.max_tokens, json_object=True)

    def act(self, text: str, finish: Literal["stop", "length"]) -> None:
        """Carry out what the policy wrote on a copy of the bank."""
        pending = self._pending
        if pending is None:
            raise RuntimeError("act() without an open observation")
        completion = Completion(text, prompt_tokens=0, completion_tokens=0, finish=finish, seconds=0.0)
        ruling = self._world.manager.read(pending.fact.fact(), pending.records, pending.prompt, completion)
        self.rulings.append(ruling)
        self._usable.append(ruling.rejected is None)
        if pending.fact.gold is not None:
            self._gold.append(pending.fact.gold.allows(ruling, pending.candidates))
        self._pending = None
        self._carry_out(ruling, pending.candidates, pending.fact)

    def oracle(self, gold: GoldRuling) -> str | None:
        """The gold ruling on the fact last observed, as the manager should write it; None if its target is hidden."""
        pending = self._pending
        if pending is None:
            return None
        shown = {pending.candidates[index]: index for index in pending.prompt.shown}
        written: dict[str, Any] = {"op": gold.kind.value}
        if gold.target in shown:
            written["id"] = shown[gold.target]
        elif gold.kind in (OperationKind.UPDATE, OperationKind.DELETE):
            return None
        if gold.text is not None and gold.kind in (OperationKind.ADD, OperationKind.UPDATE):
            memory = next((record for record in pending.records if record.id == gold.target), None)
            # what the product writes by itself need not be written by the policy, and what is not seen cannot be
            if memory is None or (
                gold.text != put_behind(memory, pending.fact.fact()) and self._world.manager.shows_whole(memory.text)
            ):
                written["text"] = gold.text
        return json.dumps(written, ensure_ascii=False, separators=(",", ":"))

    def asks(self) -> list[Ask]:
        """What the reader will be asked for the score, so that many episodes' questions can be asked at once."""
        banks = [self._problem.bank, self.bank] if self._world.weights.delta else [self.bank]
        return [ask for bank in banks for ask in self._asks(bank)]

    @property
    def reader(self) -> FrozenReader:
        """Who answers."""
        return self._world.reader

    def score(self) -> Reward:
        """What the bank is now worth.

        Raises:
            ModelError: The reader or the judge failed.
        """
        weights, questions = self._world.weights, self._problem.questions
        parts: dict[str, float] = {}
        if questions:
            answers = self._world.reader.answer(self._asks(self.bank))
            parts["em"] = mean([answer_em(*pair) for pair in self._graded(answers)])
            parts["f1"] = mean([answer_f1(*pair) for pair in self._graded(answers)])
            if weights.judge:
                parts["judge"] = self._judged(answers)
            if weights.delta:
                before = self._world.reader.answer(self._asks(self._problem.bank))
                parts["delta"] = parts["f1"] - mean([answer_f1(*pair) for pair in self._graded(before)])
        if self._usable:
            parts["format"] = mean([float(usable) for usable in self._usable])
        if self._gold:
            parts["operation"] = mean([float(right) for right in self._gold])
        told = [fact.text for fact in self._problem.facts]
        parts["budget"] = budget([one.text for one in self._problem.bank], [one.text for one in self.bank], told)
        parts["safety"] = -float(any(one.planted for one in set(self.bank) - set(self._problem.bank)))
        return weights.reward(parts)

    def _candidates(self, fact: NewFact) -> tuple[str, ...]:
        if self._next == 0 and self._problem.candidates:
            return self._problem.candidates
        found = self._world.search.for_fact(self.bank, fact, self._world.candidates)
        return tuple(entry.id for entry in found)

    def _carry_out(self, ruling: Ruling, candidates: tuple[str, ...], fact: NewFact) -> None:
        self.bank = apply(self.bank, ruling, candidates, fact, f"new-{self._next}")
        self._next += 1

    def _asks(self, bank: Bank) -> list[Ask]:
        world = self._world
        return [
            Ask(question.text, world.search.for_question(bank, question.text, world.cut), question.time)
            for question in self._problem.questions
        ]

    def _graded(self, answers: list[Answer]) -> list[tuple[Answer, str | None]]:
        return [(answer, one.answer) for answer, one in zip(answers, self._problem.questions, strict=True)]

    def _judged(self, answers: list[Answer]) -> float:
        assert self._world.judge is not None
        asked = zip(answers, self._problem.questions, strict=True)
        # an unanswerable question needs no judge: abstaining is right and anything else is not
        known = [answer_em(answer, None) for answer, question in asked if question.answer is None]
        graded = [
            (question.text, question.answer, answer.text)
            for answer, question in zip(answers, self._problem.questions, strict=True)
            if question.answer is not None
        ]
        return mean([*known, *(self._world.judge.grade(graded) if graded else [])])
