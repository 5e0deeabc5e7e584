"""Reads a configuration written for mem0, so that a program made for it runs with the import changed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory_r1.config import Settings
from memory_r1.errors import ConfigError

# mem0 names providers; these all speak OpenAI's chat protocol, with the base URL they are usually found at.
_OPENAI_COMPATIBLE: Mapping[str, str | None] = {
    "openai": None,
    "openai_structured": None,
    "ollama": "http://localhost:11434/v1",
    "lmstudio": "http://localhost:1234/v1",
    "vllm": "http://localhost:8000/v1",
    "litellm": None,
    "deepseek": "https://api.deepseek.com/v1",
    "groq": "https://api.groq.com/openai/v1",
    "together": "https://api.together.xyz/v1",
    "xai": "https://api.x.ai/v1",
}
_URL_KEYS = ("openai_base_url", "ollama_base_url", "lmstudio_base_url", "vllm_base_url", "base_url")


def from_mem0(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a mem0 configuration into settings.

    Understands `llm`, `embedder` and `vector_store` sections; keys that are settings of ours pass through, so both
    styles may be mixed. What only concerns mem0's own parts (`history_db_path`, `version`, collection sizes) is
    dropped; custom instructions are dropped with a warning, because here prompts are files.

    Raises:
        ConfigError: A provider has no counterpart here, or a section is not a mapping.

    Example:
        >>> from_mem0({"llm": {"provider": "ollama", "config": {"model": "qwen2.5:7b"}}})
        {'model': 'openai:qwen2.5:7b', 'base_url': 'http://localhost:11434/v1'}
    """
    settings: dict[str, Any] = {}
    for key, value in config.items():
        # `embedder` is a name to us and a section to mem0
        if key in Settings.model_fields and not isinstance(value, Mapping | type(None)):
            settings[key] = value
        elif key in _SECTIONS:
            provider, options = _section(key, value)
            settings |= _SECTIONS[key](provider, options)
        elif key in Settings.model_fields:
            settings[key] = value
        elif key in _PROMPTS:
            warnings.warn(f"mem0's {key!r} is not used; put your prompts into a folder and set prompts=.", stacklevel=3)
        elif key not in _DROPPED:
            raise ConfigError(f"Unknown configuration key {key!r}.", hint=f"Known: {', '.join(Settings.model_fields)}.")
    return settings


def _section(name: str, section: Any) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(section, Mapping) or not isinstance(section.get("config", {}), Mapping):
        raise ConfigError(f"The configuration section {name!r} must hold `provider` and `config`.")
    return str(section.get("provider", "")), section.get("config") or {}


def _base_url(options: Mapping[str, Any], usual: str | None) -> str | None:
    url = next((str(options[key]) for key in _URL_KEYS if options.get(key)), usual)
    # mem0 takes Ollama's bare address; the OpenAI protocol lives under /v1
    return f"{url.rstrip('/')}/v1" if url and options.get("ollama_base_url") and "/v1" not in url else url


def _llm(provider: str, options: Mapping[str, Any]) -> dict[str, Any]:
    model = options.get("model")
    if provider in ("bundled", ""):
        return {"model": "bundled"}
    if provider in ("huggingface", "local", "transformers"):
        return {"model": f"local:{model}"}
    if provider not in _OPENAI_COMPATIBLE:
        raise ConfigError(
            f"The llm provider {provider!r} has no counterpart here.",
            hint="Use an OpenAI-compatible endpoint: provider 'openai' with 'openai_base_url', or 'huggingface'.",
        )
    found = {
        "model": f"openai:{model or 'gpt-4o-mini'}",
        "base_url": _base_url(options, _OPENAI_COMPATIBLE[provider]),
        "api_key": options.get("api_key"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _embedder(provider: str, options: Mapping[str, Any]) -> dict[str, Any]:
    model = options.get("model")
    if provider in ("minilm", "hash"):
        return {"embedder": provider}
    if provider in ("huggingface", ""):
        return {"embedder": str(model or "minilm")}
    if provider not in _OPENAI_COMPATIBLE:
        raise ConfigError(
            f"The embedder provider {provider!r} has no counterpart here.",
            hint="Use 'huggingface' with a model path or id, 'openai' with 'openai_base_url', or 'minilm'.",
        )
    url = _base_url(options, _OPENAI_COMPATIBLE[provider])
    found = {"embedder": f"openai:{model or 'text-embedding-3-small'}"}
    return found | ({"embedder_base_url": url} if url else {})


def _vector_store(provider: str, options: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("host") or options.get("url"):
        raise ConfigError(
            f"The vector_store {provider!r} names a server; memory-r1 keeps memories, log and vectors in one file.",
            hint="Give 'path' instead, or set store=PATH.",
        )
    if not options.get("path"):
        return {}
    return {"store": str(Path(options["path"]) / f"{options.get('collection_name', 'memory')}.db")}


_SECTIONS = {"llm": _llm, "embedder": _embedder, "vector_store": _vector_store}
_PROMPTS = ("custom_instructions", "custom_fact_extraction_prompt", "custom_update_memory_prompt", "custom_prompt")
_DROPPED = ("history_db_path", "version", "graph_store", "reranker")
