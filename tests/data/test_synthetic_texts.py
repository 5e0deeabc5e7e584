"""The texts that conversations are made of fit together: every slot is filled, every fact follows from what is said."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

import pytest

from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic.dialogue import talk
from memory_r1.data.synthetic.frames import Frame, Step, all_frames, phrasings
from memory_r1.data.synthetic.questions import CATEGORIES
from memory_r1.data.synthetic.template import certain_slots, slots
from memory_r1.data.synthetic.vocabulary import MADE, SPLITS, vocabulary, word_lists

FRAMES = all_frames()
STEPS = [
    pytest.param(frame, step, id=f"{frame.id}.{step.id}") for frame in FRAMES.values() for step in frame.steps.values()
]


def known(frame: Frame, step: Step) -> set[str]:
    """The slots that have a value once a step is taken, whatever else has happened."""
    before = chain.from_iterable(frame.steps[name].draw for name in ("start", *step.needs))
    return {*before, *step.draw, *(f"{name}_was" for name in step.shift)}


def flat(pool: object) -> list[str]:
    if isinstance(pool, str):
        return [pool]
    if isinstance(pool, dict):
        return [text for one in pool.values() for text in flat(one)]
    return [text for one in pool for text in flat(one)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("frame", "step"), STEPS)
def test_every_slot_has_a_value_when_it_is_used(frame: Frame, step: Step) -> None:
    at_hand = known(frame, step)
    for template in (*step.say, *step.reply, *step.caption):
        assert slots(template) <= at_hand, template
    for template in (*step.fact, *filter(None, [step.clause]), *step.set.values()):
        assert slots(template) <= at_hand | {"S"}, template
    for template in step.asked:
        assert slots(template) <= at_hand - set(step.draw), template
    for ask in step.asks:
        assert slots(ask.answer) | slots(ask.question) <= at_hand | {"S"}, ask


@pytest.mark.parametrize(("frame", "step"), STEPS)
def test_every_fact_follows_from_what_is_said(frame: Frame, step: Step) -> None:
    shown = frozenset.intersection(*map(certain_slots, step.caption)) if step.caption else frozenset()
    for fact in step.fact:
        for said in step.say:
            assert slots(fact) - {"S"} <= certain_slots(said) | shown | _only_pronouns(fact), (fact, said)
        started = frozenset.intersection(*map(certain_slots, frame.start.say))
        for question in step.asked:
            for answer in step.reply:
                heard = certain_slots(question) | certain_slots(answer) | started
                assert slots(fact) - {"S"} <= heard | _only_pronouns(fact), (fact, question, answer)


def _only_pronouns(template: str) -> frozenset[str]:
    return slots(template) - certain_slots(template)


@pytest.mark.parametrize(("frame", "step"), STEPS)
def test_what_is_new_stands_in_the_fact(frame: Frame, step: Step) -> None:
    if step.kind in (OperationKind.ADD, OperationKind.UPDATE):
        new = {*(frame.start.draw if step.id == "start" else step.draw), *step.shift, *step.redraw}
        memory = slots("".join([*step.fact, step.clause or "", *step.set.values()]))
        assert new <= memory


@pytest.mark.parametrize(("frame", "step"), STEPS)
def test_steps_are_named_and_worded_well(frame: Frame, step: Step) -> None:
    assert step.say or step.reply
    assert bool(step.asked) == bool(step.reply)
    for name in (*step.needs, *step.bars, *step.drop, *step.set):
        assert name in frame.steps, name
    assert step.mood in ("good", "bad", "plain")
    assert {ask.category for ask in step.asks} <= set(CATEGORIES)
    assert all(ask.unless <= frame.steps.keys() for ask in step.asks)
    assert set(step.shift) | set(step.redraw) <= frame.start.draw.keys() | step.draw.keys()
    if step.id == "start":
        assert len(step.say) >= 3
        assert step.kind is OperationKind.ADD
    else:
        assert step.kind is not OperationKind.ADD
    if step.kind is OperationKind.NOOP:
        assert not step.draw


@pytest.mark.parametrize("frame", FRAMES.values(), ids=lambda frame: frame.id)
def test_frames_draw_from_lists_that_exist(frame: Frame) -> None:
    for step in frame.steps.values():
        for spec in step.draw.values():
            if spec.startswith("@"):
                kind, _, slot = spec[1:].partition("/")
                assert kind in MADE
                assert not slot or slot in step.draw
            else:
                assert spec.removesuffix("*") in word_lists()
    assert set(frame.share) <= frame.start.draw.keys()
    if frame.gather:
        assert set(frame.gather.slots) <= set().union(*(step.draw for step in frame.steps.values()))
    for pool in ("topic", "echo"):
        assert talk()[pool][frame.id]


def test_small_talk_uses_only_lists_that_exist() -> None:
    lists = set(word_lists())
    for name, pool in talk().items():
        if name == "echo":
            for frame, templates in pool.items():
                for template in templates:
                    assert slots(template) <= lists | FRAMES[frame].start.draw.keys(), template
        else:
            for template in flat(pool):
                assert slots(template) <= lists | {"S", "O"}, template


def test_open_lists_share_nothing_between_splits() -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for split in SPLITS:
        for name, (is_open, _) in word_lists().items():
            if is_open:
                assert len(vocabulary(split)[name]) >= 2, (name, split)
                for entry in vocabulary(split)[name]:
                    seen[entry.split("/")[0].lower()].add(split)
    assert {entry: where for entry, where in seen.items() if len(where) > 1} == {}


def test_a_part_of_the_phrasings_is_kept_from_training() -> None:
    templates = [f"t{place}" for place in range(16)]
    train, validation, test = (set(phrasings(templates, split)) for split in SPLITS)
    assert len(validation - train) == len(test - train) == 2
    assert not (validation & test) - train
    kept = sum(1 for frame in FRAMES.values() for step in frame.steps.values() if len(step.say) >= 4)
    assert kept > len(FRAMES)
