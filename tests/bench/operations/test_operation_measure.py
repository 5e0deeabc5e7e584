import json
from dataclasses import replace

import pytest

from memory_r1.bench.dilution.told import Silent
from memory_r1.bench.operations.managers import habits, read_managers, with_model
from memory_r1.bench.operations.measure import Plan, measure
from memory_r1.bench.operations.report import Setting, to_document, to_json, write_folder
from memory_r1.bench.report.document import Table
from memory_r1.bench.report.markdown import to_markdown
from memory_r1.errors import ConfigError, InvalidInputError, ModelError
from memory_r1.testing import HashEmbedder, ScriptedLM

PLAN = Plan((2, 4), 3, words=("fact", "said"))
HABITS = ("gold", "add-all")
OWN_BANK = ("lost", "duplicate", "stale", "beside", "retired_kept", "mixed", "entries", "characters")


def rows_of(measured):
    return {(row.manager, row.words, row.sessions): row for row in measured.rows}


def mean(row, rate):
    return row.rates[rate].mean


class Counting(Silent):
    def __init__(self):
        self.stages = {}

    def began(self, stage, total):
        self.now = stage
        self.stages[stage] = [0, total]

    def went_on(self, steps):
        self.stages[self.now][0] += steps


@pytest.fixture(scope="module")
def told():
    return Counting()


@pytest.fixture(scope="module")
def measured(told):
    return measure(PLAN, habits(read_managers(HABITS)), HashEmbedder(64), told)


def test_gold_operations_are_right_and_leave_the_gold_bank(measured):
    for (manager, _, _), row in rows_of(measured).items():
        if manager == "gold":
            assert all(mean(row, f"accuracy{kind}") == 1 for kind in ("", "/ADD", "/UPDATE"))
            assert all(
                mean(row, rate) == 0 for rate in (*OWN_BANK[:6], "wrong_delete", "unusable") if rate in row.rates
            )
            assert mean(row, "entries/gold") == mean(row, "characters/gold") == 1
            assert mean(row, "entries") == measured.told[row.sessions]["memories"]
            assert row.causes == {}


def test_adding_everything_keeps_all_and_replaces_nothing(measured):
    for (manager, _, _), row in rows_of(measured).items():
        if manager == "add-all":
            assert mean(row, "accuracy/ADD") == mean(row, "mix/ADD") == 1
            assert mean(row, "accuracy/UPDATE") == mean(row, "mix/UPDATE") == mean(row, "lost") == 0
            assert mean(row, "entries/added") == mean(row, "characters/added") == 1
            assert mean(row, "entries/gold") > 1.5
            assert all(mean(row, rate) == 1 for rate in ("stale", "retired_kept") if rate in row.rates)
            assert "wrong_delete" not in row.rates
    # somewhere a value was replaced and a memory retired
    last = rows_of(measured)["add-all", "fact", 4]
    assert {"stale", "retired_kept"} <= last.rates.keys()


def test_rates_carry_n_and_an_interval_by_conversation(measured):
    row = rows_of(measured)["add-all", "fact", 4]
    accuracy = row.rates["accuracy"]
    assert (accuracy.clusters, accuracy.unit) == (3, "conversation")
    assert accuracy.low < accuracy.mean < accuracy.high
    assert accuracy.n == sum(row.rates[f"accuracy/{kind}"].n for kind in ("ADD", "UPDATE", "DELETE", "NOOP"))
    assert row.rates["mix/ADD"].n == 3 * measured.told[4]["facts"]
    assert row.rates["entries"].n == 3


def test_a_shorter_list_of_sessions_gives_the_same_figures(measured):
    short = rows_of(measure(Plan((2,), 3), habits(read_managers(HABITS)), HashEmbedder(64)))
    assert {key: row.rates for key, row in short.items()} == {
        key: row.rates for key, row in rows_of(measured).items() if key[1:] == ("fact", 2)
    }


def test_without_gold_banks_the_own_ones_are_the_same(measured):
    told = Counting()
    plan = replace(PLAN, words=("fact",), gold_banks=False)
    found = measure(plan, habits(read_managers(HABITS)), HashEmbedder(64), told)
    assert not any("gold bank" in stage for stage in told.stages)
    for place, row in rows_of(found).items():
        whole = rows_of(measured)[place]
        assert row.rates == {name: rate for name, rate in whole.rates.items() if not name.startswith("accuracy")}
        assert row.causes == whole.causes
    document = to_document(Setting("c", "0", plan, (), None, "hash"), found)
    assert not any("gold bank" in table.title for section in document.sections for table in section.blocks)


def test_progress_reaches_the_end_of_every_stage(told, measured):
    assert len(told.stages) == 1 + 2 * (1 + 2 * len(HABITS))
    assert all(done == total for done, total in told.stages.values())


