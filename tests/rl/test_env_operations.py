import json

import pytest

from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.results import Ruling
from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic import generate
from memory_r1.errors import InvalidInputError
from memory_r1.rl.bank_state import BankSearch
from memory_r1.rl.build_options import ManagerOptions
from memory_r1.rl.build_synthetic import manager_problems
from memory_r1.rl.cases import load_cases, play_cases
from memory_r1.rl.operation_report import report_operations, rule_on
from memory_r1.testing import HashEmbedder, ScriptedLM

RIGHT = {
    "second-pet": (0, "Ines brought home two rescue hounds, Buddy and Scout."),
    "moved": (0, "Tariq rents a bungalow in Bruges; before that he rented a loft in Antwerp."),
    "gave-up": 0,
    "said-before": None,
    "new-topic": "ADD",
    "namesakes": (1, "Milo's brother Leo is a diver with an instructor's licence for diving."),
    "corrected": (0, "Pilar's pottery class is on Wednesdays."),
    "other-speaker": "ADD",
    "detail": (0, "Anouk bought a sailing boat. Anouk named her sailing boat Petrel."),
    "cancelled": 0,
    "ended-with-a-date": (0, "Noor's partner was Emil; they separated on 3 June 2022."),
    "planted": None,
    "second-child": (0, "Nils has a son, Jakob, and a daughter, Vera."),
    "new-job": (0, "Petra works as a florist; before that she was a nurse in Graz."),
    "new-number": (0, "Wim's phone number is 0488 7136."),
    "born-again": None,
    "two-aunts": (1, "Felix's aunt Mira is a welder. Felix's aunt Mira bought a barge."),
    "stopped": 0,
    "ankle": "ADD",
    "small-talk": None,
    "chain-mail": None,
    "wrong-hour": (0, "Tove's flight leaves at 8 in the morning."),
    "no-parrot": 0,
    "greenhouse": (0, "Zita keeps a vegetable garden with a greenhouse."),
    "vegan-too": "ADD",
}


def written(what):
    if what is None:
        return '{"op":"NOOP"}'
    if what == "ADD":
        return '{"op":"ADD"}'
    if isinstance(what, int):
        return json.dumps({"op": "DELETE", "id": what})
    return json.dumps({"op": "UPDATE", "id": what[0], "text": what[1]})


def outcomes(*replies):
    manager = MemoryManager(ScriptedLM(list(replies)), Prompts.load())
    return {one.case.id: one.wrong for one in play_cases(lambda problems: rule_on(problems, manager))}


def test_the_dogs_come_first():
    assert load_cases()[0].id == "second-pet"
    assert len(load_cases()) >= 25
    assert {case.id for case in load_cases()} == RIGHT.keys()


def test_right_rulings_pass_every_case():
    assert set(outcomes(*(written(RIGHT[case.id]) for case in load_cases())).values()) == {None}


@pytest.mark.parametrize(
    "reply", ['{"op":"ADD"}', '{"op":"NOOP"}', '{"op":"DELETE","id":0}', '{"op":"DELETE","id":1}', "no"]
)
def test_no_single_habit_passes_for_right(reply):
    found = outcomes(*[reply] * len(load_cases()))
    assert sum(problem is None for problem in found.values()) <= 5


def test_mixing_up_the_memories_is_noticed():
    swapped = [
        written((1 - what[0], what[1]) if isinstance(what, tuple) else 1 - what if isinstance(what, int) else what)
        for what in (RIGHT[case.id] for case in load_cases())
    ]
    found = outcomes(*swapped)
    assert {name for name, problem in found.items() if problem} == {
        name for name, what in RIGHT.items() if isinstance(what, tuple | int)
    }


@pytest.fixture(scope="module")
def problems():
    search = BankSearch(HashEmbedder())
    built = manager_problems([generate(3)], search, ManagerOptions(link="memory", unlinked=True))
    search.close()
    return built


def oracle(problem):
    gold = problem.facts[0].gold
    target = problem.candidates.index(gold.target) if gold.target else None
    return Ruling(gold.kind, target=target, text=gold.text)


def test_the_oracle_is_right_throughout(problems):
    report = report_operations(problems, [oracle(one) for one in problems])
    assert report.accuracy == 1
    assert report.count == len(problems)
    assert all(score.accuracy == 1 for score in report.by_kind.values())
    assert report.by_kind[OperationKind.UPDATE].text_f1 == pytest.approx(1)
    assert report.rejected == 0


def test_adding_everything_is_seen_as_that(problems):
    manager = MemoryManager(ScriptedLM('{"op":"ADD"}'), Prompts.load())
    report = report_operations(problems, rule_on(problems, manager))
    assert report.mix[OperationKind.ADD] == len(problems)
    assert report.by_kind[OperationKind.ADD].accuracy == 1
    assert report.by_kind[OperationKind.UPDATE].accuracy == 0
    assert report.accuracy == report.by_kind[OperationKind.ADD].count / len(problems)


def test_what_cannot_be_used_is_never_right(problems):
    report = report_operations(problems, rule_on(problems, MemoryManager(ScriptedLM("?"), Prompts.load())))
    assert report.accuracy == 0
    assert report.rejected == len(problems)


def test_the_right_kind_on_the_wrong_memory_is_not_right(problems):
    updates = [one for one in problems if one.facts[0].gold.kind is OperationKind.UPDATE]
    wrong = [
        Ruling(OperationKind.UPDATE, target=(oracle(one).target + 1) % len(one.candidates), text="x") for one in updates
    ]
    score = report_operations(updates, wrong).by_kind[OperationKind.UPDATE]
    single = sum(len(one.candidates) == 1 for one in updates)
    assert (score.right, score.right_kind) == (single, len(updates))


def test_the_table_names_every_kind(problems):
    lines = report_operations(problems, [oracle(one) for one in problems]).lines()
    assert [line.split("|")[1].strip() for line in lines[2:7]] == ["ADD", "UPDATE", "DELETE", "NOOP", "all"]


def test_problems_without_gold_are_refused(problems):
    with pytest.raises(InvalidInputError, match="no problem"):
        report_operations([], [])
    case = load_cases()[0].problem
    with pytest.raises(InvalidInputError, match="second-pet"):
        report_operations([case], [Ruling(OperationKind.NOOP)])
