import gzip
import json
import os
from pathlib import Path

import pytest

from memory_r1.data.msc import load_msc
from memory_r1.errors import InvalidInputError


def record(**changes):
    said = [{"id": "Speaker 1", "text": "I like tea."}, {"id": "Speaker 2", "text": "Me too."}]
    whole = {
        "initial_data_id": "valid_1",
        "question": " What do I like? ",
        "answer": " Tea! ",
        "sessions": [{"session": 1, "dialog": said}, {"session": 2, "dialog": said[:1]}],
    }
    return whole | changes


def write(folder, records, name="msc_self_instruct_reconstructed_s1-4.jsonl"):
    data = "".join(f"{json.dumps(one)}\n" for one in records).encode()
    file = folder / name
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


def test_a_line_becomes_a_conversation(tmp_path):
    (one,) = load_msc(write(tmp_path, [record()]))
    assert one.id == "valid_1"
    assert [turn.id for turn in one.turns] == ["D1:1", "D1:2", "D2:1"]
    assert one.turns[1].speaker == "Speaker 2"
    (question,) = one.questions
    assert (question.text, question.answer, question.evidence) == ("What do I like?", "Tea!", ())


def test_an_integer_answer_is_a_text(tmp_path):
    assert load_msc(write(tmp_path, [record(answer=7)]))[0].questions[0].answer == "7"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_and_gzip_are_understood(tmp_path, suffix):
    (tmp_path / "msc").mkdir()
    write(tmp_path / "msc", [record()], f"msc_self_instruct_reconstructed_s1-4.jsonl{suffix}")
    assert len(load_msc(tmp_path)) == len(load_msc(tmp_path / "msc")) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b'{"initial_data_id": ', "line 1"),
        (b"\xff\xfe", "UTF-8"),
        (b"[1]", "line 1"),
        (json.dumps(record()).encode() + b"\n{}", "line 2"),
        ((json.dumps(record()) + "\n").encode() * 2, "already"),
        (json.dumps(record(sessions=[])).encode(), "no turns"),
        (json.dumps(record(answer=None)).encode(), "answer"),
        (json.dumps(record(sessions=[{"session": 1, "dialog": [{"id": "bot_0", "text": "Hi"}]}])).encode(), "bot_0"),
        (json.dumps(record(sessions=record()["sessions"][:1] * 2)).encode(), "session twice"),
        (gzip.compress(json.dumps(record()).encode())[:-12], "cut off"),
    ],
)
def test_a_foreign_or_damaged_file_is_a_clear_error(tmp_path, content, why):
    file = tmp_path / "msc_self_instruct_reconstructed_s1-4.jsonl"
    file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=why) as caught:
        load_msc(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(InvalidInputError, match="does not exist"):
        load_msc(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="holds no"):
        load_msc(tmp_path)


def test_the_real_file_has_the_counts_that_are_known_of_it():
    folder = os.environ.get("MEMORY_R1_DATA")
    if not folder or not (Path(folder) / "msc").is_dir():
        pytest.skip("MEMORY_R1_DATA names no folder that holds msc/")
    real = load_msc(folder)
    assert len(real) == 500
    assert all(len(one.sessions) == 4 and len(one.questions) == 1 for one in real)
    assert sum(len(one.turns) for one in real) == 25_459
    words = [len(one.questions[0].answer.split()) for one in real]
    assert sum(words) / len(words) == pytest.approx(4.2, abs=0.1)
