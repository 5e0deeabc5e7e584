"""A small OpenAI-compatible endpoint on this machine, over a language model and an embedder of ours.

Real memory packages speak OpenAI's protocol; through this they work with the same model as every other system of a
run. It serves `/v1/chat/completions`, `/v1/embeddings` and `/v1/models` to programs on this machine, and counts what
they ask.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

from memory_r1.bench.openai_chat import ChatRequest, read_chat, reply_message
from memory_r1.bench.system import Cost
from memory_r1.errors import InvalidInputError, MemoryR1Error, PromptTooLongError

if TYPE_CHECKING:
    from memory_r1.lm.base import Completion, LanguageModel
    from memory_r1.retrieval.embedder import Embedder

_LONGEST_BODY = 32 * 2**20
_Reply = tuple[int, dict[str, Any]]


class LocalEndpoint:
    """Serves a language model and an embedder on a free port of this machine until it is closed.

    Tools and JSON schemas are rendered plainly into the system message, and tool calls are read from the JSON objects
    that the model writes. Streaming, several choices and token ids as embedding input are refused by a 400.

    Args:
        lm: Answers the chats. The model name in a request is not looked at.
        embedder: Makes the embeddings.
        max_tokens: Most tokens of a completion, whatever a request asks for: a small model may never stop by itself.
        port: TCP port on 127.0.0.1; 0 takes a free one.

    Example:
        >>> from memory_r1.testing import HashEmbedder, ScriptedLM
        >>> with LocalEndpoint(ScriptedLM("Hello!"), HashEmbedder(8)) as endpoint:
        ...     endpoint.url.startswith("http://127.0.0.1:"), endpoint.cost.calls
        (True, 0)
    """

    def __init__(self, lm: LanguageModel, embedder: Embedder, *, max_tokens: int = 512, port: int = 0) -> None:
        if max_tokens < 1:
            raise InvalidInputError(f"max_tokens={max_tokens} is not a positive number.")
        self._lm, self._embedder, self._max_tokens = lm, embedder, max_tokens
        self._cost = Cost()
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        # closing waits for the requests in flight, so that the model is not closed under them
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Base URL, ending in `/v1`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def cost(self) -> Cost:
        """What the chats so far have taken; `seconds` is the time spent on requests, embeddings included."""
        with self._lock:
            return self._cost

    def check(self) -> None:
        """Raise what the language model or the embedder raised while answering a request, if either ever did.

        A package may take a failed request for an empty answer and go on; whoever drives it calls this after each step.

        Raises:
            EndpointError: A remote model behind this endpoint failed for good.
            ModelError: A model cannot be loaded.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Stop serving, after the requests in flight; a second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> LocalEndpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, path: str, body: Mapping[str, Any] | None) -> _Reply:
        """Status and body for a request; None is the body of a GET."""
        started = time.perf_counter()
        try:
            return self._route(path, body)
        except PromptTooLongError as error:
            return _refusal(400, str(error), "context_length_exceeded")
        except InvalidInputError as error:
            return _refusal(400, str(error), "invalid_request")
        except Exception as error:  # noqa: BLE001 - it must reach the driver, whatever the client makes of the reply
            with self._lock:
                self._failure = self._failure or error
            said = str(error) if isinstance(error, MemoryR1Error) else f"{type(error).__name__}: {error}"
            return _refusal(500, said, "model_failed")
        finally:
            with self._lock:
                self._cost += Cost(seconds=time.perf_counter() - started)

    def _route(self, path: str, body: Mapping[str, Any] | None) -> _Reply:
        if path == "/v1/models" and body is None:
            models = [{"id": name, "object": "model"} for name in (self._lm.name, self._embedder.name)]
            return 200, {"object": "list", "data": models}
        if path == "/v1/chat/completions" and body is not None:
            return 200, self._chat(read_chat(body))
        if path == "/v1/embeddings" and body is not None:
            return 200, self._embeddings(body)
        return _refusal(404, f"There is nothing at {path} for this method.", "not_found")

    def _chat(self, request: ChatRequest) -> dict[str, Any]:
        [completion] = self._lm.complete([request.chat], request.sampling(self._max_tokens))
        with self._lock:
            self._cost += Cost(1, completion.prompt_tokens, completion.completion_tokens)
            number = self._cost.calls
        return _chat_completion(self._lm.name, request, completion, number)

    def _embeddings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise InvalidInputError(
                "The input of an embedding must be a text or a list of texts.",
                hint="Token ids are not taken here: switch the client's own tokenising off.",
            )
        vectors = self._embedder.embed(texts)
        packed = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector.tolist()}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return {"object": "list", "model": self._embedder.name, "data": data, "usage": usage}


def _packed(vector: Any) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def _chat_completion(model: str, request: ChatRequest, completion: Completion, number: int) -> dict[str, Any]:
    message = reply_message(request, completion.text, number)
    finish = "tool_calls" if "tool_calls" in message else completion.finish
    prompt, written = completion.prompt_tokens, completion.completion_tokens
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
    }


def _refusal(status: int, message: str, code: str) -> _Reply:
    return status, {"error": {"message": message, "type": "error", "code": code, "param": None}}


def _handler(endpoint: LocalEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*endpoint.answer(self.path, None))

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if length > _LONGEST_BODY:
                self._send(*_refusal(413, f"The request is longer than {_LONGEST_BODY} bytes.", "too_large"))
                return
            body = _json_object(self.rfile.read(length))
            if body is None:
                self._send(*_refusal(400, "The request is not a JSON object.", "invalid_request"))
                return
            self._send(*endpoint.answer(self.path, body))

        def _send(self, status: int, body: Mapping[str, Any]) -> None:
            payload = json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                if status >= 500:
                    # clients of OpenAI's make repeat such requests otherwise, and a local model will not recover
                    self.send_header("x-should-retry", "false")
                self.end_headers()
                self.wfile.write(payload)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client gave up waiting

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are counted, not logged."""

    return Handler


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
