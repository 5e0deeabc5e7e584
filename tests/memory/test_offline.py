"""Without arguments, a key or a network: the real model, the real embedder, a real file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise SystemExit(f"{event} {arguments}")

sys.addaudithook(refuse)

from memory_r1 import Memory

with Memory() as memory:
    first = memory.add("I adopted a dog named Buddy in May 2023.", user_id="ann", timestamp="2023-06-01")
    assert first["results"][0]["event"] == "ADD", first
    second = memory.add("I adopted another dog, and his name is Scout.", user_id="ann")
    assert second["usage"].calls >= 1, second
    words = " ".join(item["memory"] for item in memory.get_all(user_id="ann")["results"])
    assert "Buddy" in words, words
    found = memory.search("What is the dog called?", user_id="ann", limit=2)["results"]
    assert "Buddy" in found[0]["memory"] or "Scout" in found[0]["memory"], found
    answer = memory.answer("What is Ann's first dog called?", user_id="ann")
    assert answer.text and answer.usage.calls == 1, answer
    assert memory.settings.store == sys.argv[1]

with Memory() as memory:
    assert memory.search("dog", user_id="ann")["results"]
print("done")
"""


@pytest.mark.lm
def test_memory_without_arguments_works_and_sends_nothing(bundled_lm, tmp_path: Path) -> None:
    # the session's model is only there so that the cache is filled before the network is shut off
    bundled_lm.complete([[{"role": "user", "content": "Hello"}]])
    store = tmp_path / "new" / "folder" / "memory.db"
    run = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM, str(store)],
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "MEMORY_R1_STORE": str(store), "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "done\n"
