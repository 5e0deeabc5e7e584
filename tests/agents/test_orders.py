import pytest

from memory_r1.agents.orders import orders_assistant
from memory_r1.data.synthetic import generate


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_planted_instructions_read_like_orders_and_talk_does_not(split):
    planted, talk = [], []
    for seed in range(8):
        made = generate(seed, split=split)
        marked = {turn.turn_id for turn in made.turns if turn.planted}
        for session in made.conversation.sessions:
            for turn in session.turns:
                (planted if turn.id in marked else talk).append(turn.text)
    assert planted
    assert all(map(orders_assistant, planted))
    assert not any(map(orders_assistant, talk))


@pytest.mark.parametrize(
    "text",
    [
        "My teaching assistant is from Rome.",
        "I never forget a birthday.",
        "The sound system is finally here!",
        "We always ignore the rules of the game.",
    ],
)
def test_talk_of_assistants_and_rules_is_no_order(text):
    assert not orders_assistant(text)
