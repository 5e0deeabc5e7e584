import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.jsonl import dump_jsonl, load_jsonl, parse_jsonl, to_lines
from memory_r1.errors import InvalidInputError


def lines(*records):
    return [json.dumps(record) for record in records]


TURN = {"type": "turn", "speaker": "Ann", "text": "Hi"}


def test_turns_alone_are_one_conversation():
    [conversation] = parse_jsonl(lines(TURN, {**TURN, "speaker": "Bob"}, TURN), name="chat")
    assert conversation.id == "chat"
    assert conversation.speakers == ("Ann", "Bob")
    assert [(session.id, session.time) for session in conversation.sessions] == [("S1", None)]
    assert [turn.id for turn in conversation.turns] == ["S1:1", "S1:2", "S1:3"]


def test_a_turn_has_its_sessions_time_unless_it_says_otherwise():
    [conversation] = parse_jsonl(
        lines(
            {"type": "session", "time": "2024-01-14T20:10:00+01:00"},
            TURN,
            {**TURN, "time": "2024-01-14T19:12:00"},
            {**TURN, "time": None},
            {"type": "session", "time": "2024-01-15"},
            TURN,
        )
    )
    assert [turn.time for turn in conversation.turns] == [
        datetime(2024, 1, 14, 19, 10, tzinfo=UTC),
        datetime(2024, 1, 14, 19, 12, tzinfo=UTC),
        None,
        datetime(2024, 1, 15, tzinfo=UTC),
    ]
    assert [turn.id for turn in conversation.turns] == ["S1:1", "S1:2", "S1:3", "S2:1"]


def test_a_file_may_hold_several_conversations(tmp_path):
    records = lines(
        {"type": "conversation", "id": "one"},
        TURN,
        {"type": "question", "text": "Who?", "answer": "Ann", "evidence": ["S1:1"]},
        {"type": "conversation", "id": "two"},
        TURN,
    )
    file = tmp_path / "mine.jsonl"
    file.write_text("\n\n".join(records), encoding="utf-8")
    one, two = load_jsonl(file)
    assert (one.id, two.id) == ("one", "two")
    assert one.questions == (Question("one#0", "Who?", "Ann", evidence=("S1:1",)),)
    assert two.questions == ()


@pytest.mark.parametrize(
    ("records", "line", "problem"),
    [
        (["{"], 1, "Invalid JSON"),
        (['"text"'], 1, "should be an object"),
        (lines({"type": "trun", "speaker": "Ann", "text": "Hi"}), 1, "'turn'"),
        (lines(TURN, {"type": "turn", "text": "Hi"}), 2, "speaker: Field required"),
        (lines(TURN, {**TURN, "txet": "Hi"}), 2, "txet: Extra inputs are not permitted"),
        (lines({**TURN, "text": 3}), 1, "text: Input should be a valid string"),
        (lines({**TURN, "id": " "}), 1, "id: "),
        (lines({**TURN, "time": "yesterday"}), 1, "time: "),
        (lines({**TURN, "time": 1705000000}), 1, "ISO 8601"),
        (lines({**TURN, "time": "0001-01-01T00:00:00+14:00"}), 1, "out of range"),
        (lines({**TURN, "id": "x"}, {**TURN, "id": "x"}), 2, "already a turn 'x'"),
        (lines(TURN, {"type": "question", "text": "Who?", "evidence": ["S1:9"]}), 2, "evidence 'S1:9' is no turn"),
        (
            lines({"type": "conversation", "id": "c", "speakers": ["Bob"]}, TURN),
            2,
            "speaker 'Ann' is not among",
        ),
        (
            lines({"type": "session", "time": "2024-02-01"}, {"type": "session", "time": "2024-01-01"}),
            2,
            "older than the one before",
        ),
        (lines({"type": "conversation", "id": "c"}, TURN, {"type": "conversation", "id": "c"}), 3, "already a conv"),
    ],
)
def test_an_error_names_the_line(records, line, problem):
    with pytest.raises(InvalidInputError) as caught:
        parse_jsonl(["", *records], source="mine.jsonl")
    assert f"mine.jsonl, line {line + 1}: " in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize("records", [[], ["", "  "], lines({"type": "conversation", "id": "c"})])
def test_no_turn_is_an_error(records):
    with pytest.raises(InvalidInputError, match="holds no turn"):
        parse_jsonl(records)


def test_unreadable_files_are_typed_errors(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_jsonl(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes('{"type": "turn", "speaker": "Zoë"}'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        load_jsonl(tmp_path / "latin.jsonl")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        dump_jsonl([], tmp_path / "no" / "such" / "folder.jsonl")


texts = st.text(st.characters(exclude_categories=["Cs"]))
names = texts.map("n{}".format)
dates = st.datetimes(timezones=st.just(UTC), min_value=datetime(1900, 1, 1))
times = st.none() | dates


@st.composite
def conversations(draw, name="c"):
    speakers = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    start = sorted(draw(st.lists(dates, min_size=1, max_size=3)))
    sessions, turn_ids = [], []
    for place, time in enumerate(start):
        turns = []
        for number in range(draw(st.integers(1, 3))):
            turn_ids.append(f"{place}/{number}")
            turns.append(
                Turn(
                    turn_ids[-1],
                    draw(st.sampled_from(speakers)),
                    draw(texts),
                    draw(st.just(time) | times),
                    draw(st.none() | texts),
                    draw(st.sampled_from(["user", "assistant", "system"])),
                )
            )
        sessions.append(Session(f"s{place}", time, tuple(turns)))
    questions = tuple(
        Question(
            f"q{place}",
            draw(names),
            draw(st.none() | texts),
            draw(texts),
            tuple(draw(st.lists(st.sampled_from(turn_ids), unique=True))),
            draw(times),
        )
        for place in range(draw(st.integers(0, 2)))
    )
    return Conversation(name, tuple(speakers), tuple(sessions), questions)


@given(conversations("a"), conversations("b"))
def test_what_is_written_is_read_back(one, other):
    assert parse_jsonl([*to_lines(one), *to_lines(other)]) == [one, other]


def test_dump_and_load(tmp_path):
    [conversation] = parse_jsonl(lines({"type": "session", "time": "2024-01-14"}, {**TURN, "text": "Zoë \u2028 犬"}))
    dump_jsonl([conversation], tmp_path / "c.jsonl")
    assert load_jsonl(tmp_path / "c.jsonl") == [conversation]
