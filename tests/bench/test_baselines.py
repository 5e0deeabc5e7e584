"""The re-implemented rivals: each reads a small conversation with a scripted model and answers two questions."""

import json
from datetime import UTC, datetime

import pytest

from memory_r1.bench.baselines import BASELINES
from memory_r1.bench.baselines.entries import Entries, Entry
from memory_r1.bench.baselines.memgpt.core import BLOCK_CHARACTERS, Core
from memory_r1.bench.baselines.model import Model, load_prompt
from memory_r1.bench.baselines.reader import read_answer
from memory_r1.bench.system import Batched, Kit, System
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.errors import ConfigError, EndpointError, PromptTooLongError
from memory_r1.testing import Endless, HashEmbedder, ScriptedLM

MAY, JUNE = datetime(2023, 5, 8, tzinfo=UTC), datetime(2023, 6, 2, tzinfo=UTC)
TALK = Conversation(
    "talk",
    ("Ann", "Bob"),
    (
        Session(
            "s1",
            MAY,
            (
                Turn("D1:1", "Ann", "I have a dog, Max.", MAY),
                Turn("D1:2", "Bob", "I play chess.", MAY),
                Turn("D1:3", "Ann", "I live in Rome now.", MAY),
            ),
        ),
        Session(
            "s2",
            JUNE,
            (
                Turn("D2:1", "Bob", "I stopped playing chess.", JUNE),
                Turn("D2:2", "Ann", "I adopted a second dog, Rex.", JUNE, image_caption="two brown dogs"),
                Turn("D2:3", "Bob", "Great!", JUNE),
            ),
        ),
    ),
)
DOGS = Question("q1", "What are the names of Ann's dogs?", "Max and Rex", "single-hop", ("D1:1", "D2:2"))
CHESS = Question("q2", "Does Bob play chess?", "No", "single-hop", ("D1:2", "D2:1"))
RIVALS = ["mem0-prompt", "memgpt", "a-mem", "memoryos"]
JUNK = [
    "",
    "I cannot do that.",
    '{"facts": [',
    '{"memory": "x", "function": 3, "topics": {}, "actions": 1}',
    "[]",
    "{}",
]


@pytest.fixture
def make(tmp_path):
    """Makes a rival over a script of `SYSTEM PROMPT -> reply`, where a reply may be a function of the last message."""

    def made(name, script, **kit):
        def reply(chat):
            system, last = chat[0]["content"], chat[-1]["content"]
            found = next(value for key, value in script.items() if key in system)
            found = found(last) if callable(found) else found
            return json.dumps(found) if isinstance(found, dict) else found

        lm = ScriptedLM(reply)
        return BASELINES[name](Kit(lm, HashEmbedder(), tmp_path, **kit)), lm

    return made


def first_key(text, answers, default):
    """The answer under the first key that is in the text."""
    return next((answer for key, answer in answers.items() if key in text), default)


def prompts(lm, system):
    """The last messages of the calls with this system prompt."""
    return [call.chat[-1]["content"] for call in lm.calls if system in call.chat[0]["content"]]


MEM0 = {
    "organise personal information": lambda last: {
        "facts": first_key(
            last,
            {
                "user (Ann): I have a dog": ["Ann has a dog, Max."],
                "user (Bob): I play chess": ["Bob plays chess."],
                "user (Ann): I live": ["Ann lives in Rome."],
                "user (Bob): I stopped": ["Bob stopped playing chess."],
                "user (Ann): I adopted": ["Ann adopted a second dog, Rex."],
            },
            [],
        )
    },
    "keep a memory up to date": lambda last: {
        "memory": first_key(
            last.split("New facts: ")[1],
            {
                "Rex": [
                    {"id": 0, "text": "Ann has two dogs, Max and Rex.", "event": "UPDATE", "old_memory": "..."},
                    {"id": "1", "text": "Ann lives in Rome.", "event": "NONE"},
                ],
                "stopped": [
                    {"id": "0", "text": "Bob plays chess.", "event": "DELETE"},
                    {"id": "7", "text": "never shown", "event": "UPDATE"},
                    {"id": "1", "text": "Bob stopped playing chess.", "event": "ADD"},
                    {"id": "2", "text": "", "event": "ADD"},
                ],
            },
            [{"id": "9", "text": json.loads(last.split("New facts: ")[1])[0], "event": "ADD"}],
        )
    },
    "Answer a question": lambda last: "Answer: Max and Rex" if "dogs" in last.split("Question:")[1] else "No.",
}


