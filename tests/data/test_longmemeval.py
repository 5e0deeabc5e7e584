import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from memory_r1.data.longmemeval import load_explanations, load_longmemeval
from memory_r1.data.splits import split_in_halves
from memory_r1.errors import InvalidInputError


def turn(role, content, answers=False):
    return {"role": role, "content": content, "has_answer": answers}


def item(**changes):
    whole = {
        "question_id": "q1",
        "question_type": "multi-session",
        "question": "How many cats?",
        "answer": 3,
        "question_date": "2023/04/10 (Mon) 23:07",
        "haystack_dates": ["2023/04/09 (Sun) 17:50", "2023/03/01 (Wed) 14:47"],
        "haystack_session_ids": ["late", "early"],
        "haystack_sessions": [
            [turn("user", "One more cat!", True), turn("assistant", "Nice.")],
            [turn("user", "I have two cats.", True)],
        ],
    }
    return whole | changes


def write(folder, items, name="longmemeval_oracle.json"):
    data = json.dumps(items).encode()
    file = folder / name
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


def test_an_item_becomes_a_conversation_in_time_order(tmp_path):
    (one,) = load_longmemeval(write(tmp_path, [item()]))
    assert [session.id for session in one.sessions] == ["early", "late"]
    assert [(said.id, said.speaker, said.role) for said in one.turns] == [
        ("early:1", "User", "user"),
        ("late:1", "User", "user"),
        ("late:2", "Assistant", "assistant"),
    ]
    (question,) = one.questions
    assert question.answer == "3"
    assert question.evidence == ("early:1", "late:1")
    assert question.time.isoformat() == "2023-04-10T23:07:00+00:00"
    assert one.id == question.id == "q1"


def test_an_abstention_has_no_answer_but_an_explanation(tmp_path):
    file = write(tmp_path, [item(question_id="q_abs", answer="You never said."), item()])
    assert load_longmemeval(file)[0].questions[0].answer is None
    assert load_explanations(file) == {"q_abs": "You never said."}


def test_the_s_file_marks_only_evidence_sessions(tmp_path):
    sessions = [[{"role": "user", "content": "Hi"}], [turn("user", "Two cats.", True)]]
    (one,) = load_longmemeval(write(tmp_path, [item(haystack_sessions=sessions)]))
    assert one.questions[0].evidence == ("early:1",)


@pytest.mark.parametrize("name", ["longmemeval_oracle.json", "longmemeval_oracle.json.gz"])
def test_a_folder_and_gzip_are_understood(tmp_path, name):
    (tmp_path / "longmemeval").mkdir()
    write(tmp_path / "longmemeval", [item()], name)
    assert len(load_longmemeval(tmp_path)) == len(load_longmemeval(tmp_path / "longmemeval")) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "JSON"),
        (b"[{", "JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"{}", "list"),
        (b"[]", "list"),
        (b"[1]", "item 0"),
        (gzip.compress(json.dumps([item()]).encode())[:-20], "cut off"),
        (b"\x1f\x8bnonsense", "damaged"),
        (json.dumps([item(), item()]).encode(), "twice"),
        (json.dumps([item(haystack_sessions=[[], []])]).encode(), "no turns"),
        (json.dumps([item(haystack_dates=["2023/04/09 (Sun) 17:50"])]).encode(), "item 0"),
        (json.dumps([item(haystack_session_ids=["a", "a"])]).encode(), "session twice"),
        (json.dumps([item(question_type="other")]).encode(), "type"),
        (json.dumps([item(question_date="yesterday")]).encode(), "item 0"),
        (json.dumps([item(answer=None)]).encode(), "answer"),
        (json.dumps([item(haystack_sessions=[[turn("robot", "Hi")], []])]).encode(), "robot"),
    ],
)
def test_a_foreign_or_damaged_file_is_a_clear_error(tmp_path, content, why):
    file = tmp_path / "longmemeval_oracle.json"
    file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=why) as caught:
        load_longmemeval(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(InvalidInputError, match="does not exist"):
        load_longmemeval(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="holds no"):
        load_longmemeval(tmp_path)


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("MEMORY_R1_DATA")
    if not folder or not (Path(folder) / "longmemeval").is_dir():
        pytest.skip("MEMORY_R1_DATA names no folder that holds longmemeval/")
    return load_longmemeval(folder)


def test_the_real_file_has_the_counts_that_are_known_of_it(real):
    assert len(real) == 500
    assert Counter(one.questions[0].category for one in real) == {
        "multi-session": 133,
        "temporal-reasoning": 133,
        "knowledge-update": 78,
        "single-session-user": 70,
        "single-session-assistant": 56,
        "single-session-preference": 30,
    }
    assert sum(len(one.sessions) for one in real) == 948
    assert sum(len(one.turns) for one in real) == 10_960
    unanswered = [one for one in real if one.questions[0].answer is None]
    assert len(unanswered) == 30
    assert sum(not one.questions[0].evidence for one in unanswered) == 21
    assert all(one.questions[0].evidence for one in real if one.questions[0].answer is not None)
    assert max(len(one.questions[0].evidence) for one in real) == 6
    assert all(list(one.sessions) == sorted(one.sessions, key=lambda session: session.time) for one in real)


def test_the_real_explanations_are_those_of_the_abstentions(real):
    found = load_explanations(os.environ["MEMORY_R1_DATA"])
    assert found.keys() == {one.id for one in real if one.questions[0].answer is None}


def test_the_halves_share_every_kind_and_no_item(real):
    train, test = split_in_halves(real)
    assert {one.id for one in train}.isdisjoint(one.id for one in test)
    assert len(train) + len(test) == 500
    assert split_in_halves(real[::-1])[0] == train[::-1]
    for kind, count in Counter(one.questions[0].category for one in real).items():
        assert abs(2 * sum(one.questions[0].category == kind for one in train) - count) <= 2
