"""Many threads on one Memory, many processes on one file: nothing lost, nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memory_r1 import Memory
from memory_r1.testing import ScriptedLM


@pytest.mark.parametrize("infer", [True, False])
def test_eight_threads_lose_nothing(memory, infer, ann) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            memory.add(ann(f"Ann met friend {thread} in town {number}."), user_id="ann", infer=infer)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    stored = {item["memory"] for item in memory.get_all(user_id="ann")["results"]}
    assert stored == {f"Ann met friend {thread} in town {number}." for thread in range(8) for number in range(20)}


@pytest.mark.parametrize("infer", [True, False])
def test_four_identical_adds_at_once_are_one_memory(memory, infer, ann) -> None:
    gate = threading.Barrier(4)

    def work(_: int) -> str:
        gate.wait()
        return memory.add(ann("Ann moved to Oslo."), user_id="ann", infer=infer)["results"][0]["event"]

    with ThreadPoolExecutor(4) as pool:
        events = sorted(pool.map(work, range(4)))
    assert events == ["ADD", "NOOP", "NOOP", "NOOP"]
    assert len(memory.get_all(user_id="ann")["results"]) == 1


PROCESS = """
import sys
from memory_r1 import Memory
from memory_r1.testing import ScriptedLM
path, who = sys.argv[1:]
with Memory(model=ScriptedLM('{"op":"ADD"}'), embedder="hash", store=path) as memory:
    for number in range(20):
        memory.add(f"Process {who} moved to town {number}.", user_id="ann", infer=False)
        memory.add("All of them moved to Oslo.", user_id="ann", infer=False)
"""


def test_four_processes_on_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    running = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(path), str(who)], stderr=subprocess.PIPE, text=True)
        for who in range(4)
    ]
    errors = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors
    with Memory(model=ScriptedLM("x"), embedder="hash", store=path) as memory:
        stored = [item["memory"] for item in memory.get_all(user_id="ann")["results"]]
        expected = {f"Process {who} moved to town {number}." for who in range(4) for number in range(20)}
        assert sorted(stored) == sorted(expected | {"All of them moved to Oslo."})
        # what other processes wrote is found without reopening
        found = memory.search("Process 3 moved to town 19", user_id="ann")["results"]
        assert found[0]["memory"] == "Process 3 moved to town 19."


def test_a_search_follows_what_another_memory_writes(memory) -> None:
    memory.add("Ann likes tea.", user_id="ann", infer=False)
    memory.search("tea", user_id="ann")
    with Memory(model=ScriptedLM("x"), embedder="hash", store=memory.settings.store) as other:
        added = other.add("Ann likes coffee.", user_id="ann", infer=False)["results"][0]
        assert "Ann likes coffee." in json.dumps(memory.search("coffee", user_id="ann"))
        other.delete(added["id"])
        assert "Ann likes coffee." not in json.dumps(memory.search("coffee", user_id="ann"))
