import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.jsonl import to_lines
from memory_r1.testing import Failure, OpenAIStub

COMMAND = [sys.executable, "-c", "from memory_r1.cli import main; main()"]


def reply(body):
    """What the endpoint answers: facts as they are said, ADD for each, `blue` to every question."""
    prompt = body["messages"][-1]["content"]
    if "Question: " in prompt:
        return "[0]\n**Answer:** blue"
    if "New fact" in prompt:
        return '{"op": "ADD"}'
    said = re.findall(r'^\[(\d+)\] ([^":]*): (".*")$', prompt, re.M)
    return "\n".join(f"[{number}] {json.loads(text)}" for number, _, text in said) or "yes"


def questions_of(stub):
    prompts = [call.body["messages"][-1]["content"] for call in stub.calls]
    return [prompt.rpartition("Question: ")[2] for prompt in prompts if "Question: " in prompt]


@pytest.fixture
def endpoint():
    with OpenAIStub(reply) as stub:
        yield stub


@pytest.fixture
def talk(home):
    """A file with two conversations of ten questions each."""
    lines = []
    for name in ("c1", "c2"):
        turns = tuple(Turn(f"D1:{n}", "Ann", f"I painted door {n} blue.") for n in range(1, 4))
        asked = tuple(
            Question(f"{name}#{n}", f"What colour is door {n} of {name}?", "blue", "single-hop", ("D1:1",))
            for n in range(10)
        )
        lines += to_lines(Conversation(name, ("Ann",), (Session("s1", None, turns),), asked))
    file = home / "talk.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.fixture
def bench(run, endpoint, talk, home):
    def start(*arguments, status=0, data=talk):
        fixed = ["--embedder", "hash", "--out", home / "run", "--cache", home / "cache"]
        asked = [] if "--resume" in arguments else ["--data", data, "--model", f"{endpoint.url}#toy"]
        return run("bench", "run", *asked, *fixed, *arguments, status=status)

    return start


def test_a_run_prints_scores_and_writes_a_report(bench, home):
    result = bench("-s", "none", "-s", "rag", "--concurrency", "4")
    assert re.search(r"system +n +F1 +BLEU-1 +EM +J", result.stdout)
    assert re.search(r"rag +20 +100\.0 \(100\.0 to 100\.0\)", result.stdout)
    assert "20/20" not in result.stdout
    assert "40/40 answers" in result.stderr
    assert (home / "run" / "report.html").is_file()
    assert "talk.jsonl (all): 20 questions, 2 conversations" in result.stderr
    config = json.loads((home / "run" / "config.json").read_text())
    assert config["model"] == "toy"
    request = json.loads((home / "run" / ".local" / "request.json").read_text())
    assert request["systems"] == ["none", "rag"]
    assert str(home) not in json.dumps(config)
    assert str(home) not in (home / "run" / "report.md").read_text()


def test_a_run_goes_on_by_its_folder_alone(bench, home, endpoint):
    bench("-s", "none", "--limit", "6", "--seed", "3", "--json")
    file = home / "run" / "systems" / "none" / "predictions.jsonl"
    lines = file.read_text().splitlines()
    assert len(lines) == 6
    file.write_text("".join(f"{line}\n" for line in lines[:4]))
    asked = len(questions_of(endpoint))
    result = bench("--resume", "--json")
    assert result.json["asked"] == 2
    found = result.json["systems"]["none"]
    assert found["scores"]["mem0_f1"] == 1
    assert found["intervals"]["mem0_f1"] == {"n": 6, "mean": 1, "low": 1, "high": 1}
    # what is asked again comes from the cache
    assert "2 of 2 completions came from the cache" in result.stderr
    assert len(questions_of(endpoint)) == asked
    assert "drawn by category from 20 with seed 3" in result.stderr


def test_settings_of_another_run_are_refused(bench):
    bench("-s", "none")
    assert "Give another --out" in bench("-s", "none", status=2).stderr
    assert "the limits" in bench("--resume", "--reader-tokens", "50", status=2).stderr
    assert "the data" in bench("--resume", "--limit", "3", status=2).stderr


def test_an_endpoint_that_dies_ends_the_run_with_a_hint(bench, home, monkeypatch, endpoint):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answered = []

    def dies(body):
        if len(answered) >= 5:
            return Failure(400, "gone")
        answered.append(1)
        return reply(body)

    endpoint._script = dies
    result = bench("-s", "none", status=2)
    assert "answered 400" in result.stderr
    assert "go on with: memory-r1 bench run --out" in result.stderr
    endpoint._script = reply
    found = bench("--resume", "--json").json["systems"]["none"]
    assert (found["questions"], found["errors"], found["scores"]["mem0_f1"]) == (20, 0, 1)


