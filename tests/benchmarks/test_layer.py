"""The layer benchmark itself: what it draws, how it sums up, and one small run of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hashing import DIMENSION, embed
from openai import OpenAI
from workload import facts, queries

from benchmarks.layer import report
from benchmarks.layer.llm_stub import llm_stub
from benchmarks.layer.results import Cell, Row, number, percentile
from benchmarks.layer.rows import Plan, concurrency, search
from benchmarks.layer.systems import OURS, AdapterError, NoSuchCall, all_systems, running


@pytest.fixture
def plan(tmp_path):
    return Plan(all_systems(tmp_path / "no-rivals"), tmp_path / "work", repeats=1, searches=3, sizes=(1_000,))


def test_facts_are_the_same_in_any_slice_and_differ_from_each_other():
    everything = list(facts(0, 3_000))
    assert list(facts(990, 20)) == everything[990:1_010]
    assert len(set(everything)) == 3_000


def test_queries_share_words_with_a_fact():
    words = {word for fact in facts(0, 1_000) for word in fact.split()}
    assert all(len(words & set(query.strip("?").split())) >= 2 for query in queries(50, 1_000))


def test_embedding_is_unit_length_and_nearer_for_shared_words():
    vectors = embed(["Ann repaired the old bicycle", "the bicycle that Ann repaired", "Lisbon in March", ""])
    assert vectors.shape == (4, DIMENSION)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]


@pytest.mark.parametrize(
    ("better", "target", "values", "reached"),
    [
        ("lower", 1.5, [1.4, 1.5, 9.0], True),
        ("lower", 1.5, [1.4, 1.6, 1.7], False),
        ("higher", 0.98, [0.97, 0.98, 0.99], True),
        ("equal", 0, [0, 0, 0], True),
        ("equal", 0, [0, 0, 1], False),
        ("lower", None, [1.0], None),
        ("lower", 1.0, [], None),
    ],
)
def test_reached(better, target, values, reached):
    assert Row("key", "title", "ms", target, better, {OURS: Cell(values)}).reached is reached


def test_percentile_and_number():
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([7.0], 0.95) == 7
    assert [number(value) for value in (0, 1, 0.0452, 1_234_567.8)] == ["0", "1", "0.0452", "1,234,568"]


def test_rows_round_trip_through_the_report(tmp_path):
    row = Row("key", "title", "ms", 2, "lower", {OURS: Cell([1.0, 3.0], "note"), "mem0": Cell(note="not installed")})
    about = {"date": "today", "command": "run", "machine": {"cores": 2}, "versions": {OURS: "1"}}
    report.write(tmp_path, [row], [OURS, "mem0"], about)
    assert report.read(tmp_path) == [row]
    assert json.loads((tmp_path / "results.json").read_text())["rows"][0]["reached"] is True
    assert "| title, ms | 2 (1-3) note | not installed | <= 2 | yes |" in (tmp_path / "table.md").read_text()


def test_our_rows_run_and_missing_rivals_are_named(plan):
    rows = {row.key: row for row in [*search(plan), *concurrency(plan)]}
    assert rows["search.1000.p50"].cells[OURS].median > 0
    assert rows["search.1000.p50"].cells["mem0"].note == "not installed"
    assert rows["threads.lost"].reached
    assert rows["threads.errors"].reached
    assert rows["identical"].reached


def test_a_failing_request_and_a_dead_process_are_told(plan, tmp_path):
    (tmp_path / "bank").mkdir()
    with running(plan.ours, tmp_path / "bank") as process:
        with pytest.raises(AdapterError, match="ScopeError"):
            process.call("count", scope=" ")
        process.call("add", scope="a", count=2, seed=1)
        assert process.call("count", scope="a") == 2
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('nothing works here')")
    system = type(plan.ours)("broken", Path(sys.executable), broken)
    with pytest.raises(AdapterError, match="nothing works here") as caught, running(system, tmp_path / "broken"):
        pass
    assert not isinstance(caught.value, NoSuchCall)


def test_the_stub_answers_and_remembers():
    with llm_stub() as (url, asked), OpenAI(base_url=url, api_key="x") as client:
        reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
    assert asked == [[{"role": "user", "content": "Hello"}]]
    assert json.loads(reply.choices[0].message.content)["memory"][0]["text"]
