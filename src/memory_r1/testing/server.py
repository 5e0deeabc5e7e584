"""A small OpenAI-compatible server with scripted answers, for tests and benchmarks of what talks to one."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from memory_r1.lm.request import estimate_text_tokens

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A reply that is an error."""

    status: int
    message: str = "scripted failure"
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """A reply whose body is sent as it is: broken JSON, a page of HTML, an unusual answer."""

    body: str
    content_type: str = "application/json"
    status: int = 200


StubReply = str | Failure | Raw
StubScript = StubReply | Sequence[StubReply] | Callable[[Body], StubReply]
"""One reply for every request, one for each in turn (the last one repeats), or a function of the request."""


@dataclass(frozen=True, slots=True)
class StubCall:
    """A request that the server got."""

    path: str
    body: Body
    headers: Mapping[str, str]


class OpenAIStub:
    """Serves `/v1/chat/completions` and `/v1/embeddings` on a free port of this machine until it is closed.

    Args:
        script: What to answer to chats, see `StubScript`.
        latency_s: Wait before each answer, in seconds.
        unknown: Parameters that are refused with a 400, as older servers do.
        api_key: Refuse requests without this key; None takes any.
        usage: Tell token counts.
        dimension: Length of embeddings, which are unit vectors made from a hash of the text.

    Example:
        >>> with OpenAIStub("Hello!") as stub:
        ...     stub.url.startswith("http://127.0.0.1:"), stub.calls
        (True, [])
    """

    def __init__(
        self,
        script: StubScript = "ok",
        *,
        latency_s: float = 0.0,
        unknown: Collection[str] = (),
        api_key: str | None = None,
        usage: bool = True,
        dimension: int = 8,
    ) -> None:
        self.calls: list[StubCall] = []
        """Every request so far."""
        self._script, self._latency_s, self._unknown = script, latency_s, tuple(unknown)
        self._api_key, self._usage, self._dimension = api_key, usage, dimension
        self._lock = threading.Lock()
        self._chats = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        # closing waits for the requests in flight, so that no socket outlives it
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Base URL, ending in `/v1`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """Stop serving; a second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> OpenAIStub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, call: StubCall) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and body for a request."""
        with self._lock:
            self.calls.append(call)
        if self._latency_s:
            time.sleep(self._latency_s)
        if self._api_key is not None and call.headers.get("authorization") != f"Bearer {self._api_key}":
            return _failure(Failure(401, "Incorrect API key provided.", "invalid_api_key"))
        refused = next((name for name in self._unknown if name in call.body), None)
        if refused:
            return _failure(Failure(400, f"Unsupported parameter: '{refused}'.", "unsupported_parameter", refused))
        if call.path == "/v1/chat/completions":
            return self._chat(call.body)
        if call.path == "/v1/embeddings":
            return _json(self._embeddings(call.body))
        return _failure(Failure(404, f"There is nothing at {call.path}."))

    def _chat(self, body: Body) -> tuple[int, Mapping[str, str], str]:
        with self._lock:
            reply = self._reply(body)
            self._chats += 1
        if isinstance(reply, Failure):
            return _failure(reply)
        if isinstance(reply, Raw):
            return reply.status, {"content-type": reply.content_type}, reply.body
        return _json(_chat_completion(reply, body, usage=self._usage, number=self._chats))

    def _reply(self, body: Body) -> StubReply:
        if isinstance(self._script, str | Failure | Raw):
            return self._script
        if callable(self._script):
            return self._script(body)
        return self._script[min(self._chats, len(self._script) - 1)]

    def _embeddings(self, body: Body) -> Body:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(text, self._dimension)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(map(estimate_text_tokens, texts))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": body.get("model"), "data": data, "usage": usage}


def _handler(stub: OpenAIStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, sent, body = stub.answer(StubCall(self.path, json.loads(raw), headers))
            payload = body.encode()
            try:
                self.send_response(status)
                for name, value in {**sent, "content-length": str(len(payload))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client gave up waiting

        def log_message(self, format: str, *args: Any) -> None:
            """Tests want no log on stderr."""

    return Handler


def _chat_completion(text: str, body: Body, *, usage: bool, number: int) -> Body:
    room = 4 * int(body.get("max_completion_tokens") or body.get("max_tokens") or 10**6)
    cut = text.encode()[:room].decode("utf-8", "ignore")
    prompt = sum(estimate_text_tokens(message["content"]) + 4 for message in body["messages"])
    choice: Body = {
        "index": 0,
        "message": {"role": "assistant", "content": cut},
        "finish_reason": "length" if len(cut) < len(text) else "stop",
    }
    if body.get("logprobs"):
        content: list[Body] = [
            {"token": word, "logprob": -0.5, "bytes": None, "top_logprobs": []} for word in cut.split()
        ]
        choice["logprobs"] = {"content": content, "refusal": None}
    completion: Body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": body.get("model"),
        "choices": [choice],
    }
    if usage:
        used = estimate_text_tokens(cut)
        completion["usage"] = {"prompt_tokens": prompt, "completion_tokens": used, "total_tokens": prompt + used}
    return completion


def _vector(text: str, dimension: int) -> list[float]:
    values = [
        int.from_bytes(hashlib.sha256(f"{index}:{text}".encode("utf-8", "replace")).digest()[:4], "big") / 2**31 - 1
        for index in range(dimension)
    ]
    norm = sum(value * value for value in values) ** 0.5
    return [value / norm for value in values]


def _failure(failure: Failure) -> tuple[int, Mapping[str, str], str]:
    error = {"message": failure.message, "type": "error", "code": failure.code, "param": failure.param}
    status, headers, body = _json({"error": error}, failure.status)
    return status, {**headers, **failure.headers}, body


def _json(body: Body, status: int = 200) -> tuple[int, Mapping[str, str], str]:
    return status, {"content-type": "application/json"}, json.dumps(body)