def test_too_many_errors_are_status_1(bench, home, monkeypatch):
    (home / "flaky_system.py").write_text(
        "from memory_r1.bench.system import Stats, SystemAnswer\n"
        "class Flaky:\n"
        "    name, about = 'flaky', 'Fails at times.'\n"
        "    def __init__(self, kit): pass\n"
        "    def ingest(self, conversation): pass\n"
        "    def stats(self): return Stats()\n"
        "    def answer(self, question):\n"
        "        if 'door 3' in question.text: raise ValueError('no door')\n"
        "        return SystemAnswer('')\n"
    )
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(home)
    result = bench("-s", "flaky_system:Flaky", status=1)
    assert result.stderr.count("Failed: flaky raised on 2 of 20 questions") == 1
    assert "flaky gave 18 empty answers" in result.stderr


JUDGED = '{"why": "so", "label": "CORRECT"}'


def judging(body):
    return JUDGED if "You grade answers" in body["messages"][0]["content"] else reply(body)


def test_a_judge_fills_its_columns_once_all_is_answered(bench, home, endpoint):
    endpoint._script = judging
    judge = ("--judge", f"{endpoint.url}#judge")
    result = bench("-s", "none", *judge, "--json").json["systems"]["none"]
    assert (result["scores"]["judge_generous"], result["scores"]["judge_strict"]) == (1, 1)
    assert json.loads((home / "run" / "config.json").read_text())["judges"]["judge_strict"]["model"] == "judge"
    assert "J (strict) by judge (20 answers, 20 calls" in (home / "run" / "report.md").read_text()
    # a system that joins is judged as well, and verdicts come from the cache
    asked = len(endpoint.calls)
    joined = bench("--resume", "-s", "rag", "--json").json["systems"]
    assert joined["rag"]["scores"]["judge_generous"] == joined["none"]["scores"]["judge_generous"] == 1
    graded = [call for call in endpoint.calls[asked:] if "You grade answers" in call.body["messages"][0]["content"]]
    assert len(graded) == 1


def test_a_judge_that_gives_no_verdict_is_told_before_anything_is_asked(bench, home, endpoint):
    assert "instead of a label" in bench("-s", "none", "--judge", f"{endpoint.url}#judge", status=2).stderr
    assert not (home / "run").exists()
    assert "no judge's prompt 'kind'" in bench("--judge", "openai:x", "--judge-prompt", "kind", status=2).stderr


def test_a_judge_that_dies_keeps_answers_and_report_and_says_how_to_go_on(bench, run, home, endpoint):
    def dies(body):
        if "You grade answers" not in body["messages"][0]["content"]:
            return reply(body)
        # the first one is the question whether it is there
        return JUDGED if '"Leeds"' in body["messages"][1]["content"] else Failure(400, "gone")

    endpoint._script = dies
    result = bench("-s", "none", "--judge", f"{endpoint.url}#judge", status=2)
    assert "go on with: memory-r1 bench judge" in result.stderr
    assert "no judge" in (home / "run" / "report.md").read_text()
    endpoint._script = judging
    again = ("--model", f"{endpoint.url}#judge", "--cache", home / "cache", "--prompt", "generous")
    assert re.search(
        r"none +20 .*100\.0 \(100\.0 to 100\.0\)$", run("bench", "judge", home / "run", *again).stdout, re.M
    )
    assert "is no benchmark run" in run("bench", "judge", home / "no", *again, status=2).stderr


def test_corrected_labels_can_be_asked_for_or_laid_over_a_run(bench, run, home, data_folder):
    if not (data_folder / "locomo_audit" / "errors.json").is_file():
        pytest.skip("MEMORY_R1_DATA holds no locomo_audit/errors.json")
    locomo = f"locomo:{data_folder}"
    bench("-s", "none", "--limit", "40", "--conversations", "conv-47", data=locomo)
    done = run("bench", "rescore", home / "run", "--audit", data_folder)
    assert "are left out" in done.stderr
    new = home / "run-audit"
    asked = (
        "-s",
        "none",
        "--limit",
        "40",
        "--conversations",
        "conv-47",
        "--audit",
        data_folder,
        "--out",
        home / "asked",
    )
    bench(*asked, data=locomo)
    first, second = (json.loads((folder / "config.json").read_text())["data"] for folder in (new, home / "asked"))
    assert first == second
    assert first["labels"]["name"] == "locomo-audit"
    assert "corrected labels" in (new / "report.md").read_text().partition("\n")[0]
    same = run("bench", "compare", new, home / "asked", "--json").json[0]["scores"]["mem0_f1"]
    assert (same["difference"], same["n"]) == (0, first["questions"])
    assert "not asked the same questions" in run("bench", "compare", home / "run", new, status=2).stderr
    assert "There is a run in" in run("bench", "rescore", home / "run", "--audit", data_folder, status=2).stderr
    assert "is for LoCoMo" in bench("-s", "none", "--audit", data_folder, "--out", home / "x", status=2).stderr


def test_labels_of_other_data_are_not_laid_over_a_run(bench, run, home, data_folder):
    bench("-s", "none")
    refused = run("bench", "rescore", home / "run", "--audit", data_folder, status=2)
    assert "The audit is about LoCoMo" in refused.stderr


