"""Problems from conversations with questions: LoCoMo, LongMemEval, MSC, or a user's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memory_r1.agents.grounding import overlap
from memory_r1.agents.text import content_words
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import content_hash
from memory_r1.data.conversation import Conversation, Question, Turn
from memory_r1.data.splits import check_conversations
from memory_r1.errors import InvalidInputError
from memory_r1.rl.bank_state import Bank, BankSearch, Entry, NewFact
from memory_r1.rl.build_options import AnswerOptions, ManagerOptions
from memory_r1.rl.problems import AnswerProblem, ManagerProblem, check_problems
from memory_r1.rl.retrieved import answer_problem, from_turns, turn_entries, turn_texts

_ASK = 'Add lines such as {"type": "question", "text": ..., "answer": ..., "evidence": [TURN_ID]}.'

Facts = Mapping[str, Mapping[str, Sequence[Fact]]]
"""Facts by conversation id and turn id, from `memory_r1.rl.fact_cache.FactCache`."""


def manager_problems(
    conversations: Sequence[Conversation],
    search: BankSearch,
    options: ManagerOptions | None = None,
    *,
    facts: Facts | None = None,
    source: str = "the data",
) -> list[ManagerProblem]:
    """A problem for each fact of a turn that a question's evidence names.

    The bank before it holds the facts of the preceding turns, each added as it is.

    Args:
        conversations: With their questions.
        search: Finds the candidates.
        options: See `ManagerOptions`; None: the paper's.
        facts: What was extracted; needed unless the options take turns as they are.
        source: What error messages call the data.

    Raises:
        InvalidInputError: The data cannot be used, or holds no usable episode; see `check_conversations`.
    """
    options = options or ManagerOptions()
    check_conversations(conversations, source=source)
    if options.source == "facts":
        _check_facts(conversations, facts)
    problems: list[ManagerProblem] = []
    for one in conversations:
        told = _told(one, None if options.source == "turns" else (facts or {})[one.id])
        walk = _Walk(one, told, search, options)
        problems += [problem for problem in walk.problems() if options.unlinked or problem.questions]
    if not problems:
        raise InvalidInputError(
            f"{source} holds no usable episode: no question's evidence names a turn with a fact.",
            hint="Give questions with evidence and an answer.",
        )
    check_problems(problems, source)
    return problems


def answer_problems(
    conversations: Sequence[Conversation],
    search: BankSearch,
    options: AnswerOptions | None = None,
    *,
    facts: Facts | None = None,
    banks: Mapping[str, Bank] | None = None,
    source: str = "the data",
) -> list[AnswerProblem]:
    """A problem for each question, on everything that was said.

    Args:
        conversations: With their questions.
        search: Finds the memories.
        options: See `AnswerOptions`.
        facts: What was extracted; needed unless the options take turns alone.
        banks: Instead of `facts`, the bank that a manager made of each conversation, by id: the paper's Algorithm 2.
        source: What error messages call the data.

    Raises:
        InvalidInputError: The data cannot be used, or holds no usable question; see `check_conversations`.
    """
    options = options or AnswerOptions()
    check_conversations(conversations, source=source)
    if options.source != "turns" and banks is None:
        _check_facts(conversations, facts)
    problems = []
    for one in conversations:
        bank: Bank = ()
        if options.source != "turns":
            bank = banks[one.id] if banks is not None else added(_all_facts(_told(one, (facts or {})[one.id])))
        if options.source != "facts":
            bank = (*bank, *(entry for turn in one.turns for entry in turn_entries(turn)))
        for question in one.questions:
            if question.answer is None and not options.unanswerable:
                continue
            relevant: frozenset[str] | None = None
            if question.evidence or question.answer is None:
                relevant = from_turns(bank, question.evidence if question.answer is not None else ())
            problem = answer_problem(question, bank, search, options, relevant=relevant)
            problems += [problem] if problem else []
    check_problems(problems, source)
    return problems


def check_usable(
    conversations: Sequence[Conversation],
    agent: Literal["manager", "answerer"],
    *,
    source: str,
    evidence: bool = False,
    unanswerable: bool = False,
) -> None:
    """Refuse conversations that cannot give an agent a single episode, before their facts are extracted.

    Args:
        conversations: With their questions.
        agent: Who is to learn.
        source: What error messages call the data.
        evidence: The Answer Agent's questions must name theirs, too, unless they have no answer.
        unanswerable: The Memory Manager's questions may have no answer.

    Raises:
        InvalidInputError: No question can be used.
    """
    asked = [question for one in conversations for question in one.questions]
    if agent == "manager":
        usable = any(one.evidence and (unanswerable or one.answer is not None) for one in asked)
        lack = "no question has an answer and evidence that names its turns"
    else:
        usable = any(one.evidence or one.answer is None or not evidence for one in asked)
        lack = "no question has evidence, without which there is nothing to imitate"
    if not usable:
        raise InvalidInputError(
            f"{source} holds no usable episode: {lack if asked else 'it asks nothing'}.",
            hint="Name the turns that answers rest on, or try --infer-evidence." if asked else _ASK,
        )


def infer_evidence(conversation: Conversation) -> Conversation:
    """Give questions without evidence the first turn that holds every content word of their answer, if there is one.

    For data such as MSC that names none. A guess: it finds where an answer was said, not what it follows from.

    Example:
        >>> from memory_r1.data.conversation import Session
        >>> said = Session("s", None, (Turn("t1", "Ann", "Hello!"), Turn("t2", "Ann", "I love green tea.")))
        >>> talk = Conversation("c", ("Ann",), (said,), (Question("q", "What do you drink?", "Green tea"),))
        >>> infer_evidence(talk).questions[0].evidence
        ('t2',)
    """
    turns = [(turn.id, " ".join(turn_texts(turn))) for turn in conversation.turns]

    def mended(question: Question) -> Question:
        if question.evidence or question.answer is None or not content_words(question.answer):
            return question
        found = next((name for name, text in turns if overlap(question.answer, text) == 1), None)
        return replace(question, evidence=(found,)) if found else question

    return replace(conversation, questions=tuple(map(mended, conversation.questions)))


def added(facts: Sequence[NewFact]) -> Bank:
    """The bank that adding every fact leaves; one whose words are there already is not added again.

    Example:
        >>> [entry.text for entry in added([NewFact("Ann has a cat"), NewFact("ann has a cat"), NewFact("Bob sings")])]
        ['Ann has a cat', 'Bob sings']
    """
    first: dict[str, Entry] = {}
    for number, fact in enumerate(facts):
        turns = (fact.turn_id,) if fact.turn_id else ()
        first.setdefault(
            content_hash(fact.text), Entry(f"fact-{number}", fact.text, fact.time, fact.speaker, turns, fact.planted)
        )
    return tuple(first.values())


@dataclass(frozen=True, slots=True)
class _Told:
    """A turn and the facts in it."""

    turn: Turn
    facts: tuple[NewFact, ...]


def _told(one: Conversation, facts: Mapping[str, Sequence[Fact]] | None) -> list[_Told]:
    """Each turn with its facts; None: the turn itself is the fact."""
    result = []
    for turn in one.turns:
        texts = turn_texts(turn) if facts is None else [fact.text for fact in facts.get(turn.id, ())]
        result.append(_Told(turn, tuple(NewFact(text, turn.time, turn.speaker, turn.id) for text in texts)))
    return result


def _all_facts(told: Sequence[_Told]) -> list[NewFact]:
    return [fact for one in told for fact in one.facts]


def _check_facts(conversations: Sequence[Conversation], facts: Facts | None) -> None:
    missing = [one.id for one in conversations if facts is None or one.id not in facts]
    if missing:
        raise InvalidInputError(
            f"The facts of {missing[0]!r} are not extracted.", hint="Use FactCache, or take turns as they are."
        )


class _Walk:
    """Goes through one conversation and makes manager problems."""

    def __init__(self, one: Conversation, told: Sequence[_Told], search: BankSearch, options: ManagerOptions) -> None:
        self._one = one
        self._told = told
        self._search = search
        self._options = options
        self._order = {turn.id: place for place, turn in enumerate(one.turns)}
        self._asked: defaultdict[str, list[Question]] = defaultdict(list)
        for question in one.questions:
            if question.answer is not None or options.unanswerable:
                for name in self._link(question):
                    self._asked[name].append(question)

    def problems(self) -> list[ManagerProblem]:
        """The problems, in the order of the turns."""
        problems: list[ManagerProblem] = []
        for place, told in enumerate(self._told):
            questions = self._asked[told.turn.id]
            if not told.facts or not (questions or self._options.unlinked):
                continue
            window = self._options.window_turns if self._options.bank != "all" else place
            before = _all_facts(self._told[max(0, place - window) : place])
            if self._options.bank == "empty":
                problems.append(self._problem(place, (), (*before, *told.facts), questions, "replay"))
            elif self._options.whole_turns:
                problems += [self._problem(place, added(before), told.facts, questions, "turn")] if before else []
            else:
                for number, fact in enumerate(told.facts):
                    bank = added([*before, *told.facts[:number]])
                    known = {content_hash(entry.text) for entry in bank}
                    if bank and content_hash(fact.text) not in known:
                        problems.append(self._problem(place, bank, (fact,), questions, str(number)))
        return problems

    def _link(self, question: Question) -> Sequence[str]:
        evidence = list(dict.fromkeys(question.evidence))
        if self._options.link == "evidence" or not evidence:
            return evidence
        return [max(evidence, key=self._order.__getitem__)]

    def _problem(
        self, place: int, bank: Bank, facts: tuple[NewFact, ...], linked: Sequence[Question], part: str
    ) -> ManagerProblem:
        found = self._search.for_fact(bank, facts[0], self._options.candidates) if bank else ()
        questions = list(linked[: self._options.most_questions])
        room = min(self._options.guards, self._options.most_questions - len(questions))
        if room > 0:
            questions += self._guards(place, found, {question.id for question in linked})[:room]
        return ManagerProblem(
            f"{self._one.id}/{self._told[place].turn.id}/{part}",
            bank,
            facts,
            tuple(entry.id for entry in found),
            tuple(questions),
        )

    def _guards(self, place: int, candidates: Sequence[Entry], linked: set[str]) -> list[Question]:
        """Questions about what the candidates say, all of whose evidence was said by now."""
        turns = {name for entry in candidates for name in entry.turns}
        found = [
            question
            for question in self._one.questions
            if question.id not in linked
            and question.answer is not None
            and turns.intersection(question.evidence)
            and all(self._order[name] <= place for name in question.evidence)
        ]
        start = place % len(found) if found else 0
        return found[start:] + found[:start]
