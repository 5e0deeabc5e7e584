import json
from dataclasses import replace
from pathlib import Path

import pytest

from memory_r1.bench.kit import RunKit
from memory_r1.bench.specs import find_maker
from memory_r1.bench.system import Batched, Closable, Kit, System
from memory_r1.bench.systems import SYSTEMS
from memory_r1.data.conversation import Question
from memory_r1.errors import ConfigError, PromptTooLongError
from memory_r1.testing import HashEmbedder, ScriptedLM

TALK = [
    "Ann: I painted the fence blue.",
    "Bob: I adopted a brown dog.",
    "Ann: I moved to Lisbon.",
    "Ann: I moved to Porto.",
    "Bob: I adopted a brown dog.",
]


@pytest.fixture
def talk(make_talk):
    return make_talk("c1", said=TALK, questions=[("Where does Ann live?", "Porto", "single-hop")])


@pytest.fixture
def kit(tmp_path, agents):
    def make(**parts):
        folder = tmp_path / f"stores-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        usual = {"lm": ScriptedLM(agents.reply), "embedder": HashEmbedder(64), "folder": folder}
        return RunKit(**{**usual, "facts": tmp_path / "facts", **parts})

    return make


@pytest.fixture
def build(kit, talk):
    """A system by name, after it has read the talk."""
    made = []

    def make(name, conversation=talk, **parts):
        system = find_maker(name)(kit(**parts))
        made.append(system)
        system.ingest(conversation)
        return system

    yield make
    for system in made:
        if isinstance(system, Closable):
            system.close()


def ask(system, text="Where does Ann live?"):
    return system.answer(Question("q", text, None))


def prompts(lm):
    return [call.prompt for call in lm.calls if "Question: " in call.chat[-1]["content"]]


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_every_system_keeps_the_protocol_in_a_short_file(build, name):
    system = build(name)
    assert isinstance(system, System)
    assert isinstance(system, Batched)
    assert name == system.name
    assert system.about.endswith(".")
    question = Question("q", "Where does Ann live?", None)
    both = system.answer_many([question, replace(question, text="Who has a dog?")])
    assert [one.text for one in both] == ["blue", "blue"]
    assert all(one.cost.calls == 1 and one.cost.prompt_tokens > 0 for one in both)
    assert ask(system).memories == both[0].memories
    file = SYSTEMS[name].home.partition(":")[0]
    source = Path(find_maker(name).__module__.replace(".", "/")).name
    assert source == file
    code = (Path(__file__).parents[2] / "src/memory_r1/bench/systems" / f"{file}.py").read_text(encoding="utf-8")
    assert len(code.splitlines()) < 100


def test_without_memory_the_question_is_asked_all_the_same(build, agents):
    lm = ScriptedLM(agents.reply)
    system = build("none", lm=lm)
    assert ask(system).memories == ()
    asked = prompts(lm)[-1]
    assert "fence" not in asked
    assert system.stats().memories == 0


def test_full_context_shows_all_turns_in_order(build, agents):
    lm = ScriptedLM(agents.reply)
    system = build("full-context", lm=lm)
    answer = ask(system)
    assert [one.turns for one in answer.memories] == [(f"D{n}:1",) for n in range(1, 6)]
    assert answer.memories[0].text == '(1 May 2023) "Ann: I painted the fence blue."'
    assert [one.kept for one in answer.memories] == [True, False, False, False, False]
    assert "From Ann" not in prompts(lm)[-1]
    assert system.stats().operations == {"READ": 5, "CUT": 0}


def test_full_context_keeps_the_newest_and_says_what_it_cut(build, make_talk, agents):
    long = make_talk("c1", said=[f"Ann: I saw bird number {n} today." for n in range(1, 29)], questions=[])
    lm = ScriptedLM(agents.reply, context_length=600)
    system = build("full-context", long, lm=lm)
    answer = ask(system)
    shown = [one.turns[0] for one in answer.memories]
    cut = system.stats().operations["CUT"]
    assert 0 < len(shown) < 28
    assert shown == [f"D{n}:1" for n in range(cut + 1, 29)]
    assert len(shown) + cut == 28
    assert system.stats().memories == len(shown)
    fewer = find_maker("full-context")(replace(system._kit, options={"tokens": "550"}))
    fewer.ingest(long)
    assert fewer.stats().memories < len(shown)
    # a question longer than what is kept free for it pushes out more of the oldest
    assert len(ask(system, "Which bird? " * 60).memories) < len(shown)
    with pytest.raises(PromptTooLongError):
        ask(system, "Which bird? " * 900)


