import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from memory_r1.agents.calendar_words import day_text
from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.results import Ruling
from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic import Knobs, generate
from memory_r1.errors import ConfigError, InvalidInputError
from memory_r1.rl.bank_state import BankSearch, Cut, Entry, GoldRuling, NewFact, apply
from memory_r1.rl.build_options import AnswerOptions, ExtractOptions, ManagerOptions
from memory_r1.rl.build_synthetic import (
    answer_problems,
    extract_problems,
    manager_demonstrations,
    manager_problems,
)
from memory_r1.rl.gold_bank import said_texts
from memory_r1.rl.problems import check_problems, read_problems, write_problems
from memory_r1.testing import HashEmbedder, ScriptedLM

ALL = ManagerOptions(link="memory", guards=2, unlinked=True, unanswerable=True)


@pytest.fixture(scope="module")
def made():
    return [generate(seed, sessions=6, knobs=Knobs(planted=0.5, questions=48)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def search():
    found = BankSearch(HashEmbedder())
    yield found
    found.close()


@pytest.fixture(scope="module")
def problems(made, search):
    return manager_problems(made, search, ALL)


def test_every_kind_of_operation_has_problems_and_questions(problems):
    kinds = Counter(one.facts[0].gold.kind for one in problems)
    linked = Counter(one.facts[0].gold.kind for one in problems if one.questions)
    for kind in (OperationKind.ADD, OperationKind.UPDATE, OperationKind.DELETE, OperationKind.NOOP):
        assert kinds[kind] >= linked[kind] > 0


def test_the_target_is_always_among_the_candidates(problems):
    for one in problems:
        gold = one.facts[0].gold
        assert gold.target is None or gold.target in one.candidates
        assert len(one.candidates) == len(set(one.candidates)) <= 8
        assert set(one.candidates) <= {entry.id for entry in one.bank}


def test_the_gold_operations_lead_from_one_bank_to_the_next(made, search):
    made = made[0]
    options = ManagerOptions(link="memory", unlinked=True, stored="gold", planted=False)
    banks = {
        one.id.split("/")[1]: one.bank for one in manager_problems([made], search, options) if one.id.endswith("/0")
    }
    for turn, bank in banks.items():
        gold = made.bank_before(turn)
        assert [(entry.id, entry.text, entry.turns) for entry in bank] == [
            (memory.id, memory.text, memory.turns) for memory in gold.values()
        ]


@pytest.mark.parametrize("stored", ["fact", "said"])
def test_stored_facts_read_as_a_bare_add_leaves_them(made, search, stored):
    options = ManagerOptions(link="memory", unlinked=True, planted=False, stored=stored)
    problems = manager_problems(made[:1], search, options)
    compared = 0
    for one, following in pairwise(problems):
        gold, ids = one.facts[0].gold, [entry.id for entry in one.bank]
        assert gold.kind is not OperationKind.ADD or gold.text is None
        if following.facts[0].turn_id == one.facts[0].turn_id:
            target = None if gold.target is None else ids.index(gold.target)
            after = apply(one.bank, Ruling(gold.kind, target=target, text=gold.text), ids, one.facts[0], "new")
            assert {entry.text for entry in following.bank} == {entry.text for entry in after}
            compared += 1
    assert compared


def test_what_is_asked_holds_right_after_the_fact(made, problems):
    order = {turn.id: place for place, turn in enumerate(made[0].conversation.turns)}
    gold = {question.id: answer for question, answer in made[0].questions}
    checked = 0
    for one in problems:
        if not one.id.startswith(made[0].conversation.id):
            continue
        place = order[one.id.split("/")[1]]
        for question in one.questions:
            assert question.time is None
            if question.answer is None:
                continue
            known = gold[question.id]
            assert all(order[name] <= place for name in question.evidence)
            assert known.as_of is None or place <= order[known.as_of]
            checked += 1
    assert checked > 20


def test_guards_ask_about_bystanders(made, search):
    bare = manager_problems(made, search, ManagerOptions(link="memory"))
    guarded = {one.id: one for one in manager_problems(made, search, ManagerOptions(link="memory", guards=2))}
    assert all(set(one.questions) <= set(guarded[one.id].questions) for one in bare)
    assert sum(len(one.questions) for one in bare) < sum(len(guarded[one.id].questions) for one in bare)


def test_the_paper_links_by_evidence_alone(made, search):
    for one in manager_problems(made, search, ManagerOptions()):
        turn = one.id.split("/")[1]
        assert one.facts[0].planted or all(turn in question.evidence for question in one.questions)


def test_planted_instructions_are_facts_to_leave_alone(problems):
    planted = [one for one in problems if one.facts[0].planted]
    assert planted
    assert all(one.facts[0].gold.kind is OperationKind.NOOP for one in planted)


def test_filler_is_what_the_extractor_leaves_of_turns_without_a_fact_and_must_not_be_stored(made, search):
    built = manager_problems(made, search, ManagerOptions(unlinked=True, filler=1))
    filler = [one for one in built if "/filler-" in one.id]
    empty = {
        f"{one.conversation.id}/{turn.turn_id}"
        for one in made
        for turn in one.turns
        if not (turn.facts or turn.planted)
    }
    said = {f"{one.conversation.id}/{turn.id}": turn for one in made for turn in one.conversation.turns}
    assert len({one.id for one in filler}) == len(filler) > 20
    for one in filler:
        turn = one.id.rpartition("/")[0]
        assert turn in empty
        assert one.facts[0].gold == GoldRuling(OperationKind.NOOP)
        assert one.facts[0].text.startswith(f"{said[turn].speaker}: ")
    some = manager_problems(made, search, ManagerOptions(unlinked=True, filler=0.25))
    assert 0.1 < sum("/filler-" in one.id for one in some) / len(filler) < 0.4
    assert not any("/filler-" in one.id for one in manager_problems(made, search, ManagerOptions(unlinked=True)))


def test_a_detail_told_on_another_day_stands_under_its_own_day(made, search):
    built = manager_problems(made, search, ManagerOptions(unlinked=True, stored="fact"))
    dated = [entry for one in built for entry in one.bank if len(entry.turns) > 1 and entry.text.startswith("(")]
    assert dated
    assert all(day_text(entry.time) in entry.text for entry in dated)


def test_a_replay_begins_with_nothing_and_ends_with_the_turn(made, search):
    replays = manager_problems(made, search, ManagerOptions(bank="empty", window_turns=12, link="memory"))
    assert all(not one.bank for one in replays if one.id.endswith("/replay"))
    assert any(len(one.facts) > 2 for one in replays)
    assert all(one.facts[-1].turn_id == one.id.split("/")[1] for one in replays)


def test_whole_turns_rule_on_all_their_facts(made, search):
    whole = manager_problems(made, search, ManagerOptions(whole_turns=True, link="memory"))
    assert max(len(one.facts) for one in whole) == 2


def test_the_gold_rulings_can_be_written_and_are_accepted_by_the_manager(problems):
    from memory_r1.agents.answerer import AnswerAgent
    from memory_r1.rl.manager_task import ManagerTask, ManagerWorld
    from memory_r1.rl.reader import FrozenReader

    prompts, lm = Prompts.load(), ScriptedLM()
    world = ManagerWorld(MemoryManager(lm, prompts), FrozenReader(AnswerAgent(lm, prompts)), BankSearch(HashEmbedder()))
    refused = []
    for one in problems:
        task = ManagerTask(one, world)
        text = task.demonstration()
        assert json.loads(text)["op"] == one.facts[0].gold.kind.value
        episode = task.start()
        episode.observe()
        episode.act(text, "stop")
        ruling, gold = episode.rulings[0], one.facts[0].gold
        if ruling.rejected:
            refused.append((ruling.rejected, text))
            continue
        assert ruling.kind is gold.kind
        assert gold.kind in (OperationKind.ADD, OperationKind.NOOP) or one.candidates[ruling.target] == gold.target
    assert len(refused) <= 0.02 * len(problems), refused


@pytest.mark.parametrize("source", ["facts", "turns", "both"])
@pytest.mark.parametrize("managed", [True, False])
def test_relevant_memories_hold_the_evidence(made, search, source, managed):
    built = answer_problems(
        made, search, AnswerOptions(source=source, managed=managed, cut=Cut(k=12), missing="insert")
    )
    assert len(built) == sum(len(one.conversation.questions) for one in made)
    for one in built:
        assert len(one.memories) <= 12
        assert bool(one.relevant) == (one.question.answer is not None)
        for place in one.relevant:
            assert set(one.memories[place].turns) & set(one.question.evidence) or source == "facts"
    assert any(entry.planted for one in built for entry in one.memories) or source == "facts"


def test_a_question_asked_earlier_sees_the_bank_of_then(search):
    one = generate(5)
    built = {problem.question.id: problem for problem in answer_problems([one], search, AnswerOptions(cut=Cut(k=50)))}
    order = {turn.id: place for place, turn in enumerate(one.conversation.turns)}
    asked = [(question, gold) for question, gold in one.questions if gold.as_of]
    assert asked
    for question, gold in asked:
        seen = [name for entry in built[question.id].memories for name in entry.turns]
        assert max(order[name] for name in seen) <= order[gold.as_of]


def test_questions_without_evidence_at_hand_can_be_dropped_or_mended(made, search):
    def missed(missing):
        built = answer_problems(made, search, AnswerOptions(source="turns", cut=Cut(k=1), missing=missing))
        return len(built), sum(not one.relevant and one.question.answer is not None for one in built)

    kept, missing = missed("keep")
    assert missing > 0
    assert missed("drop") == (kept - missing, 0)
    assert missed("insert") == (kept, 0)


def test_unanswerable_questions_can_be_left_out(made, search):
    built = answer_problems(made, search, AnswerOptions(unanswerable=False, cut=Cut(k=3)))
    assert built
    assert all(one.question.answer is not None for one in built)


def test_extraction_problems_cover_all_facts_and_plants(made):
    built = extract_problems(made, ExtractOptions(nothing=0))
    assert sum(len(one.facts) for one in built) == sum(len(one.facts) for one in made)
    assert any(one.planted for one in built)
    more = extract_problems(made, ExtractOptions(nothing=1))
    assert len(more) == sum(len(one.conversation.turns) for one in made)
    assert extract_problems(made) == extract_problems(made)


def test_problems_survive_a_file(made, search, problems, tmp_path):
    everything = [*problems[:40], *answer_problems(made[:1], search)[:20], *extract_problems(made)[:20]]
    path = tmp_path / "problems.jsonl"
    assert write_problems(everything, path) == 80
    assert read_problems(path) == everything


@pytest.mark.parametrize("content", ["", "{}\n", '{"type":"manager"}\n', "nonsense\n", '{"type":"other","id":"x"}\n'])
def test_a_file_without_problems_is_a_clear_error(tmp_path, content):
    path = tmp_path / "problems.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=r"problems\.jsonl"):
        read_problems(path)


def test_a_problem_twice_is_a_clear_error(problems):
    with pytest.raises(InvalidInputError, match="twice"):
        check_problems([problems[0], problems[0]], "training data")
    with pytest.raises(InvalidInputError, match="no usable episode"):
        check_problems([], "training data")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"facts": ()}, "no fact"),
        ({"candidates": ("M999",)}, "candidate"),
        ({"bank": (Entry("a", "x"), Entry("a", "y")), "candidates": ()}, "one id"),
        ({"facts": (NewFact("x", gold=GoldRuling(OperationKind.DELETE, "M999")),)}, "gold target"),
    ],
)
def test_a_problem_that_does_not_hold_together_is_named(problems, changes, why, tmp_path):
    path = tmp_path / "edited.jsonl"
    write_problems([replace(problems[0], **changes)], path)
    with pytest.raises(InvalidInputError, match=why) as caught:
        read_problems(path)
    assert problems[0].id in str(caught.value)


