"""Two runs beside each other, on the command line and as a page."""

import base64
import gzip
import json

import pytest
import typer
from typer.testing import CliRunner

from memory_r1.bench.records import Prediction, read_lines
from memory_r1.bench.report.compare import BOTH, FIRST, LEFT_OUT, NEITHER, SECOND, compare_runs
from memory_r1.bench.report.compare_document import to_document, to_page
from memory_r1.bench.report.means import F1
from memory_r1.cli import bench_report
from memory_r1.errors import InvalidInputError, NotFoundError


def weaker(systems):
    """The same systems, memory-r1 with less skill."""
    from dataclasses import replace

    return {**systems, "memory-r1": replace(systems["memory-r1"], skill=0.3)}


@pytest.fixture
def two_runs(make_run, plain, systems):
    return plain.folder, make_run("weaker", systems=weaker(systems))


@pytest.fixture
def app():
    app = typer.Typer()
    app.command("report")(bench_report.report)
    app.command("compare")(bench_report.compare)
    return app


def scores(folder, system):
    lines = read_lines(folder / "systems" / system / "predictions.jsonl", Prediction)
    return {one.question_id: one for one in lines}


def test_every_question_stands_under_one_verdict(two_runs):
    pair = compare_runs(*two_runs, system="memory-r1").pairs[0]
    groups = pair.by_verdict()
    assert sum(map(len, groups.values())) == 60
    mine, theirs = (scores(folder, "memory-r1") for folder in two_runs)
    for verdict, right in (
        (BOTH, (True, True)),
        (FIRST, (True, False)),
        (SECOND, (False, True)),
        (NEITHER, (False, False)),
    ):
        for _, name in groups[verdict]:
            key = "abstention" if mine[name].gold is None else "mem0_f1"
            assert (mine[name].scores[key] >= 0.5, theirs[name].scores[key] >= 0.5) == right
    assert len(groups[FIRST]) > len(groups[SECOND])


def test_the_difference_is_second_minus_first(two_runs):
    pair = compare_runs(*two_runs, system="memory-r1").pairs[0]
    mine, theirs = (scores(folder, "memory-r1") for folder in two_runs)
    gaps = [theirs[name].scores["mem0_f1"] - one.scores["mem0_f1"] for name, one in mine.items() if one.gold]
    found = pair.difference(F1)
    assert found.gap.mean == pytest.approx(sum(gaps) / len(gaps))
    assert found.gap.mean < 0
    assert found.gap.low <= found.gap.mean <= found.gap.high
    assert found.gap.n == 48


def test_by_default_all_common_systems_are_compared(two_runs):
    assert [pair.name for pair in compare_runs(*two_runs).pairs] == ["no-memory", "rag-turns", "memory-r1"]


def test_two_systems_of_one_run(two_runs):
    found = compare_runs(two_runs[0], two_runs[0], system="rag-turns", against="memory-r1")
    assert [pair.name for pair in found.pairs] == ["rag-turns and memory-r1"]
    assert found.pairs[0].difference(F1).gap.mean > 0


def test_the_only_system_of_each_is_compared_whatever_its_name(make_run, systems):
    one = make_run("one", systems={"rag-turns": systems["rag-turns"]}, questions=5)
    other = make_run("two", systems={"memory-r1": systems["memory-r1"]}, questions=5)
    assert compare_runs(one, other).pairs[0].name == "rag-turns and memory-r1"


def test_runs_without_a_common_system_ask_for_names(make_run, systems):
    one = make_run("one", systems={name: systems[name] for name in ("no-memory", "rag-turns")}, questions=5)
    other = make_run("two", systems={"memory-r1": systems["memory-r1"]}, questions=5)
    with pytest.raises(InvalidInputError, match="no system in common: no-memory, rag-turns; memory-r1"):
        compare_runs(one, other)
    with pytest.raises(NotFoundError, match="no answers of a system 'memory-r1'"):
        compare_runs(one, other, system="memory-r1")