def test_rag_finds_a_fixed_number_by_meaning(build):
    system = build("rag", options={"k": "2"})
    answer = ask(system, "Who adopted a brown dog?")
    assert {one.turns for one in answer.memories} == {("D2:1",), ("D5:1",)}
    assert system.stats().operations == {"ADD": 5}
    assert len(ask(build("rag")).memories) == 5


def test_hybrid_retrieval_finds_turns(build):
    system = build("rag-hybrid", options={"cut": "1"})
    answer = ask(system, "What did Ann paint?")
    assert [one.turns for one in answer.memories] == [("D1:1",)]
    assert "Ann: I painted the fence blue." in answer.memories[0].text
    stats = system.stats()
    assert stats.memories == 4
    assert stats.operations == {"ADD": 4, "NOOP": 1}
    assert len(stats.add_seconds) == 5
    assert stats.ingest.calls == 0


def test_samples_are_an_option_that_the_row_tells(build):
    one, several = build("rag-hybrid"), build("rag-hybrid", options={"samples": "3"})
    assert "samples" not in one.about
    assert several.about.endswith("Option cut=auto, samples=3.")
    assert [ask(system, "What did Ann paint?").cost.calls for system in (one, several)] == [1, 3]


def test_a_turn_said_twice_word_for_word_is_one_memory_of_both(build):
    answer = ask(build("rag-hybrid"), "Who adopted a brown dog?")
    assert ("D2:1", "D5:1") in [one.turns for one in answer.memories]


def test_add_all_keeps_every_fact(build):
    system = build("add-all")
    stats = system.stats()
    assert stats.operations == {"ADD": 4, "NOOP": 1}
    assert stats.ingest.calls == 5
    assert len(stats.add_seconds) == 5
    assert stats.characters == sum(len(one.text) for one in system.parts.store.memories(system.scope))
    assert any("Lisbon" in one.text for one in ask(system).memories)


def test_memory_r1_rules_on_facts_and_knows_every_turn_of_a_merged_memory(build, agents):
    agents.rulings["Ann moved to Porto."] = {"op": "UPDATE", "id": 0, "text": "Ann moved from Lisbon to Porto."}
    system = build("memory-r1")
    found = {one.text: one.turns for one in ask(system, "Where did Ann move?").memories}
    merged = next(turns for text, turns in found.items() if "from Lisbon to Porto" in text)
    assert merged == ("D3:1", "D4:1")
    stats = system.stats()
    assert stats.operations["UPDATE"] == 1
    assert sum(stats.operations.values()) == 5
    assert stats.memories == 3
    # five turns are read; the first fact meets an empty bank and the last one its own words, which need no model
    assert stats.ingest.calls > 5


def test_a_noop_does_not_lend_its_turn_to_a_memory(build, agents):
    agents.rulings["Ann moved to Porto."] = {"op": "NOOP", "id": 0}
    system = build("memory-r1")
    assert system.stats().operations["NOOP"] == 2
    turns = [turn for one in ask(system, "Ann Bob fence dog Lisbon").memories for turn in one.turns]
    assert "D4:1" not in turns


def test_a_deleted_memory_is_not_found(build, agents):
    agents.rulings["Ann moved to Porto."] = {"op": "DELETE", "id": 0}
    system = build("memory-r1")
    assert system.stats().operations["DELETE"] == 1
    assert not any("Lisbon" in one.text for one in ask(system).memories)


