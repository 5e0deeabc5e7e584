"""Every choice in making tasks that the paper leaves open can be made from a run's configuration."""

from __future__ import annotations

import pytest

from memory_r1.errors import ConfigError, InvalidInputError
from memory_r1.rl import task_workshop
from memory_r1.rl.agent_tasks import load_tasks
from memory_r1.rl.bank_state import Cut
from memory_r1.rl.config import make_config
from memory_r1.rl.data_config import DataConfig
from memory_r1.rl.rewards import Weights, weights_of
from memory_r1.testing import HashEmbedder

TURNS = "".join(
    f'{{"type": "turn", "speaker": "{("Ann", "Bob")[n % 2]}", "text": "I have bought {n + 3} lamps in town {n}."}}\n'
    for n in range(8)
)
OWN = (
    '{"type": "session", "id": "S1", "time": "2024-01-14T19:10:00Z"}\n'
    + TURNS
    + '{"type": "question", "text": "How many lamps in town 6?", "answer": "9 lamps", "evidence": ["S1:7"]}\n'
    + '{"type": "question", "text": "How many lamps in town 7?", "answer": "10 lamps"}\n'
)


@pytest.fixture
def made(roomy_model, tmp_path):
    """The tasks of a configuration; the model only counts tokens."""
    (tmp_path / "own.jsonl").write_text(OWN, encoding="utf-8")

    def make(agent, **changes):
        shape = {"data": str(tmp_path / "own.jsonl"), "model": roomy_model, "embedder": "hash"}
        data = load_tasks(DataConfig(agent=agent, **{**shape, **changes}))
        return [*data.tasks, *data.held_out]

    return make


def test_the_bank_s_window_is_chosen_by_name(made):
    [whole] = made("manager", build={"source": "turns"})
    [short] = made("manager", build={"source": "turns", "window_turns": 2})
    [replay] = made("manager", build={"source": "turns", "window_turns": 2, "bank": "empty"})
    assert len(whole.problem.bank) == 6
    assert len(short.problem.bank) == 2
    assert (len(replay.problem.bank), len(replay.problem.facts)) == (0, 3)


def test_several_data_sets_are_learnt_from_together(made, tmp_path):
    (tmp_path / "other.jsonl").write_text(OWN.replace("lamps", "chairs"), encoding="utf-8")
    both = made("answerer", source="turns", more=(str(tmp_path / "other.jsonl"),))
    assert [one.problem.question.text.split()[2] for one in both] == ["lamps", "lamps", "chairs", "chairs"]
    with pytest.raises(ConfigError, match="is there twice"):
        made("answerer", source="turns", more=(str(tmp_path / "own.jsonl"),))


def test_texts_are_embedded_in_their_first_run_alone(made, tmp_path, monkeypatch):
    asked = []

    class Counting(HashEmbedder):
        def embed(self, texts):
            asked.extend(texts)
            return super().embed(texts)

    monkeypatch.setattr(task_workshop, "make_embedder", lambda name: Counting(64))
    first = made("answerer", source="turns", facts_folder=str(tmp_path / "kept"))
    assert any("lamps in town 6" in text for text in asked)
    asked.clear()
    again = made("answerer", source="turns", facts_folder=str(tmp_path / "kept"))
    assert asked == []
    assert [one.problem for one in again] == [one.problem for one in first]


def test_a_memory_worded_anew_stays_so_in_training(make_tiny, tmp_path):
    # the product keeps this model from it as long as it is untrained
    model = make_tiny(tmp_path / "smollm2-135m-instruct", max_position_embeddings=16_384)
    (tmp_path / "own.jsonl").write_text(OWN, encoding="utf-8")
    options = DataConfig(
        agent="manager", data=str(tmp_path / "own.jsonl"), model=str(model), embedder="hash", build={"source": "turns"}
    )
    [task] = load_tasks(options).tasks or load_tasks(options).held_out
    episode = task.start()
    assert episode.observe() is not None
    changed = "Bob: I have bought 9 lamps in town 6, and some before."
    episode.act(f'{{"op":"UPDATE","id":0,"text":"{changed}"}}', "stop")
    assert changed in [entry.text for entry in episode.bank]


def test_more_candidates_are_shown(made):
    [usual] = made("manager", build={"source": "turns"})
    [more] = made("manager", build={"source": "turns", "candidates": 5})
    assert (len(usual.problem.candidates), len(more.problem.candidates)) == (3, 5)
    assert (usual._world.candidates, more._world.candidates) == (3, 5)


def test_the_paper_s_memories_are_shared_among_speakers(made):
    few = made("answerer", source="turns", memories=2)
    all_of_both = made("answerer", source="turns", memories="paper")
    assert [len(one.problem.memories) for one in few] == [2, 2]
    short = made("answerer", source="turns", reader_tokens=30)
    assert all(len(one.problem.memories) < 4 for one in short)
    with pytest.raises(ConfigError, match="no budget of tokens"):
        made("answerer", source="turns", reader_tokens=30, memories=2)
    assert [len(one.problem.memories) for one in all_of_both] == [8, 8]


def test_the_paper_s_cut_goes_to_the_manager_s_reader_too(made):
    [one] = made("manager", build={"source": "turns"}, memories="paper")
    assert one._world.cut == Cut(preset="paper")


def test_evidence_is_guessed_where_it_is_wished(made):
    assert [one.problem.relevant is None for one in made("answerer", source="turns", memories=8)] == [False, True]
    assert len(made("manager", build={"source": "turns"}, infer_evidence=True)) == 2
    assert all(one.problem.relevant for one in made("answerer", source="turns", memories=8, infer_evidence=True))


def test_rewards_are_weighed_by_term(made):
    [one, _] = made("answerer", source="turns", rewards="em=1, evidence=0.5")
    assert one._world.weights == Weights(em=1, evidence=0.5)


@pytest.mark.parametrize("text", ["em", "em=1,judge", "em=nan", "em=0", "em=1,=2"])
def test_weights_that_cannot_be_read_are_refused(text):
    with pytest.raises(ConfigError):
        weights_of(text)


def test_an_option_of_another_agent_is_refused(made):
    with pytest.raises(ConfigError, match="no option 'window_turns' here"):
        made("answerer", build={"window_turns": 3})


def test_a_file_that_is_held_out_is_read_before_facts_are_extracted(made, tmp_path, monkeypatch):
    monkeypatch.setattr("memory_r1.rl.fact_cache.FactCache.facts", None)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        made("manager", held_out=str(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("preset", "agent", "chosen", "scale"),
    [
        ("laptop", "answerer", {}, "std"),
        ("laptop", "manager", {}, "none"),
        ("paper", "manager", {}, "std"),
        ("laptop", "manager", {"scale": "std"}, "std"),
    ],
)
def test_a_manager_s_advantages_are_not_divided_by_their_deviation_unless_asked(preset, agent, chosen, scale):
    assert make_config(preset, agent=agent, **chosen).scale == scale
