import os
from collections import Counter
from pathlib import Path

import pytest

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.locomo import load_locomo
from memory_r1.data.splits import answerable, check_conversations, split_in_halves, split_locomo, unanswerable
from memory_r1.errors import InvalidInputError


def talk(name="c", turns=("t1",), questions=(), evidence=("t1",)):
    said = tuple(Turn(turn, "Ann", "Hi") for turn in turns)
    asked = tuple(Question(f"{name}#{q}", "What?", answer, evidence=evidence) for q, answer in enumerate(questions))
    return Conversation(name, ("Ann",), (Session("s", None, said),), asked)


def test_usable_conversations_pass():
    check_conversations([talk("a", questions=("x",)), talk("b")], source="data", evidence=True)


@pytest.mark.parametrize(
    ("conversations", "why"),
    [
        ([], "no conversation"),
        ([talk(), talk()], "two conversations 'c'"),
        ([talk(turns=())], "'c' is empty"),
        ([talk(turns=("t1", "t1"))], "two turns 't1'"),
        ([talk(questions=("x",), evidence=("t9",))], "'t9'"),
        ([talk(questions=("x",), evidence=())], "no evidence"),
    ],
)
def test_what_cannot_be_trained_on_is_named(conversations, why):
    with pytest.raises(InvalidInputError, match=why) as caught:
        check_conversations(conversations, source="my.jsonl", evidence=True)
    assert "my.jsonl" in str(caught.value)


def test_a_question_twice_is_an_error():
    one = Conversation("b", ("Ann",), talk().sessions, (Question("c#0", "What?", "x"),))
    with pytest.raises(InvalidInputError, match="two questions"):
        check_conversations([talk(questions=("x",)), one], source="data")


def test_an_unanswerable_question_needs_no_evidence():
    check_conversations([talk(questions=(None,), evidence=())], source="data", evidence=True)


def test_answerable_and_unanswerable_share_out_the_questions():
    one = talk(questions=("x", None, "y"))
    assert [question.answer for question in answerable(one).questions] == ["x", "y"]
    assert [question.answer for question in unanswerable(one).questions] == [None]


def test_halves_need_one_question_each():
    with pytest.raises(InvalidInputError, match="instead of one"):
        split_in_halves([talk(questions=("x", "y"))])
    train, test = split_in_halves([talk(f"c{place}", questions=("x",)) for place in range(5)])
    assert (len(train), len(test)) == (2, 3)


def test_a_part_of_locomo_cannot_be_split():
    with pytest.raises(InvalidInputError, match="conv-30"):
        split_locomo([talk("conv-26")])


def test_the_real_locomo_splits_as_in_the_paper():
    folder = os.environ.get("MEMORY_R1_DATA")
    if not folder or not (Path(folder) / "locomo" / "locomo10.json").is_file():
        pytest.skip("MEMORY_R1_DATA names no folder that holds locomo/locomo10.json")
    loaded = load_locomo(folder)
    check_conversations(loaded, source="LoCoMo")
    split = split_locomo(loaded)
    counts = [sum(len(one.questions) for one in part) for part in (split.train, split.validation, split.test)]
    assert counts == [152, 81, 1307]
    kinds = Counter(question.category for one in split.test for question in one.questions)
    assert kinds == {"multi-hop": 239, "open-domain": 83, "single-hop": 727, "temporal": 258}
    adversarial = split_locomo(loaded, adversarial=True)
    apart = [sum(len(unanswerable(one).questions) for one in part) for part in (adversarial.train, adversarial.test)]
    assert apart == [47, 375]
    (train,) = split.train
    linked = Counter(name for question in train.questions for name in set(question.evidence))
    assert len(train.turns) == 419
    assert (len(linked), max(linked.values())) == (133, 5)
