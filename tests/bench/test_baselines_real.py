"""Real packages as systems: with a small stand-in for a package, and with the packages themselves where installed."""

import functools
import json
import sys

import pytest

from memory_r1.bench.baselines import BASELINES
from memory_r1.bench.baselines.real import install, process, systems
from memory_r1.bench.baselines.real.install import PACKAGES, python_of
from memory_r1.bench.system import Closable, Kit, System
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.errors import ConfigError, EndpointError
from memory_r1.testing import HashEmbedder, ScriptedLM

TALK = Conversation(
    "talk",
    ("Ann Lee", "Bob"),
    (
        Session(
            "s1",
            None,
            (
                Turn("D1:1", "Ann Lee", "I have a dog, Max."),
                Turn("D1:2", "Bob", "I play chess."),
                Turn("D1:3", "Ann Lee", "I live in Rome now."),
            ),
        ),
        Session(
            "s2",
            None,
            (
                Turn("D2:1", "Bob", "I stopped playing chess."),
                Turn("D2:2", "Ann Lee", "I adopted a second dog, Rex."),
                Turn("D2:3", "Bob", "Great!"),
            ),
        ),
    ),
)
DOGS = Question("q1", "What are the names of Ann's dogs?", None)
CHESS = Question("q2", "Does Bob play chess?", None)

# keeps every sentence that the model repeats; a stand-in for a package, with its own ideas of what a failure is
STAND_IN = """
import json, sys, urllib.request
memories, number = {}, 0
def ask(url, text):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    try:
        reply = json.load(urllib.request.urlopen(urllib.request.Request(url + "/chat/completions", data=body)))
    except OSError:
        return "the package swallows this"
    return reply["choices"][0]["message"]["content"]
for line in sys.stdin:
    request = json.loads(line)
    op, scope = request["op"], request.get("scope")
    if op == "open":
        url, reply = request["url"], {"version": "VERSION", "instructions": "INSTRUCTIONS"}
    elif op == "add":
        text = ask(url, json.dumps(request["messages"]))
        if text == "junk":
            print(json.dumps({"error": "AttributeError: no get"}), flush=True)
            continue
        if text == "die":
            sys.exit("out of ideas")
        number += 1
        memories[str(number)] = (scope, text)
        reply = [{"id": str(number), "text": text, "event": "ADD"}]
    elif op == "close":
        break
    else:
        reply = [{"id": key, "text": text} for key, (owner, text) in memories.items() if owner == scope]
    print(json.dumps({"ok": reply}), flush=True)
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a system whose package is the stand-in, over a script of the model."""
    made = []

    def maker(name, script, *, version=None, instructions="short", **kit):
        program = tmp_path / "stand_in.py"
        text = STAND_IN.replace("VERSION", version or PACKAGES[name].version).replace("INSTRUCTIONS", instructions)
        program.write_text(text, encoding="utf-8")
        monkeypatch.setattr(systems, "python_of", lambda name: sys.executable)
        monkeypatch.setattr(systems, "PackageProcess", functools.partial(process.PackageProcess, script=program))
        system = BASELINES[name](Kit(ScriptedLM(script), HashEmbedder(), tmp_path / "work", **kit))
        made.append(system)
        return system

    yield maker
    for system in made:
        system.close()


def repeat(chat):
    """Repeats the last user message of a package's messages, or answers a question."""
    last = chat[-1]["content"]
    if "Question: " in last:
        return "Max and Rex" if "dogs" in last.split("Question: ")[1] else "No"
    return [one["content"] for one in json.loads(last) if one["role"] == "user"][-1]


def test_a_package_reads_in_its_process_and_its_memories_are_answered_from(make):
    system = make("mem0", repeat)
    assert isinstance(system, System)
    assert isinstance(system, Closable)
    system.ingest(TALK)
    stats = system.stats()
    # each pair of turns once for every speaker in it
    assert stats.operations == {"ADD": 6}
    assert stats.memories == 6
    assert len(stats.add_seconds) == 6
    assert stats.ingest.calls == 6
    assert stats.ingest.prompt_tokens > 0
    dogs, chess = system.answer_many([DOGS, CHESS])
    assert (dogs.text, chess.text, dogs.cost.calls) == ("Max and Rex", "No", 1)
    by_text = {memory.text: memory.turns for memory in dogs.memories}
    assert by_text["undated: Ann Lee: I have a dog, Max."] == ("D1:1",)
    assert by_text["undated: Bob: Great!"] == ("D2:3",)


