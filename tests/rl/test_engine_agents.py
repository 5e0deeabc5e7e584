"""The `train` and `runs` commands from data to adapter, for each agent, on a tiny model and synthetic conversations."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from memory_r1.cli.app import app
from memory_r1.rl.run_folder import RunFolder


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def roomy_model(tmp_path_factory, make_tiny):
    """Prompts of the agents have a few thousand characters, which are its tokens."""
    return str(make_tiny(tmp_path_factory.mktemp("roomy"), max_position_embeddings=16_384))


@pytest.mark.parametrize(
    ("agent", "algorithm", "part"),
    [("extractor", "sft", "f1"), ("manager", "grpo", "format"), ("answerer", "ppo", "evidence")],
)
def test_an_agent_is_trained_from_synthetic_conversations(roomy_model, tmp_path, agent, algorithm, part):
    out = tmp_path / "run"
    done = run(
        *("train", agent, "--algo", algorithm, "--data", "synthetic:2", "--preset", "tiny", "--steps", 1),
        *("--model", roomy_model, "--embedder", "hash", "--out", out),
        *("--set", "eval_tasks=2", "--set", "prompts=2", "--set", "completions=2"),
    )
    assert done.exit_code == 0, done.output
    assert "Held-out reward" in done.stdout
    rows = list(RunFolder(out).metrics())
    assert [row["step"] for row in rows] == [0, 1]
    assert f"eval/{part}" in rows[0]
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert "synthetic:2" in (out / "adapter" / "README.md").read_text(encoding="utf-8")

    listed = run("runs", tmp_path, "--json")
    [one] = json.loads(listed.stdout)
    assert (one["agent"], one["algorithm"], one["done"]) == (agent, algorithm, 1)


def test_both_agents_learn_in_turns_and_go_on(roomy_model, tmp_path):
    out = tmp_path / "joint"
    more = ("--set", "eval_tasks=1", "--set", "prompts=2", "--set", "completions=2", "--set", "zero_variance=keep")
    done = run(
        *("train", "joint", "--data", "synthetic:2", "--preset", "tiny", "--steps", 2, "--every", 1, "--lr", 0.01),
        *("--model", roomy_model, "--embedder", "hash", "--out", out, *more),
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.count("Held-out reward") == 2
    turns = [line.split(",")[0] for line in done.stderr.splitlines() if ", from step " in line]
    assert turns == ["answerer", "manager"] * 2
    used = (out / "answerer" / "reader-now" / "adapter_model.safetensors").read_bytes()
    assert used == (out / "answerer" / "adapter" / "adapter_model.safetensors").read_bytes()

    again = run("train", "joint", "--out", out, "--resume", "--steps", 3)
    assert again.exit_code == 0, again.output
    for agent in ("answerer", "manager"):
        assert [row["step"] for row in RunFolder(out / agent).metrics()] == [0, 1, 2, 3]


def test_runs_shows_in_what_runs_differ(tiny_model, task_file, tmp_path):
    for name, lr in (("slow", 0.001), ("fast", 0.01)):
        done = run(
            *("train", "answerer", "--data", task_file, "--preset", "tiny", "--steps", 1, "--model", tiny_model),
            *("--lr", lr, "--out", tmp_path / "runs" / name),
        )
        assert done.exit_code == 0, done.output
    shown = run("runs", tmp_path / "runs").stdout
    assert "Settings that differ" in shown
    assert "0.001" in shown
    assert "clip" not in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data", "nothing-here"], "names no data"),
        (["--preset", "huge", "--data", "synthetic:1"], "Unknown preset"),
        (["--set", "lr", "--data", "synthetic:1"], "no value"),
        (["--source", "dreams", "--data", "synthetic:1"], "source"),
        (["--rewards", "gold", "--data", "synthetic:1"], "reward"),
        ([], "nothing to learn from"),
        (["--resume"], "--out"),
    ],
)
def test_what_cannot_be_trained_is_told_at_once(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("train", "answerer", "--embedder", "hash", *words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not list(tmp_path.glob("runs/*"))
