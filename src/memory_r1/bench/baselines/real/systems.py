"""Real packages as systems of the benchmark: they remember with our model through the local endpoint."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from memory_r1.bench.baselines.entries import Entry, sources
from memory_r1.bench.baselines.mem0_prompt.system import found, mem0_reader, owned_pairs
from memory_r1.bench.baselines.reader import Found, Reader, when
from memory_r1.bench.baselines.real.install import PACKAGES, python_of
from memory_r1.bench.baselines.real.process import PackageError, PackageProcess
from memory_r1.bench.baselines.rival import Rival, said
from memory_r1.bench.endpoint import LocalEndpoint
from memory_r1.bench.system import Cost, Kit
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.errors import ConfigError

FAILED = "FAILED"
"""Kind of operation under which adds are counted that the package gave up on; their messages are lost."""
_TOP = 30
"""Memories found for each speaker, as in Mem0's harness."""
_REPLY_TOKENS = 512
_LEAST_ROOM = 700
"""Tokens that a prompt needs beside the package's instructions."""
_MOST_FAILURES = 5
"""So many failed adds before the first good one end the run."""

_Add = tuple[str, Sequence[Turn], list[dict[str, str]]]
"""Whose bank, the turns that a memory then comes from, and the messages for the package."""


class PackageSystem(Rival):
    """A real package with a scope for each speaker; answers come from the prompt of Mem0's harness.

    An add at which the package raises for what the model wrote is counted under `FAILED`. A language model or embedder
    that fails raises, whatever the package makes of it.

    Args:
        kit: What the run works with.

    Raises:
        ConfigError: The package is not installed; the hint is the command that does it.
    """

    def __init__(self, kit: Kit) -> None:
        self._python = python_of(self.name)
        self._process: PackageProcess | None = None
        self._endpoint: LocalEndpoint | None = None
        self._known: dict[str, Entry] = {}
        self._scopes: dict[str, str] = {}
        super().__init__(kit)

    def close(self) -> None:
        """End the package's process and the endpoint; a second call does nothing."""
        if self._process is not None:
            self._process.stop()
        if self._endpoint is not None:
            self._endpoint.close()
        self._process = self._endpoint = None

    @abstractmethod
    def _adds(self, session: Session, speakers: Sequence[str]) -> Iterator[_Add]:
        """A session as the package is to be told it."""

    def _options(self) -> Mapping[str, Any]:
        """Further arguments of `open`."""
        return {}

    def _make_reader(self) -> Reader:
        return mem0_reader(self)

    def _read(self, conversation: Conversation) -> None:
        self._start()
        # the packages take no names with spaces
        self._scopes = {speaker: f"speaker_{number}" for number, speaker in enumerate(conversation.speakers)}
        for session in conversation.sessions:
            for speaker, turns, messages in self._adds(session, conversation.speakers):
                with self._adding(turns[-1].id):
                    self._add(speaker, turns, messages)
        assert self._endpoint is not None
        cost = self._endpoint.cost
        self._ingest += Cost(cost.calls, cost.prompt_tokens, cost.completion_tokens)
        live = {one["id"] for scope in self._scopes.values() for one in self._call("all", scope=scope)}
        self._known = {key: entry for key, entry in self._known.items() if key in live}

    def _add(self, speaker: str, turns: Sequence[Turn], messages: list[dict[str, str]]) -> None:
        try:
            done = self._call("add", messages=messages, scope=self._scopes[speaker])
        except PackageError as error:
            self._done(FAILED)
            if len(self._operations) == 1 and self._operations[FAILED] >= _MOST_FAILURES:
                raise PackageError(
                    f"The first {_MOST_FAILURES} adds all failed. {error.message}",
                    hint="Is the model able to follow this package's prompts?",
                ) from error
            return
        for item in done:
            before = self._known.get(item["id"])
            ids = sources(before.turns if before else (), (turn.id for turn in turns))
            self._known[item["id"]] = Entry(item["text"], turns[0].time, ids, speaker)
            self._done(item["event"])
        if not done:
            self._done("NOOP")

    def _find(self, questions: Sequence[Question]) -> list[tuple[list[Found], Cost]]:
        if self._process is None:
            return [([], Cost()) for _ in questions]
        return [(list(self._search(question.text)), Cost()) for question in questions]

    def _search(self, query: str) -> Iterator[Found]:
        hits = [
            [(item["id"], item["text"], speaker) for item in self._call("search", query=query, scope=scope, k=_TOP)]
            for speaker, scope in self._scopes.items()
        ]
        # scores of the packages cannot be compared between scopes, so the speakers' best ones take turns
        for rank in range(_TOP):
            for mine in hits:
                if rank < len(mine):
                    key, text, speaker = mine[rank]
                    yield found(self._known.get(key) or Entry(text, speaker=speaker))

    def _bank(self) -> Iterable[str]:
        return (entry.text for entry in self._known.values())

    def _call(self, op: str, **arguments: Any) -> Any:
        assert self._process is not None
        assert self._endpoint is not None
        try:
            return self._process.call(op, **arguments)
        finally:
            # whatever the package made of it, a dead model ends the run
            self._endpoint.check()

    def _start(self) -> None:
        self.close()
        self._endpoint = LocalEndpoint(self.kit.lm, self.kit.embedder, max_tokens=_REPLY_TOKENS)
        self._process = PackageProcess(self._python, self.name, self.kit.folder)
        opened = self._call(
            "open",
            folder=str(self.kit.folder),
            url=self._endpoint.url,
            dimension=self.kit.embedder.dimension,
            **self._options(),
        )
        package = PACKAGES[self.name]
        if opened["version"] != package.version:
            raise ConfigError(
                f"The environment of {package.name} holds version {opened['version']}, not {package.version}.",
                hint="Delete its folder under `rivals` in the cache folder and install it again.",
            )
        size, window = self.model.tokens(opened["instructions"]), self.kit.lm.context_length
        if size + _LEAST_ROOM + _REPLY_TOKENS > window:
            raise ConfigError(
                f"The instructions of {package.name} alone take {size} tokens; {self.kit.lm.name} has {window} in all.",
                hint="Use a model with a longer context window, or this system's option instructions=short.",
            )


