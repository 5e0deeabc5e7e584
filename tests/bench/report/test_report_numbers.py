"""The report's figures, recomputed here from the predictions themselves."""

import json
import math
import re

import pytest

from memory_r1.bench.records import Prediction, append_line, read_lines
from memory_r1.bench.report.build import build
from memory_r1.bench.report.costs import spent_by
from memory_r1.bench.report.document import Beside, Picture, Table
from memory_r1.bench.report.markdown import to_markdown
from memory_r1.bench.report.means import EM, F1, Means
from memory_r1.bench.report.paper import LOCOMO, LOCOMO_N, OVERALL
from memory_r1.bench.report.run import load_run
from memory_r1.data.splits import LOCOMO_TEST
from memory_r1.errors import InvalidInputError, NotFoundError


def tables(document):
    """Every table of a document by its title."""
    found = {}
    for section in document.sections:
        for block in section.blocks:
            for table in block.tables if isinstance(block, Beside) else [block] if isinstance(block, Table) else []:
                found.setdefault(table.title, table)
    return found


def row(table, name):
    """A table's row as texts by column."""
    names = [f"{one.group}: {one.name}" if one.group else one.name for one in table.columns]
    cells = next(cells for cells in table.rows if cells[0].text == name)
    return dict(zip(names, cells, strict=True))


def predictions(folder, system):
    return read_lines(folder / "systems" / system / "predictions.jsonl", Prediction)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_the_headline_shows_each_systems_mean_over_answerable_questions_with_n_and_interval(plain):
    table = tables(plain.document)["All questions that the conversation answers"]
    assert [cells[0].text for cells in table.rows] == ["no-memory", "rag-turns", "memory-r1"]
    for system in ("no-memory", "rag-turns", "memory-r1"):
        found = row(table, system)
        answerable = [one for one in predictions(plain.folder, system) if one.gold is not None]
        assert found["n"].text == str(len(answerable)) == "48"
        for column, metric in (("F1", "mem0_f1"), ("BLEU-1", "mem0_bleu1"), ("EM", "mem0_em")):
            assert found[column].text == f"{100 * mean(one.scores[metric] for one in answerable):.1f}"
            low, high = map(float, found[column].detail.split(" to "))
            assert low <= float(found[column].text) <= high
            assert low < high
    best = max(table.rows, key=lambda cells: float(cells[2].text))
    assert [cells[2].strong for cells in table.rows] == [cells is best for cells in table.rows]


def test_without_a_judge_the_column_says_so_and_with_one_it_is_filled(make_run, plain):
    without = tables(plain.document)["All questions that the conversation answers"]
    assert {row(without, cells[0].text)["J"].text for cells in without.rows} == {"no judge"}
    folder = make_run(judge=True, questions=20)
    table = tables(build(load_run(folder)))["All questions that the conversation answers"]
    judged = [one.scores["judge_generous"] for one in predictions(folder, "memory-r1") if one.gold is not None]
    assert row(table, "memory-r1")["J"].text == f"{100 * mean(judged):.1f}"


def test_category_rows_carry_locomos_number_name_and_n_and_the_papers_figures_stand_beside_them(plain):
    document = plain.document
    section = next(one for one in document.sections if one.title == "By category")
    pairs = [block.tables for block in section.blocks if isinstance(block, Beside)]
    assert [(ours.title, paper.title) for ours, paper in pairs] == [
        ("1 multi-hop, n = 12", 'Memory-R1 paper, its "Single Hop", n = 239'),
        ("2 temporal, n = 12", 'Memory-R1 paper, its "Temporal", n = 258'),
        ("3 open-domain, n = 12", 'Memory-R1 paper, its "Multi-Hop", n = 83'),
        ("4 single-hop, n = 12", 'Memory-R1 paper, its "Open Domain", n = 727'),
    ]
    assert all(paper.foreign and not ours.foreign for ours, paper in pairs)
    grpo = row(pairs[3][1], "Memory-R1-GRPO")
    assert grpo["LLaMA-3.1-8B: F1"].text == "47.42"
    assert grpo["Qwen-2.5-7B: J"].text == "67.81"
    headline, overall = document.sections[0].blocks[0].tables
    assert not headline.foreign
    assert overall.title == "Memory-R1 paper, overall, n = 1,307"
    assert row(overall, "Memory-R1-GRPO")["LLaMA-3.1-8B: F1"].text == "45.02"
    notes = " ".join(section.blocks[-1].lines)
    assert "4: 12 of 727" in notes
    assert "cannot be compared" in notes


