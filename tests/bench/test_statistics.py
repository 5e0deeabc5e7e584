from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_r1.bench.records import Prediction
from memory_r1.bench.statistics import (
    Scored,
    common_samples,
    mean_interval,
    over_seeds,
    paired_difference,
    samples,
)
from memory_r1.bench.student import student_t
from memory_r1.errors import InvalidInputError


def scored(values, conversations=8):
    return [Scored(f"c{place % conversations}", f"q{place}", value) for place, value in enumerate(values)]


def clustered(generator, conversations=8, per=60, between=0.15, within=0.3):
    """Scores whose conversations differ; the true mean is 0.5."""
    return [
        Scored(f"c{number}", f"q{number}-{place}", value)
        for number in range(conversations)
        for place, value in enumerate(0.5 + generator.normal(0, between) + generator.normal(0, within, per))
    ]


def test_the_mean_is_over_questions():
    # 1 of 1 and 0 of 3: not the mean of the two conversations' means
    found = mean_interval([Scored("a", "1", 1.0), *(Scored("b", str(place), 0.0) for place in range(3))])
    assert (found.mean, found.n, found.clusters, found.unit) == (0.25, 4, 2, "conversation")
    # resamples are (a, a), (a, b), (b, b), and with two conversations nothing is left out of the tails
    assert (found.low, found.high) == (0.0, 1.0)
    assert found.rough


def test_a_bootstrap_of_questions_is_near_the_normal_interval():
    generator = np.random.default_rng(3)
    values = generator.random(1307)
    found = mean_interval(scored(values, conversations=1))
    half = 1.96 * stdev(values) / len(values) ** 0.5
    assert (found.unit, found.clusters, found.rough) == ("question", 1, False)
    assert found.low == pytest.approx(fmean(values) - half, abs=0.001)
    assert found.high == pytest.approx(fmean(values) + half, abs=0.001)


def test_conversations_that_differ_widen_the_interval():
    data = clustered(np.random.default_rng(1))
    by_conversation = mean_interval(data)
    by_question = mean_interval([Scored("all", one.question, one.value) for one in data])
    assert by_conversation.mean == pytest.approx(by_question.mean)
    wide, narrow = by_conversation.high - by_conversation.low, by_question.high - by_question.low
    assert wide > 3 * narrow


def test_one_question_a_conversation_is_a_bootstrap_of_questions():
    values = np.random.default_rng(0).random(300)
    apart = mean_interval([Scored(f"c{place:03}", "q", value) for place, value in enumerate(values)])
    together = mean_interval([Scored("c", f"q{place:03}", value) for place, value in enumerate(values)])
    assert (apart.low, apart.high) == (together.low, together.high)
    assert (apart.unit, together.unit) == ("conversation", "question")


def test_eight_conversations_cover_the_truth_nearly_as_often_as_promised():
    generator = np.random.default_rng(7)
    runs = 1500
    hits = 0
    for _ in range(runs):
        found = mean_interval(clustered(generator, per=10), resamples=2000)
        hits += found.low <= 0.5 <= found.high
    # promised: 0.95; the plain percentile interval covers 0.87. The standard error here is 0.006
    assert hits / runs > 0.92


def test_the_same_seed_gives_the_same_interval_in_any_order():
    data = clustered(np.random.default_rng(2))
    assert mean_interval(data) == mean_interval(data[::-1]) == mean_interval(data, seed=0)
    other = mean_interval(data, seed=1)
    assert other != mean_interval(data)
    assert other.low == pytest.approx(mean_interval(data).low, abs=0.01)


def test_a_higher_level_is_wider():
    data = clustered(np.random.default_rng(2))
    found = [mean_interval(data, level=level) for level in (0.5, 0.8, 0.95, 0.99)]
    widths = [one.high - one.low for one in found]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_a_pair_is_compared_question_by_question():
    generator = np.random.default_rng(4)
    second = clustered(generator)
    first = [Scored(one.conversation, one.question, one.value + generator.normal(0.05, 0.1)) for one in second]
    found = paired_difference(first, second)
    assert found.gap.mean == pytest.approx(fmean(a.value - b.value for a, b in zip(first, second, strict=True)))
    assert found.first - found.second == pytest.approx(found.gap.mean)
    assert found.relative.mean == pytest.approx(found.first / found.second - 1)
    assert found.relative.low < found.relative.mean < found.relative.high
    assert found.better + found.worse == len(first)
    # the two intervals overlap widely, the difference is sure all the same
    assert found.decided
    assert mean_interval(first).low < mean_interval(second).high
    other_way = paired_difference(second, first[::-1])
    assert not paired_difference(first, first).decided
    assert (other_way.gap.mean, other_way.better) == (pytest.approx(-found.gap.mean), found.worse)
    assert other_way.decided


