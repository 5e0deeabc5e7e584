"""The small parts of a search, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.bank.store import TextMatch
from memory_r1.errors import InvalidInputError
from memory_r1.retrieval.cut import AUTO_GAP, AUTO_LEAST, AUTO_MOST, estimate_tokens, fall_off, within_budget
from memory_r1.retrieval.fusion import LexicalScores, fuse, probability, standardise
from memory_r1.retrieval.index import top_rows
from memory_r1.retrieval.presets import PAPER_TOTAL, check_preset, share_among
from memory_r1.retrieval.rows import ExactRows
from memory_r1.retrieval.scope_index import NOBODY, Snapshot
from memory_r1.retrieval.speakers import take_names_out
from memory_r1.retrieval.weights import WEIGHTS
from memory_r1.retrieval.words import search_terms, words


def snapshot(speakers, *, live=None, keys=None):
    """A scope whose memories were said by these speakers."""
    size = len(speakers)
    alive = np.ones(size, np.bool_) if live is None else np.array(live)
    return Snapshot(
        np.arange(size) * 2 + 100 if keys is None else np.array(keys),
        alive,
        np.array(speakers, np.int32),
        ("Ann", "Bob"),
        int(alive.sum()),
        ExactRows(np.zeros((size, 2), np.float32)),
    )


@pytest.mark.parametrize(
    ("query", "speakers", "rest", "named"),
    [
        ("What did Caroline say?", ["Melanie", "Caroline"], "What did say?", (1,)),
        ("CAROLINE'S and melanie’s trip", ["Melanie", "Caroline"], "and trip", (0, 1)),
        ("Caroline", ["Caroline"], "Caroline", (0,)),
        ("Carolines", ["Caroline"], "Carolines", ()),
        ("ask Ann Lee about Ann Arbor", ["Ann Lee"], "ask about Arbor", (0,)),
        ("what did Lee do", ["Ann Lee"], "what did Lee do", ()),
        ("the user manual", ["User"], "the user manual", ()),
        ("What does the User like", ["User"], "What does the like", (0,)),
        ("in may, May said", ["May"], "in may, said", (0,)),
        ("cost of c++ (really)", ["c++", ")", ""], "cost of (really)", (0,)),
        ("plain", [], "plain", ()),
        ("когда Анна пришла", ["Анна"], "когда пришла", (0,)),
    ],
)
def test_names_leave_the_question(query, speakers, rest, named):
    taken = take_names_out(query, speakers)
    assert (taken.rest, taken.named) == (rest, named)


@given(st.text(), st.lists(st.text(), max_size=4))
def test_taking_names_out_never_leaves_nothing(query, speakers):
    taken = take_names_out(query, speakers)
    assert taken.rest == query or any(map(str.isalnum, taken.rest))
    assert all(0 <= place < len(speakers) for place in taken.named)


def test_search_terms_are_the_words_that_tell_something():
    assert search_terms("When did she go to the beach in May 2023?") == ["go", "beach", "may", "2023"]
    assert search_terms("What is it?") == ["what", "is", "it"]
    assert words("?!") == []


def test_neighbours_count_only_across_speakers():
    talk = snapshot([0, 1, 0, 0, NOBODY, NOBODY])
    rows = np.arange(6)
    lexical = LexicalScores.of(talk, [TextMatch(int(key), 1.0) for key in talk.keys])
    fused = fuse(talk, rows, np.zeros(6, np.float32), lexical, ())
    one = 1 / np.log1p(6)
    expected = [
        WEIGHTS.after + WEIGHTS.around,  # nobody before, Bob after, Ann beyond
        WEIGHTS.before + WEIGHTS.after + WEIGHTS.around,  # nothing two before
        WEIGHTS.before + WEIGHTS.around,  # Ann herself after
        0,
        0,
        0,
    ]
    assert fused.parts[:, 3] == pytest.approx(np.array(expected) * one)
    assert fused.parts[:, 1] == pytest.approx(WEIGHTS.lexical * one)
    alone = fuse(talk, rows, np.zeros(6, np.float32), lexical, (), context=False)
    assert not alone.parts[:, 3].any()


def test_parts_add_up_to_the_total_and_ties_keep_their_order():
    talk = snapshot([0, 1, 0, 1])
    cosines = np.array([0.2, 0.5, 0.2, 0.1], np.float32)
    lexical = LexicalScores.of(talk, [TextMatch(102, 2.0), TextMatch(999, 5.0)])
    fused = fuse(talk, np.arange(4), cosines, lexical, (1,), context=False)
    assert fused.total == pytest.approx(fused.parts.sum(axis=1))
    assert fused.best_first().tolist() == [1, 3, 0, 2]
    assert fused.parts[[0, 2], 2].tolist() == [0, 0]


def test_lexical_scores_find_their_rows_and_neighbours():
    talk = snapshot([0] * 10, live=[True] * 5 + [False] + [True] * 4)
    matches = [TextMatch(118, 3.0), TextMatch(100, 1.0), TextMatch(110, 9.0), TextMatch(7, 9.0)]
    lexical = LexicalScores.of(talk, matches)
    assert lexical.rows.tolist() == [0, 9]
    assert lexical.at(np.array([-1, 0, 5, 9, 10])) == pytest.approx(np.array([0, 1, 0, 3, 0]) / np.log1p(9))
    assert lexical.reach(10).tolist() == [0, 1, 2, 7, 8, 9]
    nothing = LexicalScores.of(talk, [])
    assert nothing.reach(10).tolist() == []
    assert nothing.at(np.arange(3)).tolist() == [0, 0, 0]


def test_cosines_are_measured_by_their_own_spread_where_there_are_many():
    many = np.random.default_rng(0).normal(0.7, 0.02, 5000).astype(np.float32)
    assert float(standardise(np.array([0.74], np.float32), many)[0]) == pytest.approx(2, abs=0.3)
    few = standardise(np.array([0.6, 0.1], np.float32), np.array([0.6, 0.1], np.float32))
    assert few[0] > 3 > 1 > few[1]
    assert np.isfinite(standardise(np.ones(2, np.float32), np.ones(2, np.float32))).all()


def test_probabilities_keep_the_order_and_stay_within_bounds():
    totals = np.array([-1e9, -5, 0, 3, 20, 1e9])
    scores = probability(totals)
    assert (np.diff(scores) >= 0).all()
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    assert scores[2] < 0.1 < 0.9 < scores[4]


@given(st.lists(st.floats(-50, 50), max_size=100))
def test_the_cut_takes_from_the_top_and_within_its_bounds(totals):
    totals.sort(reverse=True)
    count = fall_off(totals)
    assert min(AUTO_LEAST, len(totals)) <= count <= min(AUTO_MOST, len(totals))
    assert all(total >= totals[0] - AUTO_GAP for total in totals[AUTO_LEAST:count])
    assert count in (len(totals), AUTO_MOST) or totals[count] < totals[0] - AUTO_GAP


@given(st.lists(st.text(max_size=60), max_size=30), st.integers(1, 200))
def test_the_budget_is_kept_but_for_the_first(texts, budget):
    count = within_budget(texts, budget)
    spent = [estimate_tokens(text) for text in texts]
    assert count >= min(1, len(texts))
    assert count <= 1 or sum(spent[:count]) <= budget
    assert count == len(texts) or sum(spent[: count + 1]) > budget


def test_tokens_are_counted_for_every_script():
    assert estimate_tokens("a" * 400) == 108
    assert estimate_tokens("記" * 100) == 83
    assert estimate_tokens("lone \ud800") > 8


@given(st.lists(st.integers(-1, 4), max_size=200))
def test_the_paper_s_share_is_even_and_ordered(owners):
    chosen = share_among(range(len(owners)), owners)
    groups = set(owners)
    quota = PAPER_TOTAL // max(len(groups), 1)
    assert chosen == sorted(chosen)
    for group in groups:
        places = [place for place, owner in enumerate(owners) if owner == group]
        assert [place for place in chosen if owners[place] == group] == places[:quota]


def test_more_speakers_than_places_share_sixty():
    assert len(share_among(range(200), list(range(100)) * 2)) == 60


def test_preset_names():
    assert [check_preset(name) for name in ("auto", "paper", None)] == ["auto", "paper", None]
    with pytest.raises(InvalidInputError, match="auto, paper"):
        check_preset("Auto")


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.booleans())
def test_the_top_of_many_scores_is_found_through_a_sample(seed, count, masked):
    rng = np.random.default_rng(seed)
    size = 70_000
    scores = rng.standard_normal(size).astype(np.float32)
    if seed % 3 == 0:
        scores[: size // 2] = 1.0  # more ties than any threshold can part
    mask = rng.random(size) < 0.5 if masked else None
    held = snapshot([0])
    held = Snapshot(np.arange(size), np.ones(size, np.bool_), held.speaker, (), size, held.rows)
    found = top_rows(held, scores, count, mask)
    allowed = scores if mask is None else scores[mask]
    assert len(set(found.tolist())) == count
    assert np.array_equal(np.sort(scores[found]), np.sort(allowed)[-count:])
    assert mask is None or mask[found].all()
