"""Programs written for mem0 run with the import changed, against a real HTTP endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memory_r1.config import load_settings
from memory_r1.errors import ConfigError
from memory_r1.mem0_config import from_mem0
from memory_r1.testing import OpenAIStub

PROGRAMS = Path(__file__).parent / "programs"


def reply(body: dict) -> str:
    system, last = body["messages"][0]["content"], body["messages"][-1]["content"]
    if '"op"' in system:
        text = "Alice adopted two dogs named Buddy and Scout."
        return json.dumps({"op": "UPDATE", "id": 0, "text": text} if "Scout" in last else {"op": "ADD"})
    said = json.loads(last[last.index('"') :])
    return f"[1] {said}"


@pytest.mark.parametrize("program", ["mem0_v1.py", "mem0_v2.py"])
def test_the_program_runs(program: str, tmp_path: Path) -> None:
    source = (PROGRAMS / program).read_text("utf-8")
    assert "from mem0 import" in source
    changed = tmp_path / program
    changed.write_text(source.replace("from mem0 import", "from memory_r1 import"), "utf-8")
    with OpenAIStub(reply) as stub:
        run = subprocess.run(
            [sys.executable, "-W", "error", str(changed), stub.url, str(tmp_path / "qdrant")],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "OPENAI_API_KEY": "x"},
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout.endswith("done\n")
        assert stub.calls


def test_configurations_of_mem0_are_understood() -> None:
    config = {
        "llm": {"provider": "ollama", "config": {"model": "llama3.1:8b", "ollama_base_url": "http://box:11434"}},
        "embedder": {
            "provider": "openai",
            "config": {"model": "text-embedding-3-large", "openai_base_url": "http://e/v1"},
        },
        "vector_store": {"provider": "chroma", "config": {"path": "db", "collection_name": "mine"}},
        "history_db_path": "ignored.db",
        "version": "v1.1",
    }
    assert from_mem0(config) == {
        "model": "openai:llama3.1:8b",
        "base_url": "http://box:11434/v1",
        "embedder": "openai:text-embedding-3-large",
        "embedder_base_url": "http://e/v1",
        "store": str(Path("db") / "mine.db"),
    }
    assert from_mem0({"model": "bundled", "candidates": 3}) == {"model": "bundled", "candidates": 3}


@pytest.mark.parametrize(
    "config",
    [
        {"llm": {"provider": "telepathy"}},
        {"embedder": {"provider": "telepathy"}},
        {"vector_store": {"provider": "qdrant", "config": {"host": "db", "port": 6333}}},
        {"llm": "gpt-4o"},
        {"nonsense": 1},
    ],
)
def test_what_has_no_counterpart_is_an_error_with_a_hint(config: dict) -> None:
    with pytest.raises(ConfigError):
        from_mem0(config)


def test_mem0_prompts_are_not_dropped_in_silence() -> None:
    with pytest.warns(UserWarning, match="prompts="):
        from_mem0({"custom_instructions": "Be brief."})


def test_arguments_beat_the_environment_and_the_environment_beats_the_file(tmp_path, monkeypatch) -> None:
    file = tmp_path / "c.toml"
    file.write_text('candidates = 3\npreset = "paper"\nbudget_tokens = 99\n', "utf-8")
    monkeypatch.setenv("MEMORY_R1_CONFIG", str(file))
    monkeypatch.setenv("MEMORY_R1_CANDIDATES", "4")
    monkeypatch.setenv("MEMORY_R1_PRESET", "auto")
    settings = load_settings(candidates=5, store=None)
    assert (settings.candidates, settings.preset, settings.budget_tokens) == (5, "auto", 99)


@pytest.mark.parametrize("content", ["candidates = 0", "nonsense = 1", "candidates = ", b"\xff\xfe"])
def test_a_bad_file_is_a_clear_error(tmp_path, monkeypatch, content) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("MEMORY_R1_CONFIG", str(file))
    with pytest.raises(ConfigError):
        load_settings()
    monkeypatch.setenv("MEMORY_R1_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigError, match="not a file"):
        load_settings()