def test_mem0_prompt_keeps_a_bank_for_each_speaker_and_carries_out_what_the_model_decides(make):
    system, lm = make("mem0-prompt", MEM0)
    system.ingest(TALK)
    stats = system.stats()
    assert stats.memories == 3
    assert stats.operations == {"ADD": 4, "UPDATE": 1, "NOOP": 1, "DELETE": 1, "REJECTED": 2}
    # pairs with a word of the owner: both in the first of each session, one of two in the last ones
    assert len(stats.add_seconds) == 6
    assert stats.ingest.calls == len(lm.calls) == 6 + 5
    assert stats.ingest.prompt_tokens > 1000
    assert stats.ingest.seconds > 0
    extractions = prompts(lm, "organise personal information")
    assert "Date: 8 May 2023\nuser (Ann): I have a dog, Max.\nassistant (Bob): I play chess." in extractions
    assert any(
        "assistant (Ann): I adopted a second dog, Rex. [shared image: two brown dogs]" in one for one in extractions
    )
    [update] = [one for one in prompts(lm, "keep a memory up to date") if "Rex" in one]
    assert '[{"id": "0", "text": "Ann has a dog, Max."}, {"id": "1", "text": "Ann lives in Rome."}]' in update


def test_mem0_prompt_answers_from_both_banks(make):
    system, lm = make("mem0-prompt", MEM0)
    system.ingest(TALK)
    dogs, chess = system.answer_many([DOGS, CHESS])
    assert (dogs.text, dogs.abstained, chess.text) == ("Max and Rex", False, "No.")
    assert dogs.cost.calls == chess.cost.calls == 1
    asked = lm.calls[-2].chat[-1]["content"]
    assert "Memories of Ann:\n2 June 2023: Ann has two dogs, Max and Rex.\n8 May 2023: Ann lives in Rome." in asked
    assert "Memories of Bob:\n2 June 2023: Bob stopped playing chess." in asked
    best = dogs.memories[0]
    assert (best.text, best.turns) == ("2 June 2023: Ann has two dogs, Max and Rex.", ("D1:1", "D2:2"))
    assert system.answer(DOGS).text == "Max and Rex"


NOTES = {
    "Describe a message": lambda last: first_key(
        last,
        {
            "Max": {"keywords": ["dog", "Max"], "context": "Ann has a dog.", "tags": ["pets"]},
            "Rex": {"keywords": ["dog", "Rex"], "context": "Ann has a second dog.", "tags": ["pets"]},
            "Great": "no idea",
        },
        {"keywords": "single", "context": "", "tags": ["other"]},
    ),
    "net of notes": lambda last: first_key(
        last.split("Neighbours:")[0],
        {
            "Rex": {
                "should_evolve": True,
                "actions": ["strengthen", "update_neighbor"],
                "suggested_connections": [int(last.split("\n")[2].split(" | ")[0]), 99],
                "tags_to_update": ["pets", "family"],
                "new_context_neighborhood": ["Ann had one dog then."],
                "new_tags_neighborhood": [["old news"]],
            },
            "Rome": {"should_evolve": False, "actions": ["strengthen"], "suggested_connections": [0]},
        },
        "nothing",
    ),
    "Give several keywords": lambda last: {"keywords": "dog, Rex"} if "dogs" in last else "chess Bob",
    "Answer a question": lambda last: "Max and Rex" if "dogs" in last.split("Question:")[1] else "Not mentioned.",
}


def test_a_mem_describes_links_and_rewrites_notes(make):
    system, lm = make("a-mem", NOTES)
    system.ingest(TALK)
    stats = system.stats()
    assert stats.memories == 6
    # three evolutions and one description could not be read
    assert stats.operations == {"ADD": 6, "LINK": 1, "UPDATE": 1, "REJECTED": 4}
    assert stats.ingest.calls == 6 + 5
    assert "Speaker Ann says: I adopted a second dog, Rex. [shared image: two brown dogs]" in prompts(lm, "Describe")
    [rex] = [one for one in prompts(lm, "net of notes") if "Rex" in one.split("Neighbours:")[0]]
    assert "read a new note and its 4 nearest" in next(
        call.prompt.lower() for call in lm.calls if call.chat[-1]["content"] == rex
    )
    assert len(rex.splitlines()) == 2 + 4
    dogs, chess = system.answer_many([DOGS, CHESS])
    assert (dogs.text, chess.text, chess.abstained) == ("Max and Rex", "No information available.", True)
    assert dogs.cost.calls == 2
    texts = [memory.text for memory in dogs.memories]
    assert len(texts) == len(set(texts)) == 6
    assert texts[0] == (
        "2 June 2023 | Speaker Ann says: I adopted a second dog, Rex. [shared image: two brown dogs] | "
        "context: Ann has a second dog. | keywords: dog, Rex | tags: pets, family"
    )
    linked = next(number for number, text in enumerate(texts) if "tags: old news" in text)
    assert "context: Ann had one dog then." in texts[linked]
    assert linked == 1
    great = next(text for text in texts if "Great!" in text)
    assert great.endswith("context: General | keywords:  | tags: ")


