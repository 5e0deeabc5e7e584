"""Boards: problems that share their memories must be as right as those made one by one, and cost less."""

from collections import Counter, defaultdict

import pytest

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.prompts import Prompts
from memory_r1.data.synthetic import Knobs, generate
from memory_r1.errors import ConfigError
from memory_r1.rl.answer_task import AnswerWorld
from memory_r1.rl.bank_state import BankSearch, Cut
from memory_r1.rl.boards import BoardOptions, answer_boards, gathered
from memory_r1.rl.build_conversations import answer_problems
from memory_r1.rl.build_options import AnswerOptions
from memory_r1.rl.episode import families
from memory_r1.rl.packing import group, pack, share_beginning
from memory_r1.rl.problems import check_problems
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
def world():
    return AnswerWorld(AnswerAgent(ScriptedLM("x"), Prompts.load()))


def by_family(problems):
    found = defaultdict(list)
    for problem in problems:
        found[problem.family].append(problem)
    return found


def test_a_board_of_questions_holds_the_evidence_of_each(made, search, world):
    problems = answer_boards(made, search)
    check_problems(problems, "boards")
    gold = {question.id: answer for one in made for question, answer in one.questions}
    views = Counter()
    for board in by_family(problems).values():
        assert len({one.memories for one in board}) == 1
        for one in board:
            answerable = one.question.answer is not None
            assert bool(one.relevant) == answerable
            assert not answerable or gold[one.question.id].memories
        first = board[0].memories[0]
        views[first.id.startswith("turn"), first.text.startswith(f"{first.speaker}: ")] += 1
    # turns; facts in the words they were told in; facts in the generator's
    assert set(views) == {(True, True), (False, True), (False, False)}
    tasks = make_tasks(problems, answer=world)
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


def test_a_board_costs_a_fraction_of_its_prompts(made, search, world):
    tasks = make_tasks(answer_boards(made, search), answer=world)
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
    first = answer_boards(made, search, BoardOptions(seed=1))
    assert first == answer_boards(made, search, BoardOptions(seed=1))
    assert first != answer_boards(made, search, BoardOptions(seed=2))


def test_a_board_without_memories_is_refused():
    with pytest.raises(ConfigError, match="memories=0"):
        BoardOptions(memories=0)
