"""langmem's tools on LangGraph's InMemoryStore: nothing survives the process."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hashing import DIMENSION, embed
from langchain_core.tools import BaseTool
from langgraph.store.base import PutOp
from langgraph.store.memory import InMemoryStore
from langmem import create_manage_memory_tool, create_search_memory_tool
from serve import serve


class LangMem:
    package = "langmem"

    def open(self, folder: Path, options: dict[str, Any]) -> None:
        self.store = InMemoryStore(index={"dims": DIMENSION, "embed": lambda texts: embed(texts).tolist()})
        self.tools: dict[str, tuple[BaseTool, BaseTool]] = {}

    def _tools(self, scope: str) -> tuple[BaseTool, BaseTool]:
        if scope not in self.tools:
            namespace = ("memories", scope)
            manage = create_manage_memory_tool(namespace, store=self.store)
            self.tools[scope] = (
                manage,
                create_search_memory_tool(namespace, store=self.store, response_format="content_and_artifact"),
            )
        return self.tools[scope]

    def add(self, text: str, scope: str) -> None:
        self._tools(scope)[0].invoke({"content": text, "action": "create"})

    def add_batch(self, texts: Sequence[str], scope: str) -> None:
        self.store.batch([PutOp(("memories", scope), str(uuid.uuid4()), {"content": text}) for text in texts])

    fill = add_batch

    def search(self, query: str, scope: str, k: int) -> int:
        call = {"type": "tool_call", "id": "1", "name": "search_memory", "args": {"query": query, "limit": k}}
        return len(self._tools(scope)[1].invoke(call).artifact)

    def delete_all(self, scope: str) -> None:
        raise NotImplementedError("has no such call")

    def count(self, scope: str) -> int:
        return len(self.store.search(("memories", scope), limit=1_000_000))

    def close(self) -> None:
        pass


if __name__ == "__main__":
    serve(LangMem())
