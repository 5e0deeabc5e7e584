"""The front door: everything a program does with its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from memory_r1 import shapes
from memory_r1.agents.extractor import Window
from memory_r1.agents.results import Usage
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.states import updated
from memory_r1.bank.text import check_text
from memory_r1.config import Settings, load_settings
from memory_r1.curator import PlannedOperation
from memory_r1.errors import InvalidInputError, NotFoundError
from memory_r1.ingest import IngestEvent, IngestReport, ingest
from memory_r1.ledger import Ledger
from memory_r1.mem0_config import from_mem0
from memory_r1.messages import to_time, to_turns
from memory_r1.parts import build_parts
from memory_r1.recall import Recall, Recent

if TYPE_CHECKING:
    from memory_r1.bank.store import Store
    from memory_r1.data.conversation import Conversation
    from memory_r1.lm.base import LanguageModel
    from memory_r1.retrieval.embedder import Embedder


class Memory(Recall, Ledger):
    """Long-term memory that decides what to keep.

    Without arguments it works offline: a bundled language model, a bundled embedder, one file in the user's data
    directory. Every argument may also come from a `MEMORY_R1_*` variable or a TOML file (see `Settings`). Safe to share
    between threads; several processes may open the same store.

    Names, spellings and result shapes follow mem0's `Memory`. Every call names a scope by at least one of `user_id`,
    `agent_id`, `run_id`.

    Args:
        config: Settings as a mapping, ours or mem0's; arguments take precedence.
        model: Language model, by name (see `Settings.model`) or as an object.
        adapters: LoRA folders by agent: extractor, manager, answerer.
        embedder: Embedder, by name or as an object.
        store: Path of the SQLite file, `:memory:`, or a store object.
        **settings: Any other field of `Settings`.

    Raises:
        ConfigError: A setting is unusable.
        EmbedderMismatchError: The store holds vectors of another embedder.
        StoreError: The store cannot be opened.

    Example:
        >>> with Memory(store=":memory:", embedder="hash") as memory:
        ...     first = memory.add("Ann moved to Lisbon.", user_id="ann", infer=False)["results"][0]
        ...     _ = memory.update(first["id"], "Ann moved to Porto.")
        ...     _ = memory.undo(memory.log(user_id="ann")[-1].id)
        ...     memory.get(first["id"])["memory"]
        'Ann moved to Lisbon.'
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        model: str | LanguageModel | None = None,
        adapters: Mapping[str, str] | None = None,
        embedder: str | Embedder | None = None,
        store: str | Path | Store | None = None,
        **settings: Any,
    ) -> None:
        named = {
            "model": model if isinstance(model, str) else None,
            "adapters": dict(adapters) if adapters else None,
            "embedder": embedder if isinstance(embedder, str) else None,
            "store": str(store) if isinstance(store, str | Path) else None,
        }
        given = {name: value for name, value in {**named, **settings}.items() if value is not None}
        self.settings: Settings = load_settings(**{**(from_mem0(config) if config else {}), **given})
        self._parts = build_parts(
            self.settings,
            store=store if not isinstance(store, str | Path) else None,
            embedder=embedder if not isinstance(embedder, str) else None,
            lm=model if not isinstance(model, str) else None,
        )
        self._recent = Recent()

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any]) -> Self:
        """Build from a configuration dictionary, ours or mem0's."""
        return cls(config_dict)

    def add(
        self,
        messages: Any,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        expiration_date: Any = None,
        infer: bool = True,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Remember what is worth remembering in messages.

        Args:
            messages: Text, a chat message, or a list of messages; `name` in a message is its speaker.
            user_id: Scope.
            agent_id: Scope.
            run_id: Scope.
            metadata: JSON values to keep with each memory.
            timestamp: When the messages were said (datetime, ISO 8601 or Unix seconds); now if None. Relative dates
                are worked out from it.
            expiration_date: Day after which the memories are no longer found.
            infer: Extract facts and let the manager decide. False stores each message as it is and calls no language
                model.
            idempotency_key: A second call with the same key in the same scope writes nothing again.

        Returns:
            `{"results": [{"id", "memory", "event", "operation_id", ...}], "usage": Usage}`, one result per fact, with
            event ADD, UPDATE, DELETE or NOOP.

        Raises:
            InvalidInputError: A message, the metadata or the time cannot be used.
            ScopeError: No scope is given.
            ModelError: The language model or embedder failed; facts decided before stay.
        """
        scope = Scope(user_id, agent_id, run_id)
        turns = to_turns(messages, time=_now_or(timestamp), max_chars=self.settings.max_chars)
        kept = shapes.check_metadata(metadata, expiration_date)
        if not infer:
            facts = [_as_fact(turn) for turn in turns if turn.role != "system"]
            operations = self._parts.curator.add_raw(facts, scope, metadata=kept, idempotency_key=idempotency_key)
            return {"results": [shapes.event(operation) for operation in operations], "usage": Usage()}
        facts, usage = self._extract(turns, scope)
        results = []
        for number, fact in enumerate(facts):
            key = f"{idempotency_key}#{number}" if idempotency_key is not None else None
            operation, cost = self._parts.curator.curate(fact, scope, metadata=kept, idempotency_key=key)
            results.append(shapes.event(operation))
            usage += cost
        return {"results": results, "usage": usage}

    def plan(
        self,
        messages: Any,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        timestamp: Any = None,
    ) -> list[PlannedOperation]:
        """What `add` would do, with the manager's reasons; nothing is written."""
        scope = Scope(user_id, agent_id, run_id)
        turns = to_turns(messages, time=_now_or(timestamp), max_chars=self.settings.max_chars)
        return self._parts.curator.plan(self._extract(turns, scope)[0], scope)

    def ingest(
        self,
        conversation: Conversation,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        sessions: int | None = None,
        on_event: Callable[[IngestEvent], None] | None = None,
    ) -> IngestReport:
        """Read a whole conversation, turn by turn, oldest first; see `memory_r1.ingest.ingest`."""
        return ingest(
            conversation,
            Scope(user_id, agent_id, run_id),
            self._parts.extractor,
            self._parts.curator,
            context_turns=self.settings.context_turns,
            sessions=sessions,
            on_event=on_event,
        )

    def update(
        self,
        memory_id: str,
        text: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        data: str | None = None,
        expiration_date: Any = None,
    ) -> dict[str, str]:
        """Give a memory a new text, new metadata, or both.

        Raises:
            NotFoundError: No live memory has this id.
            ConflictError: Another memory of the bank already has this text.
            InvalidInputError: Neither text nor metadata is given, or one cannot be used.
        """
        text = text if text is not None else data
        if text is None and metadata is None and expiration_date is None:
            raise InvalidInputError("There is nothing to update.", hint="Pass text, metadata, or both.")
        record = self._live(memory_id)
        wanted = record.text if text is None else check_text(text, max_chars=self.settings.max_chars)
        kept = shapes.check_metadata(metadata, expiration_date)
        fact = Fact(wanted, record.event_time, record.provenance)
        self._parts.store.commit(
            [
                Change(
                    OperationKind.UPDATE,
                    record.scope,
                    memory_id=memory_id,
                    after=updated(record, wanted, fact, kept),
                    vector=self._parts.embedder.embed([wanted])[0] if wanted != record.text else None,
                    expected_version=record.version,
                )
            ]
        )
        return {"message": "Memory updated successfully!"}

    def delete(self, memory_id: str) -> dict[str, str]:
        """Retire a memory. It is no longer found, and stays in the history; `erase` really deletes it.

        Raises:
            NotFoundError: No live memory has this id.
        """
        self._retire([self._live(memory_id)])
        return {"message": "Memory deleted successfully!"}

    def delete_all(
        self, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> dict[str, str]:
        """Retire every memory of a scope, in one transaction.

        Raises:
            ScopeError: No scope is given.
        """
        self._retire(self._parts.store.memories(Scope(user_id, agent_id, run_id)))
        return {"message": "Memories deleted successfully!"}

    def close(self) -> None:
        """Release files and models; a second call does nothing."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _extract(self, turns: Sequence[Any], scope: Scope) -> tuple[list[Fact], Usage]:
        windows = [
            Window((turn,), context=tuple(turns[max(0, place - self.settings.context_turns) : place]), source="chat")
            for place, turn in enumerate(turns)
            if turn.role in self.settings.roles
        ]
        extractions = self._parts.extractor.extract_many(windows, known=self._recent.known(scope))
        facts = [fact for extraction in extractions for fact in extraction.facts]
        return facts, sum((extraction.usage for extraction in extractions), Usage())

    def _live(self, memory_id: str) -> MemoryRecord:
        record = self._parts.store.get(memory_id)
        if record is None or not record.live:
            raise NotFoundError(f"No memory has the id {memory_id!r}.", hint="`get_all` lists the ids of a scope.")
        return record

    def _retire(self, records: Iterable[MemoryRecord]) -> None:
        self._parts.store.commit(
            [
                Change(OperationKind.DELETE, record.scope, memory_id=record.id, expected_version=record.version)
                for record in records
            ]
        )


def _now_or(timestamp: Any) -> datetime:
    return to_time(timestamp) if timestamp is not None else datetime.now(UTC)


def _as_fact(turn: Any) -> Fact:
    return Fact(turn.text, turn.time, Provenance(speaker=turn.speaker, role=turn.role, source="chat"))
