"""A language model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from memory_r1.errors import ConfigError, EndpointError, ModelError
from memory_r1.lm.base import Completion, Message, Sampling
from memory_r1.lm.request import check_sampling, clean_chat, estimate_text_tokens, estimate_tokens
from memory_r1.lm.stopping import StopRule

if TYPE_CHECKING:
    import openai

KEY_VARIABLE = "OPENAI_API_KEY"
_URL_VARIABLE = "OPENAI_BASE_URL"
_USUAL_URL = "https://api.openai.com/v1"
_NO_KEY = "not-needed"
_MAX_STOPS = 4
"""More stop strings than this are refused by OpenAI; they are looked for here in any case."""
_OPTIONAL = ("response_format", "logprobs", "seed", "stop", "top_p", "temperature")
"""Parameters that can be done without; an endpoint that refuses one is not sent it again."""


class RemoteLM:
    """A chat model behind an OpenAI-compatible endpoint. Nothing is contacted before the first call.

    Rate limits, server errors and broken connections are retried with growing pauses. A parameter that the endpoint
    does not know (`response_format`, `seed`, ...) is left out from then on; stop strings and the end of a JSON object
    are looked for here too, so that they hold at every endpoint.

    Args:
        model: Its name at the endpoint.
        base_url: The API's root, usually ending in `/v1`; `OPENAI_BASE_URL`, or else OpenAI's own, if None.
        api_key: `OPENAI_API_KEY` if None; an endpoint on this machine needs none.
        timeout_s: Longest wait for one answer, in seconds.
        max_retries: Tries after the first one.
        concurrency: Most requests at once within one call.
        context_length: The model's limit in tokens, which an endpoint does not tell.

    Raises:
        ConfigError: An argument is unusable.

    Example:
        >>> RemoteLM("qwen2.5", base_url="http://localhost:8000/v1").name
        'qwen2.5'
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 3,
        concurrency: int = 8,
        context_length: int = 32_768,
    ) -> None:
        self._url = (base_url or os.environ.get(_URL_VARIABLE) or _USUAL_URL).rstrip("/")
        if urlsplit(self._url).scheme not in ("http", "https") or not urlsplit(self._url).hostname:
            raise ConfigError(
                f"The base_url {self._url!r} is not an address.", hint="It looks like http://HOST:PORT/v1."
            )
        if not model:
            raise ConfigError("A remote model needs a name.", hint="Give the one the endpoint lists under /models.")
        if timeout_s <= 0 or max_retries < 0 or concurrency < 1 or context_length < 1:
            raise ConfigError("timeout_s, concurrency and context_length must be positive, max_retries 0 or more.")
        self._model = model
        self._given_key = api_key
        self._timeout_s, self._max_retries, self._concurrency = timeout_s, max_retries, concurrency
        self._context_length = context_length
        self._lock = threading.Lock()
        self._client: openai.OpenAI | None = None
        self._key = ""
        self._refused: frozenset[str] = frozenset()
        self._closed = False

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self._model

    @property
    def context_length(self) -> int:
        """As given; the endpoint may have its own idea."""
        return self._context_length

    def complete(
        self,
        chats: Sequence[Sequence[Message]],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
    ) -> list[Completion]:
        """Answer each chat, in order; see `LanguageModel.complete`. The first failure ends the call.

        Token ids are not known; log-probabilities are, where the endpoint has them.

        Raises:
            PromptTooLongError: The endpoint says so.
            ConfigError: An adapter was asked for, or there is no API key.
            EndpointError: The endpoint failed for good, or gave an empty answer.
            InvalidInputError: A chat or the sampling is malformed.
        """
        sampling = check_sampling(sampling)
        if adapter is not None:
            raise ConfigError(
                f"The remote model {self._model} cannot switch to the adapter {adapter!r}.",
                hint="Serve the adapter at the endpoint under a model name of its own.",
            )
        cleaned = [clean_chat(chat) for chat in chats]
        started = time.perf_counter()
        completions = self._answer_all(cleaned, sampling)
        seconds = (time.perf_counter() - started) / max(len(cleaned), 1)
        return [replace(completion, seconds=seconds) for completion in completions]

    def count_tokens(self, chat: Sequence[Message]) -> int:
        """An estimate: a token for every four bytes."""
        return estimate_tokens(clean_chat(chat))

    def close(self) -> None:
        """Close the connections; a second call does nothing, and any other use is an error from then on."""
        with self._lock:
            self._closed = True
            if self._client is not None:
                self._client.close()
                self._client = None

    def _answer_all(self, chats: list[list[Message]], sampling: Sampling) -> list[Completion]:
        if len(chats) <= 1:
            return [self._answer(chat, sampling) for chat in chats]
        pool = ThreadPoolExecutor(min(self._concurrency, len(chats)), thread_name_prefix="memory-r1-remote")
        try:
            return list(pool.map(lambda chat: self._answer(chat, sampling), chats))
        finally:
            pool.shutdown(cancel_futures=True)

    def _answer(self, chat: list[Message], sampling: Sampling) -> Completion:
        return self._completion(self._ask(self._connect(), chat, sampling), chat, sampling)

    def _ask(self, client: openai.OpenAI, chat: list[Message], sampling: Sampling) -> Any:
        import openai

        from memory_r1.lm.remote_errors import explain, is_too_long

        request = self._request(chat, sampling)
        while True:
            for parameter in self._refused:
                _leave_out(request, parameter)
            try:
                return client.chat.completions.create(**request)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                parameter = "" if is_too_long(error) else _culprit(error, request)
                if not parameter:
                    raise explain(error, model=self._model, url=self._url, key=self._key) from error
                self._refused |= {parameter}
            except openai.OpenAIError as error:
                raise explain(error, model=self._model, url=self._url, key=self._key) from error
            except ValueError as error:
                raise EndpointError(
                    f"The endpoint {self._url} answered something that is not JSON.", hint="Is it OpenAI-compatible?"
                ) from error

    def _request(self, chat: list[Message], sampling: Sampling) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": chat,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        if sampling.top_p < 1:
            request["top_p"] = sampling.top_p
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        if sampling.stop:
            request["stop"] = list(sampling.stop[:_MAX_STOPS])
        if sampling.logprobs:
            request["logprobs"] = True
        if sampling.json_object:
            request["response_format"] = {"type": "json_object"}
        return request

    def _completion(self, response: Any, chat: list[Message], sampling: Sampling) -> Completion:
        choice = next(iter(getattr(response, "choices", None) or ()), None)
        message = getattr(choice, "message", None)
        if choice is None or message is None:
            raise EndpointError(
                f"The endpoint {self._url} answered without a message.",
                hint="Check that base_url is the root of an OpenAI-compatible API, usually ending in /v1.",
            )
        text = message.content or ""
        limited = choice.finish_reason == "length"
        if not text and (limited or not sampling.stop):
            why = getattr(message, "refusal", None) or choice.finish_reason
            raise EndpointError(
                f"The model {self._model} gave an empty answer ({why}).",
                hint="Raise max_tokens: it may have spent them on thinking." if limited else "Try another model.",
            )
        end = StopRule.of(sampling).end(text)
        usage = response.usage
        details = getattr(usage, "prompt_tokens_details", None)
        logprobs = getattr(getattr(choice, "logprobs", None), "content", None)
        return Completion(
            text=text if end is None else text[:end],
            prompt_tokens=usage.prompt_tokens if usage else estimate_tokens(chat),
            completion_tokens=usage.completion_tokens if usage else estimate_text_tokens(text),
            finish="length" if limited and end is None else "stop",
            seconds=0.0,
            cached_tokens=getattr(details, "cached_tokens", None) or 0,
            logprobs=tuple(token.logprob for token in logprobs) if sampling.logprobs and logprobs else None,
        )

    def _connect(self) -> openai.OpenAI:
        import openai

        with self._lock:
            if self._closed:
                raise ModelError(f"The model {self._model} was closed.", hint="Make a new one.")
            if self._client is None:
                self._key = self._find_key()
                self._client = openai.OpenAI(
                    api_key=self._key, base_url=self._url, timeout=self._timeout_s, max_retries=self._max_retries
                )
            return self._client

    def _find_key(self) -> str:
        if self._given_key:
            return self._given_key
        # a key for OpenAI is nobody's business on a local server
        if _is_local(self._url):
            return _NO_KEY
        key = os.environ.get(KEY_VARIABLE)
        if not key:
            raise ConfigError(f"There is no API key for {self._url}.", hint=f"Set {KEY_VARIABLE} or pass api_key.")
        return key


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1", "0.0.0.0", "host.docker.internal") or host.startswith("127.")


def _culprit(error: openai.APIStatusError, request: dict[str, Any]) -> str:
    """The parameter of the request that the endpoint refuses; empty if it is none that we can do without."""
    told = f"{error.param or ''} {error}"
    if "max_tokens" in request and "max_completion_tokens" in told:
        return "max_tokens"
    return next((name for name in _OPTIONAL if name in request and re.search(rf"\b{name}\b", told)), "")


def _leave_out(request: dict[str, Any], parameter: str) -> None:
    value = request.pop(parameter, None)
    if parameter == "max_tokens" and value is not None:
        request["max_completion_tokens"] = value
