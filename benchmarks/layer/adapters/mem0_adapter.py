"""mem0ai in its embedded form: Qdrant in a local folder, no telemetry, no language model call."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hashing import DIMENSION, embed
from mem0 import Memory
from mem0.embeddings.base import EmbeddingBase
from serve import serve


class _HashEmbedding(EmbeddingBase):
    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        return embed([text])[0].tolist()

    def embed_batch(self, texts: list[str], memory_action: str = "add") -> list[list[float]]:
        return embed(texts).tolist()


class Mem0:
    package = "mem0ai"

    def open(self, folder: Path, options: dict[str, Any]) -> None:
        store = {"path": str(folder / "qdrant"), "embedding_model_dims": DIMENSION}
        llm = {"model": "stub", "api_key": "x", "openai_base_url": options.get("base_url", "http://127.0.0.1:9/v1")}
        self.memory = Memory.from_config(
            {
                "vector_store": {"provider": "qdrant", "config": store},
                "llm": {"provider": "openai", "config": llm},
                "embedder": {"provider": "openai", "config": {"api_key": "x", "embedding_dims": DIMENSION}},
                "history_db_path": str(folder / "history.db"),
            }
        )
        self.memory.embedding_model = _HashEmbedding()

    def add(self, text: str, scope: str) -> None:
        self.memory.add(text, user_id=scope, infer=False)

    def add_batch(self, texts: Sequence[str], scope: str) -> None:
        self.memory.add([{"role": "user", "content": text} for text in texts], user_id=scope, infer=False)

    def fill(self, texts: Sequence[str], scope: str) -> None:
        now = datetime.now(UTC).isoformat()
        common = {"user_id": scope, "role": "user", "created_at": now, "updated_at": now}
        payloads = [
            {**common, "data": text, "hash": hashlib.md5(text.encode()).hexdigest(), "text_lemmatized": text}
            for text in texts
        ]
        ids = [str(uuid.uuid4()) for _ in texts]
        self.memory.vector_store.insert(vectors=embed(texts).tolist(), payloads=payloads, ids=ids)

    def search(self, query: str, scope: str, k: int) -> int:
        return len(self.memory.search(query, filters={"user_id": scope}, top_k=k, threshold=0.0)["results"])

    def delete_all(self, scope: str) -> None:
        self.memory.delete_all(user_id=scope)

    def count(self, scope: str) -> int:
        return len(self.memory.get_all(filters={"user_id": scope}, top_k=1_000_000)["results"])

    def learn(self, messages: list[dict[str, str]], scope: str) -> int:
        """Add through the language model endpoint given at `open`; return how many memories there are then."""
        for message in messages:
            self.memory.add([message], user_id=scope)
        return self.count(scope)

    def close(self) -> None:
        self.memory.close()
        self.memory.vector_store.client.close()


if __name__ == "__main__":
    serve(Mem0())
