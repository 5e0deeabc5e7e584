import pytest


@pytest.fixture
def filled(run):
    run("add", "--raw", "Ann moved to Lisbon.")
    run("add", "--raw", "Ann has a dog.")
    run("add", "--raw", "Bob is tall.", "--user", "bob")


def memories(run, *arguments):
    return [one["memory"] for one in run("list", *arguments, "--json").json["results"]]


def test_export_and_import(run, filled, home):
    assert run("export", home / "mine.jsonl", "--json").json["operations"] == 2
    assert run("export", home / "all.jsonl", "--all", "--json").json["operations"] == 3
    other = ("--store", home / "other.db")
    assert run("import", home / "mine.jsonl", *other, "--json").json["operations"] == 2
    assert memories(run, *other) == ["Ann moved to Lisbon.", "Ann has a dog."]
    assert "1 new operation read" in run("import", home / "all.jsonl", *other).stderr
    assert memories(run, *other, "--user", "bob") == ["Bob is tall."]


def test_import_of_something_else_is_an_error(run, home):
    (home / "other.jsonl").write_text("{}", encoding="utf-8")
    run("import", home / "other.jsonl", status=2)
    run("import", home / "none.jsonl", status=2)


def test_erase_asks_first(run, filled):
    result = run("erase", "--all", status=2)
    assert "--yes" in result.stderr
    assert len(memories(run)) == 2


def test_erase_one_and_all(run, filled):
    [first, _] = run("list", "--json").json["results"]
    run("erase", first["id"][:8], "--yes")
    assert memories(run) == ["Ann has a dog."]
    assert "Lisbon" not in run("log", "--all", "--json").stdout
    assert "1 memory erased" in run("erase", "--all", "--yes").stderr
    assert memories(run) == []
    assert memories(run, "--user", "bob") == ["Bob is tall."]


def test_erase_needs_exactly_one_aim(run, filled):
    for arguments in ([], ["abcdef", "--all"]):
        assert "Name one memory" in run("erase", *arguments, "--yes", status=2).stderr


def test_erase_does_not_reach_into_another_scope(run, filled):
    [bobs] = run("list", "--user", "bob", "--json").json["results"]
    run("erase", bobs["id"], "--yes", status=2)
    assert memories(run, "--user", "bob") == ["Bob is tall."]


def test_reembed_counts_and_changes_nothing_else(run, filled):
    assert run("reembed", "--json").json["memories"] == 3
    assert "3 vectors" in run("reembed").stderr
    assert [one["memory"] for one in run("search", "dog", "-k", 1, "--json").json["results"]] == ["Ann has a dog."]
