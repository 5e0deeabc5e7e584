"""A program written for mem0 1.x: ids at the top level, `limit=`, `data=`, events ADD/UPDATE/DELETE."""

import sys

from mem0 import Memory

base_url, folder = sys.argv[1:]

config = {
    "version": "v1.1",
    "llm": {
        "provider": "openai",
        "config": {"model": "gpt-4o-mini", "openai_base_url": base_url, "api_key": "x", "temperature": 0.1},
    },
    "embedder": {"provider": "hash"},
    "vector_store": {"provider": "qdrant", "config": {"path": folder, "collection_name": "pets"}},
}

m = Memory.from_config(config)

result = m.add("I adopted a dog named Buddy.", user_id="alice", metadata={"topic": "pets"})
first = result["results"][0]
assert first["event"] == "ADD", first
print("added:", first["memory"])

messages = [
    {"role": "user", "content": "I adopted another dog named Scout."},
    {"role": "assistant", "content": "Two dogs! How lovely."},
]
result = m.add(messages, user_id="alice")
second = result["results"][0]
assert second["event"] == "UPDATE", second
assert second["id"] == first["id"]
print("updated:", second["memory"])

raw = m.add("The vet is Dr. Lee.", user_id="alice", infer=False)["results"][0]
other = m.add("I have a cat.", user_id="bob", infer=False)["results"][0]

related = m.search(query="Which dogs does she have?", user_id="alice", limit=3)
for entry in related["results"]:
    assert set(entry) >= {"id", "memory", "hash", "metadata", "score", "created_at", "updated_at", "user_id"}
assert related["results"][0]["id"] == first["id"]
assert related["results"][0]["metadata"] == {"topic": "pets"}
assert all(entry["user_id"] == "alice" for entry in related["results"])

every = m.get_all(user_id="alice", limit=50)["results"]
assert {entry["id"] for entry in every} == {first["id"], raw["id"]}

assert m.get(raw["id"])["memory"] == "The vet is Dr. Lee."
m.update(memory_id=raw["id"], data="The vet is Dr. Kim.")
assert m.get(raw["id"])["memory"] == "The vet is Dr. Kim."

history = m.history(memory_id=first["id"])
assert [row["event"] for row in history] == ["ADD", "UPDATE"]
assert history[1]["old_memory"] == first["memory"]
assert history[1]["new_memory"] == second["memory"]

m.delete(memory_id=raw["id"])
assert m.get(raw["id"]) is None
try:
    m.delete(memory_id="no such id")
except ValueError:
    print("unknown ids are refused")

m.delete_all(user_id="alice")
assert m.get_all(user_id="alice")["results"] == []
assert [entry["id"] for entry in m.get_all(user_id="bob")["results"]] == [other["id"]]
m.reset()
print("done")