class Mem0Package(PackageSystem):
    """The real mem0ai: two messages an add, once for each speaker with the roles swapped, as in Mem0's LoCoMo harness.

    `Kit.options["instructions"]`: `own` (the default), or `short`, which puts a short text in the place of the
    package's extraction instructions of some 8,500 tokens, for models whose window is too small for them.
    """

    name = "mem0"

    def __init__(self, kit: Kit) -> None:
        self._instructions = kit.options.get("instructions", "own")
        if self._instructions not in ("own", "short"):
            raise ConfigError(f"There are no instructions {self._instructions!r}.", hint="Use own or short.")
        short = ", with a short text of ours in the place of its extraction instructions"
        self.about = (
            f"the real package mem0ai {PACKAGES['mem0'].version} (add-only since its version 2) with embedded Qdrant "
            f"and infer=True{short if self._instructions == 'short' else ''}; each speaker's bank is filled with the "
            "roles swapped, two messages an add, dates in the messages because the package takes none; without its "
            "optional spaCy and BM25 parts; answers by the prompt of its LoCoMo harness"
        )
        super().__init__(kit)

    def _options(self) -> Mapping[str, Any]:
        if self._instructions == "own":
            return {}
        return {"instructions": (resources.files(__package__) / "mem0_short.txt").read_text(encoding="utf-8")}

    def _adds(self, session: Session, speakers: Sequence[str]) -> Iterator[_Add]:
        for owner, turns in owned_pairs(session.turns, speakers):
            messages = [
                {"role": "user" if turn.speaker == owner else "assistant", "content": _dated(turn)} for turn in turns
            ]
            yield owner, [turn for turn in turns if turn.speaker == owner], messages


class LangMemPackage(PackageSystem):
    """The real langmem: its memory store manager is given each speaker's turns one by one, as in Mem0's harness."""

    name = "langmem"
    about = (
        f"the real package langmem {PACKAGES['langmem'].version}: its memory store manager with the default "
        "instructions on LangGraph's in-memory store, each speaker's turns into a namespace of their own; tool calls "
        "are read from plain text; answers by the prompt of Mem0's LoCoMo harness"
    )

    def _adds(self, session: Session, speakers: Sequence[str]) -> Iterator[_Add]:
        for turn in session.turns:
            if turn.speaker in speakers:
                yield turn.speaker, [turn], [{"role": "user", "content": _dated(turn)}]


def _dated(turn: Turn) -> str:
    date = f"[{when(turn.time)}] " if turn.time else ""
    return f"{date}{turn.speaker}: {said(turn)}"
