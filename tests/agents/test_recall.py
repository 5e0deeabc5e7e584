import pytest

from memory_r1.agents.recall import Recalled, strip_recalled


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<memories>\n0 old\n</memories>I moved.", "I moved."),
        ("a<memories>x</memories>b<memories>y</memories>c", "abc"),
        ("<memories> never closed, so I keep it", "<memories> never closed, so I keep it"),
        ("</memories> I moved <memories>", "</memories> I moved <memories>"),
    ],
)
def test_only_whole_blocks_are_stripped(text, left):
    assert strip_recalled(text) == left


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("Ann went to a support group yesterday (7 May 2023).", True),
        ("ann went to a support group, yesterday!", True),
        ("Ann went to a support group", False),
        ("Ann didn't go to a support group yesterday", False),
        ("Bob and his wife live in Oslo since 2019", True),
        ("Bob and his wife live in Oslo since 2020", False),
        ("Ann likes tea", False),
    ],
)
def test_near_verbatim_repeats_are_known(text, repeats):
    recalled = Recalled(
        ["Ann went to a support group yesterday", "Bob and his wife live in Oslo since 2019", "Ann likes tea"]
    )
    assert recalled.repeats(text) is repeats


def test_a_quoted_sentence_is_cut_out():
    recalled = Recalled(["Ann has a small brown dog"])
    assert recalled.remove("You said: great. Ann has a small brown dog. It died.") == ("You said: great. It died.", 1)
    assert recalled.remove("It  died.\nNow") == ("It  died.\nNow", 0)
