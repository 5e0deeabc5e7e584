import json
import re
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner

from memory_r1 import Memory
from memory_r1.cli import options
from memory_r1.cli.app import app
from memory_r1.testing.lm import ScriptedLM

OFFLINE_ENDPOINT = "http://127.0.0.1:9/v1#nothing"


@dataclass
class Agents:
    """What the scripted model answers: facts as they are said, rulings by fact, answers by question."""

    rulings: dict[str, dict] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def reply(self, chat):
        prompt = chat[-1]["content"]
        if "Question: " in prompt:
            question = json.loads(prompt.rpartition("Question: ")[2])
            return self.answers.get(question, "[]\n**Answer:** No information available")
        if "New fact" in prompt:
            fact = json.loads(re.search(r"New fact.*?: (.*)$", prompt, re.M)[1])
            return json.dumps(self.rulings.get(fact, {"op": "ADD"}))
        said = re.findall(r'^\[(\d+)\] ([^":]*): (".*")$', prompt, re.M)
        said = [(number, name, json.loads(text)) for number, name, text in said]
        facts = [f"[{number}] {re.sub(r'^I ', f'{name} ', text)}" for number, name, text in said if "?" not in text]
        return "\n".join(facts) or "NONE"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine of its own: no configuration, no cached models, no endpoint."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME", "MEMORY_R1_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("MEMORY_R1_STORE", str(tmp_path / "memory.db"))
    monkeypatch.setenv("MEMORY_R1_EMBEDDER", "hash")
    monkeypatch.setenv("MEMORY_R1_MODEL", OFFLINE_ENDPOINT)
    return tmp_path


@pytest.fixture
def agents(home, monkeypatch):
    """Puts a scripted model behind every memory that the command line opens."""
    script = Agents()

    def make(**settings):
        settings["model"] = ScriptedLM(script.reply)
        return Memory(**settings)

    monkeypatch.setattr(options, "make_memory", make)
    return script


@pytest.fixture
def run(home):
    """Runs a command; JSON on stdout comes back parsed as `.json`."""
    runner = CliRunner()

    def invoke(*arguments, input=None, status=0):
        result = runner.invoke(app, [str(argument) for argument in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        if "--json" in arguments and "chat" not in arguments and status in (0, 1):
            result.json = json.loads(result.stdout)
        return result

    return invoke


@pytest.fixture
def say(run, agents):
    """Ann says something, in the first person; the scripted extractor turns it into a fact about her."""

    def add(text, *arguments):
        return run("add", text, "--speaker", "Ann", *arguments)

    return add