def test_a_file_that_is_not_the_published_one_is_told(bench, home, data_folder):
    edited = json.loads((data_folder / "locomo" / "locomo10.json").read_text(encoding="utf-8"))
    edited[5]["qa"][0]["answer"] = "something else"
    file = home / "edited.json"
    file.write_text(json.dumps(edited), encoding="utf-8")
    result = bench("-s", "none", "--limit", "3", data=f"locomo:{file}")
    assert "is not the published file of locomo" in result.stderr
    assert "is not the published locomo" in (home / "run" / "report.md").read_text()


def test_seeds_of_a_method_are_averaged(bench, run, home):
    bench("-s", "one=none", "-s", "two=none", "-s", "rag")
    found = run("bench", "seeds", home / "run", "-s", "one", "-s", "two", "--against", "rag", "--json").json
    assert found["runs"] == ["one", "two"]
    f1 = found["scores"]["mem0_f1"]
    assert (f1["n"], f1["mean"], f1["deviation"], f1["each"]) == (20, 1, 0, [1, 1])
    assert f1["difference"]["mean"] == 0
    assert "SD of runs" in run("bench", "seeds", home / "run", "-s", "one", "-s", "two").stdout
    assert "No run has a system 'three'" in run("bench", "seeds", home / "run", "-s", "three", status=2).stderr


def test_mistakes_are_told(bench, run, home, monkeypatch):
    assert "no system 'nonsense'" in bench("-s", "nonsense", status=2).stderr
    assert "cannot load adapters" in bench("--adapter", f"manager={_adapter(home)}", "-s", "memory-r1", status=2).stderr
    assert "no benchmark run" in run("bench", "run", "--out", home / "none", "--resume", status=2).stderr
    assert "nothing to ask" in run("bench", "run", "--out", home / "none", status=2).stderr
    monkeypatch.setenv("MEMORY_R1_DATA", str(home))
    assert "memory-r1 data download locomo" in bench("-s", "none", data="locomo", status=2).stderr


def _adapter(home):
    folder = home / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "bench",
        "bench run",
        "bench systems",
        "bench judge",
        "bench rescore",
        "bench seeds",
        "data",
        "data download",
        "data list",
    ],
)
def test_every_command_explains_itself(run, name):
    assert "Usage" in run(*name.split(), "--help").stdout


def test_systems_are_listed(run):
    found = run("bench", "systems", "--json").json
    assert {"none", "rag", "memory-r1"} <= set(found)
    assert found["a-mem"].startswith("re-implementation of A-Mem")
    assert found["mem0"].startswith("the package mem0ai")
    assert "memory-r1" in run("bench", "systems").stdout


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_goes_on(endpoint, talk, home, how):
    endpoint._latency_s = 0.05
    arguments = ["--data", talk, "--model", f"{endpoint.url}#toy", "--embedder", "hash", "-s", "none", "-s", "add-all"]
    command = [*COMMAND, "bench", "run", "--out", home / "run", "--cache", home / "cache"]
    process = subprocess.Popen(list(map(str, [*command, *arguments])), stderr=subprocess.PIPE, text=True)
    file = home / "run" / "systems" / "none" / "predictions.jsonl"
    until = time.monotonic() + 240
    while not (file.is_file() and file.read_text().count("\n") >= 10):
        assert time.monotonic() < until, "no answers came"
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=120)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "Go on: memory-r1 bench run --out" in errors
        assert "Traceback" not in errors
    kept = [line for line in file.read_text().splitlines() if line.endswith("}")]
    on_disk = {json.loads(line)["question"] for line in kept}
    endpoint.calls.clear()
    endpoint._latency_s = 0.0
    again = list(map(str, [*command, "--resume", "--json"]))
    done = subprocess.run(again, capture_output=True, text=True, timeout=240, check=True)
    assert {name: one["questions"] for name, one in json.loads(done.stdout)["systems"].items()} == {
        "none": 20,
        "add-all": 20,
    }
    # `none` asks without memories: what it had answered is not asked again
    prompts = [call.body["messages"][-1]["content"] for call in endpoint.calls]
    bare = [prompt.rpartition("Question: ")[2] for prompt in prompts if "<memories>\n\n</memories>" in prompt]
    assert on_disk.isdisjoint(map(json.loads, bare))
    lines = file.read_text().splitlines()
    assert lines[: len(kept)] == kept
    assert len(lines) == 20


def test_data_is_fetched_from_a_folder_once_its_licence_is_accepted(run, home, data_folder):
    target = ("--to", home / "data")
    refused = run("data", "download", "locomo", "--from", data_folder, *target, status=2)
    assert "CC BY-NC 4.0" in refused.stderr
    assert "--accept-licence" in refused.stderr
    assert not (home / "data").exists()
    done = run("data", "download", "locomo", "--from", data_folder, "--accept-licence", *target)
    assert "SHA-256 is right" in done.stdout
    assert "already" in run("data", "download", "locomo", *target).stdout
    listed = {one["name"]: one["state"] for one in run("data", "list", "--json", *target).json}
    assert listed == {"locomo": "here", "longmemeval": "missing", "msc": "missing"}
    assert "CC BY-NC" in run("data", "list", *target).stdout
    assert "no data set 'beam'" in run("data", "download", "beam", status=2).stderr