def calls_of(last):
    message = last.split("New message:\n")[1]
    return first_key(
        message,
        {
            "Result: error: old_content not found": {"function": "done", "params": {}},
            "Result: error: write one": {
                "function": "archival_memory_insert",
                "params": {"content": "Bob played chess until June 2023."},
            },
            "Result: (8 May 2023) Ann has a dog": {
                "function": "core_memory_append",
                "params": {"name": "human", "content": "Ann has a second dog, Rex."},
            },
            "Max": {"function": "archival_memory_insert", "params": {"content": "Ann has a dog, Max."}},
            "I play chess": {
                "function": "core_memory_append",
                "params": {"name": "persona", "content": "Bob plays chess."},
            },
            "Rome": {
                "function": "core_memory_replace",
                "params": {"name": "human", "old_content": "never said", "new_content": "Ann lives in Rome."},
            },
            "stopped": "Well, well.",
            "Rex": {"function": "archival_memory_search", "params": {"query": "dog", "request_heartbeat": True}},
            "Great": {
                "function": "core_memory_replace",
                "params": {"name": "persona", "old_content": "plays", "new_content": "no longer plays"},
            },
        },
        "unexpected",
    )


MEMGPT = {
    "keep the memory of a dialogue": calls_of,
    "you may search": lambda last: (
        {"function": "conversation_search", "params": {"query": "brown dogs"}}
        if "dogs" in last and "Result:" not in last
        else {"function": "done"}
    ),
    "Answer a question": lambda last: "Max and Rex" if "dogs" in last.split("Question:")[1] else "No",
}


def test_memgpt_edits_core_memory_and_archives_by_function_calls(make):
    system, lm = make("memgpt", MEMGPT)
    system.ingest(TALK)
    stats = system.stats()
    assert stats.operations == {"ADD": 4, "UPDATE": 1, "REJECTED": 2}
    assert stats.memories == 4
    assert stats.ingest.calls == 1 + 1 + 2 + 2 + 2 + 1
    last = prompts(lm, "keep the memory")[-1]
    assert "[persona: Bob]\nBob plays chess.\n[human: Ann]\nAnn has a second dog, Rex." in last
    assert "Recent messages:\nAnn: I have a dog, Max." in last
    assert "New message:\n(2 June 2023) Bob: Great!" in last
    dogs, chess = system.answer_many([DOGS, CHESS])
    assert (dogs.text, chess.text) == ("Max and Rex", "No")
    assert (dogs.cost.calls, chess.cost.calls) == (3, 2)
    core = {memory.text: memory.turns for memory in dogs.memories}
    assert core["Bob no longer plays chess."] == ("D1:2", "D2:3")
    assert core["(8 May 2023) Ann has a dog, Max."] == ("D1:1",)
    assert any("two brown dogs" in text for text in core)


def test_core_memory_refuses_what_does_not_fit():
    core = Core("Eve", "Tom")
    core.append("human", Entry("x" * (BLOCK_CHARACTERS - 1), turns=("D1:1",)))
    with pytest.raises(ValueError, match="limit is 2000"):
        core.append("human", Entry("y"))
    with pytest.raises(ValueError, match="no block"):
        core.append("elephant", Entry("y"))
    core.replace("human", "x" * (BLOCK_CHARACTERS - 1), Entry(""))
    assert list(core) == []


@pytest.fixture
def long_talk():
    """Sixteen pages by two people: two topics in turns."""
    topics = [("I walked my dog Max.", "Dogs are fun."), ("I played chess.", "Chess is hard.")]
    turns = []
    for page in range(16):
        asked, answered = topics[page % 2]
        turns += [
            Turn(f"D1:{2 * page + 1}", "Ann", f"{asked} ({page})", MAY),
            Turn(f"D1:{2 * page + 2}", "Bob", answered, MAY),
        ]
    return Conversation("long", ("Ann", "Bob"), (Session("s1", MAY, tuple(turns)),))


def topics_of(last):
    if "(4)" in last:
        return "no JSON"
    name, content = ("dog", "Walks with dogs") if "dog" in last else ("chess", "Hard games")
    return {"topics": [{"theme": name, "keywords": [name], "content": content}]}


