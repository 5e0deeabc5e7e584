from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_r1.bank.filters import parse_filter
from memory_r1.bank.scope import Scope
from memory_r1.errors import InvalidInputError, StoreError
from memory_r1.retrieval.search import Retriever

ANN = Scope(user_id="ann")
RUN = Scope(user_id="ann", run_id="r1")


def test_words_and_meaning_both_find(kit):
    kit.add("Ann adopted a cat called Miso", "The car is red", "Bob plays chess on Sundays")
    assert kit.found("Who plays chess?", k=1) == ["Bob plays chess on Sundays"]
    assert kit.found("what is the cat called", k=1) == ["Ann adopted a cat called Miso"]
    # FTS5 knows word forms that the hash embedder does not.
    assert kit.found("adopting", k=1) == ["Ann adopted a cat called Miso"]


def test_an_empty_bank_has_nothing_and_costs_no_embedding(kit):
    assert kit.retriever.search(Scope("nobody"), "anything", query_vector=np.ones(3, np.float32)) == []
    kit.add("gone soon")
    kit.delete("m1")
    assert kit.found("gone soon") == []


@pytest.mark.parametrize("query", ["", "  \n ", None, 7, "a\0b", "lone \ud800"])
def test_an_unusable_query_is_refused(kit, query):
    with pytest.raises(InvalidInputError, match="query"):
        kit.retriever.search(ANN, query)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k=0"),
        ({"k": True}, "k=True"),
        ({"k": 2.5}, "k=2.5"),
        ({"preset": "best"}, "auto, paper"),
        ({"preset": "auto", "k": 3}, "Both"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"budget_tokens": 0}, "budget"),
        ({"where": {"speaker": "Ann"}}, "filter"),
        ({"query_vector": np.ones(3, np.float32)}, "does not fit"),
    ],
)
def test_senseless_arguments_are_refused(kit, options, message):
    kit.add("something")
    with pytest.raises(InvalidInputError, match=message):
        kit.retriever.search(ANN, "something", **options)


@pytest.mark.parametrize("query", ['"', "AND OR NOT", "text : x*", "(", "🙂", "שלום", "*" * 5000, "a" * 100_000])
def test_any_text_can_be_asked(kit, query):
    kit.add("something", "שלום עולם")
    assert len(kit.found(query, k=5)) == 2


def test_k_and_threshold_bound_the_results(kit):
    kit.add(*(f"tea number {number}" for number in range(40)), "a green kettle")
    assert len(kit.found("tea", k=7)) == 7
    assert len(kit.found("tea", k=1000)) == 41
    hits = kit.retriever.search(ANN, "green kettle", k=41)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    cut = (scores[0] + scores[1]) / 2
    assert kit.found("green kettle", k=41, threshold=cut) == ["a green kettle"]
    assert kit.found("green kettle", threshold=1.0) == []


def test_parts_say_what_the_score_is_made_of(kit):
    kit.talk(("Bob", "Where did you go hiking?"), ("Ann", "In Norway"), ("Bob", "Nice weather today"))
    hits = {hit.memory.text: hit.parts for hit in kit.retriever.search(ANN, "Where did Ann go hiking?", k=3)}
    assert list(hits["In Norway"]) == ["dense", "lexical", "speaker", "context"]
    assert hits["Where did you go hiking?"]["lexical"] > 0
    assert hits["In Norway"]["lexical"] == 0
    assert hits["In Norway"]["context"] > 0 < hits["In Norway"]["speaker"]
    assert hits["Nice weather today"]["speaker"] == 0


def test_the_answer_after_a_question_is_found_by_the_question_s_words(kit):
    kit.add(*(f"filler {number}" for number in range(50)))
    kit.talk(("Bob", "What did you cook for dinner, Ann?"), ("Ann", "Lasagna with spinach!"))
    kit.add(*(f"more filler {number}" for number in range(50)))
    assert "Lasagna with spinach!" in kit.found("What did she cook for dinner?", k=2)


