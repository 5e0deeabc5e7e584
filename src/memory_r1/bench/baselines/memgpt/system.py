"""MemGPT's method (Packer et al. 2023): core memory in the prompt, archival memory behind function calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from memory_r1.agents.text import clean
from memory_r1.bench.baselines.entries import Entries, Entry
from memory_r1.bench.baselines.memgpt.core import Core
from memory_r1.bench.baselines.model import cost_of, load_prompt
from memory_r1.bench.baselines.reader import Found, Reader, when
from memory_r1.bench.baselines.rival import REJECTED, Rival, json_fields, said
from memory_r1.bench.system import Cost
from memory_r1.data.conversation import Conversation, Question, Turn

_PACKAGE = "memory_r1.bench.baselines.memgpt"
_STEPS = 3
"""Most calls a message, and most searches a question."""
_RECENT = 10
"""Messages in sight while one is read."""
_PAGE = 5
"""Results of a search (MemGPT's page size)."""
_CALL_TOKENS = 160
_RESULT_CHARACTERS = 3000
"""Most characters of a result that the model sees (MemGPT's FUNCTION_RETURN_CHAR_LIMIT)."""
_SEARCHES = ("archival_memory_search", "conversation_search")
_CORE, _SEARCHED = "Core memory", "Found"
_NOT_A_CALL = "error: write one function call as a JSON object"
_Params = Mapping[str, object]


class MemGPT(Rival):
    """Reads message by message; for each the model may edit core memory, and insert into or search archival memory.

    A completion that is no usable call is answered with an error, and the model may try again, as in MemGPT; after the
    last step the message stands in the searchable old messages alone.
    """

    name = "memgpt"
    about = (
        "re-implementation of MemGPT from its paper, code and prompts; differs in: it observes a dialogue of two "
        "people (a core block about each) and never replies, at most 3 calls a message, the last 10 messages in sight "
        "instead of a full context window with summaries, shorter prompts of our own words with a worked example, "
        "JSON read leniently, old messages searched by embedding (as its successor Letta does), the question itself "
        "always searched too, an answer prompt instead of the call send_message, temperature 0, the reader's token "
        "limit of the run"
    )

    def _make_reader(self) -> Reader:
        self._core = Core("assistant", "user")
        self._archive, self._messages = Entries(self.kit.embedder), Entries(self.kit.embedder)
        self._turn = load_prompt(_PACKAGE, "turn", "blocks", "recent", "message", "steps")
        self._search = load_prompt(_PACKAGE, "search", "blocks", "question", "steps")
        return Reader(self.kit, self.model, load_prompt(_PACKAGE, "answer", "memories", "question"), _layout)

    def _read(self, conversation: Conversation) -> None:
        human, *others = conversation.speakers
        self._core = Core(" and ".join(others) or "assistant", human)
        recent: deque[str] = deque(maxlen=_RECENT)
        for turn in conversation.turns:
            with self._adding(turn.id):
                line = f"{turn.speaker}: {said(turn)}"
                self._think(turn, f"({when(turn.time)}) {line}", "\n".join(recent))
                self._messages.add(Entry(line, turn.time, (turn.id,), turn.speaker))
                recent.append(line)

    def _think(self, turn: Turn, message: str, recent: str) -> None:
        steps: list[str] = []
        for _ in range(_STEPS):
            row = {"blocks": str(self._core), "recent": recent, "message": message, "steps": "\n".join(steps)}
            [reply] = self._ask(self._turn, [row], max_tokens=_CALL_TOKENS, json_object=True)
            call = _call(reply)
            if call is None:
                self._done(REJECTED)
                steps.append(f"Result: {_NOT_A_CALL}")
                continue
            name, params = call
            if name == "done":
                return
            result = self._carry_out(name, params, turn)
            steps += [reply, f"Result: {result}"[:_RESULT_CHARACTERS]]
            if not result.startswith("error") and params.get("request_heartbeat") not in (True, "true", "True"):
                return

    def _carry_out(self, name: str, params: _Params, turn: Turn) -> str:
        """Do one call; what the model is told of it."""
        if name in _SEARCHES and _text(params, "query"):
            found = self._look_up(name, params)
            return "\n".join(item.line for item in found) if found else "no results"
        content = _text(params, "new_content" if name == "core_memory_replace" else "content")
        entry = Entry(content, turn.time, (turn.id,), turn.speaker)
        try:
            if name == "core_memory_replace":
                self._core.replace(_text(params, "name"), _text(params, "old_content"), entry)
            elif not content and name in ("core_memory_append", "archival_memory_insert"):
                raise ValueError("content is missing")
            elif name == "core_memory_append":
                self._core.append(_text(params, "name"), entry)
            elif name == "archival_memory_insert":
                self._archive.add(entry)
            else:
                raise ValueError("query is missing" if name in _SEARCHES else f"no function {name!r}")
        except ValueError as problem:
            self._done(REJECTED)
            return f"error: {problem}"
        self._done("UPDATE" if name == "core_memory_replace" else "ADD")
        return "done"

    def _look_up(self, name: str, params: _Params) -> list[Found]:
        store = self._archive if name == "archival_memory_search" else self._messages
        page = params.get("page")
        first = _PAGE * page if isinstance(page, int) and 0 < page < len(store) else 0
        near = store.nearest(_text(params, "query"), first + _PAGE)[first:]
        return [_found(store[key]) for key, _ in near]

    def _find(self, questions: Sequence[Question]) -> list[tuple[list[Found], Cost]]:
        found = [self._at_first(question.text) for question in questions]
        costs = [Cost() for _ in questions]
        steps: list[list[str]] = [[] for _ in questions]
        searching = list(range(len(questions)))
        for _ in range(_STEPS):
            rows = [
                {"blocks": str(self._core), "question": questions[one].text, "steps": "\n".join(steps[one])}
                for one in searching
            ]
            completions = self.model.ask(self._search, rows, max_tokens=_CALL_TOKENS, json_object=True)
            going_on = []
            for one, completion in zip(searching, completions, strict=True):
                costs[one] += cost_of([completion])
                call = _call(clean(completion.text))
                if call and call[0] in _SEARCHES and _text(call[1], "query"):
                    more = self._look_up(*call)
                    found[one] += [item for item in more if item not in found[one]]
                    result = "\n".join(item.line for item in more) or "no results"
                    steps[one] += [clean(completion.text), f"Result: {result}"[:_RESULT_CHARACTERS]]
                    going_on.append(one)
            searching = going_on
        return list(zip(found, costs, strict=True))

    def _at_first(self, question: str) -> list[Found]:
        core = [Found(entry, entry.text, _CORE) for entry in self._core]
        query = {"query": question}
        return [*core, *self._look_up("archival_memory_search", query), *self._look_up("conversation_search", query)]

    def _bank(self) -> Iterable[str]:
        yield from (entry.text for entry in self._core)
        yield from (entry.text for entry in self._archive)


def _call(text: str) -> tuple[str, _Params] | None:
    """The function call in a completion; its parameters may also stand beside its name."""
    fields = json_fields(text)
    name = fields and fields.get("function", fields.get("name"))
    if not fields or not isinstance(name, str):
        return None
    params = fields.get("params", fields.get("arguments"))
    return name, params if isinstance(params, dict) else {**fields, "name": fields.get("block", "human")}


def _text(params: _Params, name: str) -> str:
    value = params.get(name)
    return clean(value) if isinstance(value, str) else ""


def _found(entry: Entry) -> Found:
    return Found(entry, f"({when(entry.time)}) {entry.text}", _SEARCHED)


def _layout(items: Sequence[Found]) -> Mapping[str, str]:
    blocks = []
    for heading in (_CORE, _SEARCHED):
        if lines := [item.line for item in items if item.group == heading]:
            blocks.append("\n".join([f"{heading}:", *lines]))
    return {"memories": "\n\n".join(blocks) or "Nothing."}
