"""The program that drives a real package: `python adapter.py mem0`, run by the Python of that package's environment.

A request is a JSON line on stdin, `{"op": "add", ...}`; the reply is one on stdout, `{"ok": ...}` or
`{"error": "..."}`. It ends when stdin does. Nothing of memory_r1 can be imported here.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

Items = list[dict[str, str]]
"""Memories: `id` and `text`, after an add also `event`."""


class Mem0:
    """mem0ai with embedded Qdrant."""

    def open(self, folder: str, url: str, dimension: int, instructions: str = "") -> dict[str, str]:
        """Make the memory in a folder; `instructions` takes the place of the package's own, which are returned."""
        from mem0 import Memory  # type: ignore[import-not-found]
        from mem0.memory import main  # type: ignore[import-not-found]

        if instructions:
            main.ADDITIVE_EXTRACTION_PROMPT = instructions
        shared = {"api_key": "none", "openai_base_url": url}
        store = {"path": str(Path(folder) / "qdrant"), "embedding_model_dims": dimension}
        self._memory = Memory.from_config(
            {
                "llm": {"provider": "openai", "config": {**shared, "model": "lm", "temperature": 0.0}},
                "embedder": {"provider": "openai", "config": {**shared, "model": "e", "embedding_dims": dimension}},
                "vector_store": {"provider": "qdrant", "config": store},
                "history_db_path": str(Path(folder) / "history.db"),
            }
        )
        return {"version": version("mem0ai"), "instructions": main.ADDITIVE_EXTRACTION_PROMPT}

    def add(self, messages: list[dict[str, str]], scope: str) -> Items:
        """Let the package take memories from messages."""
        results = self._memory.add(messages, user_id=scope)["results"]
        return [{"id": one["id"], "text": one["memory"], "event": one["event"]} for one in results]

    def search(self, query: str, scope: str, k: int) -> Items:
        """The best memories of a scope."""
        results = self._memory.search(query, filters={"user_id": scope}, top_k=k, threshold=0.0)["results"]
        return [{"id": one["id"], "text": one["memory"]} for one in results]

    def all(self, scope: str) -> Items:
        """All memories of a scope."""
        results = self._memory.get_all(filters={"user_id": scope}, top_k=1_000_000)["results"]
        return [{"id": one["id"], "text": one["memory"]} for one in results]

    def close(self) -> None:
        """Release the files."""
        self._memory.close()
        self._memory.vector_store.client.close()


class LangMem:
    """langmem's memory store manager on LangGraph's in-memory store."""

    def open(self, folder: str, url: str, dimension: int) -> dict[str, str]:
        """Make the store; nothing is kept in the folder."""
        from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]
        from langgraph.store.memory import InMemoryStore  # type: ignore[import-not-found]
        from openai import OpenAI

        client = OpenAI(base_url=url, api_key="none")

        def embed(texts: list[str]) -> list[list[float]]:
            reply = client.embeddings.create(model="e", input=list(texts), encoding_format="float")
            return [one.embedding for one in reply.data]

        self._model = ChatOpenAI(model="lm", base_url=url, api_key="none", temperature=0.0)
        self._store = InMemoryStore(index={"dims": dimension, "embed": embed})
        self._managers: dict[str, Any] = {}
        return {"version": version("langmem"), "instructions": ""}

    def add(self, messages: list[dict[str, str]], scope: str) -> Items:
        """Let the package enrich a scope with messages."""
        from langmem import create_memory_store_manager  # type: ignore[import-not-found]

        if scope not in self._managers:
            self._managers[scope] = create_memory_store_manager(
                self._model, namespace=("memories", scope), store=self._store
            )
        before = {one["id"] for one in self.all(scope)}
        puts = self._managers[scope].invoke({"messages": messages})
        return [
            {
                "id": put["key"],
                "text": _text(put["value"]),
                "event": "UPDATE" if put["key"] in before else "ADD",
            }
            for put in puts
        ]

    def search(self, query: str, scope: str, k: int) -> Items:
        """The best memories of a scope."""
        found = self._store.search(("memories", scope), query=query, limit=k)
        return [{"id": one.key, "text": _text(one.value)} for one in found]

    def all(self, scope: str) -> Items:
        """All memories of a scope."""
        found = self._store.search(("memories", scope), limit=1_000_000)
        return [{"id": one.key, "text": _text(one.value)} for one in found]

    def close(self) -> None:
        """Nothing is held open."""


ADAPTERS = {"mem0": Mem0, "langmem": LangMem}


def _text(value: Any) -> str:
    content = value.get("content", value) if isinstance(value, dict) else value
    inner = content.get("content", content) if isinstance(content, dict) else content
    return inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)


def serve(adapter: Any) -> None:
    """Answer requests until stdin ends. What the package prints goes to stderr, so that it cannot garble a reply."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"ok": getattr(adapter, request.pop("op"))(**request)}
        except BaseException as error:  # noqa: BLE001 - langmem has errors of that kind; the benchmark decides on them
            reply = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    serve(ADAPTERS[sys.argv[1]]())
