from itertools import islice

import pytest

from memory_r1.bench.dilution.distractors import SYNTHETIC, Distractors, facts_of, open_distractors, same_names
from memory_r1.bench.loading import BenchData, open_benchmark
from memory_r1.data.conversation import Conversation, Session, Turn
from memory_r1.data.jsonl import to_lines
from memory_r1.errors import ConfigError, InvalidInputError


def first(distractors, asked, count):
    return list(islice(distractors.beside(asked), count))


def test_nothing_comes_from_the_asked_or_from_a_namesake(make_talk):
    asked = make_talk("asked", ("Ann", "Bob Lee"))
    namesake = make_talk("namesake", ("ANN Smith", "Cem"))
    other = make_talk("other", ("Dora", "Anne"))
    given = first(Distractors([("toy", [asked, namesake, other])]), asked, 8)
    assert [one.fact.text for one in given] == [fact.text for fact in facts_of(other)]
    assert {one.source for one in given} == {"toy"}
    assert Distractors([("toy", [asked, namesake, other])]).usable([asked]) == {"toy": (1, 3)}


def test_turns_that_name_someone_asked_about_are_left_out(make_talk):
    asked = make_talk("asked", ("Ann", "Will"))
    texts = ["I saw Ann yesterday.", "Tell will about it.", "It was Will's.", "Annabel was here.", "It rained."]
    turns = tuple(Turn(f"D1:{number}", "Dora", text) for number, text in enumerate(texts))
    other = Conversation("other", ("Dora",), (Session("s", None, turns),))
    given = first(Distractors([("toy", [other])]), asked, 3)
    # "will" is a word as well: it counts as a name with a capital only
    assert [one.fact.text for one in given] == [
        "Dora: Tell will about it.",
        "Dora: Annabel was here.",
        "Dora: It rained.",
    ]


def test_sources_are_used_up_in_order_and_generated_ones_never_end(make_talk):
    asked = make_talk("asked")
    sources = [("near", [make_talk("n1", ("Cem",)), make_talk("n2", ("Dora",))]), ("far", [make_talk("f", ("Eve",))])]
    given = first(Distractors(sources), asked, 400)
    assert [one.source for one in given] == ["near"] * 16 + ["far"] * 8 + [SYNTHETIC] * 376
    assert [one.fact for one in given] == [one.fact for one in first(Distractors(sources), asked, 400)]
    orders = {first(Distractors(sources, seed=seed), asked, 1)[0].fact.text for seed in range(8)}
    assert len(orders) == 2


def test_generated_conversations_that_cannot_help_are_an_error(make_talk, monkeypatch):
    asked = make_talk("asked", ("Ann", "Bob"))
    monkeypatch.setattr("memory_r1.bench.dilution.distractors._FRUITLESS", 3)
    monkeypatch.setattr("memory_r1.bench.dilution.distractors.same_names", lambda *both: True)
    with pytest.raises(InvalidInputError, match="asked cannot be diluted"):
        first(Distractors([]), asked, 1)


def test_data_of_one_and_the_same_speakers_is_not_diluted_with_itself(make_talk):
    first_user, second_user = (make_talk(name, ("User", "Assistant")) for name in ("a", "b"))
    distractors = Distractors([("longmemeval", [first_user, second_user])])
    assert distractors.usable([first_user]) == {"longmemeval": (0, 2)}
    assert first(distractors, first_user, 1)[0].source == SYNTHETIC


def test_first_names_are_compared_as_they_are_spelt():
    assert not same_names(["Jon"], ["John"])
    assert same_names(["Speaker 1"], ["Speaker 2"])
    assert not same_names([" "], [""])


def test_generated_data_is_diluted_with_its_own_part():
    asked = open_benchmark("synthetic:3", part="validation")
    distractors = open_distractors(asked, "synthetic:3")
    given = first(distractors, asked.conversations[0], 700)
    assert given[-1].source == SYNTHETIC
    speakers = {one.fact.provenance.speaker for one in given if one.source == SYNTHETIC}
    known = {name for one in open_benchmark("synthetic:40", part="validation").conversations for name in one.speakers}
    assert speakers & known
    train = {name for one in open_benchmark("synthetic:40", part="train").conversations for name in one.speakers}
    assert not speakers & train


def test_further_data_comes_before_generated_data(make_talk, tmp_path):
    asked = make_talk("asked")
    file = tmp_path / "more.jsonl"
    file.write_text("\n".join(to_lines(make_talk("more", ("Cem", "Dora")))), encoding="utf-8")
    own = tmp_path / "own.jsonl"
    own.write_text("\n".join(to_lines(asked)), encoding="utf-8")
    distractors = open_distractors(BenchData("own.jsonl", "all", (asked,)), str(own), [str(file)])
    given = first(distractors, asked, 9)
    assert [one.source for one in given] == ["more.jsonl"] * 8 + [SYNTHETIC]
    with pytest.raises(ConfigError, match="is not needed"):
        open_distractors(BenchData("own.jsonl", "all", (asked,)), str(own), ["synthetic:9"])


def test_locomo_s_three_johns_do_not_dilute_each_other(data_folder):
    name = f"locomo:{data_folder}"
    asked = open_benchmark(name, conversations=["conv-41"])
    distractors = open_distractors(asked, name)
    assert distractors.usable(asked.conversations) == {"locomo": (7, 10)}
    given = first(distractors, asked.conversations[0], 4500)
    assert {one.source for one in given[:3000]} == {"locomo"}
    assert {"conv-41", "conv-43", "conv-47"}.isdisjoint(one.talk for one in given)
    assert not any("John" in one.fact.text.split() for one in given)