def test_each_agent_uses_its_own_adapter(build, agents):
    lm = ScriptedLM(agents.reply)
    adapters = {"extractor": "runs/e", "manager": "runs/m", "answerer": "runs/a"}
    hashes = dict.fromkeys(adapters, "0123456789ab")
    system = build("memory-r1", lm=lm, adapters=adapters, hashes=hashes)
    ask(system)
    used = {("answerer" if "Question: " in c.prompt.splitlines()[-1] else c.adapter): c.adapter for c in lm.calls}
    assert used == {"extractor": "extractor", "manager": "manager", "answerer": "answerer"}
    assert "manager trained (adapter 01234567)" in system.about
    assert "anager untrained" in build("memory-r1").about


def test_facts_are_taken_once_for_each_extractor(build, kit, agents):
    first = ScriptedLM(agents.reply)
    before = build("add-all", lm=first, identity="m").stats()
    again = ScriptedLM(agents.reply)
    system = build("memory-r1", lm=again, identity="m")
    assert not any("[1]" in call.chat[-1]["content"] for call in again.calls)
    own = system.stats().ingest
    # what reading cost in the first place is counted for whoever uses it
    assert own.prompt_tokens - sum(call_tokens(again)) == before.ingest.prompt_tokens
    for changed in ({"identity": "other"}, {"adapters": {"extractor": "f"}, "hashes": {"extractor": "w"}}):
        fresh = ScriptedLM(agents.reply)
        build("add-all", lm=fresh, **{"identity": "m", **changed})
        assert len(fresh.calls) == 5


def call_tokens(lm):
    return [lm.count_tokens(call.chat) for call in lm.calls]


def test_a_kill_between_facts_and_their_cost_is_mended(build, tmp_path, agents):
    build("add-all", identity="m")
    for file in (tmp_path / "facts").glob("*.cost"):
        file.unlink()
    assert build("add-all", identity="m").stats().ingest.calls == 5


def test_all_systems_show_the_reader_no_more_than_its_limit(build, agents):
    for name in ("rag", "rag-hybrid", "add-all", "memory-r1"):
        lm = ScriptedLM(agents.reply)
        answer = ask(build(name, lm=lm, reader_tokens=30))
        assert 1 <= len(answer.memories) <= 2, name


def test_one_huge_memory_does_not_push_out_the_others(build, make_talk):
    said = ["Ann: I moved to Porto, " + "far away from everything, " * 20, *TALK[:2]]
    answer = ask(build("rag", make_talk("c1", said=said, questions=[]), reader_tokens=60), "Where did Ann move?")
    assert {one.turns for one in answer.memories} <= {("D2:1",), ("D1:1",)} | {("D3:1",)}
    assert len(answer.memories) == 2


def test_undated_talk_gives_the_same_prompts_on_every_day(build, make_talk, agents):
    dated = make_talk("c1", said=TALK, questions=[])
    sessions = tuple(
        replace(one, time=None, turns=tuple(replace(turn, time=None) for turn in one.turns)) for one in dated.sessions
    )
    lm = ScriptedLM(agents.reply)
    ask(build("memory-r1", replace(dated, sessions=sessions), lm=lm))
    shown = [call.chat[-1]["content"] for call in lm.calls if "[1]" not in call.chat[-1]["content"]]
    assert any("1 January 2024" in text for text in shown)
    from datetime import UTC, datetime

    assert not any(str(datetime.now(UTC).year) in text for text in shown)


def test_an_unknown_or_wrong_option_is_told(kit):
    for name, options in (
        ("rag", {"depth": "3"}),
        ("rag", {"k": "0"}),
        ("memory-r1", {"cut": "some"}),
        ("memory-r1", {"candidates": "x"}),
        ("rag-hybrid", {"samples": "0"}),
        ("none", {"k": "3"}),
    ):
        with pytest.raises(ConfigError):
            find_maker(name)(kit(options=options))


def test_settings_of_the_person_who_measures_do_not_count(build, monkeypatch):
    monkeypatch.setenv("MEMORY_R1_CANDIDATES", "1")
    monkeypatch.setenv("MEMORY_R1_STORE", "/nowhere/at/all.db")
    assert build("memory-r1")._curator._count == 3


def test_a_plain_kit_will_do(tmp_path, agents, talk):
    system = find_maker("memory-r1")(Kit(ScriptedLM(agents.reply), HashEmbedder(64), tmp_path))
    system.ingest(talk)
    assert json.dumps(dict(system.stats().operations))
    system.close()
