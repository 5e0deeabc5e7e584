"""What the language model costs: prompt sizes, speed of the bundled model, seconds for an add and an answer."""

from __future__ import annotations

import os
import statistics

from benchmarks.layer.llm_stub import Chat, llm_stub
from benchmarks.layer.results import Cell, Row, number
from benchmarks.layer.rows import BANK, Plan, fresh
from benchmarks.layer.systems import OURS, AdapterError, running
from memory_r1.data.demo import load_demo

MODEL = "bundled"
TURNS = 20
QUESTIONS = 5


def language_model(plan: Plan) -> list[Row]:
    """Reads the first turns of the demo conversation with the bundled models; mem0 reads them through a stub."""
    demo = load_demo()
    turns: Chat = [{"role": "user", "name": turn.speaker, "content": turn.text} for turn in demo.turns[:TURNS]]
    asked = [question.text for question in demo.questions[:QUESTIONS]]
    theirs = _mem0_prompts(plan, turns)
    options = {"threads": os.cpu_count() or 1, "model": MODEL, "embedder": "minilm"}
    with running(plan.ours, fresh(plan.work / "lm"), **options) as process:
        adds = process.call("extra", name="learn", messages=turns, scope=BANK)
        answers = process.call("extra", name="answers", questions=asked, scope=BANK)
    with running(plan.ours, fresh(plan.work / "lm"), **options) as process:
        speed = process.call("extra", name="speed", model=MODEL)
        mem0 = {"tokens": Cell(note=theirs), "characters": Cell(note=theirs), "calls": Cell(note=theirs)}
        if isinstance(theirs, list):
            tokens = process.call("extra", name="count_tokens", model=MODEL, chats=theirs)
            characters = [len(message["content"]) for chat in theirs for message in chat]
            sums = {"tokens": sum(tokens), "characters": sum(characters), "calls": len(theirs)}
            mem0 = {name: Cell([value / len(turns)]) for name, value in sums.items()}
    return [
        Row(
            "lm.prompt", "prompt tokens per add", "tokens", 600, cells={**_ours(adds, "prompt"), "mem0": mem0["tokens"]}
        ),
        Row("lm.computed", "prompt tokens per add, not from the cache", "tokens", cells=_ours(adds, "computed")),
        Row("lm.characters", "prompt characters per add", "characters", cells={"mem0": mem0["characters"]}),
        Row("lm.calls", "model calls per add", "calls", cells={**_ours(adds, "calls"), "mem0": mem0["calls"]}),
        Row("lm.add", "add with the bundled model", "s", cells=_ours(adds, "seconds")),
        Row("lm.answer", "answer with the bundled model", "s", cells=_ours(answers, "seconds")),
        Row("lm.prefill", "prefill, bundled model", "tokens/s", cells={OURS: Cell([speed["prefill"]])}),
        Row("lm.decode", "decode, bundled model", "tokens/s", cells={OURS: Cell([speed["decode"]])}),
        Row(
            "lm.decode_8", "decode, bundled model, 8 chats at once", "tokens/s", cells={OURS: Cell([speed["decode_8"]])}
        ),
    ]


def _ours(costs: list[dict[str, float]], name: str) -> dict[str, Cell]:
    """Mean over the adds or answers: every one costs, the cheap as well as the dear."""
    values = [cost[name] for cost in costs]
    return {OURS: Cell([statistics.mean(values)], f"mean, {number(min(values))}-{number(max(values))}")}


def _mem0_prompts(plan: Plan, turns: Chat) -> list[Chat] | str:
    """The chats that mem0 sends for the turns, or why there are none."""
    system = next((system for system in plan.systems if system.name == "mem0"), None)
    if system is None or not system.installed:
        return "not installed"
    try:
        with llm_stub() as (url, asked), running(system, fresh(plan.work / "stub"), base_url=url) as process:
            process.call("extra", name="learn", messages=turns, scope=BANK)
            return list(asked)
    except AdapterError as error:
        return f"failed: {error}"
