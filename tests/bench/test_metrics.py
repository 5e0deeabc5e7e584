import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_r1.bench.metrics import (
    Scores,
    bleu1,
    exact_match,
    mem0_tokens,
    score,
    squad_exact_match,
    squad_f1,
    token_f1,
    treebank_tokens,
)


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("Leeds", "leeds", 1.0),
        # 2 of 3 predicted tokens, 2 of 2 gold tokens: P 2/3, R 1.
        ("Buddy and Scout", "Buddy, Scout", 0.8),
        # Sets: the repeated token counts once, so P is 1/2 and R 1.
        ("no no no dogs", "no", 2 / 3),
        # An apostrophe and a hyphen are not separators.
        ("Anne's", "Annes", 0.0),
        ("7 May 2023", "May 7th, 2023", 2 / 3),
        ("", "Leeds", 0.0),
        ("Leeds", "", 0.0),
        ("...", "...", 0.0),
        ("the dog", "a dog", 0.5),
    ],
)
def test_token_f1_by_hand(prediction, gold, expected):
    assert token_f1(prediction, gold) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("the cat sat", "the cat sat", 1.0),
        # 2 of 2 match, brevity exp(1 - 4/2).
        ("the cat", "the cat sat down", math.exp(-1)),
        # Clipped: "the" matches once of four; the prediction is longer, so no brevity penalty.
        ("the the the the", "the cat", 0.25),
        # The final period is a token on both sides or a miss on one: 1 of 2.
        ("Leeds.", "Leeds", 0.5),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("cat", "", 0.0),
        # do, n't, know against do, not, know: 2 of 3.
        ("don't know", "do not know", 2 / 3),
    ],
)
def test_bleu1_by_hand(prediction, gold, expected):
    assert bleu1(prediction, gold) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("j.k. rowling", ["j.k.", "rowling"]),
        ("dr. who came. he left.", ["dr.", "who", "came", ".", "he", "left", "."]),
        ("at 10:30, on 3,000 m", ["at", "10:30", ",", "on", "3,000", "m"]),
        ('"a mole," he said', ["``", "a", "mole", ",", "''", "he", "said"]),
        ("wait... what?!", ["wait", "...", "what", "?", "!"]),
        ("i'd've gone, wouldn't you?", ["i'd", "'ve", "gone", ",", "would", "n't", "you", "?"]),
        ("we cannot (ever) lose $5", ["we", "can", "not", "(", "ever", ")", "lose", "$", "5"]),
        ("the dogs' bed & anne's", ["the", "dogs", "'", "bed", "&", "anne", "'s"]),
        ("'tis gonna be well-being", ["'", "tis", "gon", "na", "be", "well-being"]),
    ],
)
def test_tokens_are_those_of_nltk(text, tokens):
    assert treebank_tokens(text) == tokens


def test_exact_match_keeps_punctuation():
    assert exact_match(" Ilkley ", "ilkley") == 1.0
    assert exact_match("Ilkley!", "Ilkley") == 0.0
    assert exact_match("", "") == 0.0


@pytest.mark.parametrize(
    ("prediction", "gold", "f1", "em"),
    [
        ("The fox!", "fox", 1.0, 1.0),
        # Bags: big counts twice in the prediction. P 2/3, R 1.
        ("big big dog", "a big dog", 0.8, 0.0),
        ("Anne's", "Annes", 1.0, 1.0),
        ("the", "a", 1.0, 1.0),
        ("the", "fox", 0.0, 0.0),
        ("cat", "fox", 0.0, 0.0),
    ],
)
def test_squad_by_hand(prediction, gold, f1, em):
    assert squad_f1(prediction, gold) == pytest.approx(f1)
    assert squad_exact_match(prediction, gold) == em


def test_score_names_its_parts():
    assert score("Buddy and Scout", "Buddy and Scout") == Scores(f1=1.0, bleu1=1.0, em=1.0)


@settings(deadline=None)
@given(st.text(), st.text())
def test_scores_stay_between_0_and_1(prediction, gold):
    for value in (*score(prediction, gold), squad_f1(prediction, gold)):
        assert 0.0 <= value <= 1.0


@settings(deadline=None)
@given(st.text())
def test_a_text_matches_itself(text):
    if mem0_tokens(text):
        assert token_f1(text, text) == pytest.approx(1.0)
    if treebank_tokens(text.lower()):
        assert bleu1(text, text) == pytest.approx(1.0)


@settings(deadline=None)
@given(st.text(), st.text())
def test_f1_does_not_care_which_side_is_gold(one, other):
    assert token_f1(one, other) == pytest.approx(token_f1(other, one))