def test_langmem_is_told_each_speakers_own_turns(make):
    system = make("langmem", repeat)
    system.ingest(TALK)
    assert system.stats().operations == {"ADD": 6}
    assert [memory.turns for memory in system.answer(DOGS).memories][:2] == [("D1:1",), ("D1:2",)]


def test_an_add_that_the_package_gives_up_on_is_counted(make):
    system = make("langmem", lambda chat: "junk" if "chess" in chat[-1]["content"] else repeat(chat))
    system.ingest(TALK)
    assert system.stats().operations == {"ADD": 4, "FAILED": 2}


def test_a_package_that_never_succeeds_ends_the_run(make):
    system = make("langmem", "junk")
    with pytest.raises(process.PackageError, match=r"first 5 adds all failed.*AttributeError: no get"):
        system.ingest(TALK)


def test_a_dead_model_ends_the_run_even_if_the_package_swallows_it(make):
    system = make("mem0", EndpointError("The endpoint is gone."))
    with pytest.raises(EndpointError, match="gone"):
        system.ingest(TALK)


def test_a_package_that_dies_is_told_with_its_last_words(make):
    system = make("mem0", ["first", "die", "never", "never", "never", "never"])
    with pytest.raises(process.PackageError, match="out of ideas"):
        system.ingest(TALK)


def test_instructions_too_long_for_the_model_are_named(make):
    system = make("mem0", repeat, instructions="word " * 8000)
    with pytest.raises(ConfigError, match=r"alone take \d+ tokens; scripted has 8192.*instructions=short"):
        system.ingest(TALK)


def test_another_version_than_the_adapter_was_written_for_is_refused(make):
    with pytest.raises(ConfigError, match=r"holds version 0\.1"):
        make("langmem", repeat, version="0.1").ingest(TALK)


def test_options_are_checked_and_told(make):
    assert "in the place of its extraction instructions" in make("mem0", "", options={"instructions": "short"}).about
    assert PACKAGES["mem0"].version in make("mem0", "").about
    with pytest.raises(ConfigError, match="no instructions 'none'"):
        make("mem0", "", options={"instructions": "none"})


def test_before_anything_is_read_it_answers_and_after_closing_too(make):
    system = make("langmem", "No information available")
    assert system.answer(DOGS).abstained
    system.ingest(TALK)
    system.close()
    system.close()
    assert system.answer(DOGS).memories == ()
    assert system.stats().memories == 6


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named_with_the_command_that_installs_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORY_R1_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=rf"python -m {install._MODULE} {name}"):
        BASELINES[name](Kit(ScriptedLM(), HashEmbedder(), tmp_path))


def test_installing_makes_an_environment_once_and_tells_what_pip_said(tmp_path, monkeypatch):
    def no_pip(home, **options):
        """An environment whose Python plays pip."""
        python = install._python(home)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text('#!/bin/sh\ncase "$*" in *good==1*) ;; *) echo "ERROR: no such thing" >&2; exit 1;; esac\n')
        python.chmod(0o755)

    monkeypatch.setenv("MEMORY_R1_CACHE", str(tmp_path))
    monkeypatch.setattr(install.venv, "create", no_pip)
    packages = {name: install.Package(name, "1", (f"{name}==1",)) for name in ("good", "bad")}
    monkeypatch.setattr(install, "PACKAGES", packages)
    told = []
    with pytest.raises(ConfigError, match="pip could not install bad==1: ERROR: no such thing"):
        install.install("bad", report=told.append)
    with pytest.raises(ConfigError, match="not installed"):
        python_of("bad")
    python = install.install("good", report=told.append)
    assert python == python_of("good") == install.install("good", report=told.append)
    assert told[-1] == f"good: already in {tmp_path / 'rivals' / 'good'}"
    with pytest.raises(ConfigError, match="no package 'x'"):
        install.install("x")
    with pytest.raises(SystemExit):
        install.main(["bad"])


