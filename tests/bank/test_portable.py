from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import Provenance
from memory_r1.bank.operation import Candidate, Change, Decision, OperationKind
from memory_r1.bank.portable import export_log, import_log
from memory_r1.bank.scope import Scope
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.bank.undo import undo
from memory_r1.errors import ConflictError, InvalidInputError, StoreError

ANN, ANN_RUN, BOB = Scope("ann"), Scope("ann", run_id="r"), Scope("bob")
MINE = EmbedderIdentity("mine", 4)


def no_embedding(texts):
    raise AssertionError(f"embedded {texts}")


def without_seq(operations):
    return [replace(operation, seq=0) for operation in operations]


@pytest.fixture
def full(store, kit):
    """A store with every kind of operation in three banks."""
    store.bind_embedder(MINE)
    decision = Decision(Fact("Ann has a dog", kit.start), (Candidate("x", 2),), "raw\n", "policy", "odd", 3, 4, 0.5)
    fields = {"event_time": kit.start, "provenance": Provenance("D1:1", "s", 0, "Ann", "user", "chat")}
    dog = replace(kit.add(ANN, "Ann has a dog 🐕", key="k", metadata={"a": [1, None]}, **fields), decision=decision)
    dog, tea, _ = store.commit([dog, kit.add(ANN_RUN, "tea"), kit.add(BOB, "Bob has a job")])
    (two,) = store.commit([kit.update(dog.after, "Ann has two dogs")])
    store.commit([kit.add(ANN, "Ann has two dogs"), kit.delete(tea.after), Change(OperationKind.NOOP, BOB)])
    undo(store, two.id, embed=kit.embed)
    (cat,) = store.commit([kit.add(BOB, "a cat")])
    store.erase([cat.memory_id])
    return store


@pytest.mark.parametrize("vectors", [True, False])
def test_round_trip(full, make_store, kit, tmp_path, vectors):
    path = tmp_path / "log.jsonl"
    assert export_log(full, None, path, vectors=vectors) == len(full.operations()) == 10
    other = make_store()
    assert import_log(other, path, embed=kit.embed) == 10
    assert without_seq(other.operations()) == without_seq(full.operations())
    kit.check(other)
    assert import_log(other, path, embed=no_embedding) == 0
    assert len(other.operations()) == 10
    again = io.BytesIO()
    export_log(other, None, again, vectors=False)
    export_log(full, None, path, vectors=False)
    assert again.getvalue() == path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix != ".db"] != []
    assert not list(tmp_path.glob("*.part"))


def test_vectors_travel_to_a_store_of_the_same_embedder(full, make_store, kit):
    live = {record.text for scope in full.scopes() for record in full.memories(scope)}
    content = io.BytesIO()
    export_log(full, None, content)
    asked = []

    def embed(texts):
        asked.extend(texts)
        return kit.embed(texts)

    import_log(make_store(), io.BytesIO(content.getvalue()), embed=embed, embedder=MINE)
    assert asked == ["tea"]
    asked.clear()
    import_log(make_store(), io.BytesIO(content.getvalue()), embed=embed, embedder=EmbedderIdentity("other", 4))
    assert set(asked) == live | {"tea"}


def test_one_scope_alone(full, make_store, kit):
    content = io.BytesIO()
    assert export_log(full, ANN, content) == len(full.operations(ANN))
    other = make_store()
    import_log(other, io.BytesIO(content.getvalue()), embed=kit.embed)
    assert other.scopes() == [ANN, ANN_RUN]
    assert without_seq(other.operations()) == without_seq(full.operations(ANN))
    with pytest.raises(InvalidInputError, match="several banks"):
        import_log(other, io.BytesIO(content.getvalue()), embed=kit.embed, into=BOB)


def test_into_another_bank_is_a_copy_made_once(full, kit):
    content = io.BytesIO()
    count = export_log(full, BOB, content)
    copy = Scope("copy")
    assert import_log(full, io.BytesIO(content.getvalue()), embed=kit.embed, into=copy) == count
    assert import_log(full, io.BytesIO(content.getvalue()), embed=kit.embed, into=copy) == 0
    assert [record.text for record in full.memories(copy)] == [record.text for record in full.memories(BOB)]
    assert [o.kind for o in full.operations(copy)] == [o.kind for o in full.operations(BOB)]
    assert not {o.id for o in full.operations(copy)} & {o.id for o in full.operations(BOB)}
    kit.check(full)


def test_a_history_that_contradicts_the_store_is_refused(full, make_store, kit):
    content = io.BytesIO()
    export_log(full, ANN, content)
    other = make_store()
    other.commit([kit.add(ANN, "ann HAS a dog 🐕")])
    with pytest.raises(ConflictError):
        import_log(other, io.BytesIO(content.getvalue()), embed=kit.embed)
    assert other.head() == 1


def lines_of(store):
    content = io.BytesIO()
    export_log(store, None, content)
    return content.getvalue().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [], 1),
        (lambda lines: [b"hello\n"], 1),
        (lambda lines: [b'{"memory-r1": "other"}\n'], 1),
        (lambda lines: [lines[0].replace(b'"format":1', b'"format":99'), *lines[1:]], 1),
        (lambda lines: lines[:-1], None),
        (lambda lines: [*lines[:2], lines[2][:40]], 3),
        (lambda lines: [*lines[:2], lines[2].decode().encode("utf-16"), *lines[3:]], 3),
        (lambda lines: [*lines[:2], b"\xff\xfe\n", *lines[3:]], 3),
        (lambda lines: [lines[0], *lines[2:]], None),
        (lambda lines: [*lines, lines[1]], None),
        (lambda lines: [*lines[:3], b"[]\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b'{"operation": {}}\n', *lines[3:]], 4),
        (lambda lines: [*lines[:3], lines[3].replace(b'"kind":"ADD"', b'"kind":"MELT"'), *lines[4:]], 4),
        (lambda lines: [*lines[:3], lines[3].replace(b"Bob has", b"Bob\\u0000has"), *lines[4:]], 4),
        (lambda lines: [*lines[:3], lines[3].replace(b"Bob has", b"Bob\\ud800has"), *lines[4:]], 4),
        (lambda lines: [*lines[:3], lines[3].replace(b'"user_id"', b'"owner"'), *lines[4:]], 4),
        (lambda lines: [*lines[:-2], lines[-2].replace(b'"data":"', b'"data":"!'), lines[-1]], None),
    ],
)
def test_damaged_files_name_the_line_and_change_nothing(full, make_store, kit, damage, line):
    lines = lines_of(full)
    damaged = damage(lines)
    other = make_store()
    number = rf"line {line}:" if line else r"line \d+:"
    with pytest.raises(InvalidInputError, match=number):
        import_log(other, io.BytesIO(b"".join(damaged)), embed=kit.embed)
    assert other.head() == 0


def test_paths_that_cannot_be_used(store, kit, tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        import_log(store, tmp_path / "missing.jsonl", embed=kit.embed)
    with pytest.raises(StoreError, match="cannot be written"):
        export_log(store, None, tmp_path / "missing" / "log.jsonl")


def test_the_lines_are_for_people_too(full):
    lines = [json.loads(line) for line in lines_of(full)]
    assert lines[0] == {"memory-r1": "log", "format": 1, "embedder": {"name": "mine", "dimension": 4}}
    assert lines[1]["operation"]["after"]["text"] == "Ann has a dog 🐕"
    assert lines[-1]["end"]["operations"] == 10
