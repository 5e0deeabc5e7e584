import os
from pathlib import Path

import pytest

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.data.conversation import Turn
from memory_r1.data.synthetic import generate, write_synthetic
from memory_r1.errors import ConfigError, InvalidInputError
from memory_r1.rl.answer_task import AnswerTask, AnswerWorld
from memory_r1.rl.bank_state import BankSearch
from memory_r1.rl.build_synthetic import answer_problems, extract_problems, manager_problems
from memory_r1.rl.extract_task import ExtractTask, ExtractWorld
from memory_r1.rl.manager_task import ManagerTask, ManagerWorld
from memory_r1.rl.problems import ExtractProblem
from memory_r1.rl.reader import FrozenReader
from memory_r1.rl.training_data import make_tasks, open_data
from memory_r1.testing import HashEmbedder, ScriptedLM


def test_synthetic_data_is_made_by_number_seed_and_part():
    data = open_data("synthetic:2@3", "validation")
    assert [one.seed for one in data.synthetic] == [3, 4]
    assert data.conversations[0].id == "synthetic-validation-3"
    assert data.digest == open_data("synthetic:2@3", "validation").digest
    assert data.digest != open_data("synthetic:2@4", "validation").digest


def test_a_file_brings_its_gold_if_it_stands_beside_it(tmp_path):
    path = tmp_path / "mine.jsonl"
    write_synthetic([generate(1, sessions=2)], path)
    assert open_data(str(path)).synthetic[0].facts
    (tmp_path / "mine.gold.jsonl").unlink()
    assert open_data(str(path)).synthetic == ()


@pytest.mark.parametrize(
    ("name", "part", "why"),
    [
        ("locomo", "train", "names no data"),
        ("wikipedia:x", "train", "names no data"),
        ("synthetic:1", "all", "no part"),
        ("mine.jsonl", "test", "no part"),
        ("msc:x", "validation", "no part"),
    ],
)
def test_unknown_names_and_parts_are_refused(name, part, why):
    with pytest.raises(ConfigError, match=why):
        open_data(name, part)


@pytest.mark.parametrize("name", ["none.jsonl", "locomo:none", "longmemeval:none", "msc:none", "synthetic:0"])
def test_data_that_is_not_there_is_a_clear_error(name):
    with pytest.raises(InvalidInputError):
        open_data(name)


def test_real_data_opens_by_name():
    folder = os.environ.get("MEMORY_R1_DATA")
    if not folder or not all((Path(folder) / name).is_dir() for name in ("locomo", "longmemeval", "msc")):
        pytest.skip("MEMORY_R1_DATA names no folder that holds locomo/, longmemeval/ and msc/")
    assert [one.id for one in open_data(f"locomo:{folder}", "validation").conversations] == ["conv-30"]
    assert len(open_data(f"locomo:{folder}", "all").conversations) == 10
    halves = [open_data(f"longmemeval:{folder}", part).conversations for part in ("train", "test")]
    assert sum(map(len, halves)) == 500
    assert len(open_data(f"msc:{folder}").conversations) == 500
    with pytest.raises(ConfigError, match="validation"):
        open_data(f"longmemeval:{folder}", "validation")


def test_problems_of_every_kind_are_bound():
    made, lm, prompts = [generate(1, sessions=2)], ScriptedLM("NONE"), Prompts.load()
    search = BankSearch(HashEmbedder())
    problems = [*manager_problems(made, search)[:3], *answer_problems(made, search)[:3], *extract_problems(made)[:3]]
    chat = ExtractProblem("chat", Turn("t", "Ann", "Hi! How are you?"))
    manager = ManagerWorld(MemoryManager(lm, prompts), FrozenReader(AnswerAgent(lm, prompts)), search)
    answer, extract = AnswerWorld(AnswerAgent(lm, prompts)), ExtractWorld(lm, prompts)
    tasks = make_tasks([*problems, chat], manager=manager, answer=answer, extract=extract)
    assert [type(one) for one in tasks[:6]] == [ManagerTask] * 3 + [AnswerTask] * 3
    assert {type(one) for one in tasks[6:]} == {ExtractTask}
    assert "chat" not in {one.id for one in tasks}
    with pytest.raises(ConfigError, match="answer problem"):
        make_tasks(problems, manager=manager, extract=extract)
    search.close()
