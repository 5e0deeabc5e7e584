import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.agents.results import Answer
from memory_r1.errors import ConfigError, ModelError
from memory_r1.rl.judge import LmJudge
from memory_r1.rl.rewards import (
    TERMS,
    WEIGHTS,
    Weights,
    answer_em,
    answer_f1,
    budget,
    evidence_f1,
    weights_from,
    weights_named,
)
from memory_r1.testing import ScriptedLM

ABSTAINED = Answer("No information available.", (), abstained=True)


def test_the_paper_s_reward_is_exact_match_alone():
    parts = dict.fromkeys(TERMS, 0.5)
    assert WEIGHTS["paper"].reward(parts).total == 0.5
    assert WEIGHTS["paper"].reward({**parts, "em": 1.0}).total == 1.0


def test_every_part_is_logged_whatever_it_weighs():
    reward = Weights(em=1).reward({"em": 1.0, "f1": 0.3})
    assert reward.parts == {"em": 1.0, "f1": 0.3}


def test_an_unknown_part_is_left_out_of_the_sum():
    assert Weights(em=1, evidence=5).reward({"em": 1.0}).total == 1.0


@pytest.mark.parametrize(
    "values", [{}, {"em": 0}, {"em": float("nan")}, {"em": float("inf")}, {"em": True}, {"em": "1"}]
)
def test_unusable_weights_are_refused(values):
    with pytest.raises(ConfigError, match="weight"):
        Weights(**values)


def test_unknown_names_are_refused_with_what_there_is():
    with pytest.raises(ConfigError, match="paper"):
        weights_named("papers")
    with pytest.raises(ConfigError, match="evidence"):
        weights_from({"bleu": 1})


@pytest.mark.parametrize(
    ("answer", "gold", "em"),
    [
        (Answer("The 7th of May!", ()), "7th of may", 1.0),
        (Answer("7 May", ()), "7 June", 0.0),
        (ABSTAINED, None, 1.0),
        (ABSTAINED, "No information available.", 0.0),
        (Answer("Leeds", ()), None, 0.0),
    ],
)
def test_exact_match_ignores_case_articles_and_punctuation(answer, gold, em):
    assert answer_em(answer, gold) == em


def test_f1_gives_credit_for_part_of_an_answer():
    assert answer_f1(Answer("a red kite", ()), "red kite") == pytest.approx(0.8)
    assert answer_f1(ABSTAINED, None) == 1.0
    assert answer_f1(ABSTAINED, "information") == 0.0


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_evidence_is_full_exactly_for_the_right_choice(kept, relevant):
    value = evidence_f1(kept, relevant)
    assert 0 <= value <= 1
    assert (value == 1) == (kept == relevant)


def test_budget_weighs_growth_against_what_was_told():
    fact = "Ann has a cat"
    assert budget(["tea"], ["tea", fact], [fact]) == -1
    assert budget(["tea"], ["tea", fact * 9], [fact]) == -1
    assert budget(["tea", fact], ["tea"], [fact]) == 1
    assert budget(["tea"], ["tea"], []) == 0


def test_the_judge_asks_once_for_each_answer():
    lm = ScriptedLM(lambda chat: '{"label":"CORRECT"}' if '"Leeds"' in chat[-1]["content"] else '{"label": "wrong"}')
    judge = LmJudge(lm)
    good, bad = ("Where?", "Leeds", "in Leeds"), ("Where?", "Rome", "Oslo")
    assert judge.grade([good, bad, good]) == [1.0, 0.0, 1.0]
    assert judge.grade([bad]) == [0.0]
    assert len(lm.calls) == 2


@pytest.mark.parametrize("reply", ["", "CORRECT", '{"label":"MAYBE"}', '{"verdict":1}'])
def test_a_judge_that_gives_no_label_stops_the_run(reply):
    with pytest.raises(ModelError, match="judge"):
        LmJudge(ScriptedLM(reply)).grade([("Where?", "Rome", "Oslo")])
