import pytest


def test_add_decides_and_says_what_it_did(say, agents):
    first = say("I moved to Lisbon.")
    assert first.stdout.split()[1:] == ["ADD", "Ann", "moved", "to", "Lisbon."]
    agents.rulings["Ann moved to Porto."] = {"op": "UPDATE", "id": 0, "text": "Ann moved to Porto."}
    second = say("I moved to Porto.")
    assert "UPDATE" in second.stdout
    assert "Ann moved to Lisbon. → Ann moved to Porto." in second.stdout
    assert "prompt tokens" in second.stderr


def test_add_prints_json(say):
    added = say("I moved to Lisbon.", "--json")
    assert [(one["event"], one["memory"]) for one in added.json["results"]] == [("ADD", "Ann moved to Lisbon.")]
    assert added.json["usage"]["calls"] == 1


def test_raw_asks_no_model(run):
    # no scripted model here: the configured endpoint does not exist
    added = run("add", "--raw", "Ann moved to Lisbon.", "--speaker", "Ann", "--metadata", '{"topic": "home"}', "--json")
    assert added.json["results"][0]["actor_id"] == "Ann"
    found = run("search", "Lisbon", "--filter", '{"topic": "home"}', "--json")
    assert [one["memory"] for one in found.json["results"]] == ["Ann moved to Lisbon."]
    assert run("search", "Lisbon", "--filter", '{"topic": "work"}', "--json").json["results"] == []


def test_text_from_standard_input(run):
    run("add", "--raw", "-", input="Zoë likes 犬.\n")
    assert "Zoë likes 犬." in run("list").stdout


def test_input_that_is_not_utf8_is_an_error(run):
    result = run("add", "--raw", "-", input="Zoë".encode("latin-1"), status=2)
    assert "not UTF-8" in result.stderr


@pytest.mark.parametrize("value", ["{", "[1]", "3"])
def test_metadata_must_be_an_object(run, value):
    result = run("add", "--raw", "x", "--metadata", value, status=2)
    assert "--metadata is" in result.stderr


def test_the_same_key_writes_once(run):
    for text in ("Ann moved.", "Ann moved again."):
        run("add", "--raw", text, "--key", "k1")
    assert len(run("list", "--json").json["results"]) == 1


def test_time_is_the_time_it_was_said(run):
    run("add", "--raw", "Ann moved.", "--time", "2023-05-08T13:56:00")
    assert run("list", "--json").json["results"][0]["event_time"] == "2023-05-08T13:56:00+00:00"
    assert "2023-05-08" in run("list").stdout
    assert "not a time" in run("add", "--raw", "x", "--time", "soon", status=2).stderr


def test_plan_writes_nothing(run, say, agents):
    say("I moved to Lisbon.")
    agents.rulings["Ann moved to Porto."] = {"op": "DELETE", "id": 0}
    planned = run("plan", "I moved to Porto.", "--speaker", "Ann", "--json").json["operations"]
    assert [(one["kind"], one["before"]["text"]) for one in planned] == [("DELETE", "Ann moved to Lisbon.")]
    shown = run("plan", "I moved to Porto.", "--speaker", "Ann")
    assert "DELETE" in shown.stdout
    assert "nothing was written" in shown.stderr
    assert len(run("log", "--json").json["operations"]) == 1


def test_scopes_are_kept_apart(run):
    run("add", "--raw", "Mine.")
    run("add", "--raw", "Bob's.", "--user", "bob")
    run("add", "--raw", "The agent's.", "--agent", "helper")
    assert [one["memory"] for one in run("list", "--json").json["results"]] == ["Mine."]
    assert [one["memory"] for one in run("list", "--user", "bob", "--json").json["results"]] == ["Bob's."]
    agents = run("list", "--agent", "helper", "--json").json["results"]
    assert [(one["memory"], "user_id" in one) for one in agents] == [("The agent's.", False)]
    assert "me" in run("list", "--json").json["results"][0]["user_id"]


def test_control_characters_do_not_reach_the_terminal(run):
    run("add", "--raw", "red \x1b[31m and \u202e back")
    assert "\x1b" not in run("list").stdout
    assert "\u202e" not in run("list").stdout
