from dataclasses import replace

import pytest

from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic import SPLITS, generate
from memory_r1.data.synthetic.lineage import lineage
from memory_r1.errors import InvalidInputError

WRITING = (OperationKind.ADD, OperationKind.UPDATE)


@pytest.mark.parametrize("split", SPLITS)
def test_facts_stand_exactly_while_their_memory_does(split):
    one = generate(5, sessions=25, split=split)
    lives = lineage(one)
    assert list(lives) == [fact.id for fact in one.facts]
    assert all(life.stands(life.place) == (life.kind in WRITING) for life in lives.values())
    place = -1
    for turn, bank in one.states():
        place += len(turn.facts)
        assert {life.memory for life in lives.values() if life.stands(place)} == set(bank)


def test_a_change_names_what_it_replaces():
    one = generate(3, sessions=40, split="test")
    lives = lineage(one)
    changes = {chain[0] for life in lives.values() for chain in life.replaced}
    assert len(changes) > 10
    for life in lives.values():
        for chain in life.replaced:
            places = [lives[name].place for name in chain]
            assert places == sorted(places)
            assert places[0] > life.place
            assert {lives[name].memory for name in chain} == {life.memory}
    # what only adds to a memory replaces nothing
    texts = {}
    for operation in one.operations:
        if operation.kind is OperationKind.UPDATE and operation.text.startswith(texts[operation.memory_id]):
            assert operation.fact_id not in changes
        texts[operation.memory_id] = operation.text or texts.get(operation.memory_id)


def test_a_repetition_names_the_latest_fact_with_its_value():
    one = generate(3, sessions=40, split="test")
    lives = lineage(one)
    repeats = [life for life in lives.values() if life.kind is OperationKind.NOOP]
    assert len(repeats) > 20
    for life in repeats:
        assert life.repeats
        assert all(lives[name].stands(life.place) for name in life.repeats)
        assert all(lives[name].memory == life.memory for name in life.repeats)


def test_a_topic_of_another_generator_is_refused():
    one = generate(1, sessions=1)
    turns = tuple(
        replace(turn, facts=tuple(replace(fact, topic="spaceship.start") for fact in turn.facts)) for turn in one.turns
    )
    with pytest.raises(InvalidInputError, match=r"spaceship\.start"):
        lineage(replace(one, turns=turns))


@pytest.mark.parametrize("speakers", [2, 4])
def test_a_long_conversation_begins_as_a_short_one(speakers):
    short, long = (generate(2, sessions=count, split="test", speakers=speakers) for count in (3, 9))
    count = len(short.turns)
    assert short.turns == long.turns[:count]
    assert short.conversation.turns == long.conversation.turns[:count]
