import pytest

from memory_r1.bench.records import Prediction
from memory_r1.bench.scores import METRICS, abstains, rescore, score_all
from memory_r1.data.conversation import Conversation, Question
from memory_r1.errors import InvalidInputError


def prediction(number, answer, gold, **more):
    fields = {"conversation": "c", "question_id": f"q{number}", "question": f"Q{number}?", "category": "single-hop"}
    return Prediction(**fields, gold=gold, answer=answer, **more)


@pytest.mark.parametrize(
    ("answer", "said", "expected"),
    [
        ("No information available.", False, 1.0),
        ("It is not mentioned in the memories", False, 1.0),
        ("I don't know.", False, 1.0),
        ("N/A", False, 1.0),
        ("Rex", True, 1.0),
        ("Rex", False, 0.0),
        ("", False, 0.0),
        ("She never told why she left the band in the summer of 2019, which hurt him", False, 0.0),
    ],
)
def test_an_unanswerable_question_has_abstention_only(answer, said, expected):
    assert score_all("adversarial", answer, None, abstained=said) == {"abstention": expected}


def test_a_wrong_abstention_is_scored_by_its_words():
    scores = score_all("single-hop", "No information available.", "Leeds", abstained=True)
    assert "abstention" not in scores
    assert set(scores.values()) == {0.0}


def test_every_score_has_a_label():
    assert {*score_all("", "a", "b"), *score_all("", "a", None)} <= set(METRICS)
    assert len(set(METRICS.values())) == len(METRICS)


def test_abstains_reads_long_answers_as_answers():
    assert abstains("The memories do not say.")
    assert not abstains("He said he would not mention the trip to Leeds")


def test_rescore_takes_labels_from_the_conversations():
    run = [
        prediction(0, "Sunday", "Sunday", scores={"mem0_f1": 1.0, "judge_strict": 1.0}, evidence=("D1:1",)),
        prediction(1, "Rex", "Rex", scores={"mem0_f1": 0.0, "judge_strict": 1.0}),
        prediction(2, "Leeds", "Leeds", scores={"mem0_f1": 1.0}),
        prediction(3, "", "Leeds", error="the model died"),
    ]
    labels = Conversation(
        "c",
        ("Ann",),
        (),
        (
            Question("q0", "Q0?", "Saturday", "temporal", ("D2:1",)),
            Question("q1", "Q1?", "Rex", "single-hop"),
            Question("q3", "Q3?", "York", "single-hop"),
        ),
    )
    found = rescore(run, [labels])
    first, second, failed = found.predictions
    assert (found.left_out, first.gold, first.category, first.evidence) == (1, "Saturday", "temporal", ("D2:1",))
    # the verdict was about another gold answer
    assert first.scores == score_all("temporal", "Sunday", "Saturday")
    assert second.scores["judge_strict"] == 1.0
    assert second.scores["mem0_f1"] == 1.0
    assert (failed.error, failed.scores, failed.gold) == ("the model died", {}, "York")


def test_rescore_refuses_labels_of_other_data():
    run = [prediction(0, "Sunday", "Sunday")]
    with pytest.raises(InvalidInputError, match="no conversation 'c'"):
        rescore(run, [Conversation("d", (), (), ())])
    with pytest.raises(InvalidInputError, match="Another"):
        rescore(run, [Conversation("c", (), (), (Question("q0", "Another?", "Sunday"),))])
