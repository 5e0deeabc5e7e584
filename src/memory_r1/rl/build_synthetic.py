"""Problems from synthetic conversations, whose facts, operations, banks and evidence are known."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from memory_r1.bank.operation import OperationKind
from memory_r1.data.conversation import Question
from memory_r1.data.synthetic import GoldAnswer, GoldOperation, GoldTurn, SyntheticConversation
from memory_r1.rl.bank_state import Bank, BankSearch, GoldRuling, NewFact
from memory_r1.rl.build_options import SYNTHETIC_MANAGER, AnswerOptions, ExtractOptions, ManagerOptions
from memory_r1.rl.gold_bank import filler_texts, places_of, relevant_ids, separate_bank, stages_of
from memory_r1.rl.problems import AnswerProblem, ExtractProblem, ManagerProblem
from memory_r1.rl.retrieved import answer_problem, from_turns, turn_entries, with_targets


def manager_problems(
    made: Iterable[SyntheticConversation], search: BankSearch, options: ManagerOptions | None = None
) -> list[ManagerProblem]:
    """A problem for each gold fact, on the exact bank before it, for each planted instruction, and for some filler.

    Facts for which the product would ask no model (an empty bank, a memory of the very words) give no problem; nor,
    unless `unlinked`, do those without a question.

    Args:
        made: The conversations.
        search: Finds the candidates; the memory that the gold operation concerns is always among them.
        options: See `ManagerOptions`.
    """
    options = options or SYNTHETIC_MANAGER
    views = ("fact", "said") if options.stored == "mixed" else (options.stored,)
    return [
        problem
        for number, one in enumerate(made)
        for problem in _Walk(one, search, options, views[number % len(views)]).problems()
        if options.unlinked or problem.questions
    ]


def manager_demonstrations(made: Iterable[SyntheticConversation], search: BankSearch) -> list[ManagerProblem]:
    """Every ruling as a problem without questions, to imitate; half of the plain additions are left out.

    So is three quarters of the talk about nothing, of which there is more than of all else.
    """
    return manager_problems(made, search, ManagerOptions(unlinked=True, most_questions=0, additions=0.5, filler=0.25))


def answer_problems(
    made: Iterable[SyntheticConversation], search: BankSearch, options: AnswerOptions | None = None
) -> list[AnswerProblem]:
    """A problem for each question, on the bank at the time it is asked."""
    options = options or AnswerOptions()
    problems = []
    for one in made:
        order = places_of(one)
        turns = {turn.id: turn for turn in one.conversation.turns}
        planted = {turn.turn_id for turn in one.turns if turn.planted}
        stages = stages_of(one, "gold")
        for question, gold in one.questions:
            if question.answer is None and not options.unanswerable:
                continue
            until = order[gold.as_of] if gold.as_of else len(one.turns) - 1
            bank: Bank = ()
            if options.source != "turns":
                bank = stages[until].after if options.managed else separate_bank(one, until)
            relevant = relevant_ids(one, gold, question)
            if options.source != "facts":
                said = [turn for turn in turns.values() if order[turn.id] <= until]
                raw = tuple(entry for turn in said for entry in turn_entries(turn, planted=turn.id in planted))
                bank, relevant = (*bank, *raw), relevant | from_turns(raw, question.evidence)
            problem = answer_problem(question, bank, search, options, relevant=relevant)
            problems += [problem] if problem else []
    return problems


def extract_problems(
    made: Iterable[SyntheticConversation], options: ExtractOptions | None = None
) -> list[ExtractProblem]:
    """A problem for each turn with facts, each planted one, and a share of those with nothing to remember."""
    options = options or ExtractOptions()
    problems = []
    for one in made:
        rng = random.Random(f"{options.seed}/{one.conversation.id}")
        gold = {turn.turn_id: turn for turn in one.turns}
        for session in one.conversation.sessions:
            for place, turn in enumerate(session.turns):
                known = gold[turn.id]
                wanted = rng.random() < options.nothing
                if known.facts or known.planted or wanted:
                    problems.append(
                        ExtractProblem(
                            f"{one.conversation.id}/{turn.id}/extract",
                            turn,
                            session.turns[max(0, place - options.context_turns) : place],
                            tuple(fact.text for fact in known.facts),
                            known.planted,
                        )
                    )
    return problems


class _Walk:
    """Goes through one conversation and makes manager problems."""

    def __init__(self, one: SyntheticConversation, search: BankSearch, options: ManagerOptions, stored: str) -> None:
        self._one = one
        self._rng = random.Random(f"additions/{one.conversation.id}")
        self._search = search
        self._options = options
        self._order = places_of(one)
        self._turns = {turn.id: turn for turn in one.conversation.turns}
        self.stages_of = stages_of(one, stored)
        self._filler = filler_texts(one) if options.filler else {}

    def problems(self) -> Iterator[ManagerProblem]:
        for place, stage in enumerate(self.stages_of):
            facts = [
                self._fact(stage.turn, text, ruling) for text, ruling in zip(stage.texts, stage.rulings, strict=True)
            ]
            if stage.turn.planted and self._options.planted and not facts and stage.after:
                turn = self._turns[stage.turn.turn_id]
                fact = self._fact(stage.turn, f"{turn.speaker}: {turn.text}", GoldRuling(OperationKind.NOOP))
                problem = self._problem(place, stage.after, (fact,), None, "planted")
                # it is there for what it must not do, whether or not anything is asked
                yield problem
            elif not facts and stage.after:
                for number, text in enumerate(self._filler.get(stage.turn.turn_id, ())):
                    if self._rng.random() < self._options.filler:
                        fact = self._fact(stage.turn, text, GoldRuling(OperationKind.NOOP))
                        yield self._problem(place, stage.after, (fact,), None, f"filler-{number}")
            elif facts and self._options.bank == "empty":
                earlier = self._earlier(place)
                yield self._problem(place, (), (*earlier, *facts), stage.turn.operations[-1], "replay")
            elif facts and self._options.whole_turns:
                if stage.before[0]:
                    yield self._problem(place, stage.before[0], tuple(facts), stage.turn.operations[-1], "turn")
            else:
                for number, (fact, bank) in enumerate(zip(facts, stage.before, strict=True)):
                    known = any(entry.text.casefold() == fact.text.casefold() for entry in bank)
                    if bank and not known and self._kept(fact):
                        yield self._problem(place, bank, (fact,), stage.turn.operations[number], str(number))

    def _fact(self, turn: GoldTurn, text: str, ruling: GoldRuling) -> NewFact:
        said = self._turns[turn.turn_id]
        return NewFact(text, said.time, said.speaker, said.id, turn.planted and not turn.facts, ruling)

    def _kept(self, fact: NewFact) -> bool:
        adds = fact.gold is not None and fact.gold.kind is OperationKind.ADD
        return not adds or self._rng.random() < self._options.additions

    def _earlier(self, place: int) -> list[NewFact]:
        return [
            self._fact(stage.turn, text, ruling)
            for stage in self.stages_of[max(0, place - self._options.window_turns) : place]
            for text, ruling in zip(stage.texts, stage.rulings, strict=True)
        ]

    def _problem(
        self, place: int, bank: Bank, facts: tuple[NewFact, ...], operation: GoldOperation | None, part: str
    ) -> ManagerProblem:
        candidates: tuple[str, ...] = ()
        if bank:
            found = self._search.for_fact(bank, facts[0], self._options.candidates)
            gold = facts[0].gold
            targets = {gold.target} if gold and gold.target else set()
            candidates = with_targets([entry.id for entry in found], targets, self._options.candidates)
        questions = self._linked(place, operation)
        room = min(self._options.guards, self._options.most_questions - len(questions))
        if room > 0 and (questions or operation is None):
            others = set(candidates) - ({operation.memory_id} if operation else set())
            questions += self._guards(place, others, {one.id for one in questions})[:room]
        turn = self.stages_of[place].turn.turn_id
        return ManagerProblem(f"{self._one.conversation.id}/{turn}/{part}", bank, facts, candidates, tuple(questions))

    def _linked(self, place: int, operation: GoldOperation | None) -> list[Question]:
        if operation is None:
            return []
        asked = self._one.questions
        chosen = [_now(question) for question, gold in asked if self._belongs(place, operation, question, gold)]
        if self._options.unanswerable and operation.kind is OperationKind.DELETE:
            chosen += self._outdated(place, operation)
        return chosen[: self._options.most_questions]

    def _belongs(self, place: int, operation: GoldOperation, question: Question, gold: GoldAnswer) -> bool:
        turn = self.stages_of[place].turn.turn_id
        if question.answer is None:
            return self._options.unanswerable and self._retired(place, operation, gold)
        if self._options.link == "evidence":
            return turn in question.evidence
        holds = self._holds(place, question, gold)
        if self._options.link == "last-evidence":
            return holds and turn in question.evidence
        return holds and (turn in question.evidence or operation.memory_id in gold.memories)

    def _holds(self, place: int, question: Question, gold: GoldAnswer) -> bool:
        """Whether the gold answer is known and right just after a turn."""
        until = self._order[gold.as_of] if gold.as_of else len(self.stages_of)
        return question.answer is not None and all(self._order[name] <= place <= until for name in question.evidence)

    def _retired(self, place: int, operation: GoldOperation, gold: GoldAnswer) -> bool:
        """Whether a question has no answer because this operation retired what it asks for."""
        if operation.kind is not OperationKind.DELETE or not gold.bait_turns:
            return False
        retired = next(entry for entry in self.stages_of[place].before[0] if entry.id == operation.memory_id)
        return set(gold.bait_turns) <= set(retired.turns)

    def _outdated(self, place: int, operation: GoldOperation) -> list[Question]:
        """Questions about a memory until it was retired, that have no answer any more."""
        return [
            replace(question, id=f"{question.id}-retired", answer=None, time=None)
            for question, gold in self._one.questions
            if gold.memories == (operation.memory_id,) and gold.as_of and self._order[gold.as_of] < place
        ]

    def _guards(self, place: int, others: set[str], linked: set[str]) -> list[Question]:
        found = [
            _now(question)
            for question, gold in self._one.questions
            if question.id not in linked and others & set(gold.memories) and self._holds(place, question, gold)
        ]
        # not always the first of the conversation
        start = place % len(found) if found else 0
        return found[start:] + found[:start]


def _now(question: Question) -> Question:
    """The question as it is asked in the episode: right after the fact."""
    return replace(question, time=None)