def test_a_rival_at_zero_has_no_relative_gain():
    rival = scored([0.0] * 16)
    ours = scored([0.5] * 16)
    found = paired_difference(ours, rival)
    assert found.relative is None
    assert (found.gap.low, found.gap.high, found.better, found.worse) == (0.5, 0.5, 16, 0)


def test_different_questions_are_an_error():
    whole = scored([0.1] * 16)
    with pytest.raises(InvalidInputError, match=r"16 and 15, 15 in common; 'q15' of 'c7' is only in the first"):
        paired_difference(whole, whole[:-1])
    moved = [*whole[:-1], Scored("c7", "other", 0.1)]
    with pytest.raises(InvalidInputError, match="'other' of 'c7' is only in the second"):
        paired_difference(whole, moved)


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        ([], {}, "no scores"),
        (scored([0.1, float("nan")]), {}, "not a finite number"),
        ([Scored("c", "q", 0.1), Scored("c", "q", 0.2)], {}, "scored twice"),
        (scored([0.1, 0.2]), {"level": 1.0}, "level of 1.0"),
        (scored([0.1, 0.2]), {"resamples": 0}, "at least one resample"),
    ],
)
def test_unusable_scores_are_an_error(data, more, message):
    with pytest.raises(InvalidInputError, match=message):
        mean_interval(data, **more)


def test_one_question_has_no_interval():
    found = mean_interval([Scored("c", "q", 0.4)])
    assert (found.mean, found.low, found.high, found.n) == (0.4, None, None, 1)
    one = [Scored("c", "q", 0.4)]
    assert not paired_difference(one, [Scored("c", "q", 0.1)]).decided


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(1, 9))
def test_the_mean_lies_in_its_interval(values, conversations):
    found = mean_interval(scored(values, conversations), resamples=200)
    assert 0 - 1e-9 <= found.low <= found.high <= 1 + 1e-9
    assert found.mean == pytest.approx(fmean(values))


def prediction(number, *, error=None, **scores):
    fields = {"conversation": "c", "question_id": f"q{number}", "question": "?", "category": "", "gold": "g"}
    return Prediction(**fields, answer="a", error=error, scores=scores)


def test_an_error_takes_its_question_out_of_both_systems():
    ours = [prediction(0, mem0_f1=0.5), prediction(1, error="died"), prediction(2, mem0_f1=1.0)]
    theirs = [prediction(0, mem0_f1=0.25), prediction(1, mem0_f1=1.0), prediction(2, error="died")]
    first, second, left_out = common_samples(ours, theirs, "mem0_f1")
    assert (first, second, left_out) == ([Scored("c", "q0", 0.5)], [Scored("c", "q0", 0.25)], 2)
    assert samples(ours, "mem0_f1") == [Scored("c", "q0", 0.5), Scored("c", "q2", 1.0)]
    assert samples(ours, "judge_strict") == []
    with pytest.raises(InvalidInputError, match="only in the first"):
        common_samples(ours, theirs[:-1], "mem0_f1")


def test_seeds_are_averaged_by_question():
    runs = [scored([0.0, 1.0], 1), scored([1.0, 1.0], 1)[::-1], scored([0.5, 1.0], 1)]
    averaged, spread = over_seeds(runs)
    assert averaged == scored([0.5, 1.0], 1)
    assert spread == pytest.approx(stdev([0.5, 1.0, 0.75]))
    assert over_seeds(runs[:1])[1] == 0.0
    with pytest.raises(InvalidInputError, match="same questions"):
        over_seeds([runs[0], runs[1][:1]])
    with pytest.raises(InvalidInputError, match="no scores"):
        over_seeds([])


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    # from printed tables
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.3027),
        (0.975, 3, 3.1824),
        (0.975, 7, 2.3646),
        (0.95, 10, 1.8125),
        (0.995, 30, 2.7500),
        (0.975, 120, 1.9799),
        (0.975, 1306, 1.9618),
        (0.5, 5, 0.0),
    ],
)
def test_students_t(probability, freedom, expected):
    assert student_t(probability, freedom) == pytest.approx(expected, abs=1e-4)
