"""Questions on the banks that managers leave, answered by a reader that the test writes."""

import json
from pathlib import Path

import pytest

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.prompts import Prompts
from memory_r1.bench.dilution.told import Silent
from memory_r1.bench.operations.answering import Reader, ReaderSpec, open_agents, read_reader, reader_on
from memory_r1.bench.operations.managers import habits, read_managers
from memory_r1.bench.operations.measure import Plan, measure
from memory_r1.bench.operations.questions import answer_all, question_rows, questions_of
from memory_r1.bench.operations.report import Setting, to_document, to_json
from memory_r1.bench.operations.stream import Stream
from memory_r1.config import Settings
from memory_r1.data.synthetic import generate
from memory_r1.errors import ConfigError, ModelError
from memory_r1.rl.bank_state import BankSearch, Cut
from memory_r1.rl.reader import FrozenReader
from memory_r1.testing import HashEmbedder, ScriptedLM

HABITS = ("gold", "add-all")
OLD_HOME = "Ann moved to Lisbon on 1 May 2023 and lives in a flat there."
PLAN = Plan((2, 4), 3, ask="changed")


def says(answer):
    return f"[0]\n**Answer:** {answer}"


def reads_the_first_home(chat):
    """A reader that takes an old value for the new one as soon as it is shown the old one by itself."""
    shown = chat[-1]["content"]
    if "beagle called" in shown:
        return says("Pepper")
    return says("Lisbon" if OLD_HOME in shown else "Porto")


def reader(script):
    lm = ScriptedLM(script)
    return FrozenReader(AnswerAgent(lm, Prompts.load())), lm


@pytest.fixture
def ask(story):
    """Lets a manager go through the story, and a reader answer; the scores by metric, question by question."""

    def go(manager, script, wanted="changed", cut=None):
        ruler = habits(read_managers([manager]))[0]
        stream = Stream(story, frozenset(), None)
        while (problem := stream.problem()) is not None:
            stream.take(problem, ruler.rule([problem])[0])
        search = BankSearch(HashEmbedder())
        try:
            agent, lm = reader(script)
            answered = answer_all(agent, search, [stream], wanted, cut or Cut(budget_tokens=400), Silent())
        finally:
            search.close()
        return answered, lm

    return go


def values(answered, metric="mem0_em"):
    return {one.question: one.value for one in answered.samples[metric]}


def test_no_stale_value_is_shown_on_the_bank_of_gold(ask):
    assert values(ask("gold", reads_the_first_home)[0]) == {"q0": 1}
    assert values(ask("add-all", reads_the_first_home)[0]) == {"q0": 0}


def test_what_is_asked_earlier_or_has_no_answer_is_left_out(story, ask):
    answered, lm = ask("gold", reads_the_first_home, "all")
    assert values(answered) == {"q0": 1, "q2": 1}
    assert not any("In which city" in call.prompt or "play chess with" in call.prompt for call in lm.calls)
    assert [one.id for one in questions_of(story.made, "changed")] == ["q0"]
    assert questions_of(story.made, "none") == []


def test_each_metric_has_its_own_definition(ask):
    answered, _ = ask("gold", says("The Porto."))
    assert {metric: values(answered, metric)["q0"] for metric in answered.samples} == {
        "mem0_em": 0,
        "mem0_f1": pytest.approx(2 / 3),
        "squad_em": 1,
    }


def test_no_more_is_shown_than_the_reader_may_read(story, ask):
    def shown(tokens):
        _, lm = ask("add-all", says("Porto"), cut=Cut(budget_tokens=tokens))
        return sum(text in lm.calls[0].chat[-1]["content"] for text in texts)

    texts = [told.new.text for told in story.facts]
    assert shown(1) == 1 < shown(400)


def knows_gold_memories(made):
    """A reader that is right if it is shown what the gold bank says."""
    known = {question.text: (one, question, gold) for one in made for question, gold in one.questions}

    def read(chat):
        shown, _, text = chat[-1]["content"].rpartition("Question: ")
        one, question, gold = known[json.loads(text)]
        return says(question.answer if all(one.bank[name].text in shown for name in gold.memories) else "Nothing")

    return read


