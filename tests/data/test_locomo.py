import json
import os
from pathlib import Path

import pytest

from memory_r1.data.locomo import find_locomo, load_locomo, parse_evidence
from memory_r1.errors import InvalidInputError


def sample(**changes):
    whole = {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Bob",
            "session_2_date_time": "10:00 am on 1 June, 2023",
            "session_2": [{"speaker": "Bob", "dia_id": "D2:1", "text": "Hi!", "blip_caption": "a red kite"}],
            "session_10_date_time": "12:05 am on 3 July, 2023",
            "session_10": [{"speaker": "Ann", "dia_id": "D10:1", "text": "Hello"}],
            "session_11_date_time": "1:56 pm on 8 May, 2023",
            "session_12_date_time": "1:56 pm on 9 May, 2023",
            "session_12": [],
        },
        "qa": [
            {"question": "When?", "answer": 2022, "evidence": ["D2:1; D10:01"], "category": 2},
            {"question": "What?", "adversarial_answer": "tea", "evidence": ["D10:1"], "category": 5},
            {"question": "Is it?", "adversarial_answer": "Yes", "answer": "No", "evidence": [], "category": 5},
        ],
    }
    return whole | changes


def write(folder: Path, content) -> Path:
    file = folder / "locomo10.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_sessions_come_in_time_order_and_without_the_empty_ones(tmp_path):
    (conversation,) = load_locomo(write(tmp_path, [sample()]))
    assert conversation.speakers == ("Ann", "Bob")
    assert [session.id for session in conversation.sessions] == ["session_2", "session_10"]
    assert [turn.id for turn in conversation.turns] == ["D2:1", "D10:1"]
    assert conversation.turns[0].image_caption == "a red kite"
    assert conversation.turns[1].time.isoformat() == "2023-07-03T00:05:00+00:00"


def test_answers_are_texts_and_adversarial_questions_have_none(tmp_path):
    (conversation,) = load_locomo(write(tmp_path, [sample()]))
    assert [question.answer for question in conversation.questions] == ["2022", None, None]
    assert [question.category for question in conversation.questions] == ["temporal", "adversarial", "adversarial"]
    assert conversation.questions[0].evidence == ("D2:1", "D10:1")
    assert conversation.questions[0].id == "conv-1#0"


def test_evidence_that_names_no_turn_is_dropped():
    assert parse_evidence(["D4:36", "D", "D1:2", "D1:2"], ["D1:2"]) == ("D1:2",)


@pytest.mark.parametrize("place", ["locomo10.json", ".", ".."])
def test_a_file_its_folder_or_the_data_folder_is_found(tmp_path, place):
    folder = tmp_path / "locomo"
    folder.mkdir()
    file = write(folder, [sample()])
    assert find_locomo(folder / place).samefile(file)


def test_an_unknown_conversation_lists_what_exists(tmp_path):
    file = write(tmp_path, [sample(), sample(sample_id="conv-2")])
    assert [one.id for one in load_locomo(file, "conv-2")] == ["conv-2"]
    with pytest.raises(InvalidInputError, match=r"conv-1, conv-2"):
        load_locomo(file, "conv-3")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "JSON"),
        (b"[{", "JSON"),
        (b"[" * 100_000, "JSON"),
        ('["caf\u00e9"]'.encode("latin-1"), "UTF-8"),
        (b"{}", "list"),
        (b"[]", "list"),
        (b"[1]", "TypeError"),
        (b'[{"sample_id": "x"}]', "KeyError"),
        (json.dumps([sample(conversation={"speaker_a": "A", "speaker_b": "B"})]).encode(), "no turns"),
        (json.dumps([sample(qa=[{"question": 3, "answer": "x", "category": 1}])]).encode(), "text expected"),
        (json.dumps([sample(qa=[{"question": "?", "answer": "x", "category": 6}])]).encode(), "category 6; .* 1 to 5"),
    ],
)
def test_a_foreign_or_damaged_file_is_a_clear_error(tmp_path, content, why):
    file = tmp_path / "locomo10.json"
    file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=why) as caught:
        load_locomo(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_or_an_empty_folder_is_a_clear_error(tmp_path):
    with pytest.raises(InvalidInputError, match="does not exist"):
        load_locomo(tmp_path / "none.json")
    with pytest.raises(InvalidInputError, match="holds no"):
        load_locomo(tmp_path)


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("MEMORY_R1_DATA")
    if not folder:
        pytest.skip("MEMORY_R1_DATA is not set: it names a folder that holds locomo/locomo10.json")
    if not (Path(folder) / "locomo" / "locomo10.json").is_file():
        pytest.skip("MEMORY_R1_DATA holds no locomo/locomo10.json")
    return {one.id: one for one in load_locomo(folder)}


COUNTS = {
    "conv-26": (19, 419, 116, (32, 37, 13, 70, 47)),
    "conv-30": (19, 369, 72, (11, 26, 0, 44, 24)),
    "conv-41": (32, 663, 131, (31, 27, 8, 86, 41)),
    "conv-42": (29, 629, 119, (37, 40, 11, 111, 61)),
    "conv-43": (29, 680, 164, (31, 26, 14, 107, 64)),
    "conv-44": (28, 675, 156, (30, 24, 7, 62, 35)),
    "conv-47": (31, 689, 109, (20, 34, 13, 83, 40)),
    "conv-48": (30, 681, 142, (21, 42, 10, 118, 48)),
    "conv-49": (25, 509, 92, (37, 33, 13, 73, 40)),
    "conv-50": (30, 568, 125, (32, 32, 7, 87, 46)),
}


def test_the_real_file_has_the_counts_that_are_known_of_it(real):
    names = ("multi-hop", "temporal", "open-domain", "single-hop", "adversarial")
    found = {
        name: (
            len(one.sessions),
            len(one.turns),
            sum(turn.image_caption is not None for turn in one.turns),
            tuple(sum(question.category == category for question in one.questions) for category in names),
        )
        for name, one in real.items()
    }
    assert found == COUNTS


def test_the_real_file_s_malformed_evidence_is_mended(real):
    def evidence(name, place):
        return real[name].questions[place].evidence

    assert evidence("conv-26", 37) == ("D8:6", "D9:17")
    assert "D11:26" in evidence("conv-43", 18)
    assert evidence("conv-50", 69) == ("D30:5",)
    assert "D10:19" not in evidence("conv-42", 58)
    usable = [
        question
        for name, one in real.items()
        for question in one.questions
        if name not in ("conv-26", "conv-30") and question.answer is not None and question.evidence
    ]
    assert len(usable) == 1305
