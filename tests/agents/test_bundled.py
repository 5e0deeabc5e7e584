"""The agents on the bundled model: what a call costs, and that an untrained model cannot break anything."""

import pytest

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.extractor import Extractor
from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.recall import Recalled
from memory_r1.agents.windows import Window, read_window
from memory_r1.bank.operation import OperationKind

pytestmark = pytest.mark.lm

MESSAGE = "I went to a LGBTQ support group yesterday and it was so powerful."
FACT = "Caroline went to a LGBTQ support group yesterday (7 May 2023)."
MEMORIES = [
    "Caroline joined a LGBTQ activist group last week (the week before 20 April 2023).",
    "Caroline finds the stories at the support group inspiring.",
    "Caroline is researching adoption agencies.",
    "Caroline moved from Sweden four years ago (2019).",
    "Caroline wants to work in counseling or mental health.",
    "Caroline paints to express her feelings.",
    "Caroline gave a talk at her old school last month (April 2023).",
    "Caroline's friends have supported her since she moved.",
]


def test_a_one_message_add_stays_within_its_token_budget(bundled_lm, prompts, turn, fact, record):
    units, _ = read_window(Window((turn(MESSAGE),)), Recalled([]))
    extracting = bundled_lm.count_tokens(Extractor(bundled_lm, prompts).prompt(units))
    decision = MemoryManager(bundled_lm, prompts).prompt(
        fact(FACT, "Caroline"), [record(text) for text in MEMORIES[:5]]
    )
    deciding = bundled_lm.count_tokens(decision.chat)
    assert extracting < 210
    assert extracting + deciding < 600


def test_untrained_it_extracts_decides_and_answers(bundled_lm, prompts, turn, record):
    (done,) = Extractor(bundled_lm, prompts).extract_many([Window((turn(MESSAGE),))])
    assert done.facts
    assert all("Caroline" in found.text for found in done.facts)
    assert any("support group" in found.text for found in done.facts)
    memories = [record(text, "Caroline") for text in MEMORIES]
    ruling = MemoryManager(bundled_lm, prompts).decide(done.facts[0], memories)
    assert ruling.kind in set(OperationKind)
    assert ruling.usage.prompt_tokens > 0
    answer = AnswerAgent(bundled_lm, prompts).answer("What is Caroline researching?", memories)
    assert answer.text
    assert set(answer.kept) <= set(range(len(memories)))


def test_the_instructions_are_computed_once(bundled_lm, prompts, fact, record):
    manager = MemoryManager(bundled_lm, prompts)
    for text in ("Ann likes tea", "Ann likes jazz", "Ann likes chess"):
        ruling = manager.decide(fact(text), [record("Ann lives in Rome")])
    assert ruling.usage.cached_tokens > 100