def test_a_named_speaker_s_memories_come_first_and_the_name_itself_does_not_match(kit):
    kit.talk(("Bob", "Hey Ann, Ann, Ann!"), ("Ann", "I bought a boat"), ("Bob", "I bought a bike"))
    assert kit.found("What has Ann bought?", k=1) == ["I bought a boat"]
    assert kit.found("What has bob bought?", k=1) == ["I bought a bike"]
    # Nothing but a name: then the name is what to look for.
    assert kit.found("Ann", k=3)


def test_speakers_restrict(kit):
    kit.talk(("Bob", "tea one"), ("Ann", "tea two"), ("Cem", "tea three"))
    kit.add("tea without a speaker")
    assert sorted(kit.found("tea", speakers=["Ann", "Cem"], k=9)) == ["tea three", "tea two"]
    assert kit.found("tea", speakers=["Nobody"]) == []
    assert kit.found("tea", speakers=[]) == []


def test_filters_restrict(kit):
    kit.add("tea in spring", metadata={"season": "spring"})
    kit.add("tea in autumn", metadata={"season": "autumn"}, speaker="Ann")
    assert kit.found("tea", where=parse_filter({"season": "autumn"})) == ["tea in autumn"]
    assert kit.found("tea", where=parse_filter({"season": "winter"})) == []
    both = parse_filter({"season": {"in": ["spring", "autumn"]}})
    assert kit.found("tea", where=both, speakers=["Ann"]) == ["tea in autumn"]


def test_a_filter_finds_what_ranks_far_behind_others(kit):
    kit.add(*(f"tea tea tea {number}" for number in range(600)))
    kit.add("something about tea, said among many other words", metadata={"rare": 1})
    assert kit.found("tea tea", k=1, where=parse_filter({"rare": 1})) == [
        "something about tea, said among many other words"
    ]


def test_dates_match_as_words(kit):
    for month in range(1, 7):
        kit.add(f"walked along the river, walk {month}", event_time=datetime(2023, month, 9, tzinfo=UTC))
    assert kit.found("the walk in April 2023", k=1) == ["walked along the river, walk 4"]


def test_an_updated_memory_is_found_by_its_new_text_alone(kit):
    (old, _) = kit.add("Ann lives in Paris", "Ann has a dog")
    assert kit.found("Paris", k=1) == ["Ann lives in Paris"]
    kit.update(old, "Ann lives in Oslo")
    assert kit.found("Oslo", k=1) == ["Ann lives in Oslo"]
    assert "Ann lives in Paris" not in kit.found("Paris", k=5)


def test_exact_bank_leaves_other_banks_of_the_scope_out(kit):
    kit.add(*(f"tea in the run {number}" for number in range(20)), scope=RUN)
    kit.add("some tea at home", "a kettle")
    assert len(kit.found("tea in the run", k=5)) == 5
    assert sorted(kit.found("tea in the run", k=5, exact_bank=True)) == ["a kettle", "some tea at home"]
    assert len(kit.found("tea", scope=RUN, k=50, exact_bank=True)) == 20
    where = parse_filter({"created_at": {"gt": "2000-01-01"}})
    assert len(kit.found("tea in the run", k=5, exact_bank=True, where=where)) == 2
    assert kit.found("tea", scope=Scope(run_id="r1"), k=5, exact_bank=True) == []


def test_exact_bank_judges_each_memory_by_itself(kit):
    kit.talk(("Bob", "Where is the boat?"), ("Ann", "In Norway"))
    hits = kit.retriever.search(ANN, "boat", k=2, exact_bank=True)
    assert [hit.parts["context"] for hit in hits] == [0, 0]


def test_auto_keeps_the_budget_and_at_least_one(kit):
    kit.add(*(f"tea number {number} " + "and more words " * 10 for number in range(40)))
    assert 1 < len(kit.found("tea number", budget_tokens=200)) <= 4
    assert len(kit.found("tea number", budget_tokens=1)) == 1
    assert len(kit.found("tea number", preset="auto", budget_tokens=100_000)) == 40


