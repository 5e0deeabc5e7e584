"""Each rate on a story of seven facts, where every figure can be told by reasoning."""

import pytest

from memory_r1.agents.results import Ruling
from memory_r1.bank.operation import OperationKind
from memory_r1.bench.operations.managers import habits, read_managers
from memory_r1.bench.operations.stream import Stream
from memory_r1.rl.bank_state import BankSearch
from memory_r1.testing import HashEmbedder

HELPFUL = ("lost", "duplicate", "stale", "beside", "retired_kept", "mixed")


def by_habit(story, name, search=None):
    ruler = habits(read_managers([name]))[0]
    stream = Stream(story, frozenset(range(len(story.facts))), search)
    while (problem := stream.problem()) is not None:
        stream.take(problem, ruler.rule([problem])[0])
    return stream


def test_the_story_is_understood(story):
    lives = story.lives
    # Lisbon is still told as the home before; the reason goes with the old home
    assert [life.until for life in lives.values()] == [7, 4, 7, 3, 7, 6, 6]
    assert lives["F4"].repeats == ("F1",)
    assert set(lives["F1"].replaced) == {("F5",)}
    assert lives["F4"].replaced == (("F5",),)
    assert [story.last_place(session) for session in (0, 1, 2, 3, 9)] == [-1, 3, 5, 6, 6]


def test_gold_operations_have_no_fault(story, rates):
    stream = by_habit(story, "gold")
    for place in range(len(story.facts)):
        found, lost = rates(stream, place)
        assert {name: found[name][0] for name in HELPFUL if name in found} == {
            name: 0 for name in HELPFUL if name in found
        }
        assert (lost, found["entries/gold"][0], found["characters/gold"][0]) == ({}, 1, 1)
    assert found["wrong_delete"] == (0, 1)
    assert found["mix/UPDATE"] == (2 / 7, 7)
    assert found["lost"] == (0, 3)
    assert found["stale"] == (0, 1)
    assert found["retired_kept"] == (0, 1)
    assert found["entries"] == (2, 1)


def test_adding_everything_keeps_all_of_it(story, rates):
    found, lost = rates(by_habit(story, "add-all"))
    assert "wrong_delete" not in found
    assert found["lost"] == (0, 3)
    assert found["stale"] == (1, 1)
    assert found["beside"] == (0, 1)
    assert found["retired_kept"] == (1, 1)
    assert found["entries/added"] == (1, 1)
    assert found["characters/added"] == (1, 1)
    assert found["entries/gold"] == (7 / 2, 1)
    assert found["mixed"] == (0, 7)
    assert lost == {}
    # that Ann lives in Lisbon is a repetition until she moves, and outdated from then on
    assert found["duplicate"] == (0, 3)
    before, _ = rates(by_habit(story, "add-all"), place=3)
    assert before["duplicate"] == (1 / 3, 3)


def test_what_is_never_stored_is_lost(walk, rates):
    found, lost = rates(walk("ADD", *["NOOP"] * 6))
    # the dog and the new home; the old one is still there, and stale
    assert found["lost"] == (2 / 3, 3)
    assert lost == {"never stored": 2}
    assert found["stale"] == (1, 1)
    # nobody ever knew of chess
    assert found["retired_kept"] == (0, 1)


def test_a_delete_that_takes_a_kept_fact_along_is_wrong(walk, rates):
    stream = walk("ADD", ("DELETE", "M1"), "ADD", "NOOP", "ADD", "ADD", ("DELETE", "M3"))
    found, lost = rates(stream)
    assert found["wrong_delete"] == (1 / 2, 2)
    assert [one.wrong_delete for one in stream.decided] == [False, True, *[False] * 5]
    assert lost == {"deleted": 1}
    # right after it, the deleted fact and the one that was spent on it
    assert rates(stream, place=1)[1] == {"deleted": 1, "never stored": 1}