def test_the_papers_overall_figures_are_the_n_weighted_means_of_its_categories():
    """Guards against a figure copied into the wrong column; the known misprints of the paper are left out."""
    for model, methods in LOCOMO.items():
        for method, figures in methods.items():
            for place, metric in enumerate(figures[OVERALL]._fields):
                if method == "Zep" or (metric == "judge" and method in ("A-Mem", "Mem0")):
                    continue
                weighted = sum(figures[number][place] * LOCOMO_N[number] for number in (1, 2, 3, 4)) / LOCOMO_N[OVERALL]
                assert figures[OVERALL][place] == pytest.approx(weighted, abs=0.03), (model, method, metric)
    assert sum(LOCOMO_N[number] for number in (1, 2, 3, 4)) == LOCOMO_N[OVERALL]


@pytest.mark.parametrize("settings", [{"data": "msc"}, {"conversations": ("conv-26", "conv-41")}])
def test_the_papers_figures_stand_only_beside_locomos_test_part(make_run, settings):
    assert not any(table.foreign for table in tables(build(load_run(make_run(questions=10, **settings)))).values())


def test_differences_are_paired_with_the_best_and_with_the_first(plain):
    found = tables(plain.document)
    first = {one.question_id: one.scores["mem0_f1"] for one in predictions(plain.folder, "no-memory") if one.gold}
    best = {one.question_id: one.scores["mem0_f1"] for one in predictions(plain.folder, "memory-r1") if one.gold}
    gaps = [best[name] - first[name] for name in first]
    against_first = row(found["Minus the first system: no-memory"], "memory-r1")
    assert against_first["F1: points"].text == f"+{100 * mean(gaps):.1f}"
    assert against_first["F1: points"].strong
    assert against_first["F1: relative"].text == f"+{100 * (mean(best.values()) / mean(first.values()) - 1):.1f} %"
    assert against_first["questions, by F1: higher"].text == str(sum(gap > 0 for gap in gaps))
    against_best = row(found["Minus the best F1: memory-r1"], "no-memory")
    assert against_best["F1: points"].text == f"−{100 * mean(gaps):.1f}"
    assert [cells[0].text for cells in found["Minus the best F1: memory-r1"].rows] == ["no-memory", "rag-turns"]


def test_unanswerable_questions_count_as_abstention_alone(plain):
    found = row(tables(plain.document)["Questions that the conversation does not answer"], "memory-r1")
    asked = [one for one in predictions(plain.folder, "memory-r1") if one.gold is None]
    assert found["n"].text == str(len(asked)) == "12"
    assert found["5 adversarial"].text == f"{100 * mean(one.scores['abstention'] for one in asked):.1f}"
    assert found["wrongly abstained"].text == "0.0"


def test_retrieval_and_distillation_against_evidence(plain):
    table = tables(plain.document)["Evidence among the memories"]
    answerable = [one for one in predictions(plain.folder, "memory-r1") if one.gold is not None]
    hit = [any(set(memory.turns) & set(one.evidence) for memory in one.memories) for one in answerable]
    at_5 = [any(set(memory.turns) & set(one.evidence) for memory in one.memories[:5]) for one in answerable]
    found = row(table, "memory-r1")
    assert found["given to the reader: memories"].text == "20.0"
    assert found["given to the reader: recall@5"].text == f"{100 * mean(at_5):.1f}"
    assert found["given to the reader: recall@60"].text == f"{100 * mean(hit):.1f}"
    kept = [[memory for memory in one.memories if memory.kept] for one in answerable]
    right = [
        mean(bool(set(memory.turns) & set(one.evidence)) for memory in chosen)
        for one, chosen in zip(answerable, kept, strict=True)
    ]
    assert found["kept by the reader: precision"].text == f"{100 * mean(right):.1f}"
    assert row(table, "rag-turns")["kept by the reader: precision"].text == "–"


