"""A-Mem's method (Xu et al. 2025): a net of notes that evolves with each new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from memory_r1.bench.baselines.entries import Entries, Entry
from memory_r1.bench.baselines.model import cost_of, load_prompt
from memory_r1.bench.baselines.reader import Found, Reader, when
from memory_r1.bench.baselines.rival import REJECTED, Rival, json_fields, said, text_list
from memory_r1.bench.system import Cost
from memory_r1.data.conversation import Conversation, Question, Turn

_PACKAGE = "memory_r1.bench.baselines.amem"
_NEIGHBOURS = 5
_TOP = 10
"""Notes found for a question, and most notes that their links add."""
_NOTE_TOKENS, _EVOLVE_TOKENS, _QUERY_TOKENS = 192, 512, 64
_NO_CONTEXT = "General"


@dataclass(slots=True)
class Note:
    """What the model has made of one message."""

    keywords: list[str]
    context: str
    tags: list[str]
    links: list[int] = field(default_factory=list)
    """Numbers of other notes."""


class AMem(Rival):
    """Writes a note for every message, links it to its nearest notes, and lets it change their contexts and tags.

    A description that cannot be read leaves the note without keywords and tags and with the context "General", as in
    A-Mem. An evolution that cannot be read changes nothing (A-Mem's code stops there, or takes an empty reply).
    """

    name = "a-mem"
    about = (
        "re-implementation of A-Mem from its paper, code and prompts; differs in: shorter prompts of our own words "
        "with worked examples, one answer prompt for all categories (A-Mem's picks it by the gold category), "
        "temperature 0, JSON read leniently, links only to notes that were shown, a changed note is indexed anew at "
        "once (A-Mem: after 100 evolutions), no evolution call for the first note, a note is shown once, the reader's "
        "token limit of the run"
    )

    def _make_reader(self) -> Reader:
        self._describe = load_prompt(_PACKAGE, "note", "content")
        self._evolution = load_prompt(_PACKAGE, "evolve", "note", "neighbours", "count")
        self._query = load_prompt(_PACKAGE, "query", "question")
        self._store = Entries(self.kit.embedder)
        self._notes: dict[int, Note] = {}
        prompt = load_prompt(_PACKAGE, "answer", "context", "question")
        return Reader(self.kit, self.model, prompt, _context)

    def _read(self, conversation: Conversation) -> None:
        for session in conversation.sessions:
            rows = [{"content": _content(turn)} for turn in session.turns]
            # a description does not depend on other notes, so a session's messages are described in one batch
            replies, share = self._ask_together(self._describe, rows, max_tokens=_NOTE_TOKENS)
            for turn, reply in zip(session.turns, replies, strict=True):
                with self._adding(turn.id, share):
                    self._add(turn, reply)

    def _add(self, turn: Turn, description: str) -> None:
        fields = json_fields(description) or {}
        keywords, contexts, tags = (text_list(fields.get(name)) for name in ("keywords", "context", "tags"))
        if not (keywords or contexts or tags):
            self._done(REJECTED)
        note = Note(keywords, " ".join(contexts) or _NO_CONTEXT, tags)
        entry = Entry(_content(turn), turn.time, (turn.id,), turn.speaker)
        if near := [key for key, _ in self._store.nearest(entry.text, _NEIGHBOURS)]:
            self._evolve(entry, note, near)
        key = self._store.add(entry, indexed=_indexed(entry, note))
        self._notes[key] = note
        self._done("ADD")

    def _evolve(self, entry: Entry, note: Note, near: Sequence[int]) -> None:
        row = {
            "note": f"{entry.text} | context: {note.context} | keywords: {', '.join(note.keywords)}",
            "neighbours": "\n".join(f"{key} | {self._line(key)}" for key in near),
            "count": str(len(near)),
        }
        [reply] = self._ask(self._evolution, [row], max_tokens=_EVOLVE_TOKENS, json_object=True)
        fields = json_fields(reply) or {}
        if "should_evolve" not in fields:
            self._done(REJECTED)
            return
        actions = text_list(fields.get("actions")) if fields["should_evolve"] in (True, "true", "True") else []
        if "strengthen" in actions:
            wanted = text_list(fields.get("suggested_connections"))
            note.links = [key for key in near if str(key) in wanted]
            note.tags = text_list(fields.get("tags_to_update"))
            self._done("LINK")
        if "update_neighbor" in actions:
            self._rewrite(near, fields.get("new_context_neighborhood"), fields.get("new_tags_neighborhood"))

    def _rewrite(self, near: Sequence[int], contexts: object, tags: object) -> None:
        new_contexts = text_list(contexts)
        # a model may write fewer than there are neighbours: then the first ones are meant, as in A-Mem
        for place, (key, new_tags) in enumerate(zip(near, tags if isinstance(tags, list) else (), strict=False)):
            note, entry = self._notes[key], self._store[key]
            note.tags = text_list(new_tags)
            note.context = new_contexts[place] if place < len(new_contexts) else note.context
            self._store.put(key, entry, indexed=_indexed(entry, note))
            self._done("UPDATE")

    def _find(self, questions: Sequence[Question]) -> list[tuple[list[Found], Cost]]:
        rows = [{"question": question.text} for question in questions]
        completions = self.model.ask(self._query, rows, max_tokens=_QUERY_TOKENS, json_object=True)
        queries = []
        for question, completion in zip(questions, completions, strict=True):
            keywords = text_list((json_fields(completion.text) or {}).get("keywords"))
            # what is no JSON is the query itself, as in A-Mem
            queries.append(", ".join(keywords) or completion.text.strip() or question.text)
        near = self._store.nearest_many(queries, _TOP)
        return [
            (self._linked([key for key, _ in hits]), cost_of([completion]))
            for hits, completion in zip(near, completions, strict=True)
        ]

    def _linked(self, keys: Sequence[int]) -> list[Found]:
        chosen, added = list(keys), 0
        # the notes that are linked stand behind the one that links them
        for key in keys:
            for link in self._notes[key].links:
                if link not in chosen and added < _TOP:
                    chosen.insert(chosen.index(key) + 1, link)
                    added += 1
        return [Found(self._store[key], self._line(key)) for key in chosen]

    def _line(self, key: int) -> str:
        entry, note = self._store[key], self._notes[key]
        about = f"context: {note.context} | keywords: {', '.join(note.keywords)} | tags: {', '.join(note.tags)}"
        return f"{when(entry.time)} | {entry.text} | {about}"

    def _bank(self) -> Iterable[str]:
        return (self._line(key) for key in self._notes)


def _content(turn: Turn) -> str:
    return f"Speaker {turn.speaker} says: {said(turn)}"


def _indexed(entry: Entry, note: Note) -> str:
    about = f"context: {note.context} keywords: {', '.join(note.keywords)} tags: {', '.join(note.tags)}"
    return f"content: {entry.text} {about}"


def _context(items: Sequence[Found]) -> Mapping[str, str]:
    return {"context": "\n".join(item.line for item in items) or "Nothing."}
