"""add, plan and what stands between a message and an operation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_r1 import Memory
from memory_r1.bank.operation import OperationKind
from memory_r1.errors import EndpointError, InvalidInputError, ScopeError
from memory_r1.testing import Endless, ScriptedLM

BUDDY = "Ann adopted a dog named Buddy."
SCOUT = "Ann adopted a second dog named Scout."
BOTH = "Ann adopted two dogs named Buddy and Scout."


def texts(memory: Memory, **scope: str) -> set[str]:
    return {item["memory"] for item in memory.get_all(**scope)["results"]}


def test_buddy_then_scout_is_one_memory_with_two_versions(memory, script, ann) -> None:
    first = memory.add(ann(BUDDY), user_id="ann")["results"][0]
    script.decide = lambda _: json.dumps({"op": "UPDATE", "id": 0, "text": BOTH})
    second = memory.add(ann(SCOUT), user_id="ann")["results"][0]

    assert (first["event"], second["event"]) == ("ADD", "UPDATE")
    assert second["id"] == first["id"]
    assert second["previous_memory"] == BUDDY
    assert memory.get(first["id"])["memory"] == BOTH
    assert memory.get(first["id"])["version"] == 2
    assert [row["new_memory"] for row in memory.history(first["id"])] == [BUDDY, BOTH]


def test_delete_retires_and_noop_changes_nothing(memory, script, ann) -> None:
    kept = memory.add(ann(BUDDY), user_id="ann")["results"][0]
    script.decide = lambda _: json.dumps({"op": "NOOP"})
    assert memory.add(ann("Ann has a dog called Buddy."), user_id="ann")["results"][0]["event"] == "NOOP"
    script.decide = lambda _: json.dumps({"op": "DELETE", "id": 0})
    gone = memory.add(ann("Ann gave her dog Buddy away."), user_id="ann")["results"][0]
    assert (gone["event"], gone["id"]) == ("DELETE", kept["id"])
    assert memory.get(kept["id"]) is None
    assert [operation.kind for operation in memory.log(user_id="ann")] == ["ADD", "NOOP", "DELETE"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I think we should probably add this one.", "no JSON"),
        ('{"op":"UPDATE","id":7,"text":"Ann has a dog named Scout."}', "7"),
        ('{"op":"UPDATE","text":"x"}', "id"),
        ('{"op":"UPDATE","id":0,"text":"Scout is second."}', "keeps nothing"),
        ('{"op":"FORGET","id":0}', "FORGET"),
        ('{"op":"UPDATE","id":0', ""),
        ("", ""),
        ("\x00\ud83d\udc36 {{{{", ""),
    ],
)
def test_an_unusable_decision_is_logged_and_the_fact_is_kept(memory, script, reply, reason, ann) -> None:
    memory.add(ann(BUDDY), user_id="ann")
    script.decide = lambda _: reply
    result = memory.add(ann(SCOUT), user_id="ann")["results"][0]
    assert result["event"] == "ADD"
    assert reason in result["rejected"]
    assert texts(memory, user_id="ann") == {BUDDY, result["memory"]}
    decision = memory.log(user_id="ann")[-1].decision
    assert decision.rejected
    assert decision.fact.text == result["memory"]


@pytest.mark.parametrize("wrapped", ["```json\n{}\n```", "Sure! {} Hope this helps.", '{} {{"op":"ADD"}}'])
def test_a_decision_in_a_fence_in_prose_or_first_of_two_is_read(memory, script, wrapped, ann) -> None:
    memory.add(ann(BUDDY), user_id="ann")
    script.decide = lambda _: wrapped.format(json.dumps({"op": "UPDATE", "id": 0, "text": BOTH}))
    assert memory.add(ann(SCOUT), user_id="ann")["results"][0]["event"] == "UPDATE"


def test_an_endless_model_loses_nothing(tmp_path: Path, ann) -> None:
    with Memory(model=ScriptedLM(Endless("blah ")), embedder="hash", store=tmp_path / "m.db") as memory:
        memory.add(ann(BUDDY), user_id="ann")
        memory.add(ann(SCOUT), user_id="ann")
        kept = " ".join(texts(memory, user_id="ann"))
        assert "Buddy" in kept
        assert "Scout" in kept
        assert memory.answer("Which dogs?", user_id="ann").text


def test_a_dead_endpoint_writes_nothing_and_says_so(tmp_path: Path, ann) -> None:
    lm = ScriptedLM([EndpointError("The endpoint is gone.", hint="Start it.")])
    with Memory(model=lm, embedder="hash", store=tmp_path / "m.db") as memory:
        with pytest.raises(EndpointError, match=r"gone. Start it."):
            memory.add(ann(BUDDY), user_id="ann")
        assert memory.log(user_id="ann") == []


def test_the_manager_sees_small_integers_and_never_ids(memory, lm, ann) -> None:
    first = memory.add(ann(BUDDY), user_id="ann")["results"][0]
    memory.add(ann(SCOUT), user_id="ann")
    prompt = lm.calls[-1].prompt
    assert BUDDY in prompt
    assert first["id"] not in prompt


def test_a_decision_on_a_stale_bank_is_taken_again(memory, script, ann) -> None:
    first = memory.add(ann(BUDDY), user_id="ann")["results"][0]
    seen = []

    def decide(prompt: str) -> str:
        seen.append(prompt)
        if len(seen) == 1:
            memory.update(first["id"], "Ann adopted a dog named Buddy from a shelter.")
        return json.dumps(
            {"op": "UPDATE", "id": 0, "text": f"{BOTH} One is from a shelter." if len(seen) > 1 else BOTH}
        )

    script.decide = decide
    result = memory.add(ann(SCOUT), user_id="ann")["results"][0]
    assert len(seen) == 2
    assert "shelter" in seen[1]
    assert result["event"] == "UPDATE"
    assert "shelter" in memory.get(first["id"])["memory"]
    assert memory.get(first["id"])["version"] == 3


def test_a_bank_that_never_holds_still_gets_the_fact_added(memory, script, ann) -> None:
    first = memory.add(ann(BUDDY), user_id="ann")["results"][0]
    rounds = iter(range(100))

    def decide(_: str) -> str:
        memory.update(first["id"], f"Ann adopted a dog named Buddy, note {next(rounds)}.")
        return json.dumps({"op": "UPDATE", "id": 0, "text": BOTH})

    script.decide = decide
    result = memory.add(ann(SCOUT), user_id="ann")["results"][0]
    assert result["event"] == "ADD"
    assert "conflict" in result["rejected"]
    assert "Scout" in result["memory"]


def test_plan_says_what_add_would_do_and_writes_nothing(memory, script, ann) -> None:
    memory.add(ann(BUDDY), user_id="ann")
    before = memory.log(user_id="ann")
    script.decide = lambda _: json.dumps({"op": "UPDATE", "id": 0, "text": BOTH})
    planned = memory.plan(ann(SCOUT), user_id="ann")
    assert memory.log(user_id="ann") == before
    assert [(p.kind, p.before.text, p.after.text) for p in planned] == [(OperationKind.UPDATE, BUDDY, BOTH)]
    done = memory.add(ann(SCOUT), user_id="ann")["results"][0]
    assert (done["event"], done["memory"]) == (planned[0].kind, planned[0].after.text)


def test_a_plan_of_several_facts_lets_later_ones_see_earlier_ones(memory, script, ann) -> None:
    script.decide = lambda prompt: json.dumps(
        {"op": "UPDATE", "id": 0, "text": BOTH} if SCOUT in prompt.rpartition("New fact: ")[2] else {"op": "ADD"}
    )
    planned = memory.plan([ann(BUDDY), ann(SCOUT)], user_id="ann")
    assert [p.kind for p in planned] == ["ADD", "UPDATE"]
    assert planned[1].before.id == planned[0].after.id
    assert memory.log(user_id="ann") == []


def test_every_operation_tells_where_it_comes_from(memory) -> None:
    time = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    memory.add({"role": "user", "name": "Ann", "content": BUDDY}, user_id="ann", timestamp=time)
    (operation,) = memory.log(user_id="ann")
    assert operation.actor == "manager"
    assert operation.decision.policy
    assert operation.after.event_time == time
    assert operation.after.provenance.speaker == "Ann"
    assert operation.after.provenance.role == "user"


def test_only_the_roles_asked_for_are_remembered(memory, tmp_path, lm, ann) -> None:
    chat = [
        {"role": "system", "content": "The user is called Zed."},
        ann(BUDDY),
        {"role": "assistant", "content": "Your mother was born in Oslo."},
    ]
    memory.add(chat, user_id="ann")
    assert texts(memory, user_id="ann") == {BUDDY}
    with Memory(model=lm, embedder="hash", store=tmp_path / "b.db", roles=("user", "assistant")) as both:
        both.add(chat, user_id="ann")
        assert len(texts(both, user_id="ann")) == 2


def test_a_recalled_memory_is_not_stored_again(memory, ann) -> None:
    memory.add(ann("Ann's locker code is four nine two one."), user_id="ann")
    found = memory.search("locker code", user_id="ann")["results"][0]["memory"]
    again = memory.add(ann(f"{found} Ann bought a green bike."), user_id="ann")
    assert "locker" not in " ".join(result["memory"] for result in again["results"] if result["event"] == "ADD")
    assert sum("locker" in text for text in texts(memory, user_id="ann")) == 1


def test_the_same_key_writes_once(memory, ann) -> None:
    first = memory.add(ann(BUDDY), user_id="ann", idempotency_key="m1")["results"]
    second = memory.add(ann(BUDDY), user_id="ann", idempotency_key="m1")["results"]
    assert [r["operation_id"] for r in first] == [r["operation_id"] for r in second]
    assert len(memory.log(user_id="ann")) == 1
    raw = [memory.add("raw", user_id="ann", infer=False, idempotency_key="m2")["results"] for _ in range(2)]
    assert raw[0][0]["operation_id"] == raw[1][0]["operation_id"]
    assert len(memory.log(user_id="ann")) == 2


@pytest.mark.parametrize("infer", [True, False])
@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ([], "no message"),
        ("x" * 1_000_000, "max_chars"),
        ("lone \ud800 surrogate", "surrogate"),
        ("nul \0 here", "NUL"),
        (b"bytes", "bytes"),
        (17, "int"),
        ([{"role": "user"}], "content"),
        ([{"role": "wizard", "content": "hi"}], "wizard"),
        ([{"role": "user", "content": 5}], "content"),
    ],
)
def test_messages_that_cannot_be_used_are_refused_whole(memory, messages, says, infer) -> None:
    with pytest.raises(InvalidInputError, match=says):
        memory.add(messages, user_id="ann", infer=infer)
    assert memory.log(user_id="ann") == []


@pytest.mark.parametrize(
    "text", ["مرحبا، اسمي ليلى", "我喜欢喝茶", "I love my 🐕‍🦺 and 👩‍👩‍👧", "e\u0301 cafe\u0301", "\u202eabc"]
)
def test_any_well_formed_text_comes_back_unchanged(memory, text) -> None:
    memory.add(text, user_id="ann", infer=False)
    memory.add(text + " indeed, and I moved to Rome", user_id="ann")
    assert text in texts(memory, user_id="ann")
    assert memory.search(text, user_id="ann")["results"][0]["memory"].startswith(text)


def test_a_long_message_is_kept_whole(memory, script) -> None:
    words = [f"In year {1900 + n} I moved to town number {n}." for n in range(400)]
    script.extract = lambda _: "garbage"
    memory.add(" ".join(words), user_id="ann")
    kept = " ".join(texts(memory, user_id="ann"))
    assert all(f"number {n}." in kept for n in range(400))


@pytest.mark.parametrize(
    "metadata", [{"a": object()}, {"a": float("nan")}, {1: "a"}, ["a"], {"a": "\ud800"}, {"a": "x\0"}]
)
def test_metadata_that_is_not_json_is_refused(memory, metadata) -> None:
    with pytest.raises(InvalidInputError, match="metadata"):
        memory.add(BUDDY, user_id="ann", infer=False, metadata=metadata)
    assert memory.log(user_id="ann") == []


@pytest.mark.parametrize("timestamp", ["yesterday", object(), float("inf"), True])
def test_a_time_that_is_none_is_refused(memory, timestamp, ann) -> None:
    with pytest.raises(InvalidInputError, match="timestamp"):
        memory.add(ann(BUDDY), user_id="ann", timestamp=timestamp)


def test_a_scope_is_mandatory(memory) -> None:
    for call in (
        lambda: memory.add(BUDDY),
        lambda: memory.search("dog"),
        lambda: memory.get_all(),
        lambda: memory.delete_all(),
        lambda: memory.plan(BUDDY),
        lambda: memory.answer("Which dog?"),
        lambda: memory.erase(),
        lambda: memory.log(),
        lambda: memory.add(BUDDY, user_id=""),
        lambda: memory.add(BUDDY, user_id="a\0b"),
    ):
        with pytest.raises(ScopeError):
            call()