def test_deleting_what_another_memory_tells_as_well_is_not_wrong(walk, rates):
    stream = walk("ADD", "NOOP", "ADD", "ADD", ("DELETE", "M1/F4"))
    assert stream.bank[0].text.startswith("Ann moved to Lisbon")
    found, _ = rates(stream)
    assert found["wrong_delete"] == (0, 1)


def test_what_gold_no_longer_keeps_may_be_deleted(walk, rates):
    stream = walk("ADD", "ADD", "ADD", "ADD", "ADD", "NOOP", ("DELETE", "M1/F2"))
    assert rates(stream)[0]["wrong_delete"] == (0, 1)


def test_a_fact_that_is_written_over_is_lost(walk, rates):
    found, lost = rates(walk("ADD", ("UPDATE", "M1", "Ann wanted to be near the sea.")))
    assert found["lost"] == (1 / 2, 2)
    assert lost == {"written over": 1}


def test_a_text_written_anew_keeps_what_it_still_says(walk, rates):
    text = "Since 1 May 2023 Ann lives in a flat in Lisbon, near the sea."
    assert rates(walk("ADD", ("UPDATE", "M1", text)))[0]["lost"] == (0, 2)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (None, "beside"),
        ("Ann lives in a houseboat in Porto since 3 June 2023, before that in Lisbon.", "replaced"),
        ("Since 1 May 2023 Ann lives in a flat in Lisbon, near the sea.", "stale"),
    ],
)
def test_an_update_marks_the_old_value_or_does_not(walk, rates, text, verdict):
    found, _ = rates(walk("ADD", ("UPDATE", "M1"), "ADD", "NOOP", ("UPDATE", "M1", text)))
    assert found["stale"] == (float(verdict == "stale"), 1)
    assert found["beside"] == (float(verdict == "beside"), 1)


def test_a_repetition_kept_by_itself_goes_stale(walk, rates):
    text = "Ann lives in a houseboat in Porto since 3 June 2023, before that in Lisbon."
    found, _ = rates(walk("ADD", ("UPDATE", "M1"), "ADD", "ADD", ("UPDATE", "M1", text)))
    assert found["stale"] == (1, 1)


def test_a_retraction_put_behind_what_it_ends_marks_it(walk, rates):
    found, _ = rates(walk("ADD", "ADD", "ADD", "NOOP", "ADD", "ADD", ("UPDATE", "M3")))
    assert found["retired_kept"] == (0, 1)
    apart, _ = rates(walk("ADD", "ADD", "ADD", "NOOP", "ADD", "ADD", "ADD"))
    assert apart["retired_kept"] == (1, 1)


def test_one_memory_for_everything_is_mixed_up(walk, rates):
    found, _ = rates(walk("ADD", *[("UPDATE", "M1")] * 6))
    assert found["mixed"] == (1, 1)
    assert found["lost"] == (0, 3)
    assert found["entries/gold"] == (1 / 2, 1)


def test_the_same_words_twice_are_one_memory_with_both_facts(story, walk, rates):
    text = story.text_of("F4")
    stream = walk(("ADD", None, text), "NOOP", "ADD", "ADD")
    assert len(stream.bank) == 2
    assert stream.standings[3].memories[0].facts == ("F1", "F4")
    assert rates(stream)[0]["duplicate"] == (0, 2)


def test_the_product_s_retrieval_is_shown_to_the_manager(story, rates):
    search = BankSearch(HashEmbedder(64))
    stream = Stream(story, frozenset({len(story.facts) - 1}), search, candidates=1)
    shown = []
    while (problem := stream.problem()) is not None:
        shown.append(problem.candidates)
        stream.take(problem, Ruling(OperationKind.ADD, text=problem.facts[0].text, rejected="no JSON"))
    search.close()
    assert shown[0] == ()
    assert shown[1] == ("M1",)
    assert all(len(one) == 1 for one in shown[1:])
    found, _ = rates(stream)
    # two changes of M1 and the end of M3
    assert found["shown"][1] == 3
    assert found["unusable"] == (1, 7)
