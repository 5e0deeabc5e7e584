import pytest

from memory_r1.rl.cases import load_cases
from memory_r1.testing import OpenAIStub


@pytest.fixture
def cases(run):
    def go(*arguments, status=0):
        return run("bench", "cases", "--embedder", "hash", *arguments, status=status)

    return go


def test_each_case_is_told_with_what_is_wrong(cases):
    result = cases("-m", "add-all")
    assert "second-pet" in result.stdout
    assert "wrong: 3 memories instead of 2" in result.stdout
    assert f"5 of {len(load_cases())} right" in result.stdout


def test_json_is_all_of_stdout(cases, home):
    with OpenAIStub('{"op":"ADD"}') as stub:
        given = ("-m", "always=add-all", "-m", "untrained", "--model", f"{stub.url}#toy", "--cache", home / "cache")
        found = cases(*given, "--json").json
    assert list(found) == ["always", "untrained"]
    assert found["always"]["right"] == found["untrained"]["right"] == 5
    assert found["untrained"]["cases"][0]["raw"] == '{"op":"ADD"}'


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("-m", "gold"), "The cases have no gold operations"),
        (("-m", "nobody"), "There is no manager 'nobody'"),
        (("-m", "untrained", "--model", "http://127.0.0.1:9/v1#toy"), "cannot be reached"),
    ],
)
def test_what_cannot_be_played_is_said(cases, given, message):
    assert message in cases(*given, status=2).stderr