MEMORYOS = {
    "goes on with": lambda last: "True" if "(1)" in last.split("Second page:")[1] else "false",
    "Keep a summary": lambda last: f"Summary of {last.count('Ann:')} after {last.splitlines()[0]}",
    "List the topics": topics_of,
    "Keep a profile": "Ann likes dogs (high).",
    "List facts": "[User Private Data]\n- Ann has a dog, Max\n- None\n[Assistant Knowledge]\n- Bob finds chess hard",
    "Answer a question": "Max",
}


def test_memoryos_moves_pages_to_segments_and_hot_segments_to_knowledge(make, long_talk):
    system, lm = make("memoryos", MEMORYOS)
    system.ingest(long_talk)
    stats = system.stats()
    # six pages left the queue of ten: dog, chess, dog, chess, (unreadable), chess; no segment is hot
    assert stats.operations == {"ADD": 3, "UPDATE": 3, "REJECTED": 1}
    assert stats.memories == 16 + 3
    assert len(stats.add_seconds) == 16
    assert stats.ingest.calls == 6 + 6 + 5
    chains = prompts(lm, "Keep a summary")
    assert chains[1].startswith("Summary: Summary of 1 after Summary: None\n")
    assert chains[2].startswith("Summary: None\n")
    [dogs] = system.answer_many([DOGS])
    assert dogs.text == "Max"
    assert dogs.memories[0].turns in {(f"D1:{n}", f"D1:{n + 1}") for n in (1, 5)}
    asked = lm.calls[-1].chat[-1]["content"]
    assert asked.startswith("Earlier dialogue:\n(8 May 2023) Ann: I walked my dog Max. (")
    assert ")\nBob: Dogs are fun.\n(about: Summary of 1 after Summary: None)" in asked
    recent = asked.split("Last dialogue:\n")[1]
    assert recent.index("(6)") < recent.index("(15)")


def test_memoryos_turns_a_hot_segment_into_profile_and_knowledge(make, long_talk):
    turns = long_talk.turns * 2
    twice = tuple(Turn(f"D1:{n}", turn.speaker, turn.text, MAY) for n, turn in enumerate(turns, 1))
    system, lm = make("memoryos", {**MEMORYOS, "List the topics": {"topics": [{"content": "They talk"}]}})
    system.ingest(Conversation("long", ("Ann", "Bob"), (Session("s1", MAY, twice),)))
    # 22 pages left the queue into one segment; every four of them make it hot
    operations = system.stats().operations
    assert operations == {"ADD": 1, "UPDATE": 21, "PROFILE": 5, "KNOW": 10}
    profiles = prompts(lm, "Keep a profile")
    assert profiles[0].startswith("Profile of Ann: None\nDialogue:\n(8 May 2023)\nAnn: I walked my dog Max. (0)")
    assert profiles[1].startswith("Profile of Ann: Ann likes dogs (high).")
    assert "(3)" in profiles[0]
    assert "(3)" not in profiles[1]
    answer = system.answer(DOGS)
    learnt = {memory.turns for memory in answer.memories if memory.text == "- Ann has a dog, Max (8 May 2023)"}
    assert tuple(f"D1:{n}" for n in range(1, 9)) in learnt
    assert len(learnt) == 5
    assert answer.memories[0].text == "Ann likes dogs (high)."


def test_undated_turns_and_a_lone_speaker_are_read(make):
    alone = Conversation("one", ("Ann",), (Session("s", None, (Turn("D1:1", "Ann", "I have a dog, Max."),)),))
    for name, script in (("mem0-prompt", MEM0), ("a-mem", NOTES), ("memgpt", MEMGPT), ("memoryos", MEMORYOS)):
        system, _ = make(name, script)
        system.ingest(alone)
        assert system.stats().memories == 1
        assert any("Max" in memory.text for memory in system.answer(DOGS).memories)


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("junk", JUNK)
def test_junk_from_the_model_never_raises_and_is_counted(make, long_talk, name, junk):
    system, _ = make(name, {"": junk})
    system.ingest(long_talk)
    assert system.stats().operations.get("REJECTED", 0) > 0
    answer = system.answer(DOGS)
    assert answer.text
    assert answer.abstained == (junk == "")


@pytest.mark.parametrize("name", RIVALS)
def test_a_model_that_never_stops_is_cut(make, long_talk, name):
    system, lm = make(name, {"": Endless('{"a": ')})
    system.ingest(long_talk)
    system.answer(DOGS)
    assert max(call.sampling.max_tokens for call in lm.calls) <= 1024
    assert {call.sampling.temperature for call in lm.calls} == {0.0}


