"""The extractor that chooses sentences: what it asks, how it reads, that no word is invented or lost by accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.agents.prompts import Prompts
from memory_r1.agents.selector import SelectingExtractor, parts_of, read_selection
from memory_r1.agents.windows import Unit, Window
from memory_r1.data.conversation import Turn
from memory_r1.testing.lm import ScriptedLM

SAID = "Hey Mel, thanks! I adopted a dog yesterday. He is called Rex. My sister Eve moved to Rome."


@pytest.fixture
def select(prompts):
    def run(reply, *turns, **options):
        lm = ScriptedLM(reply)
        return SelectingExtractor(lm, prompts, adapter="extractor").extract(turns, **options), lm

    return run


def texts(extraction):
    return [fact.text for fact in extraction.facts]


def test_each_line_is_a_fact_in_the_words_that_were_said(select, turn):
    done, lm = select("2 3\n4", turn(SAID), session_id="s1", first_index=2)
    assert texts(done) == [
        "Caroline: I adopted a dog yesterday (7 May 2023). He is called Rex.",
        "Caroline: My sister Eve moved to Rome.",
    ]
    assert done.facts[0].provenance.turn_id == "D1:3"
    assert (done.facts[0].provenance.session_id, done.facts[0].provenance.turn_index) == ("s1", 2)
    assert done.facts[0].event_time == turn(SAID).time
    assert (done.fallback, done.raw, lm.calls[0].adapter) == (None, "2 3\n4", "extractor")


def test_what_states_something_and_was_not_chosen_goes_with_what_it_follows(select, turn):
    done, _ = select("2\n4", turn(SAID + " Is that not odd?"))
    assert texts(done) == [
        "Caroline: I adopted a dog yesterday (7 May 2023). He is called Rex.",
        "Caroline: My sister Eve moved to Rome.",
    ]
    done, _ = select("4", turn(SAID))
    assert len(texts(done)) == 1
    assert len(texts(select("NONE", turn(SAID))[0])) == 1


def test_nothing_is_nothing(select, turn):
    done, _ = select("NONE", turn("Wow, did you really do that? How was it for you?"))
    assert (done.facts, done.fallback) == ((), None)


def test_an_answer_takes_its_question_along(select, turn):
    before = turn("It was great. How did you feel at the lake?", "Melanie", id="D1:2")
    done, lm = select("0 2", turn("Exactly! Free, that is the word I was looking for."), context=[before])
    assert texts(done) == [
        "Melanie asked: How did you feel at the lake? Caroline: Free, that is the word I was looking for."
    ]
    assert '0 Melanie asked: "How did you feel at the lake?"' in lm.calls[0].prompt
    assert "It was great" not in lm.calls[0].prompt


def test_one_s_own_question_is_not_asked_by_another(select, turn):
    _, lm = select("1", turn("I sold my old red car."), context=[turn("Guess what?", id="D1:2")])
    assert "asked:" not in lm.calls[0].chat[-1]["content"]


def test_a_picture_is_a_sentence(select, turn):
    done, lm = select("1 2", turn("I painted this for my mum.", image_caption="a lake at dawn"))
    assert texts(done) == ["Caroline: I painted this for my mum. [shared picture: a lake at dawn]"]
    assert '2 "[picture: a lake at dawn]"' in lm.calls[0].prompt


def test_small_talk_is_left_out_without_the_model(select, turn):
    done, lm = select("1", turn("Thanks! Bye!"))
    assert (done.facts, lm.calls) == ((), [])


@pytest.mark.parametrize("reply", ["", "I think 2", "2 9", "2, x", "{}", "0"])
def test_what_cannot_be_used_keeps_all_that_states_something(select, turn, reply):
    done, _ = select(reply, turn(SAID))
    assert done.fallback == "unusable completion"
    (only,) = texts(done)
    for word in ("dog", "Rex", "Rome"):
        assert word in only
    assert "thanks" not in only


def test_a_long_turn_is_read_in_parts_and_nothing_is_cut_off(select, turn):
    said = " ".join(f"I bought lamp number {number} for the hall." for number in range(30))
    done, lm = select("1", turn(said))
    assert len(lm.calls) == 3
    assert sum(text.count("lamp number") for text in texts(done)) == 30


def test_what_was_recalled_is_not_taken_again(select, turn):
    done, _ = select("1", turn("My sister Eve moved to Rome."), known=["Caroline: My sister Eve moved to Rome."])
    assert done.facts == ()
    assert done.repeated == 1


def part(count, asked="Where?"):
    said = Turn("t", "Ann", " ".join(f"I have {number} cats." for number in range(1, count + 1)))
    before = Turn("b", "Bob", asked)
    return parts_of(Window((said,), (before,)), [Unit(said, 0, said.text)])[0]


def test_a_sentence_counts_once_and_the_question_alone_says_nothing():
    assert read_selection("1 2\n2 3\n0", part(3)) == ((1, 2), (3,))
    assert read_selection("0 1\n0 3", part(3)) == ((0, 1), (0, 3))
    assert read_selection("0 1", part(3, asked="Well.")) is None or part(3, asked="Well.").asked == ""


@given(st.text(alphabet="0123456789 ,\nNOE.-x", max_size=40), st.integers(1, 5))
def test_any_completion_gives_sentences_that_are_there(text, count):
    one = part(count)
    chosen = read_selection(text, one)
    flat = [number for line in chosen or () for number in line if number]
    assert len(flat) == len(set(flat))
    assert all(1 <= number <= count for number in flat)
    assert all(one.text_of(line).startswith(("Ann: ", "Bob asked: ")) for line in chosen or ())


def test_the_prompt_ends_with_what_is_read():
    chat = SelectingExtractor(ScriptedLM(), Prompts.load()).prompt(part(2))
    assert chat[-1]["content"] == '0 Bob asked: "Where?"\nAnn:\n1 "I have 1 cats."\n2 "I have 2 cats."'
