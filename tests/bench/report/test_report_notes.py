"""What a report says of how far its numbers reach: labels, judges, damaged data, empty answers."""

import json

import pytest

from memory_r1.bench.records import Prediction, append_line, read_lines
from memory_r1.bench.report.build import build, facts
from memory_r1.bench.report.compare import compare_runs
from memory_r1.bench.report.compare_document import settings_table, to_document
from memory_r1.bench.report.document import Points
from memory_r1.bench.report.notes import paper_notes
from memory_r1.bench.report.run import load_run

LABELS = {"name": "locomo-audit", "sha256": "f2", "cited": 3, "replaced": 2, "left_out": 1}
JUDGE = {
    "model": "big",
    "answers": 120,
    "calls": 99,
    "prompt_tokens": 2000,
    "completion_tokens": 345,
    "seconds": 1.0,
    "reminded": 0,
    "from_cache": 21,
    "at": "2025-03-01T10:00:00+00:00",
}


@pytest.fixture
def configured(make_run):
    """Writes a run whose configuration says more than usual."""

    def write(name="run", *, data=(), judge=False, **config):
        folder = make_run(name, questions=20, judge=judge)
        file = folder / "config.json"
        whole = json.loads(file.read_text(encoding="utf-8"))
        whole["data"] |= dict(data)
        file.write_text(json.dumps(whole | config), encoding="utf-8")
        return folder

    return write


def change(folder, system, **changed):
    """Change a system's first answerable answer."""
    file = folder / "systems" / system / "predictions.jsonl"
    lines = read_lines(file, Prediction)
    file.unlink()
    place = next(number for number, one in enumerate(lines) if one.gold is not None)
    for number, one in enumerate(lines):
        append_line(file, one.model_copy(update=changed) if number == place else one)


def limits(folder):
    section = next(one for one in build(load_run(folder)).sections if one.title == "Limits")
    return "\n".join(line for block in section.blocks if isinstance(block, Points) for line in block.lines)


def test_corrected_labels_are_told_from_title_to_limits(configured):
    folder = configured(
        data={"labels": LABELS}, rescored={"command": "memory-r1 bench rescore run", "at": "2025-03-02T10:00:00+00:00"}
    )
    run = load_run(folder)
    document = build(run)
    assert document.title == "Memory systems on LoCoMo, corrected labels"
    assert dict(facts(run))["labels"] == (
        "corrected by locomo-audit: 2 gold answers are new, 3 questions have other evidence, 1 are left out"
    )
    assert document.command.splitlines()[-1] == "memory-r1 bench rescore run"
    assert "cannot be compared with the paper's" in paper_notes(run)[0]
    assert "stands beside the usual one, not in its place" in limits(folder)
    assert "6.4 %" not in limits(folder)


def test_the_head_says_what_part_was_asked(plain, configured):
    assert dict(facts(plain.run))["questions"] == "60 in 4 conversations"
    part = configured(data={"sample": {"of": 1307, "seed": 0}, "sessions": 2})
    assert dict(facts(load_run(part)))["questions"] == "20 of 1,307 in 4 conversations, the first 2 sessions of each"


def test_the_usual_labels_are_not_talked_of(plain):
    assert "labels" not in dict(facts(plain.run))
    assert plain.document.title == "Memory systems on LoCoMo"
    assert "6.4 %" in limits(plain.folder)


def test_who_judged_and_what_it_took_is_told(configured):
    run = load_run(configured(judge=True, judges={"judge_generous": JUDGE}))
    assert dict(facts(run))["judge"] == (
        "J (generous) by big (120 answers, 99 calls, 2,345 tokens, 21 verdicts from a cache)"
    )


def test_answers_that_were_not_judged_are_counted(configured):
    folder = configured(judge=True)
    assert "were not judged" not in limits(folder)
    change(folder, "rag-turns", scores={"mem0_f1": 0.5})
    assert "J (generous) leaves out answers that were not judged: rag-turns 1 of 16." in limits(folder)


def test_data_that_is_not_the_published_one_is_warned_of(configured, plain):
    assert "not the published locomo" in build(load_run(configured(data={"published": False}))).warnings[0]
    assert plain.document.warnings == ()
    assert build(load_run(configured("other", data={"published": True}))).warnings == ()


def test_empty_answers_are_counted_and_abstentions_are_none(configured):
    folder = configured()
    assert "Empty answers" not in limits(folder)
    change(folder, "rag-turns", answer=" ", abstained=True)
    assert "Empty answers" not in limits(folder)
    change(folder, "rag-turns", answer=" ", abstained=False)
    assert "Empty answers, scored as they are: rag-turns 1." in limits(folder)


def test_a_comparison_names_judges_and_not_their_bills_and_no_folder_of_a_machine(configured, tmp_path):
    one = configured("one", judge=True, judges={"judge_generous": JUDGE})
    other = configured("two", judge=True, judges={"judge_generous": JUDGE | {"model": "small", "calls": 7}})
    found = compare_runs(one, other)
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in settings_table(found).rows}
    assert rows == {"judges.judge_generous.model": ["big", "small"]}
    assert dict(to_document(found).facts)["first"] == ".../one"
