"""Models that training asks beside the one it trains: a judge, a teacher. What they answered is kept on disk."""

from __future__ import annotations

import hashlib
import os
import weakref
from pathlib import Path

from memory_r1.bench.cache import CachedLM, CompletionCache
from memory_r1.lm.base import LanguageModel, Message, Sampling
from memory_r1.lm.factory import make_lm

FILE = "endpoints.sqlite"


def asked_model(spec: str, *, max_tokens: int | None = None, folder: str | Path | None = None) -> LanguageModel:
    """A model that answers what it was asked before from disk, in this run or another; closed when nobody has it.

    It is asked for a word at once, so that a wrong name or a missing key is told before anything else is done.

    Args:
        spec: As in `make_lm`, e.g. `openai:NAME` or `http://HOST:PORT/v1#NAME`.
        max_tokens: Most tokens of that word; 64 if None. A model that thinks first needs more.
        folder: Where the answers are kept; the models' cache folder if None.

    Raises:
        ConfigError: The spec has no known form, or there is no API key.
        EndpointError: The endpoint cannot be reached, or does not know the model.
        StoreError: The cache cannot be opened.
    """
    from memory_r1.lm.bundled import cache_folder

    lm = make_lm(spec)
    cache = CompletionCache((Path(folder) if folder else cache_folder()) / FILE)
    model = CachedLM(lm, cache, identity=identity_of(spec))
    # a judge lives as long as the tasks that it grades, and nobody is told when that ends
    weakref.finalize(model, cache.close)
    weakref.finalize(model, lm.close)
    model.complete([[Message(role="user", content="Say OK.")]], Sampling(max_tokens=max_tokens or 64))
    return model


def identity_of(spec: str) -> str:
    """Which model a spec means here and now: with the endpoint's address, or the state of a model's folder.

    Example:
        >>> identity_of("http://localhost:8000/v1#qwen2.5")
        'http://localhost:8000/v1#qwen2.5'
    """
    if spec.startswith("openai:"):
        return f"{os.environ.get('OPENAI_BASE_URL', '')} {spec}"
    folder = Path(spec.removeprefix("local:")).expanduser()
    if not folder.is_dir():
        return spec
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(folder.iterdir())]
    return f"{folder.absolute()} {hashlib.sha256(repr(states).encode()).hexdigest()}"
