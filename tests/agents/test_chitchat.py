import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.agents.chitchat import is_chitchat, states_something

NAMES = ["Caroline", "Melanie"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hi!",
        "Hey Mel! Good to see you! How have you been?",
        "Thanks, Bob!",
        "Wow, that's awesome, Caroline!",
        "Bye! Take care.",
        "lol 😂",
        "What kind of counseling do you want to pursue?",
        "I agree!",
        "I'm so proud of you!",
        "I'd love to hear more about it. Tell me more!",
        "Cool! Got any fav tunes?",
        "...",
    ],
)
def test_small_talk_is_recognised(text):
    assert is_chitchat(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "I'm vegan.",
        "I moved.",
        "I love my work",
        "Great, I got the job!",
        "Moved to Rome.",
        "My sister is Ann",
        "We are getting married!",
        "Did you know that Ann moved to Paris?",
        "Can you recommend a restaurant? I'm vegetarian.",
        "Are you free at 7?",
        "What should I cook, given that I can't eat nuts?",
        "Call me Tom",
        "Thanks! Painting is how we relax.",
        "J'habite à Paris.",
        "我住在北京。",
    ],
)
def test_content_is_never_taken_for_small_talk(text):
    assert not is_chitchat(text, NAMES)


@given(
    st.sampled_from(["Hi Caroline!", "Wow, great!", "Thanks so much.", "How are you?", "Haha, yeah.", ""]),
    st.sampled_from(["I", "We", "My brother", "My wife and I"]),
    st.sampled_from(["live in", "lost", "bought", "am allergic to", "hate", "work at", "am", "have"]),
    st.sampled_from(["Rome", "peanuts", "a dog", "the bank", "two cats", "a nurse", "cancer"]),
    st.sampled_from(["", " You?", " How about you, Melanie?", " Bye!", " 😀"]),
)
def test_a_first_person_statement_always_counts(before, subject, verb, thing, after):
    text = f"{before} {subject} {verb} {thing}.{after}"
    assert not is_chitchat(text, NAMES)
    assert states_something(text, NAMES)


@pytest.mark.parametrize(
    "text", ["You're doing something amazing!", "I'm so excited for you!", "Thanks, I appreciate it"]
)
def test_reactions_state_nothing(text):
    assert not states_something(text, NAMES)


def test_a_number_states_something():
    assert states_something("The code is 4711", NAMES)


def test_no_statement_that_a_real_question_rests_on_is_dropped(data_folder):
    # conv-26 and conv-30, those the project may tune on; D7:21 is itself only a question
    conversations = json.loads((data_folder / "locomo" / "locomo10.json").read_text(encoding="utf-8"))[:2]
    dropped = []
    for item in conversations:
        spoken = item["conversation"]
        evidence = {turn for question in item["qa"] for turn in question["evidence"]}
        names = [spoken["speaker_a"], spoken["speaker_b"]]
        turns = [turn for key, value in spoken.items() if isinstance(value, list) for turn in value]
        assert sum(is_chitchat(turn["text"], names) for turn in turns) > 10
        dropped += [
            (item["sample_id"], turn["dia_id"])
            for turn in turns
            if turn["dia_id"] in evidence and "blip_caption" not in turn and is_chitchat(turn["text"], names)
        ]
    assert dropped == [("conv-26", "D7:21")]
