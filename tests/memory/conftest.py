"""A memory whose language model is scripted: what is tested here is everything around the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from memory_r1 import Memory
from memory_r1.lm.base import Message
from memory_r1.testing import ScriptedLM

# programs for mem0: run by test_mem0_programs.py, not imported
collect_ignore_glob = ["programs/*"]

Reply = Callable[[str], str]


def is_manager(chat: Sequence[Message]) -> bool:
    """Whether a chat is the manager's prompt, told by the operations it names."""
    return '"op"' in chat[0]["content"]


def is_answerer(chat: Sequence[Message]) -> bool:
    return "**Answer:**" in chat[0]["content"]


class Script:
    """Plays all three agents: facts are the turns as they are, decisions and answers as set by the test."""

    def __init__(self) -> None:
        self.decide: Reply = lambda _: json.dumps({"op": "ADD"})
        self.answer: Reply = lambda _: "[0]\n**Answer:** yes"
        self.extract: Reply | None = None

    def __call__(self, chat: Sequence[Message]) -> str:
        last = chat[-1]["content"]
        if is_manager(chat):
            return self.decide(last)
        if is_answerer(chat):
            return self.answer(last)
        if self.extract is not None:
            return self.extract(last)
        turns = [line for line in last.splitlines() if line.startswith("[")]
        return "\n".join(f"{line.split(']')[0]}] {json.loads(line.split(': ', 1)[1])}" for line in turns)


@pytest.fixture
def ann() -> Callable[[str], dict[str, str]]:
    """Makes a message of Ann's, who speaks of herself in the third person: the scripted extractor copies it."""
    return lambda text: {"role": "user", "name": "Ann", "content": text}


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def lm(script: Script) -> ScriptedLM:
    return ScriptedLM(script)


@pytest.fixture
def memory(lm: ScriptedLM, tmp_path: Path) -> Iterator[Memory]:
    with Memory(model=lm, embedder="hash", store=tmp_path / "memory.db") as opened:
        yield opened
