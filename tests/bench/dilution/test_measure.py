import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from memory_r1.bench.dilution.distractors import Distractors
from memory_r1.bench.dilution.measure import Dilution
from memory_r1.bench.dilution.probe import Probe
from memory_r1.bench.dilution.reading import DilutedReader
from memory_r1.bench.dilution.summary import summarise
from memory_r1.bench.dilution.told import Stages
from memory_r1.bench.dilution.write import Setting, to_document, to_json, write_folder
from memory_r1.bench.loading import BenchData
from memory_r1.bench.report.markdown import to_markdown
from memory_r1.bench.system import Kit
from memory_r1.errors import ConfigError, InvalidInputError
from memory_r1.testing import HashEmbedder, ScriptedLM


@pytest.fixture
def data(make_talk):
    return BenchData("toy", "all", (make_talk("c1"), make_talk("c2", ("Cem", "Dora"))))


@pytest.fixture
def dilution(data, embedder):
    def make(asked=data, **more):
        return Dilution(asked, Distractors([("toy", data.conversations)]), embedder, **{"sizes": (20, 40), **more})

    return make


@pytest.fixture
def setting(data):
    return Setting("memory-r1 bench dilute --data toy", "0", data.told(), "hash-64", 1500, 0, {"toy": (2, 2)})


def test_every_question_is_asked_at_every_size(dilution):
    measured = dilution().run()
    assert [(one.size, one.conversation) for one in measured.probes[::4]] == [
        (size, name) for name in ("c1", "c2") for size in (None, 20, 40)
    ]
    assert [one.memories for one in measured.banks] == [8, 20, 40] * 2
    assert measured.banks[2].sources == {"toy": 8, "synthetic": 24}
    assert measured.embed_seconds
    undiluted = measured.probes[0]
    # all eight memories are returned, and one of them is evidence
    assert undiluted.recall == {10: 1.0, 60: 1.0}
    fixed = undiluted.cuts["fixed"]
    assert (fixed.memories, fixed.recall, fixed.precision, fixed.foreign) == (8, 1.0, 0.125, 0.0)
    diluted = measured.probes[8].cuts["fixed"]
    assert (diluted.memories, diluted.precision, diluted.foreign) == (40, 0.025, 0.8)


def test_what_was_computed_is_not_computed_again(dilution, embedder):
    first = dilution().run()
    computed = embedder.computed
    again = dilution().run()
    assert embedder.computed == computed

    def told(measured):
        return [
            (
                one.size,
                one.question_id,
                one.recall,
                {name: cut.model_copy(update={"seconds": 0}) for name, cut in one.cuts.items()},
            )
            for one in measured.probes
        ]

    assert told(first) == told(again)


def test_questions_without_evidence_or_answer_are_left_out(dilution, make_talk):
    talk = make_talk("c1")
    first, second, *_ = talk.questions
    asked = replace(talk, questions=(first, replace(second, evidence=()), replace(second, id="x", answer=None)))
    measured = dilution(BenchData("toy", "all", (asked,))).run()
    assert (len(measured.probes), measured.left_out) == (3, 2)
    with pytest.raises(InvalidInputError, match="No question of toy names the turns"):
        dilution(BenchData("toy", "all", (replace(asked, questions=asked.questions[1:]),)))


def test_a_size_below_a_conversation_is_refused(dilution):
    with pytest.raises(ConfigError, match="A bank of 8 cannot be diluted: c1 alone has 8 memories"):
        dilution(sizes=(8, 40))


def test_figures_have_their_n_and_intervals(dilution):
    undiluted, _, large = summarise(dilution().run())
    assert (undiluted.size, undiluted.memories, undiluted.kept) == (None, 8, {})
    found = large.metrics["recall@10"]
    assert (found.n, found.clusters, found.unit) == (8, 2, "conversation")
    assert found.low is not None
    assert large.kept["recall@60"].mean == 1.0
    assert large.metrics["fixed.precision"].mean == pytest.approx(1 / 40)
    assert large.dynamic_over_fixed["tokens"].gap.mean < 0
    assert large.sources == {"synthetic": 24, "toy": 8}
    assert "dynamic.f1" not in large.metrics
    assert 0 < large.seconds[0] <= large.seconds[1]


def test_the_reader_answers_from_both_cuts(dilution, tmp_path):
    lm = ScriptedLM("[0]\n**Answer:** c11 c21")
    kit = Kit(lm, HashEmbedder(64), tmp_path, reader_tokens=60)
    _, large = summarise(dilution(sizes=(40,), budget_tokens=60).run(DilutedReader(kit)))
    # two of three tokens' worth for one question of each conversation
    assert (large.metrics["dynamic.f1"].mean, large.metrics["fixed.f1"].n) == (pytest.approx(1 / 6), 8)
    assert large.metrics["fixed.prompt_tokens"].mean > large.metrics["dynamic.prompt_tokens"].mean
    assert large.dynamic_over_fixed["f1"].gap.mean == 0
    assert large.kept["dynamic.f1"].mean == 1.0


def test_the_folder_holds_tables_figures_and_questions(dilution, setting, tmp_path):
    measured = dilution().run()
    sizes = summarise(measured)
    paths = write_folder(tmp_path / "out", setting, measured, sizes)
    markdown, figures, questions = (path.read_text(encoding="utf-8") for path in paths)
    assert "memory-r1 bench dilute --data toy" in markdown
    assert "| 40 | 40 | 8 |" in markdown
    assert "Only 2 conversations" in markdown
    assert "toy: 2 of 2 conversations can be used" in markdown
    assert "F1" not in markdown
    found = json.loads(figures)
    assert found == json.loads(json.dumps(to_json(setting, measured, sizes)))
    assert [one["size"] for one in found["sizes"]] == [None, 20, 40]
    assert found["sizes"][2]["metrics"]["recall@60"]["n"] == 8
    assert [Probe.model_validate_json(line) for line in questions.splitlines()] == measured.probes
    with pytest.raises(InvalidInputError, match="cannot be written"):
        write_folder(paths[0], setting, measured, sizes)


def test_f1_stands_in_the_tables_with_a_reader(dilution, setting, tmp_path):
    reader = DilutedReader(Kit(ScriptedLM("[0]\n**Answer:** c11"), HashEmbedder(64), tmp_path))
    measured = dilution().run(reader)
    markdown = to_markdown(to_document(replace(setting, model="toy"), measured, summarise(measured)))
    assert "F1, dynamic" in markdown
    assert "toy, answerer untrained" in markdown


def test_on_a_pipe_a_stage_tells_now_and_then_and_at_its_end(dilution):
    out, now = io.StringIO(), [0.0]
    told = Stages(Console(file=out, width=200), clock=lambda: now[0])
    told.began("Embedding", 400)
    for _ in range(4):
        now[0] += 10
        told.went_on(100)
    told.ended()
    told.ended()
    assert out.getvalue().splitlines() == [
        "Embedding: 200/400; about 20 s left",
        "Embedding: 400/400; about 0 s left",
        "Embedding: 400/400 in 40 s",
    ]
    dilution(told=told).run()
    assert "Questions: 24/24" in out.getvalue()