@pytest.fixture
def real(tmp_path):
    """Makes a system over the real package, or skips where it is not installed."""
    made = []

    def maker(name, script, **kit):
        try:
            python_of(name)
        except ConfigError as error:
            pytest.skip(str(error))
        lm = ScriptedLM(script, context_length=32_768)
        system = BASELINES[name](Kit(lm, HashEmbedder(), tmp_path / "work", **kit))
        made.append(system)
        return system, lm

    yield maker
    for system in made:
        system.close()


def mem0_reply(chat):
    """What a model writes that does as mem0's instructions say."""
    last = chat[-1]["content"]
    if "Question: " in last:
        return "Max and Rex" if "dogs" in last.split("Question: ")[1] else "No"
    new = last.split("## New Messages")[1].split("## Observation")[0]
    if "Great!" in new and "user: Bob" in new:
        return "I have nothing to say."
    if "user: Bob: I stopped" in new:
        return '{"memory": ["a text where an object belongs"]}'
    said = next(line for line in new.splitlines() if line.startswith("user: "))
    return json.dumps({"memory": [{"id": "0", "text": said.removeprefix("user: "), "attributed_to": "user"}]})


@pytest.mark.parametrize("instructions", ["own", "short"])
def test_the_real_mem0(real, instructions):
    system, lm = real("mem0", mem0_reply, options={"instructions": instructions})
    system.ingest(TALK)
    stats = system.stats()
    assert stats.operations == {"ADD": 4, "NOOP": 1, "FAILED": 1}
    assert stats.memories == 4
    assert stats.ingest.calls == 6
    assert (max(len(call.prompt) for call in lm.calls) > 30_000) == (instructions == "own")
    dogs, chess = system.answer_many([DOGS, CHESS])
    assert (dogs.text, chess.text) == ("Max and Rex", "No")
    by_text = {memory.text: memory.turns for memory in dogs.memories}
    assert by_text["undated: Ann Lee: I adopted a second dog, Rex."] == ("D2:2",)
    assert len(by_text) == 4


def langmem_reply(chat):
    """Tool calls as langmem wants them, written as text; an update is a JSON patch."""
    last = chat[-1]["content"]
    if "Question: " in last:
        return "Max and Rex" if "dogs" in last.split("Question: ")[1] else "No"
    said = last.split("Human Message =================================")[1].split("</session")[0].strip()
    if "Great" in said:
        return "Nothing to remember."
    if "second" in said:
        instances = chat[0]["content"].split("<instance id=")[1:]
        key = next(one.split()[0] for one in instances if "Max" in one)
        patch = {"op": "replace", "path": "/content", "value": "Ann has two dogs, Max and Rex."}
        arguments = {"json_doc_id": key, "planned_edits": "Both dogs.", "patches": [patch]}
        return json.dumps({"name": "PatchDoc", "arguments": arguments})
    texts = [said, "Ann moved."] if "Rome" in said else [said]
    return "\n".join(json.dumps({"name": "Memory", "arguments": {"content": text}}) for text in texts)


def test_the_real_langmem(real):
    system, _ = real("langmem", langmem_reply)
    system.ingest(TALK)
    stats = system.stats()
    assert stats.operations == {"ADD": 5, "UPDATE": 1, "NOOP": 1}
    assert stats.memories == 5
    dogs, chess = system.answer_many([DOGS, CHESS])
    assert (dogs.text, chess.text) == ("Max and Rex", "No")
    by_text = {memory.text: memory.turns for memory in dogs.memories}
    assert by_text == {
        "undated: Ann has two dogs, Max and Rex.": ("D1:1", "D2:2"),
        "undated: Ann Lee: I live in Rome now.": ("D1:3",),
        "undated: Ann moved.": ("D1:3",),
        "undated: Bob: I play chess.": ("D1:2",),
        "undated: Bob: I stopped playing chess.": ("D2:1",),
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_a_dead_model_ends_the_run_of_a_real_package(real, name):
    system, _ = real(name, EndpointError("The endpoint is gone."))
    with pytest.raises(EndpointError, match="gone"):
        system.ingest(TALK)