@pytest.fixture(scope="module")
def made():
    return [generate(seed, sessions=4, speakers=2, split="test") for seed in range(3)]


@pytest.fixture(scope="module")
def measured(made):
    agent, _ = reader(knows_gold_memories(made))
    return measure(PLAN, habits(read_managers(HABITS)), HashEmbedder(64), reader=agent)


def test_managers_are_compared_question_by_question(made, measured):
    gold, add_all = measured.questions
    n = sum(len(questions_of(one, "changed")) for one in made)
    assert n > 3
    assert (gold.manager, add_all.manager, gold.words) == ("gold", "add-all", "fact")
    assert {value.n for row in measured.questions for value in row.scores.values()} == {n}
    assert gold.scores["mem0_em"].clusters == 3
    gap = gold.less_add_all.gap
    assert gap.mean == pytest.approx(gold.scores["mem0_em"].mean - add_all.scores["mem0_em"].mean)
    assert gap.mean > 0.5
    assert gap.low <= gap.mean <= gap.high
    assert (gap.n, gap.clusters, gap.unit) == (n, 3, "conversation")
    assert add_all.less_add_all is None


def test_without_questions_everything_else_is_the_same(measured):
    agent, lm = reader(says("Yes"))
    plain = measure(Plan((2, 4), 3), habits(read_managers(HABITS)), HashEmbedder(64), reader=agent)
    assert (plain.questions, lm.calls) == ((), [])
    assert (plain.rows, plain.told, plain.usage) == (measured.rows, measured.told, measured.usage)


def test_one_reader_answers_for_all_managers():
    counts = []
    for managers in (["gold"], ["gold", "again=gold"]):
        agent, lm = reader(says("Yes"))
        found = measure(Plan((4,), 2, ask="all"), habits(read_managers(managers)), HashEmbedder(64), reader=agent)
        counts.append(len(lm.calls))
    assert counts[0] == counts[1] > 20
    one, again = found.questions
    assert (one.scores, one.usage) == (again.scores, again.usage)
    assert one.less_add_all is None


def test_where_nothing_is_asked_there_is_no_score(story, ask):
    answered, _ = ask("gold", says("Yes"), "none")
    row = question_rows("fact", {"gold": answered, "add-all": answered}, "add-all")[0]
    assert (row.scores, row.less_add_all) == ({}, None)


def test_a_reader_that_fails_ends_the_measurement():
    agent, _ = reader(ModelError("gone"))
    with pytest.raises(ModelError, match="gone"):
        measure(Plan((2,), 1, ask="all"), habits(read_managers(HABITS)), HashEmbedder(64), reader=agent)
    with pytest.raises(ConfigError, match="nobody to answer"):
        measure(Plan((2,), 1, ask="all"), habits(read_managers(HABITS)), HashEmbedder(64))


@pytest.mark.parametrize("wrong", [{"ask": "some"}, {"reader_tokens": 0}])
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError):
        Plan(**wrong)


@pytest.fixture
def setting():
    agent, _ = reader("")
    answers = Reader("scripted, untrained", agent)
    return Setting("memory-r1", "1.2.3", PLAN, tuple(habits(read_managers(HABITS))), "scripted", "hash-64", answers)


def test_the_report_has_the_questions_with_their_difference(setting, measured):
    document = to_document(setting, measured)
    assert dict(document.facts)["Reader"].startswith("scripted, untrained; shown at most 400 tokens")
    table = document.sections[1].blocks[-1]
    assert table.title == "Questions about changed facts after 4 sessions, %"
    assert [column.name for column in table.columns] == [
        "manager",
        "EM (Mem0)",
        "F1 (Mem0)",
        "EM (SQuAD)",
        "EM (Mem0) less add-all",
    ]
    gold, add_all = table.rows
    assert gold[1].detail.endswith(f"; {measured.questions[0].scores['mem0_em'].n}")
    assert gold[4].text.startswith("+")
    assert " to " in gold[4].detail
    assert add_all[4].text == "–"


