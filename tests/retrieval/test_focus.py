"""What a question that names someone is about, and that the rest of a large bank does not change it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.bank.store import TextMatch
from memory_r1.retrieval.focus import Focus
from memory_r1.retrieval.fusion import LexicalScores, fuse, nearness
from memory_r1.retrieval.rows import ExactRows
from memory_r1.retrieval.scope_index import NOBODY, Snapshot
from memory_r1.retrieval.weights import WEIGHTS

ANN, BOB, CEM, DORA = range(4)


def snapshot(speakers, *, live=None):
    size = len(speakers)
    alive = np.ones(size, np.bool_) if live is None else np.array(live)
    rows = ExactRows(np.zeros((size, 2), np.float32))
    names = ("Ann", "Bob", "Cem", "Dora")
    return Snapshot(np.arange(size) + 100, alive, np.array(speakers, np.int32), names, int(alive.sum()), rows)


def rows_of(talk, *named):
    found = Focus.of(talk, named)
    return None if found is None else np.flatnonzero(found.mask).tolist()


def test_a_focus_is_what_was_said_in_talks_with_those_named():
    talk = snapshot([ANN, BOB, ANN, CEM, DORA, CEM, DORA, CEM])
    assert rows_of(talk, ANN) == [0, 1, 2, 3, 4]
    assert rows_of(talk, BOB) == [0, 1, 2, 3]
    assert rows_of(talk, BOB, DORA) is None
    assert Focus.of(talk, [ANN]).keys(talk).tolist() == [100, 101, 102, 103, 104]


def test_what_someone_said_in_one_go_stays_together():
    talk = snapshot([ANN, *[BOB] * 9, CEM, DORA, CEM, DORA])
    assert rows_of(talk, ANN) == list(range(10))
    assert rows_of(talk, DORA) == [*range(1, 14)]


def test_what_nobody_said_is_nobody_else_s():
    talk = snapshot([NOBODY, CEM, DORA, CEM, DORA, ANN, NOBODY])
    assert rows_of(talk, ANN) == [0, 3, 4, 5, 6]


def test_nothing_is_in_focus_if_there_is_nothing_to_tell_apart():
    assert rows_of(snapshot([ANN, CEM, CEM, DORA])) is None
    assert rows_of(snapshot([CEM, DORA] * 3), ANN) is None
    assert rows_of(snapshot([ANN])) is None
    assert rows_of(snapshot([ANN, BOB, CEM, DORA, CEM, DORA], live=[False, *[True] * 5]), ANN) is None


def test_what_is_retired_is_not_in_focus_but_tells_whose_talk_it_was():
    live = [True, False, False, True, True, True, True]
    assert rows_of(snapshot([ANN, BOB, ANN, BOB, CEM, DORA, CEM], live=live), ANN) == [0, 3, 4]


@given(st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.booleans()), min_size=1, max_size=40))
def test_where_two_people_speak_everything_is_in_focus(said):
    talk = snapshot([speaker for speaker, _ in said], live=[live for _, live in said])
    assert rows_of(talk, ANN) is None
    assert rows_of(talk, ANN, BOB) is None


def test_each_part_is_judged_by_its_own_and_the_rest_is_set_back():
    talk = snapshot([ANN, BOB, ANN, BOB, *[CEM, DORA] * 300])
    rng = np.random.default_rng(0)
    cosines = rng.normal(0.1, 0.1, len(talk.keys)).astype(np.float32)
    focus = Focus.of(talk, [ANN])
    inside = focus.mask
    alone, every = nearness(cosines[inside], slice(None)), nearness(cosines, slice(None))
    found = nearness(cosines, slice(None), focus)
    assert found[inside] == pytest.approx(alone)
    assert found[~inside] == pytest.approx(every[~inside])
    rows = np.array([0, 50])
    nothing = LexicalScores.of(talk, [])
    fused = fuse(talk, rows, cosines, nothing, [ANN], focus=focus)
    assert fused.parts[:, 2] == pytest.approx([WEIGHTS.speaker, WEIGHTS.elsewhere])
    assert fused.parts[:, 0] == pytest.approx(WEIGHTS.dense * found[rows])


def test_lexical_scores_of_a_focus_replace_those_of_the_scope():
    talk = snapshot([ANN, BOB, CEM, DORA, CEM, DORA])
    scope = LexicalScores.of(talk, [TextMatch(100, 1.0), TextMatch(103, 2.0), TextMatch(105, 3.0)])
    inner = LexicalScores.of(talk, [TextMatch(101, 4.0)], 3)
    mixed = scope.around(inner, np.array([True, True, True, False, False, False]))
    assert mixed.rows.tolist() == [1, 3, 5]
    assert mixed.scores == pytest.approx(np.array([4 / np.log1p(3), 2 / np.log1p(6), 3 / np.log1p(6)]))


TALK = [
    ("Bob", "Where do you dance, Ann?"),
    ("Ann", "I dance at the Harbour studio every week"),
    ("Bob", "And who teaches you there?"),
    ("Ann", "Miss Okafor teaches us to dance the tango"),
    ("Bob", "My sister paints boats"),
    ("Ann", "I sold my old dance shoes in spring"),
]


@pytest.mark.parametrize("exact_rows", [4096, 100])
def test_a_talk_is_searched_in_a_large_bank_as_it_is_alone(make_kit, tmp_path, exact_rows):
    from memory_r1.retrieval.search import Retriever

    alone, crowd = make_kit(":memory:"), make_kit(tmp_path / "crowd.db")
    alone.talk(*TALK)
    for number in range(150):
        crowd.talk(
            ("Cem", f"I dance at hall {number} and teach dance"), ("Dora", f"Who teaches tango at hall {number}?")
        )
    crowd.talk(("Eve", "Rain again"), ("Finn", "So it is"), *TALK)
    retriever = Retriever(crowd.store, crowd.embedder, exact_rows=exact_rows)
    scope = crowd.store.scopes()[0]
    for question in ("Where does Ann dance?", "Who teaches Ann the tango?", "What did Ann sell?"):
        expected = alone.retriever.search(scope, question, k=6)
        found = retriever.search(scope, question, k=300)
        assert [hit.memory.text for hit in found[:3]] == [hit.memory.text for hit in expected[:3]]
        scores = {hit.memory.text: hit.score for hit in found}
        for hit in expected:
            # two memories of the others beside the talk count with it
            assert scores[hit.memory.text] == pytest.approx(hit.score, abs=0.1)


def test_what_others_said_is_found_if_it_fits_best(kit):
    for number in range(60):
        kit.talk(("Cem", f"The weather is fine on day {number}"), ("Dora", f"So it is on day {number}"))
    kit.talk(("Ann", "Hello"), ("Bob", "Good evening"))
    kit.talk(*(("Eve", f"Nothing new on day {number}") for number in range(5)))
    kit.talk(("Eve", "the keys of the garage lie under the yellow flowerpot"), ("Finn", "Thanks"))
    found = kit.found("Where do the keys of the garage lie that Ann is looking for?", k=5)
    assert "the keys of the garage lie under the yellow flowerpot" in found


def test_what_others_tell_about_someone_named_is_not_set_back(kit):
    for number in range(60):
        kit.talk(("Cem", f"I went to the market on day {number}"), ("Dora", f"So did I on day {number}"))
    kit.talk(("Cem", "We met Ann at the market, she bought tulips"), ("Dora", "How nice"))
    for number in range(60, 70):
        kit.talk(("Cem", f"I went to the market on day {number}"), ("Dora", f"So did I on day {number}"))
    kit.talk(("Ann", "Hello"), ("Bob", "Good evening"))
    first, *rest = kit.retriever.search(kit.store.scopes()[0], "What did Ann buy at the market?", k=40)
    assert first.memory.text == "We met Ann at the market, she bought tulips"
    assert first.parts["speaker"] == 0
    set_back = [hit for hit in rest if hit.memory.text.startswith("I went to the market on day 1")]
    assert all(hit.parts["speaker"] == WEIGHTS.elsewhere for hit in set_back)


def test_a_focus_that_takes_in_everything_is_none():
    talk = snapshot([ANN, BOB, ANN, CEM, DORA, CEM, DORA])
    focus = Focus.of(talk, [ANN])
    assert np.flatnonzero(focus.widened(talk, np.array([6])).mask).tolist() == [0, 1, 2, 3, 4, 6]
    assert focus.widened(talk, np.array([5, 6])) is None
