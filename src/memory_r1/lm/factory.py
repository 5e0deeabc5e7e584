"""Makes a language model from the one line that names it in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory_r1.errors import ConfigError
from memory_r1.lm.base import LanguageModel

FORMS = "bundled, local:PATH_OR_HUB_ID, openai:NAME, http://HOST:PORT/v1#NAME"


def make_lm(
    spec: str,
    *,
    adapters: Mapping[str, str | Path] | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    **options: Any,
) -> LanguageModel:
    """Make a language model. This is quick: weights are loaded, and endpoints reached, at first use.

    Args:
        spec: One of the following.

            - `bundled`: SmolLM2-135M-Instruct, fetched once.
            - `local:PATH_OR_HUB_ID`: a transformers model; the prefix may be left out before a path or `OWNER/NAME`.
            - `openai:NAME`: a model behind an OpenAI-compatible endpoint.
            - `http://HOST:PORT/v1#NAME` or `https://...`: the same, with the endpoint's address.
        adapters: LoRA adapter folders by name; local models only.
        base_url: Endpoint for `openai:`; other forms ignore it.
        api_key: Key for the endpoint.
        **options: Keyword arguments of `LocalLM`, `BundledLM` or `RemoteLM`.

    Raises:
        ConfigError: The spec has no known form, an option is unknown, or a remote model is given adapters.

    Example:
        >>> make_lm("local:HuggingFaceTB/SmolLM2-360M-Instruct").name
        'smollm2-360m-instruct'
        >>> make_lm("http://localhost:8000/v1#qwen2.5").name
        'qwen2.5'
    """
    kind, argument = _parse(spec)
    if kind == "remote" and adapters:
        raise ConfigError(
            f"The model {spec} is remote, so it cannot load adapters: {', '.join(adapters)}.",
            hint="Serve the adapter at the endpoint and name it as the model, or use a local model.",
        )
    try:
        if kind == "bundled":
            from memory_r1.lm.bundled import BundledLM

            return BundledLM(adapters=adapters, **options)
        if kind == "local":
            from memory_r1.lm.local import LocalLM

            return LocalLM(argument, adapters=adapters, **options)
        from memory_r1.lm.remote import RemoteLM

        url, _, name = argument.rpartition("#")
        return RemoteLM(name, base_url=url or base_url, api_key=api_key, **options)
    except TypeError as error:
        raise ConfigError(f"The model {spec} does not take these options: {error}.") from error


def is_remote(spec: str) -> bool:
    """Whether a line names a model behind an endpoint.

    Raises:
        ConfigError: It has no known form.

    Example:
        >>> is_remote("openai:gpt-4o-mini"), is_remote("bundled")
        (True, False)
    """
    return _parse(spec)[0] == "remote"


def _parse(spec: str) -> tuple[str, str]:
    spec = spec.strip()
    if spec == "bundled":
        return "bundled", ""
    scheme, colon, rest = spec.partition(":")
    if scheme == "local" and rest:
        return "local", rest
    if scheme == "openai" and rest:
        return "remote", rest
    if scheme in ("http", "https"):
        url, _, name = spec.partition("#")
        if name and url != f"{scheme}://":
            return "remote", spec
        raise ConfigError(f"The model {spec!r} does not say which model.", hint=f"Append it: {spec.rstrip('#')}#NAME.")
    if spec and (Path(spec).expanduser().is_dir() or ("/" in spec and not colon)):
        return "local", str(Path(spec).expanduser()) if Path(spec).expanduser().is_dir() else spec
    raise ConfigError(f"Unknown model {spec!r}.", hint=f"Known forms: {FORMS}.")
