import json
import shutil
import threading
from pathlib import Path

import pytest

from memory_r1.bench.report import write_report
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.bench.specs import read_specs, weights_hash
from memory_r1.bench.system import Cost
from memory_r1.bench.workshop import Limits
from memory_r1.errors import ConfigError, EndpointError, InvalidInputError, ModelError
from memory_r1.testing import ScriptedLM


def asked_of(lm):
    """The questions that reached the model, in order."""
    return [
        json.loads(call.prompt.rpartition("Question: ")[2])
        for call in lm.calls
        if "Question: " in call.chat[-1]["content"]
    ]


def test_a_run_leaves_config_answers_and_stats(bench, answers, tmp_path, data):
    outcome = bench("none", "rag", seed=7)
    assert [(one.name, one.questions, one.errors) for one in outcome.systems] == [("none", 4, 0), ("rag", 4, 0)]
    assert not outcome.failed
    assert outcome.asked == 8
    found = answers("rag")
    assert [(one.conversation, one.question_id, one.gold) for one in found] == [
        ("c1", "c1#0", "blue"),
        ("c1", "c1#1", "Bob"),
        ("c2", "c2#0", "the violin"),
        ("c2", "c2#1", None),
    ]
    assert found[0].scores["mem0_f1"] == 1
    assert set(found[3].scores) == {"abstention"}
    assert found[0].evidence == ("D1:1",)
    stats = BenchFolder(tmp_path / "run").stats("rag")
    assert {name: one.turns for name, one in stats.items()} == {"c1": 3, "c2": 2}
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"] == {
        "name": "toy",
        "part": "all",
        "hash": data.digest,
        "conversations": 2,
        "questions": 4,
        "sessions": None,
        "sample": None,
        "labels": None,
        "published": None,
    }
    assert config["model"] == "scripted"
    assert config["embedder"] == "hash-64"
    assert config["seed"] == 7
    assert config["limits"] == {"reader_tokens": 1500, "answer_tokens": 96}
    assert set(config["systems"]) == {"none", "rag"}
    assert {"command", "started", "version"} <= set(config)
    assert not (tmp_path / "run" / "stores").exists()


def test_systems_do_not_see_gold_answers(bench, own, answers):
    method = own(
        """
def ingest(self, conversation): assert conversation.questions == ()
def answer(self, question):
    return SystemAnswer(repr((question.id, question.answer, question.category, question.evidence)))
"""
    )
    bench(f"mine={method}")
    assert answers("mine")[0].answer == "('c1#0', None, '', ())"


def test_what_is_answered_is_not_asked_again(bench, answers, agents):
    first = ScriptedLM(agents.reply)
    bench("none", lm=first)
    assert len(asked_of(first)) == 4
    again = ScriptedLM(agents.reply)
    outcome = bench("none", lm=again, resume=True)
    assert again.calls == []
    assert (outcome.asked, outcome.systems[0].questions) == (0, 4)
    assert len(answers("none")) == 4


def test_systems_may_join_a_run(bench, answers, tmp_path):
    bench("none")
    bench("rag", resume=True)
    assert len(answers("none")) == len(answers("rag")) == 4
    config = BenchFolder(tmp_path / "run").config()
    assert list(config["systems"]) == ["none", "rag"]
    assert len(config["resumed"]) == 1


def test_a_torn_line_is_asked_again(bench, answers, tmp_path, agents):
    bench("none")
    file = tmp_path / "run" / "systems" / "none" / "predictions.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b'{"conversation"') + 40])
    (tmp_path / "run" / "systems" / "none" / "stats.jsonl").write_text("")
    again = ScriptedLM(agents.reply)
    assert bench("none", lm=again, resume=True).asked == 1
    assert [one.question_id for one in answers("none")] == ["c1#0", "c1#1", "c2#0", "c2#1"]


