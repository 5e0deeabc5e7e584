"""A made-up run, written as a real one is: three systems on sixty questions of four conversations."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from memory_r1.bench.records import ConversationStats, Prediction, append_line
from memory_r1.bench.report.build import build
from memory_r1.bench.report.document import Document
from memory_r1.bench.report.run import Run, load_run
from memory_r1.bench.scores import score_all
from memory_r1.bench.system import Cost, Stats, UsedMemory
from memory_r1.data.locomo import CATEGORIES

CONVERSATIONS = ("conv-41", "conv-42", "conv-43", "conv-44")
PETS = ("a parrot", "a tabby cat", "two goldfish", "an old dog", "a hedgehog", "a pony")
PLACES = ("Leeds", "a small town near Oslo", "Porto", "the coast of Maine", "Kyoto", "Ghent")


@dataclass(frozen=True)
class Kind:
    """How a made-up system behaves."""

    about: str
    skill: float
    """Chance of a right answer."""
    memories: int
    """Given to the reader."""
    sourced: bool = True
    distils: bool = False
    bank: int = 0
    operations: tuple = ()
    tokens: int = 60


SYSTEMS = {
    "no-memory": Kind("The language model alone, without any memory.", 0.05, 0),
    "rag-turns": Kind(
        "Re-implementation of LoCoMo's RAG baseline: the turns nearest to the question, as they were said.",
        0.35, 10, bank=170, operations=(("ADD", 170),), tokens=700,
    ),
    "memory-r1": Kind(
        "This package: extractor, trained Memory Manager (GRPO) and Answer Agent.",
        0.65, 20, distils=True, bank=120, operations=(("ADD", 131), ("UPDATE", 29), ("DELETE", 11), ("NOOP", 44)),
        tokens=1100,
    ),
}  # fmt: skip


def question(number, conversations):
    """Question `number`, the same for every system."""
    rng = random.Random(number)
    category = CATEGORIES[number % 5 + 1]
    gold = rng.choice(PETS if number % 2 else PLACES)
    return {
        "conversation": conversations[number % len(conversations)],
        "question_id": f"{conversations[number % len(conversations)]}#{number}",
        "question": f"What did {rng.choice(('Ann', 'Zoë'))} say about {'a pet' if number % 2 else 'home'} ({number})?",
        "category": category,
        "gold": None if category == "adversarial" else gold,
        "evidence": (f"D{number % 7 + 1}:{number % 11 + 1}",),
    }


def predict(number, conversations, name, kind, judge):
    """One system's answer to question `number`."""
    asked = question(number, conversations)
    rng = random.Random(f"{name} {number}")
    knows = rng.random() < kind.skill
    if asked["gold"] is None:
        answer = "No information available" if knows else rng.choice(PETS)
    else:
        answer = asked["gold"] if knows else rng.choice((*PETS, *PLACES, "She has " + asked["gold"]))
    scores = score_all(asked["category"], answer, asked["gold"])
    if judge and asked["gold"] is not None:
        scores["judge_generous"] = float(knows or scores["mem0_f1"] > 0.6)
    hit = rng.randrange(2 * kind.memories) if kind.memories else 0
    memories = tuple(
        UsedMemory(
            f"Ann told Ben about thing {(number * 3 + place) % 40} <b>&</b> more.",
            ((asked["evidence"][0] if place == hit else f"D9:{place + 1}"),) if kind.sourced else (),
            kept=kind.distils and (place == hit or place == 0),
        )
        for place in range(kind.memories)
    )
    cost = Cost(1, kind.tokens + rng.randrange(40), 5 + rng.randrange(6), 0.2 + rng.random())
    abstained = answer == "No information available"
    return Prediction(**asked, answer=answer, abstained=abstained, memories=memories, cost=cost, scores=scores)


def write_run(
    folder,
    *,
    systems=SYSTEMS,
    questions=60,
    conversations=CONVERSATIONS,
    judge=False,
    data="locomo",
    errors=(),
    only=(),
):
    """Write a run folder.

    Args:
        errors: Pairs of a system and a question's number on which it raises.
        only: Pairs of a system and how many questions it has been asked so far.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "command": "memory-r1 bench --data locomo --limit 60",
        "started": "2025-03-01T10:00:00+00:00",
        "version": "0.1.0",
        "data": {
            "name": data,
            "hash": "79fa87e90f04081343b8",
            "conversations": len(conversations),
            "questions": questions,
        },
        "model": "SmolLM2-135M-Instruct",
        "embedder": "minilm",
        "seed": 0,
        "systems": {name: kind.about for name, kind in systems.items()},
        "limits": {"conversations": None, "questions": questions},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, kind in systems.items():
        asked = dict(only).get(name, questions)
        for number in range(asked):
            one = predict(number, conversations, name, kind, judge)
            if (name, number) in errors:
                one = one.model_copy(
                    update={
                        "answer": "",
                        "scores": {},
                        "memories": (),
                        "abstained": False,
                        "error": "ValueError: <no> way",
                    }
                )
            append_line(folder / "systems" / name / "predictions.jsonl", one)
        for conversation in conversations if asked else ():
            rng = random.Random(f"{name} {conversation}")
            read = Cost(kind.bank * 2, kind.bank * 300, kind.bank * 12, kind.bank * 0.4)
            adds = tuple(0.1 + rng.random() for _ in range(kind.bank))
            stats = Stats(kind.bank, kind.bank * 61, dict(kind.operations), read, adds)
            append_line(
                folder / "systems" / name / "stats.jsonl",
                ConversationStats(conversation=conversation, turns=600, stats=stats),
            )
    return folder


@pytest.fixture
def make_run(tmp_path):
    """Writes run folders under a temporary one."""
    return lambda name="run", **settings: write_run(tmp_path / name, **settings)


@dataclass(frozen=True)
class Made:
    """The plain run, read back and laid out once; no test changes its folder."""

    folder: Path
    run: Run
    document: Document


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """The run as `write_run` makes it by default."""
    folder = write_run(tmp_path_factory.mktemp("plain") / "run")
    run = load_run(folder)
    return Made(folder, run, build(run))


@pytest.fixture(scope="session")
def systems():
    """The made-up systems by name."""
    return dict(SYSTEMS)