def test_json_has_the_questions_with_their_difference(setting, measured):
    found = json.loads(json.dumps(to_json(setting, measured)))
    assert found["reader"] == {"about": "scripted, untrained", "adapter": None}
    gold, add_all = found["questions"]
    assert (gold["manager"], gold["words"], gold["sessions"]) == ("gold", "fact", 4)
    assert set(gold["scores"]) == {"mem0_em", "mem0_f1", "squad_em"}
    assert gold["less_add_all"]["mean"] == measured.questions[0].less_add_all.gap.mean
    assert gold["less_add_all"]["better"] > gold["less_add_all"]["worse"] == 0
    assert add_all["less_add_all"] is None
    assert gold["usage"]["calls"] == gold["scores"]["mem0_em"]["n"]


def adapter(folder, weights):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return str(folder)


def test_managers_and_reader_share_one_model_and_its_cache(tmp_path, monkeypatch):
    manager, answerer = adapter(tmp_path / "manager", b"one"), adapter(tmp_path / "answerer", b"two")
    opened = []

    def make_lm(spec, *, adapters, **_):
        replies = lambda chat: says("Yes") if "Question: " in chat[-1]["content"] else '{"op":"ADD"}'  # noqa: E731
        opened.append((ScriptedLM(replies, adapters=list(adapters)), dict(adapters)))
        return opened[-1][0]

    monkeypatch.setattr("memory_r1.lm.factory.make_lm", make_lm)
    specs = read_managers(["gold", f"mine={manager}"])
    asked = []
    for _ in range(2):
        with open_agents(specs, ReaderSpec(answerer), Settings(), tmp_path / "cache", HashEmbedder()) as (rulers, one):
            found = measure(Plan((2,), 1, ask="all"), rulers, HashEmbedder(64), reader=one.agent)
        asked.append(found.questions)
    assert len(opened) == 2
    lm, known = opened[0]
    names = {Path(folder): name for name, folder in known.items()}
    questions = [call for call in lm.calls if "Question: " in call.prompt]
    assert {call.adapter for call in questions} == {names[Path(answerer)]}
    assert {call.adapter for call in lm.calls if call not in questions} == {None, names[Path(manager)]}
    assert one.adapter["folder"].endswith("answerer")
    # the second time only whether it is there is asked
    assert len(opened[1][0].calls) == 1
    assert asked[0] == asked[1]
    assert all(lm.closed for lm, _ in opened)


def test_a_reader_without_an_adapter_is_the_base_model():
    lm = ScriptedLM(says("Yes"))
    one = reader_on(lm, read_reader("untrained"))
    assert (one.about, one.adapter) == ("scripted, untrained", None)
    measure(Plan((2,), 1, ask="all"), habits(read_managers(["gold"])), HashEmbedder(64), reader=one.agent)
    assert {call.adapter for call in lm.calls} == {None}


def test_the_reader_is_the_shipped_one_where_there_is_one(tmp_path):
    assert read_reader(None, "http://127.0.0.1:9/v1#toy") == read_reader("untrained") == ReaderSpec(None)
    assert read_reader(None) == read_reader("shipped")
    assert Path(read_reader(None).folder).name == "answerer"
    own = adapter(tmp_path / "own", b"weights")
    assert read_reader(own) == ReaderSpec(own)


@pytest.mark.parametrize(
    ("given", "model", "message"),
    [
        ("nobody", "bundled", "There is no reader 'nobody'"),
        ("shipped", "http://127.0.0.1:9/v1#toy", "for the bundled model"),
    ],
)
def test_a_reader_that_cannot_be_found_is_refused(given, model, message):
    with pytest.raises(ConfigError, match=message):
        read_reader(given, model)


def test_a_folder_without_an_adapter_is_no_reader(tmp_path):
    with pytest.raises(ConfigError, match=r"adapter_config\.json"):
        read_reader(str(tmp_path))
