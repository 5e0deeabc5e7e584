"""search, answer, get: scopes, filters, spellings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_r1 import AsyncMemory, Memory
from memory_r1.errors import InvalidInputError, ScopeError
from memory_r1.testing import ScriptedLM

ids = st.none() | st.sampled_from(["a", "b", "A", "a b", "a%", "_"])
scopes = st.fixed_dictionaries({"user_id": ids, "agent_id": ids, "run_id": ids}).filter(lambda s: any(s.values()))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(scopes, min_size=1, max_size=6), read=scopes)
def test_no_read_crosses_its_scope(lm, written, read) -> None:
    with Memory(model=lm, embedder="hash", store=":memory:") as memory:
        for number, scope in enumerate(written):
            memory.add(f"note {number} about tea", **scope, infer=False)
        allowed = {
            f"note {number} about tea"
            for number, scope in enumerate(written)
            if all(read[name] in (None, scope[name]) for name in read)
        }
        found = {item["memory"] for item in memory.search("tea", **read, limit=50)["results"]}
        assert found == allowed
        assert {item["memory"] for item in memory.get_all(**read)["results"]} == allowed
        assert {operation.after.text for operation in memory.log(**read)} == allowed
        assert {record.text for record in memory.answer("tea?", **read, top_k=50).memories} == allowed
        memory.delete_all(**read)
        everything = {item["memory"] for scope in written for item in memory.get_all(**scope)["results"]}
        assert everything.isdisjoint(allowed)
        assert len(everything) == len({f"note {n} about tea" for n in range(len(written))} - allowed)


def test_the_manager_sees_only_the_exact_bank(memory, lm, ann) -> None:
    memory.add("Ann adopted a dog named Buddy.", user_id="ann", run_id="r1", infer=False)
    memory.add("Ann adopted a dog named Scout.", user_id="ann", infer=False)
    memory.add(ann("Ann adopted another dog named Rex."), user_id="ann")
    assert "Scout" in lm.calls[-1].prompt
    assert "Buddy" not in lm.calls[-1].prompt


def test_ids_of_another_scope_are_not_found(memory) -> None:
    item = memory.add("Ann likes tea.", user_id="ann", infer=False)["results"][0]
    assert memory.get(item["id"], user_id="ann") is not None
    assert memory.get(item["id"], user_id="bob") is None


def test_both_spellings_mean_the_same(memory) -> None:
    for number in range(5):
        memory.add(f"note {number} about tea", user_id="ann", infer=False, metadata={"n": number})
    one = memory.search("tea", user_id="ann", limit=3)
    two = memory.search("tea", filters={"user_id": "ann"}, top_k=3)
    three = memory.search("tea", filters={"AND": [{"user_id": {"eq": "ann"}}]}, top_k=3)
    assert [i["id"] for i in one["results"]] == [i["id"] for i in two["results"]] == [i["id"] for i in three["results"]]
    assert len(one["results"]) == 3
    high = memory.search("tea", user_id="ann", filters={"n": {"gte": 3}})["results"]
    assert {item["metadata"]["n"] for item in high} == {3, 4}
    with pytest.raises(ScopeError, match="twice"):
        memory.search("tea", user_id="ann", filters={"user_id": "bob"})
    with pytest.raises(InvalidInputError):
        memory.search("tea", user_id="ann", filters={"n": {"around": 3}})
    with pytest.raises(InvalidInputError):
        memory.search(" ", user_id="ann")
    with pytest.raises(InvalidInputError, match="top_k"):
        memory.search("tea", user_id="ann", top_k=0)


def test_an_answer_shows_what_it_rests_on(memory, script) -> None:
    memory.add("Ann's dog is called Buddy.", user_id="ann", infer=False)
    memory.add("Ann works in Oslo.", user_id="ann", infer=False)
    script.answer = lambda prompt: "[0]\n**Answer:** Buddy"
    answer = memory.answer("What is Ann's dog called?", user_id="ann")
    assert answer.text == "Buddy"
    assert not answer.abstained
    assert [record.text for record in answer.distilled] == [answer.memories[0].text]
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize(("samples", "calls"), [(None, 1), (5, 5)])
def test_an_answer_tells_how_far_its_samples_agree(memory, script, lm, samples, calls) -> None:
    memory.add("Ann's dog is called Buddy.", user_id="ann", infer=False)
    script.answer = lambda prompt: "[0]\n**Answer:** Buddy"
    answer = memory.answer("What is Ann's dog called?", user_id="ann", samples=samples)
    assert (answer.text, answer.agreement) == ("Buddy", None if samples is None else 1.0)
    assert len(lm.calls) == answer.usage.calls == calls


@pytest.mark.parametrize("samples", [0, 65, True, 2.0])
def test_so_many_samples_are_not_taken(memory, samples) -> None:
    with pytest.raises(InvalidInputError, match="samples"):
        memory.answer("Who?", user_id="ann", samples=samples)


def test_no_memory_means_no_answer_and_no_model(memory, lm) -> None:
    answer = memory.answer("What is Ann's dog called?", user_id="ann")
    assert answer.abstained
    assert lm.calls == []


def test_the_async_memory_is_the_same_memory(tmp_path: Path) -> None:
    async def main() -> list[str]:
        async with AsyncMemory(model=ScriptedLM("x"), embedder="hash", store=tmp_path / "a.db") as memory:
            await asyncio.gather(*(memory.add(f"note {n}", user_id="ann", infer=False) for n in range(20)))
            found = await memory.search("note", user_id="ann", limit=50)
            return [item["memory"] for item in found["results"]]

    assert set(asyncio.run(main())) == {f"note {n}" for n in range(20)}
    public = {name for name in dir(Memory) if not name.startswith("_")}
    assert public - {name for name in dir(AsyncMemory) if not name.startswith("_")} == set()
