"""Says what went wrong at an OpenAI-compatible endpoint, and what to check. Imports openai: load it lazily."""

from __future__ import annotations

import re

import openai

from memory_r1.errors import EndpointError, ModelError, PromptTooLongError

_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum context|too many tokens|prompt is too long|input is too long"
    r"|exceeds? the (model'?s? )?(maximum|limit)",
    re.IGNORECASE,
)
_SHOWN = 300


def explain(error: openai.OpenAIError, *, model: str, url: str, key: str) -> ModelError:
    """Our error for one of the openai package's; the key never appears in it.

    Args:
        error: What the client raised.
        model: Model asked for.
        url: Endpoint's base URL.
        key: API key in use, to be removed from what the endpoint said.
    """
    said = _shown(str(error), key)
    if isinstance(error, openai.APITimeoutError):
        return EndpointError(
            f"The endpoint {url} did not answer in time.", hint="Raise timeout_s, or check the endpoint's load."
        )
    if isinstance(error, openai.APIConnectionError):
        return EndpointError(
            f"The endpoint {url} cannot be reached: {_shown(str(error.__cause__ or error), key)}",
            hint="Check base_url, and that the server is running and the network up.",
        )
    if not isinstance(error, openai.APIStatusError):
        return EndpointError(f"The endpoint {url} answered something unusable: {said}", hint="Is it OpenAI-compatible?")
    if is_too_long(error):
        return PromptTooLongError(f"The prompt is too long for {model}: {said}", hint="Shorten it.")
    hints = {
        401: "Check api_key or OPENAI_API_KEY.",
        403: "The key may not use this model; check its permissions.",
        404: f"Check the model name {model!r} and that base_url ends in the API's root, usually /v1.",
        429: "The rate limit or quota is used up: lower the concurrency, wait, or check the billing.",
    }
    server_side = "The endpoint itself failed; look into its log or retry later."
    hint = hints.get(
        error.status_code, server_side if error.status_code >= 500 else "The endpoint refused the request."
    )
    return EndpointError(f"The endpoint {url} answered {error.status_code} for {model}: {said}", hint=hint)


def is_too_long(error: openai.APIStatusError) -> bool:
    """Whether the endpoint refused the prompt for its length."""
    if error.status_code not in (400, 413, 422):
        return False
    return error.code == "context_length_exceeded" or bool(_TOO_LONG.search(str(error)))


def _shown(text: str, key: str) -> str:
    """At most some hundred characters on one line, without the key."""
    text = " ".join(text.split())
    if key:
        text = text.replace(key, "***")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
