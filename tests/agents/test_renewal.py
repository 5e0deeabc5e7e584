"""A change takes the place of the sentence that it is about, and no more of it than it has to."""

import pytest

from memory_r1.agents.renewal import renewed

CHOIR = "Ann rows. Ann's choir for beginners meets at 7 pm in room 3b."


def nearest_last(text, others):
    return [0.2] * (len(others) - 1) + [0.9]


@pytest.mark.parametrize(
    ("memory", "said", "left"),
    [
        ("Ann bought a red bike on 2 May 2021 for $40.", "The bike actually cost $15.", "... on 2 May 2021 for $15. +"),
        (CHOIR, "Ann's choir now meets in room 12.", "... for beginners meets at 7 pm in room 12. +"),
        (CHOIR, "Ann's choir now meets at 8:30 pm.", "... for beginners meets at 8:30 pm in room 3b. +"),
        (CHOIR, "Ann's choir no longer meets.", "Ann rows. +"),
        ("Ann's flat costs $40, parking $5.", "Ann's flat now costs $45.", "+"),
        ("Ann's birthday is on 16 May.", "Ann's birthday is actually on 7 June.", "+"),
    ],
)
def test_only_a_price_a_time_or_a_room_gives_way_where_that_is_all(fact, record, memory, said, left):
    text = renewed(record(memory), fact(said), nearest_last, surely=False)
    left = left.replace("+", said)
    assert text == left if not left.startswith("...") else text.endswith(left.removeprefix("..."))


def test_words_alone_need_a_sentence_that_is_alike(fact, record):
    far = [0.59, 0.1]
    known = record("Ann adopted Sesame, a chinchilla. Sesame hides under the bathtub.")
    said = fact("Sesame is actually an axolotl.")
    assert renewed(known, said, lambda *_: far, surely=False) is None
    assert renewed(known, said, lambda *_: far, surely=True) == f"Sesame hides under the bathtub. {said.text}"
