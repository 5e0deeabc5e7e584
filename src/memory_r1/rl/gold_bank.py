"""What is known of a synthetic conversation's bank: as it stands at each fact, by gold operations or by adding all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from memory_r1.agents.joining import joined
from memory_r1.agents.selector import Part, completed
from memory_r1.bank.operation import OperationKind
from memory_r1.data.conversation import Question, Turn
from memory_r1.data.synthetic import GoldAnswer, GoldFact, GoldOperation, GoldTurn, SyntheticConversation
from memory_r1.rl.bank_state import Bank, Entry, GoldRuling
from memory_r1.rl.extract_task import gold_selection, parts_of_turn


@dataclass(frozen=True, slots=True)
class Stage:
    """A turn with the bank before each of its facts and after the last."""

    turn: GoldTurn
    texts: tuple[str, ...]
    """Each of its facts as the manager is told it."""
    before: tuple[Bank, ...]
    after: Bank
    rulings: tuple[GoldRuling, ...]


def stages_of(one: SyntheticConversation, stored: str) -> list[Stage]:
    """Replay the gold operations, turn by turn.

    Args:
        one: The conversation.
        stored: `fact`, `said` or `gold`; see `ManagerOptions.stored`.
    """
    turns = {turn.id: turn for turn in one.conversation.turns}
    told = _told(one, stored)
    bank: dict[str, Entry] = {}
    gold: dict[str, str] = {}
    stages = []
    for turn in one.turns:
        before, rulings = [], []
        for fact, operation in zip(turn.facts, turn.operations, strict=True):
            before.append(tuple(bank.values()))
            fact = replace(fact, text=told[fact.id])
            text = _text(bank, gold, fact, operation, stored, turns[turn.turn_id])
            rulings.append(_ruling(fact, operation, text))
            _step(bank, operation, text, fact, turns[turn.turn_id])
            if operation.text is not None:
                gold[operation.memory_id] = operation.text
        texts = tuple(told[fact.id] for fact in turn.facts)
        stages.append(Stage(turn, texts, tuple(before), tuple(bank.values()), tuple(rulings)))
    return stages


def _text(
    bank: Mapping[str, Entry],
    gold: Mapping[str, str],
    fact: GoldFact,
    operation: GoldOperation,
    stored: str,
    turn: Turn,
) -> str:
    """The memory's text after an operation."""
    text = operation.text or ""
    if stored == "gold" or operation.kind not in (OperationKind.ADD, OperationKind.UPDATE):
        return text
    if operation.kind is OperationKind.ADD:
        return fact.text
    # what only adds to a memory is put behind it, as an UPDATE without a text leaves it
    adds = text.startswith(gold[operation.memory_id])
    known = bank[operation.memory_id]
    return joined(known.text, fact.text, known.time, turn.time) if adds else text


def _ruling(fact: GoldFact, operation: GoldOperation, text: str) -> GoldRuling:
    if operation.kind is OperationKind.ADD:
        return GoldRuling(operation.kind, text=text if text != fact.text else None)
    updating = operation.kind is OperationKind.UPDATE
    return GoldRuling(operation.kind, operation.memory_id, text if updating else None)


def _step(bank: dict[str, Entry], operation: GoldOperation, text: str, fact: GoldFact, turn: Turn) -> None:
    name = operation.memory_id
    if operation.kind is OperationKind.DELETE:
        del bank[name]
    elif operation.kind is not OperationKind.NOOP:
        earlier = bank[name].turns if name in bank else ()
        sources = tuple(dict.fromkeys((*earlier, fact.turn_id)))
        bank[name] = Entry(name, text, turn.time, turn.speaker, sources)


def said_texts(one: SyntheticConversation) -> dict[str, str]:
    """Each fact in the words it was told in, by its id, as the product stores what a perfect extractor chooses.

    Facts told in one breath would be one memory; there, they keep the generator's words.
    """
    texts = {fact.id: fact.text for fact in one.facts}
    told = {turn.turn_id: turn.facts for turn in one.turns if turn.facts}
    for name, parts in _parts_by_turn(one, told).items():
        if not parts:
            continue
        facts = told[name]
        lines = gold_selection(parts[0], [fact.text for fact in facts])
        for fact in facts:
            chosen = gold_selection(parts[0], [fact.text])
            own = [place for place, line in enumerate(lines) if chosen and set(chosen[0]) <= set(line)]
            if own and len(lines) == len(facts):
                whole = completed(parts[0], lines, one.conversation.speakers)
                texts[fact.id] = parts[0].text_of(whole[own[0]])
    return texts


def filler_texts(one: SyntheticConversation) -> dict[str, tuple[str, ...]]:
    """What the product's extractor leaves of turns that tell nothing, by turn id: no rule knows it for small talk.

    Planted instructions are not among them.
    """
    nothing = {turn.turn_id for turn in one.turns if not turn.facts and not turn.planted}
    speakers = one.conversation.speakers
    return {
        name: tuple(part.text_of(line) for part in parts for line in completed(part, (), speakers))
        for name, parts in _parts_by_turn(one, nothing).items()
    }


def _parts_by_turn(one: SyntheticConversation, names: Collection[str]) -> dict[str, list[Part]]:
    """What the extractor is asked about some of the turns, by turn id."""
    return {
        turn.id: parts_of_turn(turn, session.turns[max(0, place - 1) : place])
        for session in one.conversation.sessions
        for place, turn in enumerate(session.turns)
        if turn.id in names
    }


def _told(one: SyntheticConversation, stored: str) -> dict[str, str]:
    return said_texts(one) if stored == "said" else {fact.id: fact.text for fact in one.facts}


def separate_bank(one: SyntheticConversation, until: int, stored: str = "fact") -> Bank:
    """Each fact so far as a memory by itself, as after ADD for all; the same words twice are one."""
    turns = {turn.id: turn for turn in one.conversation.turns}
    told = _told(one, stored)
    facts = {told[fact.id]: fact for turn in reversed(one.turns[: until + 1]) for fact in reversed(turn.facts)}
    return tuple(
        Entry(fact.id, told[fact.id], turns[fact.turn_id].time, turns[fact.turn_id].speaker, (fact.turn_id,))
        for fact in reversed(facts.values())
    )


def relevant_ids(one: SyntheticConversation, gold: GoldAnswer, question: Question) -> frozenset[str]:
    """Ids of the memories and of the facts that hold the answer."""
    memory = {operation.fact_id: operation.memory_id for operation in one.operations}
    stated = (fact.id for fact in one.facts if fact.turn_id in question.evidence)
    facts = (name for name in stated if memory[name] in gold.memories)
    return frozenset((*gold.memories, *facts))


def places_of(one: SyntheticConversation) -> dict[str, int]:
    """Each turn's place in the conversation, counted from 0."""
    return {turn.turn_id: place for place, turn in enumerate(one.turns)}
