import time
from itertools import islice

import pytest

from memory_r1.bench.dilution.bank import MixedBank, mix
from memory_r1.bench.dilution.distractors import Distractors, facts_of
from memory_r1.data.conversation import Conversation, Session, Turn
from memory_r1.errors import InvalidInputError


@pytest.fixture
def make_bank(embedder, tmp_path):
    opened = []

    def make(conversation, distractors=(), size=None):
        folder = tmp_path / f"bank-{len(opened)}"
        folder.mkdir()
        opened.append(MixedBank(mix(conversation, distractors, size), embedder, folder))
        return opened[-1]

    yield make
    for bank in opened:
        bank.close()


def in_sessions(name, speaker, count):
    """A conversation of sessions of three turns."""
    sessions = tuple(
        Session(f"s{s}", None, tuple(Turn(f"D{s}:{t}", speaker, f"{name} says {s} and {t}") for t in range(3)))
        for s in range(count)
    )
    return Conversation(name, (speaker,), sessions)


def test_undiluted_is_the_conversation_as_it_is(make_talk):
    asked = make_talk("asked")
    mixture = mix(asked, iter(()), None)
    assert mixture.facts == tuple(facts_of(asked))
    assert (mixture.own, mixture.sources) == (frozenset(range(8)), {})


def test_sessions_lie_scattered_and_each_talk_keeps_its_order(make_talk):
    asked, others = in_sessions("asked", "Ann", 6), [in_sessions(name, name, 5) for name in ("Cem", "Dora")]
    mixture = mix(asked, Distractors([("toy", others)]).beside(asked), 48)
    assert len(mixture.facts) == 48
    assert mixture.sources == {"toy": 30}
    assert mixture == mix(asked, Distractors([("toy", others)]).beside(asked), 48)
    for speaker in ("Ann", "Cem", "Dora"):
        said = [fact.text for fact in mixture.facts if fact.provenance.speaker == speaker]
        assert said == sorted(said)
    who = [fact.provenance.speaker for fact in mixture.facts]
    assert [place for place, name in enumerate(who) if name == "Ann"] == sorted(mixture.own)
    # three turns of a session stay together, and the sessions of one do not
    assert all(len(set(who[start : start + 3])) == 1 for start in range(0, 48, 3))
    assert "".join(name[0] for name in who[::3]) not in ("AAAAAACCCCCDDDDD", "AAAAAADDDDDCCCCC")


def test_a_larger_bank_holds_all_of_a_smaller_one(make_talk):
    asked = make_talk("asked")
    distractors = Distractors([("toy", [make_talk("other", ("Cem", "Dora"))])])
    small, large = ({fact.text for fact in mix(asked, distractors.beside(asked), size).facts} for size in (30, 90))
    assert (len(small), len(large)) == (30, 90)
    assert small < large


def test_texts_that_are_there_already_do_not_count(make_bank):
    session = Session("s", None, tuple(Turn(f"D1:{n}", "Cem", text) for n, text in enumerate(["Hi!", "hi!", "Bye!"])))
    greeting, asked = Conversation("greeting", ("Cem",), (session,)), in_sessions("asked", "Ann", 2)
    bank = make_bank(asked, islice(Distractors([("toy", [greeting])]).beside(asked), 3), 8)
    assert bank.size == 8
    with pytest.raises(InvalidInputError, match="for 8 memories only, not for 9"):
        make_bank(asked, islice(Distractors([("toy", [greeting])]).beside(asked), 3), 9)


def test_only_turns_of_the_asked_conversation_are_evidence(make_bank, make_talk):
    asked, other = make_talk("asked"), make_talk("other", ("Cem", "Dora"))
    bank = make_bank(asked, Distractors([("toy", [other])]).beside(asked), 16)
    found = bank.search("Who painted the fence?", k=60).found
    assert len(found) == 16
    # the other conversation has turns of the same ids
    assert sorted(one.turns for one in found if one.turns) == [(f"D1:{number}",) for number in range(8)]


def test_a_turn_that_is_said_twice_is_one_memory_with_both_ids(make_bank):
    session = Session("s", None, (Turn("D1:1", "Ann", "Bye!"), Turn("D1:2", "Ann", "bye!")))
    bank = make_bank(Conversation("asked", ("Ann",), (session,)))
    assert [one.turns for one in bank.search("bye", k=5).found] == [("D1:1", "D1:2")]


def test_the_dynamic_cut_keeps_its_budget(make_bank, make_talk):
    bank = make_bank(make_talk("asked"))
    assert len(bank.search("paint", budget_tokens=1).found) == 1
    assert len(bank.search("paint", budget_tokens=10_000).found) > 1


def test_the_embedder_s_time_is_not_the_search_s(make_bank, make_talk, embedder):
    bank = make_bank(make_talk("asked"))
    bank.warm()
    plain = embedder.inner.embed

    def slow(texts):
        time.sleep(0.3)
        return plain(texts)

    embedder.inner.embed = slow
    assert bank.search("something new", k=1).seconds < 0.25
    assert embedder.seconds > 0.3
