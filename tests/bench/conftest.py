import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from memory_r1.bench.loading import BenchData
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.bench.runner import Runner
from memory_r1.bench.specs import read_specs
from memory_r1.bench.workshop import Workshop
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.testing import HashEmbedder, ScriptedLM


@dataclass
class Agents:
    """What the scripted model answers: facts as they are said, rulings by fact, answers by question."""

    rulings: dict = field(default_factory=dict)
    answers: dict = field(default_factory=dict)

    def reply(self, chat):
        prompt = chat[-1]["content"]
        if "Question: " in prompt:
            question = json.loads(prompt.rpartition("Question: ")[2])
            return self.answers.get(question, "[0]\n**Answer:** blue")
        if "New fact" in prompt:
            fact = json.loads(re.search(r"New fact.*?: (.*)$", prompt, re.M)[1])
            return json.dumps(self.rulings.get(fact, {"op": "ADD"}))
        said = re.findall(r'^\[(\d+)\] ([^":]*): (".*")$', prompt, re.M)
        facts = [f"[{n}] {re.sub('^I ', f'{name} ', json.loads(text))}" for n, name, text in said if "?" not in text]
        return "\n".join(facts) or "NONE"


@pytest.fixture
def agents():
    return Agents()


def talk(name, *, said, questions):
    """A conversation of one session for each text; texts are `SPEAKER: what`, questions `(text, answer, category)`."""
    sessions = []
    for number, line in enumerate(said, start=1):
        speaker, _, text = line.partition(": ")
        time = datetime(2023, 5, number, tzinfo=UTC)
        sessions.append(Session(f"session_{number}", time, (Turn(f"D{number}:1", speaker, text, time),)))
    asked = tuple(
        Question(f"{name}#{number}", text, answer, category, ("D1:1",))
        for number, (text, answer, category) in enumerate(questions)
    )
    return Conversation(name, ("Ann", "Bob"), tuple(sessions), asked)


@pytest.fixture
def make_talk():
    return talk


@pytest.fixture
def data():
    """Two conversations with four questions in all."""
    first = talk(
        "c1",
        said=["Ann: I painted the fence blue.", "Bob: I adopted a brown dog.", "Ann: I moved to Lisbon."],
        questions=[("What colour is the fence?", "blue", "single-hop"), ("Who owns a dog?", "Bob", "single-hop")],
    )
    second = talk(
        "c2",
        said=["Ann: I play the violin.", "Bob: I bought a green car."],
        questions=[("What does Ann play?", "the violin", "single-hop"), ("Does Bob fly?", None, "adversarial")],
    )
    return BenchData("toy", "all", (first, second))


@pytest.fixture
def bench(tmp_path, data, agents):
    """Runs systems over the data in one folder; keywords replace the parts."""

    def start(*systems, lm=None, asked=data, folder="run", specs=None, adapters=(), options=(), **more):
        shop = {name: more.pop(name) for name in ("limits", "at_once") if name in more}
        specs = specs or read_specs(systems, adapters, options)
        model = lm or ScriptedLM(agents.reply)
        workshop = Workshop(model, HashEmbedder(64), specs, cache=tmp_path / "cache", **shop)
        try:
            return Runner(workshop, asked, BenchFolder(tmp_path / folder), **more).run()
        finally:
            workshop.close()

    return start


@pytest.fixture
def answers(tmp_path):
    """What is on disk of a system."""

    def read(system, folder="run"):
        return list(BenchFolder(tmp_path / folder).predictions(system).values())

    return read


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Makes a system of one's own from the body of a class; returns how the command line names it."""
    monkeypatch.syspath_prepend(tmp_path)
    made = 0

    def write(body, base="Base"):
        nonlocal made
        made += 1
        module = f"own_{tmp_path.name.replace('-', '_')}_{made}"
        code = f"""
            import threading, time
            from memory_r1.bench.system import *
            from memory_r1.errors import *
            class Base:
                name, about = "mine", "A system of a test."
                seen = []
                def __init__(self, kit): self.kit = kit
                def ingest(self, conversation): self.conversation = conversation
                def answer(self, question): return SystemAnswer("blue")
                def stats(self): return Stats()
            class Mine({base}):
        """
        lines = [line.removeprefix(" " * 12) for line in code.strip("\n").split("\n")]
        lines += [f"    {line}" for line in body.strip("\n").split("\n")]
        (tmp_path / f"{module}.py").write_text("\n".join(lines), encoding="utf-8")
        return f"{module}:Mine"

    return write