def test_a_model_that_always_adds_is_add_all(measured):
    lm = ScriptedLM('{"op":"ADD"}')
    rulers = with_model(read_managers(["base=untrained"]), lm, HashEmbedder())
    found = measure(Plan((4,), 3), rulers, HashEmbedder(64))
    row, habit = found.rows[0], rows_of(measured)["add-all", "fact", 4]
    assert {name: mean(row, name) for name in OWN_BANK} == {name: mean(habit, name) for name in OWN_BANK}
    assert mean(row, "accuracy") == mean(habit, "accuracy")
    # everything that is concerned is in the bank somewhere, if not always among the three that are shown
    assert 0.5 < mean(row, "shown") <= 1
    assert found.usage["base", "fact"].calls == len(lm.calls)
    assert {call.adapter for call in lm.calls} == {None}


def test_what_cannot_be_used_is_counted_and_adds(measured):
    rulers = with_model(read_managers(["untrained"]), ScriptedLM("I would keep that."), HashEmbedder())
    row = measure(Plan((2,), 2), rulers, HashEmbedder(64)).rows[0]
    assert mean(row, "accuracy") == 0
    assert mean(row, "unusable") > 0.9
    assert mean(row, "mix/ADD") > 0.9
    assert mean(row, "lost") == 0


def test_a_model_that_fails_ends_the_measurement(measured):
    rulers = with_model(read_managers(["untrained"]), ScriptedLM(ModelError("gone")), HashEmbedder())
    with pytest.raises(ModelError, match="gone"):
        measure(Plan((2,), 1), rulers, HashEmbedder(64))


@pytest.fixture(scope="module")
def setting():
    rulers = habits(read_managers(HABITS))
    return Setting("memory-r1 bench operations", "1.2.3", PLAN, tuple(rulers), None, "hash-64")


def test_json_has_every_figure(setting, measured):
    found = json.loads(json.dumps(to_json(setting, measured)))
    assert found["command"] == "memory-r1 bench operations"
    assert found["plan"]["sessions"] == [2, 4]
    assert len(found["rows"]) == 2 * 2 * 2
    row = found["rows"][0]
    assert (row["manager"], row["words"], row["sessions"]) == ("gold", "fact", 2)
    assert row["rates"]["accuracy"]["mean"] == 1
    assert row["lost_because"] == {"never stored": 0, "deleted": 0, "written over": 0}
    assert found["usage"] == []


def test_the_report_has_a_row_for_each_manager_and_session(setting, measured):
    document = to_document(setting, measured)
    assert [section.title for section in document.sections][1:] == [
        "Facts in the generator's words",
        "Facts in the words they were told in",
    ]
    for section in document.sections[1:]:
        for table in section.blocks:
            assert isinstance(table, Table)
            assert [(row[0].text, row[1].text) for row in table.rows] == [
                (name, sessions) for name in HABITS for sessions in ("2", "4")
            ]
    assert document.warnings == ("Only 3 conversations: the intervals are too narrow.",)
    assert "memory-r1 bench operations" in to_markdown(document)


def test_the_folder_has_both_files(setting, measured, tmp_path):
    markdown, data = write_folder(tmp_path / "new" / "folder", setting, measured)
    assert markdown.read_text(encoding="utf-8") == to_markdown(to_document(setting, measured))
    assert json.loads(data.read_text(encoding="utf-8")) == json.loads(json.dumps(to_json(setting, measured)))
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="cannot be written"):
        write_folder(tmp_path / "file", setting, measured)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sessions": ()},
        {"sessions": (0, 2)},
        {"sessions": (4, 2)},
        {"conversations": 0},
        {"candidates": 0},
        {"split": "all"},
        {"speakers": 5},
        {"words": ()},
        {"words": ("gold",)},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError):
        Plan(**wrong)


def adapter(folder):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return str(folder)


def test_an_adapter_is_named_by_its_run(tmp_path):
    one, two = adapter(tmp_path / "grpo" / "adapter"), adapter(tmp_path / "sft")
    specs = read_managers([one, two, f"best={two}"])
    assert [(spec.name, spec.folder) for spec in specs] == [("grpo", one), ("sft", two), ("best", two)]


def test_without_a_choice_every_known_manager_is_measured():
    names = [spec.name for spec in read_managers((), "http://127.0.0.1:9/v1#toy")]
    assert names == ["gold", "add-all", "untrained"]
    assert [spec.name for spec in read_managers(())][:3] == names


@pytest.mark.parametrize(
    ("given", "model", "message"),
    [
        (["nobody"], "bundled", "There is no manager 'nobody'"),
        (["gold", "gold"], "bundled", "two managers 'gold'"),
        (["shipped"], "http://127.0.0.1:9/v1#toy", "for the bundled model"),
        ([""], "bundled", "cannot be read"),
    ],
)
def test_a_manager_that_cannot_be_found_is_refused(given, model, message):
    with pytest.raises(ConfigError, match=message):
        read_managers(given, model)


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"adapter_config\.json"):
        read_managers([str(tmp_path)])
