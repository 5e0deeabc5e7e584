import json
from collections import Counter

import pytest

from memory_r1.bench.audit import AuditEntry, corrected, corrected_answer, load_audit
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.locomo import load_locomo
from memory_r1.data.splits import split_locomo
from memory_r1.errors import InvalidInputError

# the 48 entries of the real audit whose answer, read by a person, answers the question; of the other errors that touch
# a score, 51, it does not, or the audit calls the question ambiguous
USABLE = """
    0_2 0_5 0_23 0_32 0_56 0_137 0_138 0_149 1_31 2_48 2_129 3_5 3_24 3_43 3_52 3_58 3_81 3_91 4_6 4_9 4_16 4_56 4_60
    4_135 4_164 5_2 5_5 5_37 5_57 6_2 6_31 7_0 7_75 7_87 8_18 8_33 8_36 8_37 8_43 8_54 8_74 8_80 9_1 9_19 9_50 9_60 9_62
    9_63
"""


def entry(number=0, kind="HALLUCINATION", says="tea", gold="coffee", evidence=("D1:2",), question="What?"):
    return AuditEntry(
        question_id=f"locomo_0_qa{number}",
        question=question,
        golden_answer=gold,
        error_type=kind,
        correct_evidence=evidence,
        correct_answer=says,
    )


def conversation(*questions, name="conv-26"):
    turns = tuple(Turn(f"D1:{number}", "Ann", "Hi") for number in (1, 2, 3))
    return Conversation(name, ("Ann", "Bob"), (Session("session_1", None, turns),), questions)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("July 2023", "July 2023"),
        ("The Saturday before 25 May (about 20 May)", "The Saturday before 25 May"),
        ("A hat (D1:2), a scarf (D3:4)", "A hat, a scarf"),
        ("Three (as she says in D2:2: 'not the second one')", "Three"),
        ("tea (but it was Bob who drank it)", None),
        ("tea (answer is correct, but the question says 2023)", None),
        ("John (not Tim) drank it", None),
        ("This is Bob's statement.", None),
        ("Cannot be determined from transcript", None),
        ("Unknown - it is never named", None),
        ("(D1:2)", None),
    ],
)
def test_an_answer_is_told_from_a_remark(says, expected):
    assert corrected_answer(entry(says=says)) == expected


def test_kinds_of_error():
    assert corrected_answer(entry(kind="WRONG_CITATION", says="coffee (correct, wrong citation)")) == "coffee"
    assert corrected_answer(entry(kind="AMBIGUOUS", says="tea")) is None


def test_labels_are_put_right_and_counted():
    talk = conversation(
        Question("conv-26#0", "What?", "coffee", "single-hop", ("D1:1",)),
        Question("conv-26#1", "What?", "coffee", "temporal", ("D1:1",)),
        Question("conv-26#2", "What?", "coffee", "multi-hop", ("D1:1",)),
        Question("conv-26#3", "What?", "coffee", "open-domain", ("D1:1",)),
        Question("conv-26#4", "What?", None, "adversarial", ("D1:1",)),
    )
    audit = [
        entry(0, evidence=("D1:2", "D9:9")),
        entry(1, kind="WRONG_CITATION", evidence=("D1:3",)),
        entry(2, kind="AMBIGUOUS"),
        entry(77),
    ]
    found = corrected([talk], audit)
    assert (found.replaced, found.cited, found.left_out) == (("conv-26#0",), ("conv-26#1",), ("conv-26#2",))
    questions = found.conversations[0].questions
    assert [(one.id, one.answer, one.evidence) for one in questions] == [
        ("conv-26#0", "tea", ("D1:2",)),
        ("conv-26#1", "coffee", ("D1:3",)),
        ("conv-26#3", "coffee", ("D1:1",)),
        ("conv-26#4", None, ("D1:1",)),
    ]
    assert questions[0].category == "single-hop"
    # what was given is as it was
    assert len(talk.questions) == 5


def test_an_audit_of_other_data_is_refused():
    talk = conversation(Question("conv-26#0", "What?", "cocoa"))
    with pytest.raises(InvalidInputError, match="'cocoa' in the data, 'coffee' in the audit"):
        corrected([talk], [entry(0)])
    with pytest.raises(InvalidInputError, match="none of these conversations"):
        corrected([conversation(name="lme_1")], [entry(0)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "no complete JSON"),
        ("{}", "not a list"),
        ('[{"question_id": "locomo_0_qa1"}]', r"0\.question: Field required"),
        ('[{"question_id": "qa1"}]', "question_id: String should match"),
    ],
)
def test_a_damaged_audit_is_refused(tmp_path, content, message):
    (tmp_path / "errors.json").write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        load_audit(tmp_path)


def test_a_missing_audit_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="does not exist"):
        load_audit(tmp_path / "errors.json")


def test_an_audit_is_read_from_a_file_or_folder(tmp_path):
    folder = tmp_path / "locomo_audit"
    folder.mkdir()
    line = entry(3).model_dump() | {"reasoning": "because", "category": 4, "cited_evidence": []}
    (folder / "errors.json").write_text(json.dumps([line]), encoding="utf-8")
    assert load_audit(tmp_path) == load_audit(folder / "errors.json") == [entry(3)]
    assert entry(3).place == ("conv-26", "conv-26#3")


@pytest.fixture(scope="module")
def real_audit(data_folder):
    if not (data_folder / "locomo_audit" / "errors.json").is_file():
        pytest.skip("MEMORY_R1_DATA holds no locomo_audit/errors.json")
    return load_audit(data_folder)


def test_the_real_audit_is_decided_as_a_person_would(real_audit):
    touching = [one for one in real_audit if one.error_type != "WRONG_CITATION"]
    used = [one.question_id for one in touching if corrected_answer(one) is not None]
    assert (len(real_audit), len(touching)) == (156, 99)
    assert used == [f"locomo_{name.replace('_', '_qa')}" for name in USABLE.split()]


def test_the_real_audit_fits_the_real_data(real_audit, data_folder):
    conversations = load_locomo(data_folder)
    whole = corrected(conversations, real_audit)
    assert (len(whole.cited), len(whole.replaced), len(whole.left_out)) == (57, 48, 51)
    test = corrected(split_locomo(conversations).test, real_audit)
    assert (len(test.cited), len(test.replaced), len(test.left_out)) == (42, 39, 41)
    left = Counter(one.category for talk in test.conversations for one in talk.questions)
    assert left == {"multi-hop": 234, "temporal": 250, "open-domain": 78, "single-hop": 704}
