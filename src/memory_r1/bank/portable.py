r"""A log as JSON lines: to back up, to move, to read.

The first line names the format. Then one line an operation, in log order and with everything it carries; then, unless
they were left out, one line a vector; the last line says how many there were, so that a file cut off is noticed.

    {"memory-r1": "log", "format": 1, "embedder": {"name": "minilm", "dimension": 384}}
    {"operation": {"id": "..", "kind": "ADD", "scope": {"user_id": "ann"}, "at": "..", "memory_id": "..", "after": ..}}
    {"vector": {"memory_id": "..", "text": "<SHA-256 of the text>", "data": "<float32, little-endian, base64>"}}
    {"end": {"operations": 1, "vectors": 1}}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from memory_r1.bank.codec import decode_operation, dumps, encode_operation
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Candidate, Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.store import EmbedderIdentity, Store
from memory_r1.errors import InvalidInputError, MemoryR1Error, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
_PAGE = 1000
_EMBED_PAGE = 256

_Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]


def export_log(store: Store, scope: Scope | None, file: str | Path | BinaryIO, *, vectors: bool = True) -> int:
    """Write the log of a scope, or of the whole store, as JSON lines in UTF-8.

    Args:
        store: What to export.
        scope: All banks that it covers; None for every bank.
        file: A path, which is replaced only once all is written, or an open binary file.
        vectors: Write the vectors of live memories too, so that an import need not embed them again.

    Returns:
        The number of operations.

    Raises:
        StoreError: The file cannot be written.
    """
    if not isinstance(file, str | Path):
        return _write(store, scope, file, vectors)
    path = Path(file)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        try:
            with partial.open("xb") as stream:
                total = _write(store, scope, stream, vectors)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.", hint="Name another file.") from error
    return total


def import_log(
    store: Store,
    file: str | Path | BinaryIO,
    *,
    embed: _Embed,
    embedder: EmbedderIdentity | None = None,
    into: Scope | None = None,
) -> int:
    """Read an exported log into a store: the same banks with the same history. All of it or nothing.

    Operations that the store has already are passed over, so a second import of a file changes nothing.

    Args:
        store: Where to write.
        file: A path or an open binary file.
        embed: Embeds the texts whose vectors the file lacks, or has from another embedder; shape (texts, dimension).
        embedder: What `embed` is, for a store that holds no vectors yet; without it that store embeds every text.
        into: Write everything to this bank, as a copy: its memories and operations get ids of their own, the same on
            every import. The file must then hold one bank.

    Returns:
        The number of operations that were new.

    Raises:
        InvalidInputError: The file is not an export or is damaged; the message names the line.
        ConflictError: It contradicts what the store holds.
    """
    if isinstance(file, str | Path):
        try:
            with Path(file).open("rb") as stream:
                content = _read(stream, str(file))
        except OSError as error:
            raise InvalidInputError(f"{file} cannot be read: {error.strerror}.", hint="Check the path.") from error
    else:
        content = _read(file, "the file")
    operations = content.operations
    if into is not None:
        operations = _moved(operations, into)
    operations = [operation for operation in operations if store.operation(operation.id) is None]
    usable = content.embedder is not None and content.embedder == (store.embedder() or embedder)
    return store.restore(operations, _vectors(operations, content.vectors if usable else {}, embed))


@dataclass(slots=True)
class _Content:
    embedder: EmbedderIdentity | None
    operations: list[Operation] = field(default_factory=list)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """By the SHA-256 of the text."""


def _write(store: Store, scope: Scope | None, stream: BinaryIO, vectors: bool) -> int:
    identity = store.embedder() if vectors else None
    embedder = None if identity is None else {"name": identity.name, "dimension": identity.dimension}
    _put(stream, {"memory-r1": "log", "format": FORMAT, "embedder": embedder})
    operations = embedded = last = 0
    head = store.head()
    while last < head:
        page = [entry for entry in store.operations(scope, after=last, limit=_PAGE) if entry.seq <= head]
        for operation in page:
            _put(stream, {"operation": encode_operation(operation)})
        operations += len(page)
        last = page[-1].seq if page else head
    if identity is not None:
        for bank in store.scopes():
            if scope is None or scope.covers(bank):
                for line in _vector_lines(store, bank):
                    _put(stream, line)
                    embedded += 1
    _put(stream, {"end": {"operations": operations, "vectors": embedded}})
    return operations


def _put(stream: BinaryIO, line: dict[str, Any]) -> None:
    stream.write(dumps(line).encode() + b"\n")


def _vector_lines(store: Store, bank: Scope) -> Iterator[dict[str, Any]]:
    """The vectors of exactly one bank, though a read in its scope may cover more."""
    batch = store.index_batch(bank, 0)
    for start in range(0, batch.keys.size, _PAGE):
        keys = batch.keys[start : start + _PAGE].tolist()
        records = store.fetch(keys)
        for key, vector in zip(keys, batch.vectors[start : start + _PAGE], strict=True):
            record = records.get(key)
            if record is not None and record.scope == bank:
                data = base64.b64encode(vector.astype("<f4").tobytes()).decode()
                yield {"vector": {"memory_id": record.id, "text": _digest(record.text), "data": data}}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(stream: BinaryIO, name: str) -> _Content:
    content: _Content | None = None
    ended, number = False, 0
    for number, line in enumerate(stream, 1):
        try:
            entry = json.loads(line.decode())
            if content is None:
                content = _Content(_header(entry))
            elif ended:
                raise ValueError("there is more after the end")
            else:
                ended = _take(entry, content)
        except MemoryR1Error as error:
            raise _damaged(name, number, error.message) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise _damaged(name, number, _reason(error)) from error
    if content is None or not ended:
        raise _damaged(name, number + 1, "the file ends before its end line")
    return content


def _header(entry: Any) -> EmbedderIdentity | None:
    if not isinstance(entry, dict) or entry.get("memory-r1") != "log":
        raise ValueError("this is not a memory-r1 log")
    if entry["format"] != FORMAT:
        raise ValueError(f"format {entry['format']!r} is not known here; upgrade memory-r1")
    embedder = entry["embedder"]
    return None if embedder is None else EmbedderIdentity(str(embedder["name"]), int(embedder["dimension"]))


def _take(entry: Any, content: _Content) -> bool:
    """Take in one line; return whether it is the end."""
    match entry:
        case {"operation": dict(data)}:
            content.operations.append(decode_operation(data))
            return False
        case {"vector": {"text": str(digest), "data": str(data)}}:
            content.vectors[digest] = _decode_vector(data, content.embedder)
            return False
        case {"end": {"operations": int(operations), "vectors": int()}}:
            if operations != len(content.operations):
                raise ValueError(f"{operations} operations were written, {len(content.operations)} are here")
            return True
    raise ValueError("this is no operation, vector or end")


def _decode_vector(data: str, embedder: EmbedderIdentity | None) -> NDArray[np.float32]:
    import numpy as np

    vector = np.frombuffer(base64.b64decode(data, validate=True), "<f4")
    if embedder is None or vector.size != embedder.dimension:
        raise ValueError(f"a vector of {vector.size} numbers does not fit the embedder in line 1")
    return vector


def _reason(error: Exception) -> str:
    match error:
        case UnicodeDecodeError():
            return "not UTF-8"
        case json.JSONDecodeError():
            return "not JSON"
        case binascii.Error():
            return "not base64"
        case KeyError():
            return f"{error} is missing"
    return str(error) or type(error).__name__


def _damaged(name: str, number: int, why: str) -> InvalidInputError:
    return InvalidInputError(f"{name}, line {number}: {why}.", hint="Nothing was imported. Export the log again.")


def _vectors(
    operations: Sequence[Operation], known: dict[str, NDArray[np.float32]], embed: _Embed
) -> list[NDArray[np.float32] | None]:
    """A vector for the last state of each memory."""
    last = {
        operation.memory_id: place
        for place, operation in enumerate(operations)
        if operation.kind is not OperationKind.NOOP
    }
    vectors: list[NDArray[np.float32] | None] = [None] * len(operations)
    missing: list[tuple[int, str]] = []
    for place in last.values():
        after = operations[place].after
        if after is not None:
            vectors[place] = known.get(_digest(after.text))
            if vectors[place] is None:
                missing.append((place, after.text))
    for start in range(0, len(missing), _EMBED_PAGE):
        page = missing[start : start + _EMBED_PAGE]
        for (place, _), vector in zip(page, embed([text for _, text in page]), strict=True):
            vectors[place] = vector
    return vectors


def _moved(operations: Iterable[Operation], into: Scope) -> list[Operation]:
    """The same history in another bank, under ids that depend on nothing but the old ids and the new bank."""
    operations = list(operations)
    if len({operation.scope for operation in operations}) > 1:
        raise InvalidInputError("The file holds several banks.", hint="Export one bank to import it into another.")

    def moved_id(old: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{dumps(into.as_dict())} {old}"))

    def moved_state(state: MemoryRecord | None) -> MemoryRecord | None:
        return None if state is None else replace(state, id=moved_id(state.id), scope=into)

    def moved(operation: Operation) -> Operation:
        decision = operation.decision
        if decision is not None:
            seen = tuple(Candidate(moved_id(entry.memory_id), entry.version) for entry in decision.candidates)
            decision = replace(decision, candidates=seen)
        return replace(
            operation,
            id=moved_id(operation.id),
            scope=into,
            memory_id=None if operation.memory_id is None else moved_id(operation.memory_id),
            before=moved_state(operation.before),
            after=moved_state(operation.after),
            decision=decision,
            undoes=None if operation.undoes is None else moved_id(operation.undoes),
        )

    return [moved(operation) for operation in operations]
