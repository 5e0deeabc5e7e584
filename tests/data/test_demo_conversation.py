from memory_r1.bench.metrics import mem0_tokens
from memory_r1.data.demo import load_demo

DEMO = load_demo()
WORDS = {turn.id: set(mem0_tokens(turn.text)) for turn in DEMO.turns}


def test_it_is_a_long_acquaintance():
    times = [session.time for session in DEMO.sessions]
    assert times == sorted(times)
    assert 270 <= (times[-1] - times[0]).days <= 330
    assert 70 <= len(DEMO.turns) <= 90
    assert {turn.speaker for turn in DEMO.turns} == set(DEMO.speakers)


def test_ids_are_unique():
    for ids in ([turn.id for turn in DEMO.turns], [question.id for question in DEMO.questions]):
        assert len(ids) == len(set(ids))


def test_evidence_is_in_order_and_given_unless_unanswerable():
    place = {turn.id: number for number, turn in enumerate(DEMO.turns)}
    for question in DEMO.questions:
        assert (question.answer is None) == (question.category == "unanswerable") == (not question.evidence)
        assert list(question.evidence) == sorted(question.evidence, key=place.__getitem__)


def test_gold_answers_are_short():
    for question in DEMO.questions:
        assert question.answer is None or 1 <= len(question.answer.split()) <= 6


def test_every_kind_of_question_is_asked():
    assert {question.category for question in DEMO.questions} == {
        "multi-hop",
        "temporal",
        "open-domain",
        "single-hop",
        "knowledge-update",
        "unanswerable",
    }


def test_extractive_answers_are_in_their_evidence():
    for question in DEMO.questions:
        if question.category in {"single-hop", "multi-hop"} or question.id == "Q10":
            said = set().union(*(WORDS[turn_id] for turn_id in question.evidence))
            assert set(mem0_tokens(question.answer)) - {"and", "a"} <= said, question.id


def test_updates_rest_on_the_old_and_the_new():
    for question in DEMO.questions:
        if question.category == "knowledge-update":
            assert len(question.evidence) >= 2
