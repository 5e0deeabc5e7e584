"""An OpenAI-compatible endpoint that answers at once and remembers what it was asked: it makes prompts visible."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Chat = list[dict[str, str]]


@contextmanager
def llm_stub() -> Iterator[tuple[str, list[Chat]]]:
    """Serve on a free local port: the base URL, and the list that the chats asked for are appended to.

    Every answer is what mem0's extraction expects: one new memory, another one each time.
    """
    asked: list[Chat] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append([{"role": message["role"], "content": message["content"]} for message in body["messages"]])
            fact = f"The user told a story about thing number {len(asked)} and what comes of it next week."
            content = json.dumps({"memory": [{"id": "0", "text": fact, "attributed_to": "user"}]})
            self._send({"id": "stub", "object": "chat.completion", "created": 0, "model": "stub"}, content)

        def _send(self, reply: dict[str, Any], content: str) -> None:
            message = {"role": "assistant", "content": content}
            reply["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
            reply["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
