"""Boards: problems that share their memories must be as right as those made one by one, and cost less."""

from collections import Counter, defaultdict

import pytest

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic import Knobs, generate
from memory_r1.errors import ConfigError
from memory_r1.rl.answer_task import AnswerWorld
from memory_r1.rl.bank_state import BankSearch, Cut
from memory_r1.rl.boards import BoardOptions, manager_boards
from memory_r1.rl.build_conversations import answer_problems
from memory_r1.rl.build_options import AnswerOptions
from memory_r1.rl.episode import families
from memory_r1.rl.manager_task import ManagerWorld
from memory_r1.rl.packing import group, pack, share_beginning
from memory_r1.rl.problems import check_problems
from memory_r1.rl.question_boards import answer_boards, gathered
from memory_r1.rl.reader import FrozenReader
from memory_r1.rl.training_data import make_tasks
from memory_r1.testing import HashEmbedder, ScriptedLM


@pytest.fixture(scope="module")
def made():
    return [generate(seed, sessions=6, knobs=Knobs(planted=0.5, questions=48)) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def search():
    found = BankSearch(HashEmbedder())
    yield found
    found.close()


@pytest.fixture(scope="module")
def worlds(search):
    lm, prompts = ScriptedLM("x"), Prompts.load()
    answerer = AnswerAgent(lm, prompts)
    return {
        "manager": ManagerWorld(MemoryManager(lm, prompts), FrozenReader(answerer), search),
        "answer": AnswerWorld(answerer),
    }


def by_family(problems):
    found = defaultdict(list)
    for problem in problems:
        found[problem.family].append(problem)
    return found


def test_a_manager_s_board_has_every_kind_and_shows_each_target(made, search):
    problems = manager_boards(made, search)
    check_problems(problems, "boards")
    kinds = Counter(one.facts[0].gold.kind for one in problems)
    assert all(kinds[kind] for kind in (OperationKind.ADD, OperationKind.UPDATE, OperationKind.DELETE))
    assert any(one.facts[0].planted for one in problems)
    for one in problems:
        gold = one.facts[0].gold
        assert 2 <= len(one.candidates) <= 8
        if gold.kind in (OperationKind.UPDATE, OperationKind.DELETE):
            assert gold.target in one.candidates
        assert all(entry.text.casefold() != one.facts[0].text.casefold() for entry in one.bank)


def test_a_board_shows_the_same_memories_to_all_its_facts_and_in_no_telling_order(made, search, worlds):
    problems = manager_boards(made, search)
    places = Counter()
    for board in by_family(problems).values():
        assert len({(one.bank, one.candidates) for one in board}) == 1
        for one in board:
            if one.facts[0].gold.kind is OperationKind.UPDATE:
                places[one.candidates.index(one.facts[0].gold.target)] += 1
    assert max(places.values()) < 0.5 * sum(places.values())
    tasks = make_tasks(problems, manager=worlds["manager"])
    assert [len(family) for family in families(tasks)] == [len(board) for board in by_family(problems).values()]
    assert all(task.demonstration() for task in tasks)


def test_a_told_fact_is_known_and_an_update_keeps_what_the_board_shows(made, search):
    for one in manager_boards(made, search):
        gold, texts = one.facts[0].gold, {entry.id: entry.text for entry in one.bank}
        if gold.kind is OperationKind.UPDATE:
            kept = set(texts[gold.target].split()) & set(gold.text.split())
            assert kept


def test_a_board_of_questions_holds_the_evidence_of_each(made, search, worlds):
    problems = answer_boards(made, search)
    check_problems(problems, "boards")
    gold = {question.id: answer for one in made for question, answer in one.questions}
    views = set()
    for board in by_family(problems).values():
        assert len({one.memories for one in board}) == 1
        for one in board:
            answerable = one.question.answer is not None
            assert bool(one.relevant) == answerable
            assert not answerable or gold[one.question.id].memories
            views.add(one.memories[0].id[:4] == "turn")
    assert views == {True, False}
    tasks = make_tasks(problems, answer=worlds["answer"])
    assert {len(family) for family in families(tasks)} > {1}


def test_questions_with_memories_of_their_own_are_gathered(made, search):
    talk = made[0].conversation
    problems = answer_problems([talk], search, AnswerOptions(source="turns", cut=Cut(k=6)))
    boards = gathered(talk.id, problems)
    check_problems(boards, "boards")
    own = {one.question.id: one for one in problems}
    assert {one.question.id for one in boards} == {
        one.question.id for one in problems if one.relevant or one.question.answer is None
    }
    for one in boards:
        kept = {one.memories[place].id for place in one.relevant}
        alone = own[one.question.id]
        assert kept >= {alone.memories[place].id for place in alone.relevant or ()}
        assert one.question.answer is not None or not kept


def test_a_board_costs_a_fraction_of_its_prompts(made, search, worlds):
    tasks = make_tasks(answer_boards(made, search), answer=worlds["answer"])
    apart = together = 0
    for family in families(tasks):
        trees = []
        for task in family:
            text = "".join(message["content"] for message in task.start().observe().chat)
            trees.append(group([ord(letter) for letter in text], [[1, 2, 3]]))
        apart += sum(tree.size for tree in trees)
        together += int(pack(share_beginning(trees)).input_ids.shape[1])
    assert together < 0.4 * apart


def test_boards_are_the_same_for_the_same_seed_and_others_for_another(made, search):
    first = manager_boards(made, search, BoardOptions(seed=1))
    assert first == manager_boards(made, search, BoardOptions(seed=1))
    assert first != manager_boards(made, search, BoardOptions(seed=2))


def test_a_board_without_memories_is_refused():
    with pytest.raises(ConfigError, match="memories=0"):
        BoardOptions(memories=0)
