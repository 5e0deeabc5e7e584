"""From a setting to an embedder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from memory_r1.errors import ConfigError

if TYPE_CHECKING:
    from memory_r1.retrieval.embedder import Embedder

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def make_embedder(spec: str, *, base_url: str | None = None, api_key: str | None = None) -> Embedder:
    """Make the embedder that a setting names. Models load at their first use.

    Args:
        spec: `minilm`; `hash` (no model, for tests); `openai:MODEL` (an OpenAI-compatible endpoint); the folder of a
            sentence-transformers model; or a hub id such as `BAAI/bge-small-en-v1.5`.
        base_url: Where the endpoint of `openai:` is; None: OpenAI.
        api_key: Its key; None: `OPENAI_API_KEY`.

    Raises:
        ConfigError: It names none of these.
        ModelError: The bundled model is not installed.

    Example:
        >>> make_embedder("hash").dimension
        384
    """
    if spec == "minilm":
        from memory_r1.retrieval.minilm import MiniLM

        return MiniLM()
    if spec == "hash":
        from memory_r1.testing.embedder import HashEmbedder

        return HashEmbedder()
    if spec.startswith("openai:") and spec != "openai:":
        from memory_r1.retrieval.remote import RemoteEmbedder

        return RemoteEmbedder(spec.removeprefix("openai:"), base_url=base_url, api_key=api_key)
    folder = Path(spec).expanduser()
    if spec.strip() and (folder.is_dir() or _HUB_ID.fullmatch(spec)):
        from memory_r1.retrieval.sentence_transformer import SentenceTransformerEmbedder

        return SentenceTransformerEmbedder(str(folder) if folder.is_dir() else spec)
    raise ConfigError(
        f"Embedder {spec!r} is unknown.",
        hint="Use minilm, hash, openai:MODEL, a sentence-transformers model's folder, or a hub id like owner/model.",
    )
