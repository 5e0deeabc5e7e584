import os
from dataclasses import replace
from pathlib import Path

import pytest

from memory_r1.agents.extractor import Extractor
from memory_r1.agents.prompts import Prompts
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.jsonl import parse_jsonl
from memory_r1.data.locomo import load_locomo
from memory_r1.data.splits import split_locomo
from memory_r1.errors import EndpointError, InvalidInputError
from memory_r1.rl.bank_state import BankSearch, Cut, Entry
from memory_r1.rl.build_conversations import answer_problems, infer_evidence, manager_problems
from memory_r1.rl.build_options import PAPER_ANSWER, AnswerOptions, ManagerOptions
from memory_r1.rl.fact_cache import FactCache
from memory_r1.testing import HashEmbedder, ScriptedLM

TURNS = ManagerOptions(source="turns")


def talk(questions=None, name="c"):
    said = [
        ("t1", "Ann", "I adopted a dog named Buddy."),
        ("t2", "Bob", "I started to play chess."),
        ("t3", "Ann", "I adopted another dog, Scout."),
        ("t4", "Bob", "I gave up chess again."),
        ("t5", "Ann", "We moved to Leeds with both dogs."),
    ]
    turns = tuple(Turn(*one) for one in said)
    asked = questions or (
        Question("q1", "Which dogs does Ann have?", "Buddy and Scout", "multi-hop", ("t1", "t3")),
        Question("q2", "Where does Ann live?", "Leeds", "single-hop", ("t5",)),
        Question("q3", "Which cats does Bob have?", None),
        Question("q4", "What did Bob play?", "chess", "single-hop", ("t2",)),
    )
    sessions = (Session("s1", None, turns[:3]), Session("s2", None, turns[3:]))
    return Conversation(name, ("Ann", "Bob"), sessions, tuple(asked))


@pytest.fixture
def search():
    found = BankSearch(HashEmbedder())
    yield found
    found.close()


def linked(problems):
    return {one.facts[-1].turn_id: [question.id for question in one.questions] for one in problems}


def test_questions_belong_to_the_turns_of_their_evidence(search):
    assert linked(manager_problems([talk()], search, TURNS)) == {"t2": ["q4"], "t3": ["q1"], "t5": ["q2"]}


def test_a_question_can_wait_for_its_last_evidence(search):
    questions = (Question("q1", "Dogs?", "two", evidence=("t3", "t2")),)
    assert linked(manager_problems([talk(questions)], search, TURNS)) == {"t2": ["q1"], "t3": ["q1"]}
    last = replace(TURNS, link="last-evidence")
    assert linked(manager_problems([talk(questions)], search, last)) == {"t3": ["q1"]}


def test_the_bank_holds_the_turns_before(search):
    (one,) = [
        one for one in manager_problems([talk()], search, replace(TURNS, window_turns=2)) if one.questions[0].id == "q2"
    ]
    assert [entry.turns for entry in one.bank] == [("t3",), ("t4",)]
    (one,) = [
        one for one in manager_problems([talk()], search, replace(TURNS, bank="all")) if one.questions[0].id == "q2"
    ]
    assert [entry.turns for entry in one.bank] == [("t1",), ("t2",), ("t3",), ("t4",)]


def test_a_replay_rules_on_the_window_from_nothing(search):
    options = replace(TURNS, bank="empty", window_turns=2)
    replay = {one.questions[0].id: one for one in manager_problems([talk()], search, options)}["q2"]
    assert replay.bank == ()
    assert [fact.turn_id for fact in replay.facts] == ["t3", "t4", "t5"]


def test_guards_ask_about_what_the_candidates_say(search):
    guarded = linked(manager_problems([talk()], search, replace(TURNS, guards=3)))
    assert guarded["t5"][0] == "q2"
    assert set(guarded["t5"][1:]) == {"q1", "q4"}
    assert guarded["t2"] == ["q4"]


def test_questions_are_limited(search):
    many = tuple(Question(f"q{place}", "Dogs?", "two", evidence=("t3",)) for place in range(9))
    (one,) = manager_problems([talk(many)], search, TURNS)
    assert len(one.questions) == 5


@pytest.mark.parametrize("question", [Question("q", "Why?", "because"), Question("q", "Why?", None, evidence=("t3",))])
def test_data_without_a_usable_episode_is_a_clear_error(search, question):
    with pytest.raises(InvalidInputError, match="no usable episode"):
        manager_problems([talk((question,))], search, TURNS, source="my.jsonl")


def test_unusable_conversations_are_refused(search):
    with pytest.raises(InvalidInputError, match="two conversations"):
        manager_problems([talk(), talk()], search, TURNS)
    with pytest.raises(InvalidInputError, match="is empty"):
        answer_problems([Conversation("c", (), (), ())], search, AnswerOptions(source="turns"))
    with pytest.raises(InvalidInputError, match="no turn"):
        answer_problems([talk((Question("q", "?", "x", evidence=("t9",)),))], search, AnswerOptions(source="turns"))


def test_facts_must_be_there(search):
    with pytest.raises(InvalidInputError, match="not extracted"):
        manager_problems([talk()], search)
    with pytest.raises(InvalidInputError, match="not extracted"):
        answer_problems([talk()], search)


