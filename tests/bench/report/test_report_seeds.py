"""One method under several seeds."""

from dataclasses import replace

import pytest

from memory_r1.bench.report.compare import compare_runs
from memory_r1.bench.report.means import F1
from memory_r1.bench.report.run import load_run
from memory_r1.bench.report.seeds import open_seeds, spreads, to_table
from memory_r1.errors import InvalidInputError


@pytest.fixture
def two(make_run, plain, systems):
    """Two runs of the same systems, `memory-r1` a little weaker in the second."""
    return plain.folder, make_run("second", systems={**systems, "memory-r1": replace(systems["memory-r1"], skill=0.5)})


def f1_of(folder, system):
    found = load_run(folder).system(system).predictions.values()
    return [one.scores["mem0_f1"] for one in found if one.gold is not None and one.error is None]


def test_the_mean_is_over_runs_and_the_deviation_between_them(two):
    seeds = open_seeds(two, ["memory-r1"])
    assert seeds.names == ["run/memory-r1", "second/memory-r1"]
    f1 = next(one for one in spreads(seeds) if one.metric is F1)
    means = [sum(scores) / len(scores) for scores in (f1_of(folder, "memory-r1") for folder in two)]
    assert list(f1.each) == pytest.approx(means)
    assert f1.mean.mean == pytest.approx(sum(means) / 2)
    assert f1.deviation == pytest.approx(abs(means[0] - means[1]) / 2**0.5)
    assert f1.mean.n == 48
    assert f1.mean.low < f1.mean.mean < f1.mean.high
    assert f1.difference is None


def test_one_run_against_another_method_is_the_usual_paired_difference(two):
    one, other = open_seeds(two[:1], ["memory-r1"]), open_seeds(two[:1], ["rag-turns"])
    f1 = next(found for found in spreads(one, other) if found.metric is F1)
    usual = compare_runs(two[0], two[0], system="rag-turns", against="memory-r1").pairs[0].difference(F1)
    assert f1.difference == usual
    assert f1.deviation == 0


def test_a_question_on_which_any_run_raised_is_left_out_of_all(make_run, plain):
    second = make_run("errors", errors=[("memory-r1", 3)])
    seeds = open_seeds([plain.folder, second], ["memory-r1"])
    f1 = next(one for one in spreads(seeds) if one.metric is F1)
    assert f1.mean.n == 47
    table = to_table(seeds, None, [f1])
    assert table.notes == ("1 questions on which a run raised are left out.",)
    assert [column.name for column in table.columns][-2:] == ["run/memory-r1", "errors/memory-r1"]


def test_systems_of_one_run_may_be_seeds(plain):
    seeds = open_seeds([plain.folder], ["no-memory", "rag-turns"])
    assert seeds.names == ["no-memory", "rag-turns"]


def test_other_questions_and_unknown_systems_are_refused(make_run, plain):
    with pytest.raises(InvalidInputError, match=r"not asked the same questions: 60 in .* 55 in"):
        open_seeds([plain.folder, make_run("shorter", questions=55)], ["memory-r1"])
    with pytest.raises(InvalidInputError, match=r"No run has a system 'grpo'. There are: no-memory"):
        open_seeds([plain.folder], ["memory-r1", "grpo"])