def test_a_conversation_without_stats_is_read_once_more_and_asked_nothing(bench, tmp_path, agents):
    bench("add-all")
    (tmp_path / "run" / "systems" / "add-all" / "stats.jsonl").write_text("")
    again = ScriptedLM(agents.reply)
    assert bench("add-all", lm=again, resume=True).asked == 0
    assert set(BenchFolder(tmp_path / "run").stats("add-all")) == {"c1", "c2"}
    # the probe is the only call: the rest is cached
    assert len(again.calls) == 1


def test_an_error_is_recorded_for_its_question_alone(bench, own, answers, tmp_path):
    method = own(
        """
def answer(self, question):
    if "dog" in question.text: raise ValueError("no\\ndogs")
    return SystemAnswer("blue")
"""
    )
    outcome = bench(f"mine={method}")
    found = {one.question_id: one for one in answers("mine")}
    assert found["c1#1"].error == "ValueError: no dogs"
    assert found["c1#1"].answer == ""
    assert found["c1#1"].scores == {}
    assert [one.error for name, one in found.items() if name != "c1#1"] == [None] * 3
    assert outcome.systems[0].errors == 1
    assert outcome.failed
    log = (tmp_path / "run" / "systems" / "mine" / "errors.log").read_text()
    assert "--- c1#1" in log
    assert "Traceback" in log


@pytest.mark.parametrize(("count", "failed"), [(99, True), (100, False)])
def test_more_than_a_hundredth_of_errors_fails_a_run(bench, own, make_talk, count, failed):
    from memory_r1.bench.loading import BenchData

    method = own(
        """
def answer(self, question):
    if question.text == "Q0?": raise ValueError("no")
    return SystemAnswer("blue")
"""
    )
    one = make_talk("c", said=["Ann: Hi."], questions=[(f"Q{n}?", "blue", "single-hop") for n in range(count)])
    outcome = bench(f"mine={method}", asked=BenchData("toy", "all", (one,)))
    assert outcome.systems[0].questions == count
    assert outcome.failed is failed


def test_an_error_in_a_batch_costs_one_question(bench, own, answers):
    method = own(
        """
def answer_many(self, questions): return [self.answer(one) for one in questions]
def answer(self, question):
    if "dog" in question.text: raise ValueError("no dogs")
    return SystemAnswer("blue")
"""
    )
    bench(f"mine={method}")
    assert [one.error for one in answers("mine")] == [None, "ValueError: no dogs", None, None]


def test_an_unread_conversation_is_an_error_for_each_of_its_questions(bench, own, answers):
    method = own(
        """
def ingest(self, conversation):
    if conversation.id == "c1": raise RuntimeError("unreadable")
"""
    )
    outcome = bench(f"mine={method}")
    assert [one.error for one in answers("mine")] == ["RuntimeError: unreadable"] * 2 + [None] * 2
    assert outcome.notes == ("mine, reading c1: RuntimeError: unreadable",)
    assert bench(f"mine={method}", resume=True).asked == 0


def test_errors_are_asked_again_on_request(bench, own, answers):
    method = own(
        """
def answer(self, question):
    if "dog" in question.text and not self.seen:
        self.seen.append(1)
        raise ValueError("once")
    return SystemAnswer("blue")
"""
    )
    assert bench(f"mine={method}").failed
    outcome = bench(f"mine={method}", resume=True, retry_errors=True)
    assert (outcome.asked, outcome.failed, outcome.systems[0].questions) == (1, False, 4)
    assert [one.error for one in answers("mine")] == [None] * 4


