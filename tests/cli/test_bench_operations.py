import json

import pytest

from memory_r1.testing import OpenAIStub


@pytest.fixture
def operations(run):
    def go(*arguments, status=0):
        small = ["--sessions", "2", "--conversations", "2", "--embedder", "hash"]
        return run("bench", "operations", *small, *arguments, status=status)

    return go


HABITS = ("-m", "gold", "-m", "add-all")


def test_tables_are_printed_and_written(operations, home):
    result = operations(*HABITS, "--out", home / "ops")
    assert "Accuracy on the gold bank" in result.stdout
    assert "add-all" in result.stdout
    assert "gold on its own bank (fact): " in result.stderr
    assert "Only 2 conversations" in result.stderr
    assert "memory-r1" in (home / "ops" / "operations.md").read_text(encoding="utf-8")
    assert json.loads((home / "ops" / "operations.json").read_text(encoding="utf-8"))["plan"]["conversations"] == 2


def test_json_is_all_of_stdout(operations, home):
    result = operations(*HABITS, "--words", "both", "--json")
    assert [(row["manager"], row["words"]) for row in result.json["rows"]] == [
        ("gold", "fact"),
        ("add-all", "fact"),
        ("gold", "said"),
        ("add-all", "said"),
    ]
    assert result.json["model"] is None


def test_a_model_is_asked_each_thing_once(operations, home):
    with OpenAIStub('{"op":"ADD"}') as stub:
        given = ("-m", "base=untrained", "--model", f"{stub.url}#toy", "--cache", home / "cache", "--json")
        first = operations(*given)
        asked = len(stub.calls)
        again = operations(*given)
        # only whether it is there is asked anew
        assert len(stub.calls) == asked + 1
    assert first.json["rows"] == again.json["rows"]
    assert first.json["rows"][0]["rates"]["accuracy/ADD"]["mean"] == 1
    assert first.json["usage"][0]["calls"] > 50


def test_questions_are_answered_by_the_model_each_once(operations, home):
    with OpenAIStub("[0]\n**Answer:** Yes") as stub:
        given = (*HABITS, "--ask", "all", "--reader-tokens", "60", "--model", f"{stub.url}#toy")
        first = operations(*given, "--cache", home / "cache", "--out", home / "ops")
        asked = len(stub.calls)
        again = operations(*given, "--cache", home / "cache", "--json").json
        # only whether it is there is asked anew
        assert asked > 10
        assert len(stub.calls) == asked + 1
    assert "Questions after 2 sessions" in first.stdout
    assert "questions on the bank of add-all (fact): " in first.stderr
    found = json.loads((home / "ops" / "operations.json").read_text(encoding="utf-8"))
    assert found["questions"] == again["questions"]
    assert [row["manager"] for row in found["questions"]] == ["gold", "add-all"]
    assert found["reader"] == {"about": "toy, untrained", "adapter": None}
    assert (found["plan"]["ask"], found["plan"]["reader_tokens"]) == ("all", 60)
    assert found["model"].endswith("#toy")


def test_without_questions_no_model_is_needed(operations):
    result = operations(*HABITS, "--model", "http://127.0.0.1:9/v1#toy", "--json")
    assert (result.json["questions"], result.json["reader"], result.json["model"]) == ([], None, None)
    assert "questions on the bank" not in result.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--sessions", "many"), "--sessions many cannot be read"),
        (("--sessions", "0"), "--sessions 0 cannot be read"),
        (("--part", "all"), "There is no part 'all'"),
        (("--words", "gold"), "There are no words 'gold'"),
        (("-m", "nobody"), "There is no manager 'nobody'"),
        (("-m", "untrained", "--model", "http://127.0.0.1:9/v1#toy"), "cannot be reached"),
        ((*HABITS, "--ask", "some"), "There are no questions 'some'"),
        ((*HABITS, "--reader", "untrained"), "none is asked"),
        ((*HABITS, "--ask", "all", "--reader", "nobody"), "There is no reader 'nobody'"),
        ((*HABITS, "--ask", "all", "--model", "http://127.0.0.1:9/v1#toy"), "cannot be reached"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(operations, given, message):
    result = operations(*given, status=2)
    assert message in result.stderr
    assert "making conversations" not in result.stderr


def test_a_folder_that_cannot_be_written_is_known_before_any_work(operations, home):
    (home / "file").touch()
    result = operations(*HABITS, "--out", home / "file" / "ops", status=2)
    assert "cannot be written" in result.stderr
    assert "making conversations" not in result.stderr