def test_auto_cuts_what_falls_far_behind(kit):
    kit.add("the secret code of the vault is 4711", *(f"filler {number}" for number in range(100)))
    found = kit.found("secret code vault")
    assert found[0] == "the secret code of the vault is 4711"
    assert len(found) < 10


def test_paper_takes_thirty_of_each_speaker(kit):
    kit.talk(*((("Ann", "Bob")[number % 3 == 0], f"tea number {number}") for number in range(150)))
    hits = kit.retriever.search(ANN, "What tea did Ann drink?", preset="paper")
    said = [hit.memory.provenance.speaker for hit in hits]
    assert (said.count("Ann"), said.count("Bob")) == (30, 30)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_paper_without_speakers_takes_sixty(kit):
    kit.add(*(f"tea number {number}" for number in range(100)))
    assert len(kit.found("tea", preset="paper")) == 60


def test_another_process_s_writes_are_found_and_forget_changes_nothing(kit, make_kit, tmp_path):
    kit.add("one tea")
    other = make_kit(tmp_path / "bank.db")
    assert len(kit.found("tea")) == 1
    other.add("two teas", speaker="Zoe")
    kit.retriever.forget()
    assert len(kit.found("tea")) == 2
    assert kit.found("What does Zoe like?", k=1) == ["two teas"]


def test_a_closed_store_is_an_error_of_ours(kit):
    kit.add("tea")
    kit.store.close()
    with pytest.raises(StoreError):
        kit.found("tea")


IDS = st.sampled_from([None, "a", "b"])
SCOPES = st.tuples(IDS, IDS, IDS).filter(any).map(lambda ids: Scope(*ids))
WORDS = st.lists(st.sampled_from(["tea", "cat", "boat", "Ann", "red", "May", "hike"]), min_size=1, max_size=4).map(
    " ".join
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    banks=st.lists(st.tuples(SCOPES, WORDS, st.sampled_from([None, "Ann", "Bob"])), min_size=1, max_size=25),
    asked=SCOPES,
    query=WORDS,
    options=st.sampled_from([{"k": 3}, {"k": 100}, {"preset": "paper"}, {}, {"k": 4, "exact_bank": True}]),
)
def test_no_result_ever_comes_from_outside_the_scope(make_kit, banks, asked, query, options):
    kit = make_kit(":memory:")
    try:
        for scope, text, speaker in banks:
            kit.add(text, scope=scope, speaker=speaker)
        hits = kit.retriever.search(asked, query, **options)
        if options.get("exact_bank"):
            readable = {text for scope, text, _ in banks if scope == asked}
            assert all(hit.memory.scope == asked for hit in hits)
        else:
            readable = {(scope, text) for scope, text, _ in banks if asked.covers(scope)}
            assert all(asked.covers(hit.memory.scope) for hit in hits)
        if options.get("k") == 100:
            assert len(hits) == len(readable)
        assert len({hit.memory.id for hit in hits}) == len(hits)
        assert len(hits) <= options.get("k", 60)
        assert hits or not readable
    finally:
        kit.store.close()


def test_a_large_scope_gives_what_a_small_one_gives(kit):
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(300)]
    kit.add(*(" ".join(rng.choice(words, 6)) + f" {number}" for number in range(1500)))
    large = Retriever(kit.store, kit.embedder, exact_rows=100)
    for query in ("word1 word2 word3", "word7", "word250 word9"):
        exact, rounded = kit.retriever.search(ANN, query, k=30), large.search(ANN, query, k=30)
        assert len({hit.memory.id for hit in exact} & {hit.memory.id for hit in rounded}) >= 29
        for left, right in zip(exact, rounded, strict=True):
            assert left.score == pytest.approx(right.score, abs=0.01)