@pytest.mark.parametrize(
    "answer",
    [
        "'blue'",
        "SystemAnswer(3)",
        "SystemAnswer('blue', ('text',))",
        "SystemAnswer('blue', (UsedMemory('text', 'D1:1'),))",
        "SystemAnswer('blue', cost=3)",
        "None",
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_an_answer_of_another_kind_is_an_error(bench, own, answers, answer, many):
    body = f"def answer(self, question): return {answer}"
    if many:
        body += "\ndef answer_many(self, questions): return [self.answer(one) for one in questions]"
    bench(f"mine={own(body)}")
    assert len(answers("mine")) == 4
    assert all(one.error.startswith("TypeError: a") for one in answers("mine"))


def test_costs_that_make_no_sense_are_an_error_of_their_question(bench, own, answers):
    bench(f"mine={own('def answer(self, question): return SystemAnswer(chr(120), cost=Cost(calls=chr(120)))')}")
    assert all(one.error is not None and one.scores == {} for one in answers("mine"))


def test_stats_of_another_kind_are_an_error_that_says_so(bench, own, answers):
    bench(f"mine={own('def stats(self): return None')}")
    assert {one.error for one in answers("mine")} == {"TypeError: stats() gives a Stats, not None"}


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_system_cannot_end_the_run(bench, own, answers, at_once):
    method = own(
        """
def answer(self, question):
    if "dog" in question.text: raise SystemExit(3)
    return SystemAnswer("blue")
"""
    )
    bench(f"mine={method}", at_once=at_once)
    found = {one.question_id: one.error for one in answers("mine")}
    assert found.pop("c1#1") == "RuntimeError: the system called sys.exit(3)"
    assert set(found.values()) == {None}


def test_a_system_that_exits_when_it_is_made_is_told(bench, own):
    with pytest.raises(ConfigError, match=r"cannot be made: RuntimeError: the system called sys.exit"):
        bench(f"mine={own('def __init__(self, kit): raise SystemExit(0)')}")


def test_nothing_published_tells_where_things_lie_on_this_machine(bench, own, tmp_path, monkeypatch):
    home, work, elsewhere = tmp_path / "home", tmp_path / "work", tmp_path / "srv"
    home.mkdir()
    work.mkdir()
    adapter = elsewhere / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    monkeypatch.setattr("sys.argv", ["memory-r1", "bench", "run", "--data", f"locomo:{elsewhere}/data"])
    method = own(f"def answer(self, question): raise OSError('{work}/x and {home}/y')")
    request = {"data": f"locomo:{elsewhere}/data"}
    bench("rag", f"mine={method}", adapters=[f"rag:answerer={adapter}"], request=request)
    write_report(tmp_path / "run")
    for file in (tmp_path / "run").rglob("*"):
        if file.is_file() and ".local" not in file.parts:
            assert str(home) not in (said := file.read_text(encoding="utf-8")), file
            assert str(work) not in said, file
            assert str(elsewhere) not in said, file
    folder = BenchFolder(tmp_path / "run")
    config = folder.config()
    assert config["command"] == "memory-r1 bench run --data locomo:.../data"
    told = config["adapters"]["rag"]["answerer"]
    assert told == {"folder": ".../adapter", "sha256": weights_hash(adapter)}
    # a later call on this machine finds all of it, and git none
    assert folder.request() == request
    assert (tmp_path / "run" / ".local" / ".gitignore").read_text() == "*\n"


def test_a_run_from_another_machine_has_no_request(bench, tmp_path):
    bench("none", request={"data": "toy"})
    shutil.rmtree(tmp_path / "run" / ".local")
    folder = BenchFolder(tmp_path / "run")
    assert folder.request() == {}
    assert bench("none", resume=True, request={"data": "toy"}).asked == 0
    # runs of before kept it in their configuration
    config = folder.config() | {"request": {"data": "old"}}
    (tmp_path / "run" / ".local" / "request.json").unlink()
    folder.write_config(config)
    assert folder.request() == {"data": "old"}
    bench("none", resume=True, request={"data": "toy"})
    assert "request" not in folder.config()
    (tmp_path / "run" / ".local" / "request.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"request.json cannot be read"):
        folder.request()


def test_a_batch_of_another_length_ends_the_run(bench, own):
    with pytest.raises(ConfigError, match=r"gave 0 answers to 2 questions"):
        bench(f"mine={own('def answer_many(self, questions): return []')}")


def test_an_empty_answer_is_scored_and_counted(bench, own, answers):
    outcome = bench(f"mine={own('def answer(self, question): return SystemAnswer(chr(32))')}")
    assert outcome.systems[0].empty == 4
    assert answers("mine")[0].scores["mem0_f1"] == 0
    assert answers("mine")[3].scores == {"abstention": 0}


def test_a_lone_surrogate_reaches_the_disk(bench, own, answers):
    bench(f"mine={own('def answer(self, question): return SystemAnswer(chr(0xD83D), (UsedMemory(chr(0xD83D)),))')}")
    assert answers("mine")[0].answer == "?"
    assert answers("mine")[0].memories[0].text == "?"


def test_a_dead_model_stops_the_run_and_keeps_what_is_answered(bench, answers, agents):
    def dies(chat):
        if "violin" in chat[-1]["content"] or "Ann play" in chat[-1]["content"]:
            return ModelError("The model is gone.", hint="Look for it.")
        return agents.reply(chat)

    with pytest.raises(ModelError, match=r"The model is gone. Look for it. .*go on with: memory-r1 bench run --out"):
        bench("none", "rag", lm=ScriptedLM(dies))
    assert len(answers("none")) == 2
    assert answers("rag") == []
    assert not bench("none", "rag", resume=True).failed
    assert len(answers("none")) == len(answers("rag")) == 4
    assert all(one.error is None for one in answers("none"))


def test_a_dead_endpoint_stops_the_run(bench, answers, agents):
    calls = []

    def dies(chat):
        calls.append(chat)
        return agents.reply(chat) if len(calls) < 3 else EndpointError("The endpoint cannot be reached.")

    with pytest.raises(EndpointError, match=r"--resume"):
        bench("none", lm=ScriptedLM(dies))
    assert all(one.error is None for one in answers("none"))


def test_a_prompt_that_a_living_endpoint_refuses_is_an_error_of_its_question(bench, answers, agents):
    def refuses(chat):
        return EndpointError("Refused: 400.") if "dog" in chat[-1]["content"] else agents.reply(chat)

    bench("none", lm=ScriptedLM(refuses))
    assert [one.error for one in answers("none")] == [None, "EndpointError: Refused: 400.", None, None]


def test_an_endpoint_that_fails_while_a_conversation_is_read_stops_the_run(bench, agents):
    def refuses(chat):
        return EndpointError("Overloaded.") if "fence blue" in chat[-1]["content"] else agents.reply(chat)

    with pytest.raises(EndpointError, match=r"Overloaded"):
        bench("add-all", lm=ScriptedLM(refuses))


def test_a_missing_endpoint_is_told_before_anything_is_read(bench, tmp_path):
    with pytest.raises(EndpointError):
        bench("none", lm=ScriptedLM(EndpointError("Nobody is there.")))
    assert not (tmp_path / "run" / "systems").exists()


def test_interrupted_runs_go_on(bench, own, answers):
    method = own(
        """
def answer(self, question):
    if "violin" in question.text or "play" in question.text:
        if not self.seen:
            self.seen.append(1)
            raise KeyboardInterrupt
    return SystemAnswer("blue")
"""
    )
    with pytest.raises(KeyboardInterrupt):
        bench(f"mine={method}")
    assert len(answers("mine")) == 2
    assert bench(f"mine={method}", resume=True).asked == 2


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"asked": None}, "the data"),
        ({"lm": ScriptedLM("x", name="other")}, "the language model"),
        ({"limits": Limits(reader_tokens=99)}, "the limits"),
        ({"options": ["rag:k=5"]}, "another system 'rag'"),
    ],
)
def test_nothing_else_is_mixed_into_a_run(bench, data, changed, what):
    bench("rag")
    if "asked" in changed:
        from memory_r1.bench.loading import draw

        changed = {"asked": draw(data, 2, 0)}
    with pytest.raises(ConfigError, match=what):
        bench("rag", resume=True, **changed)


