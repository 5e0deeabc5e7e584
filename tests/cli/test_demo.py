import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from memory_r1 import Memory
from memory_r1.agents.results import Usage
from memory_r1.cli import fetch
from memory_r1.cli.demo_view import View
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.jsonl import dump_jsonl
from memory_r1.demo.report import Asked
from memory_r1.demo.run import run_demo
from memory_r1.demo.source import load_conversation, shorten
from memory_r1.errors import InvalidInputError
from memory_r1.recall import AnswerResult
from memory_r1.testing.embedder import HashEmbedder
from memory_r1.testing.lm import ScriptedLM

TALK = Conversation(
    "talk",
    ("Ann", "Bob"),
    (
        Session("S1", None, (Turn("S1:1", "Ann", "I adopted Max."), Turn("S1:2", "Bob", "I moved to Rome."))),
        Session("S2", None, (Turn("S2:1", "Ann", "I adopted Rex."),)),
    ),
    (
        Question("q1", "Where does Bob live?", "Rome", "single-hop", ("S1:2",)),
        Question("q2", "Which dogs does Ann have?", "Max and Rex", "multi-hop", ("S1:1", "S2:1")),
        Question("q3", "Who is Ann's boss?", None, "unanswerable"),
        Question("q4", "Does Ann like dogs?", "Yes", "open-domain"),
    ),
)


@pytest.fixture
def scripted(agents, monkeypatch):
    """The demo's own model is scripted too."""
    agents.rulings["Ann adopted Rex."] = {"op": "UPDATE", "id": 0, "text": "Ann has two dogs, Max and Rex."}
    agents.answers["Where does Bob live?"] = "[0]\n**Answer:** Rome"
    agents.answers["Which dogs does Ann have?"] = "[0]\n**Answer:** Max, Rex"
    monkeypatch.setattr(fetch, "make_model", lambda settings: ScriptedLM(agents.reply))
    return agents


@pytest.fixture
def talk(tmp_path):
    dump_jsonl([TALK], tmp_path / "talk.jsonl")
    return tmp_path / "talk.jsonl"


def test_first_sessions_keep_only_what_they_answer():
    assert [question.id for question in shorten(TALK, sessions=1).questions] == ["q1", "q3"]
    assert [question.id for question in shorten(TALK, sessions=2).questions] == ["q1", "q2", "q3", "q4"]
    assert [question.id for question in shorten(TALK, questions=2).questions] == ["q1", "q2"]
    assert len(shorten(TALK, sessions=1).turns) == 2


@pytest.mark.parametrize("limits", [{"sessions": 0}, {"questions": -1}])
def test_limits_must_make_sense(limits):
    with pytest.raises(InvalidInputError):
        shorten(TALK, **limits)


def test_conversations_are_found_by_name(talk):
    assert load_conversation(talk, "talk") == TALK
    with pytest.raises(InvalidInputError, match="It has: talk"):
        load_conversation(talk, "other")


@pytest.mark.parametrize(
    ("gold", "text", "abstained", "f1", "em"),
    [
        ("Rome", "rome", False, 1.0, 1.0),
        ("Rome", "in Rome", False, 2 / 3, 0.0),
        # abstaining is wrong where there is an answer, even if the words overlap
        ("No information available", "No information available", True, 0.0, 0.0),
        (None, "No information available", True, 1.0, 1.0),
        (None, "Rome", False, 0.0, 0.0),
    ],
)
def test_scores_of_an_answer(gold, text, abstained, f1, em):
    result = AnswerResult(text, abstained, (), (), "", Usage(), 0.0)
    asked = Asked(Question("q", "?", gold), result)
    assert (asked.f1, asked.em) == (pytest.approx(f1), em)


def test_the_report_as_json(run, scripted, talk):
    report = run("demo", "--data", talk, "--json").json
    assert report["operations"] == {"ADD": 2, "UPDATE": 1}
    assert (report["turns"], report["facts"], report["bank_size"], report["rejected"]) == (3, 3, 2, 0)
    assert {one["id"]: one["f1"] for one in report["questions"]} == {"q1": 1.0, "q2": 0.8, "q3": 1.0, "q4": 0.0}
    scores = {one["category"]: (one["questions"], one["f1"]) for one in report["scores"]}
    assert scores == {
        "single-hop": (1, 1.0),
        "multi-hop": (1, 0.8),
        "unanswerable": (1, 1.0),
        "open-domain": (1, 0.0),
        "all": (4, pytest.approx(0.7)),
    }
    assert report["tokens"]["extract"]["calls"] == 3
    assert set(report["seconds"]) == {"load", "extract", "decide", "write", "retrieve", "answer", "total"}


def test_plain_lines_in_a_pipe(run, scripted, talk):
    out = run("demo", "--data", talk).stdout
    assert "\x1b" not in out
    lines = out.splitlines()
    assert "[3/3] S2:1 UPDATE   Ann adopted Max. → Ann has two dogs, Max and Rex." in lines
    assert any(line.split()[:2] == ["gold", "Max"] and "F1 0.80" in line for line in lines)
    assert any(line.split()[:3] == ["kept", "1/2", "S2:1"] for line in lines)
    assert max(map(len, lines)) < 200


def test_a_temporary_store_goes_unless_kept(run, scripted, talk, home):
    gone = run("demo", "--data", talk, "--json").json["store"]
    kept = run("demo", "--data", talk, "--keep", "--json").json["store"]
    assert not Path(gone).parent.exists()
    assert len(run("list", "--store", kept, "--user", "talk", "--json").json["results"]) == 2
    shutil.rmtree(Path(kept).parent)
    assert str(home / "own.db") in run("demo", "--data", talk, "--store", home / "own.db").stdout


def test_reading_twice_adds_nothing(run, scripted, talk, home):
    for _ in range(2):
        report = run("demo", "--data", talk, "--store", home / "own.db", "--json").json
    assert report["bank_size"] == 2


def test_bad_data_is_an_error(run, scripted, home):
    assert "does not exist" in run("demo", "--data", home / "none", status=2).stderr
    (home / "bad.jsonl").write_text('{"type": "turn"}\n', encoding="utf-8")
    assert "line 1" in run("demo", "--data", home / "bad.jsonl", status=2).stderr
    assert "conv-99" in run("demo", "--conversation", "conv-99", status=2).stderr


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_live_view_fits_the_terminal(scripted, width, tmp_path):
    out = Console(width=width, force_terminal=True, record=True, file=(tmp_path / "screen").open("w"))
    view = View(out)
    with Memory(model=ScriptedLM(scripted.reply), embedder=HashEmbedder(), store=":memory:") as memory:
        view.introduce(TALK, "scripted", ":memory:")
        report = run_demo(memory, TALK, view, user_id="talk", model_name="scripted")
        view.summarise(report)
    out.file.close()
    text = out.export_text()
    # the progress bar is drawn over itself, which a recording cannot show
    assert max(len(line) for line in text.splitlines() if "━" not in line) <= width
    assert "→ Ann has two dogs" in text
    for heading in ("Operations", "Questions", "Summary"):
        assert heading in text
    json.dumps(report.as_dict())
