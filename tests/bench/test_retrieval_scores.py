import pytest

from memory_r1.bench.records import Prediction
from memory_r1.bench.retrieval_scores import distils, kept_scores, recall_at, retrieval_samples
from memory_r1.bench.system import UsedMemory


def memories(*turns, kept=()):
    return tuple(UsedMemory(f"m{place}", tuple(ids.split()), kept=place in kept) for place, ids in enumerate(turns))


def prediction(number, given, evidence, **more):
    fields = {"conversation": "c", "question_id": f"q{number}", "question": "?", "category": "", "gold": "g"}
    return Prediction(**fields, answer="a", memories=given, evidence=evidence, **more)


def test_recall_counts_turns_in_order():
    given = memories("D1:1", "D1:2 D2:5", "D2:5", "D3:1")
    evidence = ["D2:5", "D3:1", "D9:9"]
    assert [recall_at(given, evidence, k) for k in (1, 2, 3, 4, 60)] == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_recall_counts_an_evidence_turn_once():
    assert recall_at(memories("D1:1"), ["D1:1", "D1:1"], 5) == 1.0


def test_what_cannot_be_known_is_not_zero():
    assert recall_at(memories("D1:1"), [], 5) is None
    assert recall_at(memories("", ""), ["D1:1"], 5) is None
    assert kept_scores(memories("", "", kept=[0]), ["D1:1"]) is None
    # it found nothing: that is known
    assert recall_at((), ["D1:1"], 5) == 0.0


def test_distillation_by_hand():
    given = memories("D1:1", "D1:2", "D2:1", "D2:2 D1:2", kept=[0, 1, 2, 3])
    # right: memories 1 and 3 of 4; evidence D1:2 of D1:2 and D7:7
    found = kept_scores(given, ["D1:2", "D7:7"])
    assert found == {"kept_precision": 0.5, "kept_recall": 0.5, "kept_f1": 0.5}
    assert kept_scores(memories("D1:1", "D1:2", kept=[0]), ["D1:2"]) == {
        "kept_precision": 0.0,
        "kept_recall": 0.0,
        "kept_f1": 0.0,
    }
    # a memory that was given and not kept is no recall of the distillation
    assert kept_scores(memories("D1:1", "D1:2"), ["D1:2"]) == {"kept_recall": 0.0, "kept_f1": 0.0}


def test_samples_leave_out_what_is_not_known():
    run = [
        prediction(0, memories("D1:1", "D1:2", kept=[1]), ("D1:2",)),
        prediction(1, memories("D1:1"), ("D1:2",)),
        prediction(2, memories("D1:1"), ()),
        prediction(3, (), ("D1:2",), error="died"),
    ]
    found = retrieval_samples(run, cuts=(1, 2))
    assert {metric: [(one.question, one.value) for one in scored] for metric, scored in found.items()} == {
        "recall@1": [("q0", 0.0), ("q1", 0.0)],
        "recall@2": [("q0", 1.0), ("q1", 0.0)],
        "kept_precision": [("q0", 1.0)],
        "kept_recall": [("q0", 1.0), ("q1", 0.0)],
        "kept_f1": [("q0", 1.0), ("q1", 0.0)],
    }


def test_a_system_that_does_not_distil_has_no_distillation_scores():
    run = [prediction(0, memories("D1:1", "D1:2"), ("D1:2",))]
    assert not distils(run)
    assert set(retrieval_samples(run)) == {"recall@5", "recall@10", "recall@30", "recall@60"}


def test_a_system_that_does_not_know_its_sources_has_no_scores_even_where_it_found_nothing():
    run = [prediction(0, memories("", ""), ("D1:2",)), prediction(1, (), ("D1:2",))]
    assert retrieval_samples(run) == {}
    assert retrieval_samples([prediction(0, (), ("D1:2",))])["recall@5"][0].value == 0.0