def test_a_folder_in_use_or_of_another_kind_is_refused(bench, tmp_path):
    bench("none")
    with pytest.raises(ConfigError, match=r"--resume"):
        bench("none")
    with pytest.raises(ConfigError, match=r"no run"):
        bench("none", folder="new", resume=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(ConfigError, match=r"not empty"):
        bench("none", folder="photos")
    with BenchFolder(tmp_path / "run").alone(), pytest.raises(ConfigError, match=r"Another process"):
        bench("none", resume=True)


def test_conversations_run_at_once_against_an_endpoint(bench, answers, agents):
    together = threading.Barrier(2, timeout=30)

    def waits(chat):
        if "Question: " in chat[-1]["content"]:
            together.wait()
        return agents.reply(chat)

    bench("none", lm=ScriptedLM(waits), at_once=2)
    assert sorted(one.question_id for one in answers("none")) == ["c1#0", "c1#1", "c2#0", "c2#1"]


def test_a_failure_in_one_thread_ends_all(bench, own, answers):
    method = own(
        """
def answer(self, question):
    if self.conversation.id == "c2": raise ModelError("gone")
    for _ in range(600):
        self.kit.lm.complete([[{"role": "user", "content": f"{time.time()}"}]])
        time.sleep(0.05)
    return SystemAnswer("late")
"""
    )
    with pytest.raises(ModelError, match=r"gone"):
        bench(f"mine={method}", at_once=2)
    assert answers("mine") == []


def test_costs_are_measured_for_a_system_that_counts_nothing(bench, own, answers, tmp_path):
    method = own(
        """
def ingest(self, conversation): self.kit.lm.complete([[{"role": "user", "content": conversation.id}]])
def answer(self, question):
    self.kit.lm.complete([[{"role": "user", "content": question.text}]] * 2)
    return SystemAnswer("blue")
"""
    )
    bench(f"mine={method}")
    cost = answers("mine")[0].cost
    assert cost.calls == 2
    assert cost.prompt_tokens > 10
    assert BenchFolder(tmp_path / "run").stats("mine")["c1"].stats.ingest.calls == 1


def test_no_system_gains_from_what_another_has_embedded(bench, own, answers):
    method = own(
        """
def answer(self, question):
    return SystemAnswer(str(len(self.kit.embedder._held)))
def ingest(self, conversation): self.kit.embedder.embed([turn.text for turn in conversation.turns])
"""
    )
    bench(f"first={method}", f"second={method}")
    assert [one.answer for one in answers("second")] == ["3", "3", "2", "2"]


def test_a_system_that_counts_is_believed(bench, own, answers):
    method = own("def answer(self, question): return SystemAnswer('blue', cost=Cost(3, 10, 2, 0.5))")
    bench(f"mine={method}")
    assert answers("mine")[0].cost == Cost(3, 10, 2, 0.5)


def test_what_a_system_holds_open_is_closed_and_its_folder_removed(bench, own, tmp_path):
    method = own(
        """
def ingest(self, conversation):
    assert not list(self.kit.folder.iterdir())
    (self.kit.folder / "store").touch()
def close(self):
    self.seen.append(self.kit.folder)
    if len(self.seen) == 3: raise OSError("stuck")
"""
    )
    outcome = bench(f"mine={method}")
    assert outcome.notes == ("mine, closing after c2: OSError: stuck",)
    assert not (tmp_path / "run" / "stores").exists()


def test_the_system_of_the_docs_runs(bench, answers, tmp_path, monkeypatch):
    docs = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text(encoding="utf-8")
    (tmp_path / "docs_system.py").write_text(docs.partition("```python\n")[2].partition("```")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert not bench("docs_system:LastTurns").failed
    assert [one.turns for one in answers("last-turns")[0].memories] == [("D1:1",), ("D2:1",), ("D3:1",)]


def test_a_system_that_cannot_be_made_is_told_at_once(bench, own, tmp_path):
    with pytest.raises(ConfigError, match=r"ZeroDivisionError"):
        bench(f"mine={own('def __init__(self, kit): 1 / 0')}")
    with pytest.raises(ConfigError, match=r"unknown"):
        bench("rag", options=["rag:deep=3"])
    with pytest.raises(ConfigError, match=r"is no system"):
        bench(specs=read_specs(["mine=builtins:id"]), folder="other")
    assert not (tmp_path / "run" / "config.json").exists()