def test_a_relevant_memory_must_be_there(made, search):
    one = replace(answer_problems(made[:1], search)[0], relevant=(99,))
    with pytest.raises(InvalidInputError, match="relevant"):
        check_problems([one], "edited")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ManagerOptions, {"candidates": 0}),
        (ManagerOptions, {"window_turns": 0}),
        (ManagerOptions, {"guards": -1}),
        (ExtractOptions, {"nothing": 1.5}),
        (Cut, {"k": 0}),
    ],
)
def test_options_out_of_range_are_refused(kind, values):
    with pytest.raises(ConfigError):
        kind(**values)


def test_facts_as_they_were_said_are_sentences_of_their_turns(made):
    for one in made:
        turns = {turn.id: turn for turn in one.conversation.turns}
        texts = said_texts(one)
        facts = {fact.id: fact for fact in one.facts}
        assert texts.keys() == facts.keys()
        kept = [name for name in texts if texts[name] == facts[name].text]
        assert len(kept) < 0.1 * len(texts)
        for name in texts.keys() - set(kept):
            turn = turns[facts[name].turn_id]
            assert f"{turn.speaker}: " in texts[name]
            said = texts[name].rpartition(f"{turn.speaker}: ")[2].split(" ")[0]
            assert said in turn.text


def test_demonstrations_are_of_every_kind_with_fewer_additions_in_both_words(made, search):
    shown = [one for one in manager_demonstrations(made, search) if "/filler-" not in one.id]
    every = manager_problems(made, search, ManagerOptions(unlinked=True))
    kinds, all_kinds = (Counter(one.facts[0].gold.kind for one in some) for some in (shown, every))
    add = OperationKind.ADD
    assert 0.3 * all_kinds[add] < kinds[add] < 0.7 * all_kinds[add]
    assert all(kinds[kind] == all_kinds[kind] > 0 for kind in all_kinds if kind is not add)
    assert not any(one.questions for one in shown)
    first, second = ([one.facts[0] for one in shown if one.id.startswith(talk.conversation.id)] for talk in made)
    assert not any(fact.text.startswith(f"{fact.speaker}: ") for fact in first if not fact.planted)
    assert any(fact.text.startswith(f"{fact.speaker}: ") for fact in second)


@pytest.mark.parametrize("additions", [-0.1, 1.5])
def test_a_share_of_additions_out_of_range_is_refused(additions):
    with pytest.raises(ConfigError, match="additions"):
        ManagerOptions(additions=additions)


def test_a_ruling_is_gold_by_kind_and_entry_whatever_its_words():
    gold = GoldRuling(OperationKind.UPDATE, "b", "text")
    ids = ["a", "b"]
    assert gold.allows(Ruling(OperationKind.UPDATE, target=1, text="other words"), ids)
    assert not gold.allows(Ruling(OperationKind.UPDATE, target=0, text="text"), ids)
    assert not gold.allows(Ruling(OperationKind.DELETE, target=1), ids)
    assert GoldRuling(OperationKind.NOOP, "b").allows(Ruling(OperationKind.NOOP), ids)
    assert not GoldRuling(OperationKind.ADD).allows(Ruling(OperationKind.ADD, text="x", rejected="no JSON"), ids)
