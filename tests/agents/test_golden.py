"""Every rendered prompt, word for word. A change here changes what a trained adapter reads.

To accept new prompts, delete the file under `golden/` and run the test twice: the first run writes it and fails.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.extractor import Extractor
from memory_r1.agents.manager import MemoryManager
from memory_r1.testing.lm import ScriptedLM

GOLDEN = Path(__file__).parent / "golden"


def check(name, chat):
    text = "".join(f"=== {message['role']} ===\n{message['content']}\n" for message in chat)
    path = GOLDEN / f"{name}.txt"
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} was written: look it over and run the test again")
    assert text == path.read_text(encoding="utf-8")


def test_extract_one_turn(prompts, turn):
    lm = ScriptedLM("NONE")
    Extractor(lm, prompts).extract([turn("I went to a LGBTQ support group yesterday and it was so powerful.")])
    check("extract_one_turn", lm.calls[0].chat)


def test_extract_a_window(prompts, turn):
    lm = ScriptedLM("NONE")
    Extractor(lm, prompts).extract(
        [turn('Ann said "stop"\nthere. I ran.', "Melanie"), turn("I paint.", image_caption="a lake at dawn")]
    )
    check("extract_window", lm.calls[0].chat)


def test_manage(prompts, fact, record):
    lm = ScriptedLM('{"op":"ADD"}')
    MemoryManager(lm, prompts).decide(
        fact("Ann adopted a second dog, Rex."),
        [record("Ann has a dog."), record('Ann likes "Up".', day=datetime(2022, 12, 31, tzinfo=UTC))],
    )
    check("manage", lm.calls[0].chat)


def test_answer_two_speakers(prompts, record):
    lm = ScriptedLM("**Answer:** tea")
    AnswerAgent(lm, prompts).answer(
        "What does Ann drink?",
        [record("Ann likes tea."), record("Bob likes wine.", "Bob"), record("Ann swims.")],
        now=datetime(2023, 10, 22, tzinfo=UTC),
    )
    check("answer_two_speakers", lm.calls[0].chat)


def test_answer_one_speaker(prompts, record):
    lm = ScriptedLM("**Answer:** tea")
    AnswerAgent(lm, prompts).answer("What does Ann drink?", [record("Ann likes tea.")])
    check("answer_one_speaker", lm.calls[0].chat)
