"""History, undo, time travel, erase, export: what a Memory can do with its log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_r1 import Memory
from memory_r1.errors import ConflictError, EmbedderMismatchError, InvalidInputError, NotFoundError
from memory_r1.testing import ScriptedLM

BUDDY, SCOUT = "Ann adopted a dog named Buddy.", "Ann adopted a second dog named Scout."
BOTH = "Ann adopted two dogs named Buddy and Scout."


def texts(memory: Memory, **scope: str) -> set[str]:
    return {item["memory"] for item in memory.get_all(**scope)["results"]}


def test_undo_redo_and_cascade(memory, script, ann) -> None:
    first = memory.add(ann(BUDDY), user_id="ann")["results"][0]
    script.decide = lambda _: json.dumps({"op": "UPDATE", "id": 0, "text": BOTH})
    second = memory.add(ann(SCOUT), user_id="ann")["results"][0]

    (taken_back,) = memory.undo(second["operation_id"])
    assert texts(memory, user_id="ann") == {BUDDY}
    assert memory.search("dog Buddy", user_id="ann")["results"][0]["memory"] == BUDDY
    memory.undo(taken_back.id)
    assert texts(memory, user_id="ann") == {BOTH}

    with pytest.raises(ConflictError, match="cascade"):
        memory.undo(first["operation_id"])
    memory.undo(first["operation_id"], cascade=True)
    assert texts(memory, user_id="ann") == set()
    with pytest.raises(NotFoundError):
        memory.undo("no such operation")


def test_as_of_shows_the_bank_of_then(memory, script, ann) -> None:
    memory.add(ann(BUDDY), user_id="ann")
    then = datetime.now(UTC)
    script.decide = lambda _: json.dumps({"op": "DELETE", "id": 0})
    memory.add(ann("Ann gave Buddy away."), user_id="ann")
    assert [record.text for record in memory.as_of(then, user_id="ann")] == [BUDDY]
    assert memory.as_of(datetime.now(UTC), user_id="ann") == []
    assert memory.as_of(then, user_id="bob") == []


def test_erase_leaves_no_trace_of_a_memory(memory, tmp_path: Path, ann) -> None:
    secret = memory.add(ann("Ann's passphrase is correct-horse-battery."), user_id="ann")["results"][0]
    memory.add(ann("Ann likes tea."), user_id="ann")
    memory.search("passphrase", user_id="ann")
    with pytest.raises(NotFoundError):
        memory.erase(secret["id"], user_id="bob")
    (operation,) = memory.erase(secret["id"])
    assert operation.kind == "ERASE"
    assert texts(memory, user_id="ann") == {"Ann likes tea."}
    assert all("horse" not in repr(operation) for operation in memory.log(user_id="ann"))
    assert "horse" not in json.dumps(memory.history(secret["id"]))
    memory.export(tmp_path / "out.jsonl")
    assert "horse" not in (tmp_path / "out.jsonl").read_text("utf-8")
    memory.close()
    for file in tmp_path.glob("memory.db*"):
        assert b"horse" not in file.read_bytes()


def test_erase_of_a_scope_takes_retired_memories_too_and_no_others(memory) -> None:
    gone = memory.add("Ann likes tea.", user_id="ann", infer=False)["results"][0]
    memory.delete(gone["id"])
    memory.add("Ann likes milk.", user_id="ann", run_id="r1", infer=False)
    memory.add("Bob likes beer.", user_id="bob", infer=False)
    assert len(memory.erase(user_id="ann")) == 2
    assert {operation.kind for operation in memory.log(user_id="ann") if operation.after is None} >= {"ERASE"}
    assert all("likes" not in repr(operation) for operation in memory.log(user_id="ann"))
    assert texts(memory, user_id="bob") == {"Bob likes beer."}


def test_export_then_import_is_the_same_bank_and_history(memory, script, tmp_path: Path, ann) -> None:
    first = memory.add(ann(BUDDY), user_id="ann", metadata={"topic": "pets"})["results"][0]
    script.decide = lambda _: json.dumps({"op": "UPDATE", "id": 0, "text": BOTH})
    memory.add(ann(SCOUT), user_id="ann")
    memory.add("Bob likes beer.", user_id="bob")
    file = tmp_path / "log.jsonl"
    assert memory.export(file) == 3
    with Memory(model=ScriptedLM("x"), embedder="hash", store=tmp_path / "other.db") as other:
        assert other.import_(file) == 3
        assert other.import_(file) == 0
        assert other.get(first["id"]) == memory.get(first["id"])
        assert other.history(first["id"]) == memory.history(first["id"])
        assert other.log(user_id="ann") == memory.log(user_id="ann")
        assert other.search("dogs", user_id="ann")["results"][0]["id"] == first["id"]
        assert other.export(tmp_path / "again.jsonl", user_id="bob") == 1


def test_an_export_that_is_damaged_changes_nothing(memory, tmp_path: Path, ann) -> None:
    memory.add(ann(BUDDY), user_id="ann")
    memory.add(ann(SCOUT), user_id="ann")
    file = tmp_path / "log.jsonl"
    memory.export(file)
    whole = file.read_bytes()
    with Memory(model=ScriptedLM("x"), embedder="hash", store=tmp_path / "other.db") as other:
        for damaged in (
            whole[: len(whole) // 2],
            b"\xff\xfe" + whole,
            b"",
            b"hello\n",
            whole.replace(b'"ADD"', b'"BAD"'),
        ):
            file.write_bytes(damaged)
            with pytest.raises(InvalidInputError):
                other.import_(file)
            assert other.get_all(user_id="ann")["results"] == []


def test_another_embedder_is_an_error_that_names_the_way_out(memory, tmp_path: Path) -> None:
    from memory_r1.config import load_settings
    from memory_r1.reembed import reembed
    from memory_r1.testing import HashEmbedder

    memory.add(BUDDY, user_id="ann", infer=False)
    path = memory.settings.store
    memory.close()
    with pytest.raises(EmbedderMismatchError, match="memory-r1 reembed"):
        Memory(store=path, embedder=HashEmbedder(dimension=64), model=ScriptedLM("x"))
    seen: list[int] = []
    assert reembed(load_settings(store=path, embedder="minilm"), on_progress=seen.append) == 1
    assert seen == [1]
    with pytest.raises(EmbedderMismatchError):
        Memory(store=path, embedder="hash", model=ScriptedLM("x"))


def test_update_by_hand(memory) -> None:
    first = memory.add(BUDDY, user_id="ann", infer=False, metadata={"a": 1})["results"][0]
    other = memory.add(SCOUT, user_id="ann", infer=False)["results"][0]
    memory.update(first["id"], "Ann's dog is called Bud.", metadata={"b": 2})
    assert memory.get(first["id"])["memory"] == "Ann's dog is called Bud."
    assert memory.get(first["id"])["metadata"] == {"a": 1, "b": 2}
    memory.update(first["id"], metadata={"b": 3})
    assert memory.get(first["id"])["metadata"] == {"a": 1, "b": 3}
    with pytest.raises(ConflictError):
        memory.update(other["id"], "Ann's dog is called Bud.")
    with pytest.raises(InvalidInputError):
        memory.update(other["id"])
    with pytest.raises(InvalidInputError):
        memory.update(other["id"], " ")
    with pytest.raises(NotFoundError):
        memory.update("nobody", "text")
    with pytest.raises(NotFoundError):
        memory.delete("nobody")


def test_closing_twice_is_fine(memory) -> None:
    memory.close()
    memory.close()