@pytest.mark.parametrize("name", RIVALS)
def test_a_dead_endpoint_raises(make, name):
    system, _ = make(name, {"": EndpointError("The endpoint is gone.")})
    if name != "memoryos":
        with pytest.raises(EndpointError, match="gone"):
            system.ingest(TALK)
    with pytest.raises(EndpointError, match="gone"):
        system.answer(DOGS)


@pytest.mark.parametrize("name", RIVALS)
def test_before_anything_is_read_every_rival_still_answers(make, name):
    system, _ = make(name, {"": "No information available"})
    assert isinstance(system, System)
    assert isinstance(system, Batched)
    assert system.name == name
    assert system.about.startswith("re-implementation of ")
    assert "differs in: " in system.about
    answer = system.answer(DOGS)
    assert answer.abstained
    assert answer.memories == ()
    assert system.answer_many([]) == []


@pytest.mark.parametrize("name", RIVALS)
def test_prompts_fit_a_small_window(tmp_path, name):
    lm = ScriptedLM('{"facts": ["a fact"], "keywords": ["k"]}', context_length=2000)
    system = BASELINES[name](Kit(lm, HashEmbedder(), tmp_path, reader_tokens=500))
    long = tuple(Turn(f"D1:{n}", "AB"[n % 2], f"number {n} " * 900, MAY) for n in range(24))
    system.ingest(Conversation("long", ("A", "B"), (Session("s", MAY, long),)))
    answer = system.answer(DOGS)
    assert sum(len(memory.text) for memory in answer.memories) <= 4 * 500


def test_the_reader_shows_no_more_than_the_run_allows(make):
    system, lm = make("mem0-prompt", MEM0, reader_tokens=16)
    system.ingest(TALK)
    answer = system.answer(DOGS)
    assert [memory.text for memory in answer.memories] == ["2 June 2023: Ann has two dogs, "]
    assert "Rome" not in lm.calls[-1].chat[-1]["content"]


def test_the_answer_agent_can_read_for_a_rival(make):
    script = {**MEM0, "numbered memories": "[0]\n**Answer:** Max and Rex"}
    script = {"numbered memories": script.pop("numbered memories"), **script}
    system, lm = make("mem0-prompt", script, options={"reader": "answer-agent"}, adapters={"answerer": "folder"})
    system.ingest(TALK)
    answer = system.answer(DOGS)
    assert (answer.text, answer.memories[0].kept) == ("Max and Rex", True)
    assert answer.memories[0].text == '0 (2 June 2023) Ann: "Ann has two dogs, Max and Rex."'
    assert not any(memory.kept for memory in answer.memories[1:])
    assert lm.calls[-1].adapter == "answerer"
    assert answer.cost.calls == 1


def test_an_unknown_reader_is_refused(make):
    with pytest.raises(ConfigError, match="no reader 'mine'"):
        make("a-mem", NOTES, options={"reader": "mine"})


def test_entries_find_the_nearest_among_those_allowed():
    store = Entries(HashEmbedder())
    keys = [store.add(Entry(text)) for text in ("red car", "red dog", "blue sky")]
    assert [key for key, _ in store.nearest("a red dog", 2)] == [1, 0]
    assert [key for key, _ in store.nearest("a red dog", 3, floor=0.3)] == [1, 0]
    assert [key for key, _ in store.nearest("a red dog", 3, among={keys[2]})] == [2]
    store.remove(1)
    assert store.add(Entry("green")) == 3
    assert len(store) == 3


def test_long_texts_are_cut_to_one_length():
    model = Model(ScriptedLM())
    short, long, longer = "a" * 40, "b" * 400, "c" * 4000
    assert model.shortened([short, long, longer], 60) == [short, "b" * 100, "c" * 100]
    assert model.shortened([short, long], 110) == [short, long]


def test_instructions_that_do_not_fit_are_named():
    prompt = load_prompt("memory_r1.bench.baselines.amem", "answer", "context", "question")
    with pytest.raises(PromptTooLongError, match="instructions alone"):
        Model(ScriptedLM(context_length=60)).ask(prompt, [{"context": "x" * 900, "question": "y"}], max_tokens=20)


def test_an_answer_is_its_first_line():
    assert read_answer("Rome\nQuestion: Who?\nAnswer: Ann") == ("Ann", False)
    assert read_answer("Rome.\n\nBecause she said so.") == ("Rome.", False)
    assert read_answer("") == ("No information available.", True)
