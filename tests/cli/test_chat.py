import json


def test_chat_answers_and_remembers(run, agents):
    agents.answers["Where do I live?"] = "[0]\n**Answer:** Lisbon"
    said = "I moved to Lisbon.\n\nWhere do I live?\n/log\n/list\n/quit\nnever read\n"
    lines = run("chat", "--name", "Ann", input=said).stdout.splitlines()
    assert lines[0].startswith("r1> ")
    assert lines[1].split()[1:] == ["ADD", "Ann", "moved", "to", "Lisbon."]
    assert lines[2:4] == ["r1> Lisbon", "    · Ann moved to Lisbon."]
    assert any(line.split() == ["#1", "ADD", "Ann", "moved", "to", "Lisbon."] for line in lines)
    assert "· Ann moved to Lisbon." in lines
    assert "never read" not in run("list").stdout


def test_undo_takes_back_the_last_change_each_time(run, agents):
    said = "I moved to Lisbon.\nI adopted Max.\n/undo\n/list\n/undo\n/undo\n"
    lines = run("chat", "--name", "Ann", input=said).stdout.splitlines()
    undone = [line for line in lines if "UNDO" in line]
    assert len(undone) == 2
    assert lines[lines.index(undone[0]) + 1] == "· Ann moved to Lisbon."
    assert lines[-1] == "There is nothing to undo."


def test_an_unknown_command_shows_the_known_ones(run, agents):
    assert "/quit" in run("chat", input="/what\n").stdout


def test_one_line_of_json_an_exchange(run, agents):
    out = run("chat", "--name", "Ann", "--json", input="I adopted Max.\nI moved to Rome.\n").stdout.splitlines()
    exchanges = [json.loads(line) for line in out]
    assert [one["message"] for one in exchanges] == ["I adopted Max.", "I moved to Rome."]
    assert [one["operations"][0]["memory"] for one in exchanges] == ["Ann adopted Max.", "Ann moved to Rome."]
