import pytest


@pytest.fixture
def dogs(run, say, agents):
    agents.rulings["Ann adopted Rex."] = {"op": "UPDATE", "id": 0, "text": "Ann has two dogs, Max and Rex."}
    say("I adopted Max.")
    say("I adopted Rex.")
    return run("log", "--json").json["operations"]


def test_the_log_tells_what_changed(run, dogs):
    assert [one["kind"] for one in dogs] == ["ADD", "UPDATE"]
    assert dogs[1]["decision"]["fact"]["text"] == "Ann adopted Rex."
    lines = run("log").stdout.splitlines()
    assert lines[0].split()[:2] == ["#1", "ADD"]
    assert "Ann adopted Max. → Ann has two dogs, Max and Rex." in lines[1]
    assert len(run("log", "-n", 1).stdout.splitlines()) == 1


def test_the_log_says_why(run, dogs):
    shown = run("log", "--why").stdout
    assert 'said: {"op": "UPDATE"' in shown
    assert f"saw: {dogs[0]['memory_id'][:8]} v1" in shown
    assert "policy: scripted" in shown


def test_a_rejected_decision_is_marked(run, say, agents):
    say("I adopted Max.")
    agents.rulings["Ann adopted Rex."] = {"op": "UPDATE", "id": 7, "text": "x"}
    assert "ADD !" in say("I adopted Rex.").stdout
    assert "rejected: " in run("log", "--why").stdout


def test_history_of_a_memory(run, dogs):
    rows = run("history", dogs[0]["memory_id"][:8], "--json").json["history"]
    assert [row["event"] for row in rows] == ["ADD", "UPDATE"]
    lines = run("history", dogs[0]["memory_id"]).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["v1", "ADD"], ["v2", "UPDATE"]]


def test_unknown_names_are_errors(run, dogs):
    assert "No memory" in run("history", "00000000", status=2).stderr
    assert "No memory" in run("history", "0" * 36, status=2).stderr
    assert "No operation" in run("undo", "#99", status=2).stderr
    assert "No operation" in run("undo", "0" * 36, status=2).stderr


@pytest.mark.parametrize("reference", ["#2", "2", "id", "prefix", "--last"])
def test_undo_by_any_name(run, dogs, reference):
    names = {"id": dogs[1]["id"], "prefix": dogs[1]["id"][:12]}
    undone = run("undo", names.get(reference, reference), "--json").json["operations"]
    assert [one["undoes"] for one in undone] == [dogs[1]["id"]]
    assert [one["memory"] for one in run("list", "--json").json["results"]] == ["Ann adopted Max."]


def test_undo_needs_exactly_one_name(run, dogs):
    for arguments in ([], ["#1", "--last"]):
        assert "Name one operation" in run("undo", *arguments, status=2).stderr
    assert "nothing can be undone" in run("undo", "--last", "--user", "bob", status=2).stderr


def test_undo_refuses_or_cascades(run, dogs):
    run("undo", "#1", status=2)
    assert len(run("undo", "#1", "--cascade", "--json").json["operations"]) == 2
    assert run("list", "--json").json["results"] == []


def test_an_empty_log_says_so(run):
    assert "Nothing has happened" in run("log").stderr