def test_answers_know_which_memories_hold_the_evidence(search):
    options = AnswerOptions(source="turns", cut=Cut(k=5))
    built = {one.question.id: one for one in answer_problems([talk()], search, options)}
    assert {built["q1"].memories[place].turns for place in built["q1"].relevant} == {("t1",), ("t3",)}
    assert built["q3"].relevant == ()
    unknown = answer_problems([talk((Question("q", "Dogs?", "two"),))], search, options)
    assert unknown[0].relevant is None


def test_a_trained_manager_s_bank_takes_the_place_of_facts(search):
    bank = (Entry("m", "Ann has two dogs, Buddy and Scout.", turns=("t1", "t3")),)
    built = answer_problems([talk()], search, banks={"c": bank})
    assert built[0].memories == bank
    assert built[0].relevant == (0,)


def test_the_paper_s_answers_drop_what_is_not_answered(search):
    built = answer_problems([talk()], search, replace(PAPER_ANSWER, source="turns"))
    assert [one.question.id for one in built] == ["q1", "q2", "q4"]


def test_evidence_is_inferred_only_where_none_is_given():
    questions = (
        Question("q1", "Who?", "Scout"),
        Question("q2", "?", "a unicorn"),
        Question("q3", "?", "chess", evidence=("t4",)),
    )
    found = infer_evidence(talk(questions)).questions
    assert [question.evidence for question in found] == [("t3",), (), ("t4",)]


def test_a_user_s_own_file_gives_problems_for_both_agents(search):
    lines = [
        '{"type": "turn", "speaker": "Ann", "text": "I like tea."}',
        '{"type": "turn", "speaker": "Ann", "text": "I moved to Leeds."}',
        '{"type": "question", "text": "Where is Ann?", "answer": "Leeds", "evidence": ["S1:2"]}',
    ]
    loaded = parse_jsonl(lines)
    assert len(manager_problems(loaded, search, TURNS)) == 1
    assert len(answer_problems(loaded, search, AnswerOptions(source="both"), facts={"conversation": {}})) == 1


def extractor(script=None):
    lm = ScriptedLM(script or (lambda chat: "[1] " + chat[-1]["content"].split('"')[-2].replace("I ", "They ")))
    return Extractor(lm, Prompts.load()), lm


def test_facts_are_extracted_once(tmp_path, search):
    agent, lm = extractor()
    progress = []
    cache = FactCache(tmp_path / "facts", agent)
    first = cache.facts(talk(), on_turns=lambda *done: progress.append(done))
    assert progress == [(5, 5)]
    calls = len(lm.calls)
    assert calls == 5
    again = FactCache(tmp_path / "facts", agent)
    assert again.facts(talk()) == first
    assert len(lm.calls) == calls
    assert first["t5"][0].provenance.turn_id == "t5"
    built = manager_problems([talk()], search, facts={"c": first})
    assert linked(built) == {"t2": ["q4"], "t3": ["q1"], "t5": ["q2"]}


def test_other_words_another_policy_or_more_context_are_extracted_anew(tmp_path):
    agent, _ = extractor()
    cache = FactCache(tmp_path, agent)
    changed = replace(talk(), sessions=talk().sessions[:1])
    paths = {cache.path(talk()), cache.path(changed), FactCache(tmp_path, agent, name="other").path(talk())}
    paths.add(FactCache(tmp_path, agent, context_turns=2).path(talk()))
    assert len(paths) == 4
    assert cache.path(replace(talk(), questions=())) == cache.path(talk())


def test_a_failing_extractor_keeps_nothing(tmp_path):
    agent, _ = extractor(EndpointError("gone"))
    with pytest.raises(EndpointError):
        FactCache(tmp_path, agent).facts(talk())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_is_a_clear_error(tmp_path):
    agent, _ = extractor()
    cache = FactCache(tmp_path, agent)
    cache.path(talk()).write_text('{"t1": [')
    with pytest.raises(InvalidInputError, match="Delete"):
        cache.facts(talk())


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="cannot be made"):
        FactCache(tmp_path / "file" / "facts", extractor()[0])


def test_the_real_locomo_gives_the_paper_s_training_states(search):
    folder = os.environ.get("MEMORY_R1_DATA")
    if not folder or not (Path(folder) / "locomo" / "locomo10.json").is_file():
        pytest.skip("MEMORY_R1_DATA names no folder that holds locomo/locomo10.json")
    train = split_locomo(load_locomo(folder)).train
    built = manager_problems(train, search, TURNS)
    # the first turn has no bank before it
    assert len(built) >= 131
    assert max(len(one.bank) for one in built) == 50
    answers = answer_problems(train, search, replace(PAPER_ANSWER, source="turns"))
    assert len(answers) == 152
    assert all(len(one.memories) == 60 for one in answers)
    assert sum(one.relevant is None for one in answers) == 2


def test_long_turns_are_cut_and_empty_ones_left_out(search):
    long = " ".join(f"Tip {number}: buy a lamp for room {number}." for number in range(60))
    turns = (Turn("t1", "User", "Any tips for lamps?"), Turn("t2", "Assistant", long), Turn("t3", "User", " "))
    asked = Question("q", "Which room is tip 7 for?", "7", evidence=("t2",))
    one = Conversation("c", ("User", "Assistant"), (Session("s", None, turns),), (asked,))
    (built,) = answer_problems([one], search, AnswerOptions(source="turns", cut=Cut(k=20)))
    assert len(built.memories) > 3
    assert all(len(entry.text) < 640 and entry.turns != ("t3",) for entry in built.memories)
    assert len(built.relevant) == len(built.memories) - 1