def test_a_system_that_does_not_know_its_turns_has_no_recall_rather_than_zero(make_run):
    from dataclasses import replace

    folder = make_run(questions=20)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    lines = [
        one.model_copy(update={"memories": tuple(replace(memory, turns=()) for memory in one.memories[: number % 2])})
        for number, one in enumerate(predictions(folder, "rag-turns"))
    ]
    config["systems"]["blind"] = "Knows no turns, and on half of the questions finds nothing."
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for line in lines:
        append_line(folder / "systems" / "blind" / "predictions.jsonl", line)
    found = row(tables(build(load_run(folder)))["Evidence among the memories"], "blind")
    assert found["given to the reader: memories"].text == "0.5"
    assert found["given to the reader: recall@60"].text == "–"


def test_bank_operations_tokens_calls_and_seconds(plain):
    run = plain.run
    found = tables(plain.document)
    bank = row(found["The bank after reading"], "memory-r1")
    assert bank["memories: a conversation"].text == "120.0"
    assert bank["memories: in all"].text == "480"
    assert bank["operations: UPDATE"].text == str(4 * 29)
    assert row(found["The bank after reading"], "no-memory")["operations: UPDATE"].text == "–"
    effort = row(found["Tokens, calls and seconds"], "memory-r1")
    asked = predictions(plain.folder, "memory-r1")
    tokens = sum(one.cost.prompt_tokens + one.cost.completion_tokens for one in asked)
    assert effort["answering: tokens"].text == f"{tokens:,}"
    assert effort["answering: tokens an answer"].text == f"{tokens / 60:,.0f}"
    assert effort["reading: LM calls"].text == "960"
    assert effort["reading: tokens a turn"].text == f"{4 * 120 * 312 / 2400:.0f}"
    seconds = sorted(one.cost.seconds for one in asked)
    bill = spent_by(run.system("memory-r1"))
    assert bill.answer_seconds[0] == pytest.approx((seconds[29] + seconds[30]) / 2)
    assert seconds[55] < bill.answer_seconds[1] < seconds[57]


def test_a_question_with_an_error_is_shown_and_never_scored(make_run):
    folder = make_run(errors=[("memory-r1", 3)], questions=100)
    document = build(load_run(folder))
    found = row(tables(document)["All questions that the conversation answers"], "memory-r1")
    answered = [one for one in predictions(folder, "memory-r1") if one.gold is not None and one.error is None]
    assert len(answered) == 79
    assert (found["n"].text, found["n"].detail) == ("79", "+1 errors")
    assert found["F1"].text == f"{100 * mean(one.scores['mem0_f1'] for one in answered):.1f}"
    assert row(tables(document)["Questions on which a system raised"], "memory-r1")["share"].text == "1.0 %"
    raised = tables(document)["What was raised"].rows[0]
    assert [cell.text for cell in raised] == ["memory-r1", "1", "ValueError: <no> way"]
    # exactly 1 % is not more than 1 %
    assert document.warnings == ()
    # the others keep the question, so the pairs are one fewer
    assert row(tables(document)["Minus the first system: no-memory"], "memory-r1")["n"].text == "79"
    assert row(tables(document)["Minus the first system: no-memory"], "rag-turns")["n"].text == "80"


def test_more_than_one_percent_of_errors_fails_the_run_and_the_system_is_never_best(make_run):
    run = load_run(make_run(errors=[("memory-r1", 3)], questions=20))
    document = build(run)
    assert [one.name for one in run.systems if one.failed] == ["memory-r1"]
    assert document.warnings[0].startswith("Failed: memory-r1 raised on 1 of 20 questions (5.0 %")
    assert Means(run).best(F1).name == "rag-turns"
    assert "Minus the best F1: rag-turns" in tables(document)


def test_an_unfinished_run_says_what_is_missing(make_run):
    folder = make_run(questions=20, only=[("rag-turns", 10), ("memory-r1", 0)])
    assert build(load_run(folder)).warnings == (
        "Not finished: rag-turns was asked 10 of 20 questions.",
        "Not finished: memory-r1 has answered nothing yet.",
    )


