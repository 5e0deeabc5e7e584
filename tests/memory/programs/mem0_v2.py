"""A program written for mem0 2.x: ids in `filters`, `top_k=`, `text=`, expiration dates, asyncio."""

import asyncio
import sys

from mem0 import AsyncMemory, Memory

base_url, folder = sys.argv[1:]

config = {
    "llm": {"provider": "openai", "config": {"model": "gpt-4o-mini", "openai_base_url": base_url, "api_key": "x"}},
    "embedder": {"provider": "hash", "config": {"embedding_dims": 384}},
    "vector_store": {
        "provider": "qdrant",
        "config": {"path": folder, "collection_name": "v2", "embedding_model_dims": 384},
    },
}

with Memory.from_config(config) as memory:
    added = memory.add(
        [{"role": "user", "content": "I am allergic to peanuts."}],
        user_id="carol",
        agent_id="cook",
        metadata={"topic": "health", "severity": 3},
    )
    entry = added["results"][0]
    assert set(entry) >= {"id", "memory", "event"}
    memory.add("I prefer tea.", user_id="carol", infer=False, metadata={"topic": "drinks", "severity": 0})
    memory.add("A voucher for tea.", user_id="carol", infer=False, expiration_date="2001-01-01")

    found = memory.search("peanuts", filters={"user_id": "carol"}, top_k=5, threshold=0.0, explain=True)
    assert found["results"][0]["id"] == entry["id"]
    assert "score_details" in found["results"][0]
    assert "A voucher for tea." not in [item["memory"] for item in found["results"]]

    serious = memory.search("tea", filters={"AND": [{"user_id": "carol"}, {"severity": {"gte": 2}}]}, top_k=5)
    assert [item["id"] for item in serious["results"]] == [entry["id"]]
    neither = memory.get_all(filters={"user_id": "carol", "NOT": [{"topic": "drinks"}]}, top_k=10, show_expired=True)
    assert {item["memory"] for item in neither["results"]} == {entry["memory"], "A voucher for tea."}

    assert memory.update(entry["id"], text="Carol is allergic to peanuts and sesame.")["message"]
    assert memory.get(entry["id"])["memory"].endswith("sesame.")
    try:
        memory.search("peanuts")
    except ValueError:
        print("a scope is mandatory")


async def main() -> None:
    memory = AsyncMemory.from_config(config)
    everything = await memory.get_all(filters={"user_id": "carol"})
    assert len(everything["results"]) == 2, everything
    await memory.delete_all(user_id="carol")
    await memory.close()


asyncio.run(main())
print("done")
