import json
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-c", "from memory_r1.cli import main; main()"]


@pytest.mark.lm
def test_one_session_from_conversation_to_answers(tmp_path):
    """The real thing: bundled language model, MiniLM, a file. What it decides is not judged here."""
    store = tmp_path / "demo.db"
    arguments = ["demo", "--sessions", "1", "--questions", "2", "--store", str(store), "--json"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=280, check=True)
    report = json.loads(done.stdout)
    assert report["model"] == "smollm2-135m-instruct"
    assert report["turns"] == 14
    assert sum(report["operations"].values()) == report["facts"] > 0
    assert [one["id"] for one in report["questions"]] == ["Q02", "Q04"]
    assert all(one["answer"] for one in report["questions"])
    for stage in ("extract", "decide", "answer"):
        assert report["tokens"][stage]["completion_tokens"] > 0
        assert report["seconds"][stage] > 0

    log = subprocess.run(
        [*COMMAND, "log", "--all", "--store", str(store), "--user", "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    operations = json.loads(log.stdout)["operations"]
    assert len(operations) == report["facts"]
    asked = [one["decision"] for one in operations if one["decision"]["policy"] == "smollm2-135m-instruct+manager"]
    assert asked
    assert all(decision["raw"] and decision["candidates"] for decision in asked)