def test_a_question_answered_again_counts_by_its_last_line(make_run, plain):
    folder = make_run(errors=[("memory-r1", 3)])
    again = next(one for one in predictions(plain.folder, "memory-r1") if one.question_id.endswith("#3"))
    append_line(folder / "systems" / "memory-r1" / "predictions.jsonl", again)
    run = load_run(folder)
    assert len(run.system("memory-r1").predictions) == 60
    assert not run.system("memory-r1").failed


def test_a_category_nobody_knows_has_a_row_of_its_own_and_a_warning(make_run):
    folder = make_run(questions=20)
    for name in ("no-memory", "rag-turns", "memory-r1"):
        file = folder / "systems" / name / "predictions.jsonl"
        file.write_text(file.read_text(encoding="utf-8").replace('"temporal"', '"lore|<x>"'), encoding="utf-8")
    document = build(load_run(folder))
    assert "LoCoMo has no category 'lore|<x>'" in document.warnings[0]
    assert "unknown category: lore|<x>, n = 4" in tables(document)
    assert "unknown category: lore\\|&lt;x&gt;, n = 4" in to_markdown(document)


def test_one_conversation_has_intervals_over_questions_and_says_so(make_run):
    document = build(load_run(make_run(conversations=("conv-41",), questions=20)))
    assert "bootstrap over questions" in " ".join(document.sections[-1].blocks[0].lines)


def test_a_single_question_has_no_interval(make_run):
    document = build(load_run(make_run(conversations=("conv-41",), questions=1)))
    cell = row(tables(document)["All questions that the conversation answers"], "memory-r1")["F1"]
    assert cell.detail == ""
    assert math.isfinite(cell.order)


def test_on_the_papers_questions_the_notes_say_that_they_are_the_same(plain, monkeypatch):
    from memory_r1.bench.report import notes

    monkeypatch.setattr(notes, "LOCOMO_N", {OVERALL: 48, 1: 12, 2: 12, 3: 12, 4: 12})
    said = notes.paper_notes(plain.run)
    assert said[0] == "The questions are the paper's: n is the same in every category."
    assert set(LOCOMO_TEST) == {"conv-41", "conv-42", "conv-43", "conv-44", "conv-47", "conv-48", "conv-49", "conv-50"}


def test_other_data_has_its_own_categories_without_numbers(make_run):
    document = build(load_run(make_run(data="longmemeval", questions=20)))
    assert document.title == "Memory systems on LongMemEval"
    assert "temporal, n = 4" in tables(document)
    assert not any(re.match(r"\d ", title) for title in tables(document))


def test_pictures_show_every_system_in_every_category_and_against_every_cost(plain):
    drawn = {
        block.name: block
        for section in plain.document.sections
        for block in section.blocks
        if isinstance(block, Picture)
    }
    ranking, costs = drawn["score-by-category"], drawn["score-against-cost"]
    assert [panel.title for panel in ranking.panels] == [
        "all answerable questions, n = 48",
        "1 multi-hop, n = 12",
        "2 temporal, n = 12",
        "3 open-domain, n = 12",
        "4 single-hop, n = 12",
    ]
    assert len(costs.panels) == 3
    for panel in (*ranking.panels, *costs.panels):
        assert panel.body.count("<circle") == 3
        assert 'class="best"' in panel.body
        assert all(name in panel.body for name in ("no-memory", "rag-turns", "memory-r1"))


def test_an_answer_without_a_score_is_refused(make_run):
    folder = make_run(questions=5)
    file = folder / "systems" / "rag-turns" / "predictions.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"mem0_f1"', '"my_f1"', 1), encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"conv-41#0.*no score 'mem0_f1'"):
        load_run(folder)


def test_what_is_no_run_is_refused(tmp_path, make_run, plain):
    with pytest.raises(NotFoundError, match=r"no config\.json"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="not JSON"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="not a JSON object"):
        load_run(tmp_path)
    with pytest.raises(InvalidInputError, match="no answers yet"):
        load_run(make_run("empty", questions=0))
    with pytest.raises(NotFoundError, match="no answers of a system 'mem0'"):
        plain.run.system("mem0")


def test_the_best_is_the_highest_and_ties_go_to_the_first(plain):
    run = plain.run
    means = Means(run)
    values = {one.name: means.mean(one, EM).mean for one in run.systems}
    assert means.best(EM).name == max(values, key=values.get)