def test_different_question_sets_are_refused_with_how_many_and_the_first(make_run, plain):
    with pytest.raises(InvalidInputError) as caught:
        compare_runs(plain.folder, make_run("shorter", questions=55))
    said = str(caught.value)
    assert "60 in" in said
    assert "55 in" in said
    assert "5 only in the first, 0 only in the second" in said
    assert "'conv-44#55' of 'conv-44'" in said


def test_other_gold_answers_are_refused(make_run):
    one, other = (make_run(name, questions=20) for name in ("one", "two"))
    file = other / "systems" / "no-memory" / "predictions.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"gold":"Leeds"', '"gold":"York"'), encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"another text or gold answer .*: 'Leeds', there 'York'"):
        compare_runs(one, other)


def test_a_question_that_one_of_them_raised_on_is_left_out_of_all_scores(make_run, plain):
    one, other = plain.folder, make_run("two", errors=[("memory-r1", 3)])
    pair = compare_runs(one, other, system="memory-r1").pairs[0]
    assert pair.by_verdict()[LEFT_OUT] == [("conv-44", "conv-44#3")]
    assert pair.difference(F1).gap.n == 47
    assert (
        "Failed: memory-r1 of the second run raised on 1 of 60 questions."
        in to_document(compare_runs(one, other, system="memory-r1")).warnings
    )


def test_other_data_is_warned_of(make_run):
    one, other = (make_run(name, questions=20) for name in ("one", "two"))
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    config["data"]["hash"] = "ffff"
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "different data files: 79fa87e90f04081343b8 and ffff" in to_document(compare_runs(one, other)).warnings[0]


def test_the_judge_says_what_is_right_only_if_both_runs_have_one(make_run, plain):
    judged = make_run("judged", judge=True)
    assert [pair.judged for pair in compare_runs(judged, judged).pairs] == [True] * 3
    assert [pair.judged for pair in compare_runs(judged, plain.folder).pairs] == [False] * 3


def test_the_page_begins_with_disagreements(two_runs):
    page = to_page(compare_runs(*two_runs, system="memory-r1"))
    assert '<option value="split" selected>' in page
    assert "second − first" in page
    packed = page.split('id="packed">')[1].split("<")[0]
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert data["systems"] == ["first: memory-r1", "second: memory-r1"]
    assert len(data["questions"]) == 60


def test_compare_prints_scores_and_the_questions_that_only_one_has_right(app, two_runs, tmp_path):
    groups = compare_runs(*two_runs, system="memory-r1").pairs[0].by_verdict()
    page = tmp_path / "new" / "page.html"
    done = CliRunner().invoke(
        app, ["compare", *map(str, two_runs), "--system", "memory-r1", "--show", "3", "--html", str(page)]
    )
    assert done.exit_code == 0, done.output
    assert f"Only the first right ({len(groups[FIRST])}, the first 3 shown)" in done.stdout
    assert groups[FIRST][0][1] in done.stdout
    assert groups[FIRST][3][1] not in done.stdout
    assert "1 multi-hop" in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_compare_as_json(app, two_runs):
    done = CliRunner().invoke(app, ["compare", *map(str, two_runs), "--json"])
    found = json.loads(done.stdout)
    assert [one["first"] for one in found] == ["no-memory", "rag-turns", "memory-r1"]
    f1 = found[2]["scores"]["mem0_f1"]
    assert f1["difference"] == pytest.approx(f1["second"] - f1["first"])
    assert sum(len(keys) for keys in found[2]["questions"].values()) == 60


def test_report_writes_its_files_and_fails_with_a_failed_run(app, make_run):
    folder = make_run("good", questions=10)
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    assert "no judge" in done.stdout
    assert (folder / "report.html").is_file()
    bad = make_run("bad", errors=[("memory-r1", 3)], questions=10)
    done = CliRunner().invoke(app, ["report", str(bad), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["failed"] == ["memory-r1"]
    assert (bad / "report.md").is_file()


def test_help_texts(app):
    for command in ("report", "compare"):
        done = CliRunner().invoke(app, [command, "--help"])
        assert done.exit_code == 0
        assert "run" in done.stdout
