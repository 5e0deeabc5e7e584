"""MemoryOS's method (Kang et al. 2025): pages move from short-term to mid-term memory, hot ones become knowledge."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, zip_longest

from memory_r1.bench.baselines.entries import Entries, Entry, sources
from memory_r1.bench.baselines.memoryos.pages import MidTerm, Page, Segment, pages_of
from memory_r1.bench.baselines.model import load_prompt
from memory_r1.bench.baselines.reader import Found, Reader, when
from memory_r1.bench.baselines.rival import REJECTED, Rival, json_fields, text_list
from memory_r1.bench.system import Cost
from memory_r1.data.conversation import Conversation, Question

_PACKAGE = "memory_r1.bench.baselines.memoryos"
_SHORT_TERM = 10
"""Pages in the queue."""
_HOT = 5.0
_KNOWLEDGE = 100
"""Most entries about each side; the oldest go first."""
_SEGMENTS, _PAGES, _FACTS = 5, 7, 20
"""Most segments looked into, pages found in them, and entries of knowledge about each side, at a question."""
_LEAST_PAGE, _LEAST_FACT = 0.1, 0.01
_GENERAL = "General conversation segment from short-term memory."
_PROFILE, _USER, _AGENT, _PAGE, _RECENT = "Profile", "Knowledge", "More knowledge", "Earlier dialogue", "Last dialogue"


class MemoryOS(Rival):
    """Keeps the last pages of dialogue, sorts older ones into segments by topic, and turns hot segments into knowledge.

    A page without readable topics goes under a general summary, and an analysis without the two headings adds no
    knowledge, both as in MemoryOS.
    """

    name = "memoryos"
    about = (
        "re-implementation of MemoryOS from its paper, package (memoryos-pro) and prompts, with the package's sizes "
        "(10 short-term pages, heat 5, similarity 0.6); differs in: shorter prompts of our own words, topics as a JSON "
        "object read leniently, recency by the conversation's clock, turns in a row by one side joined (its LoCoMo "
        "script overwrites them), one-sided pages kept, answering changes nothing in memory, temperature 0, a short "
        "answer instead of a reply in a role, no test item in the prompt, the reader's token limit of the run"
    )

    def _make_reader(self) -> Reader:
        self._short: deque[Page] = deque()
        self._mid = MidTerm(Entries(self.kit.embedder), Entries(self.kit.embedder))
        self._last: Page | None = None
        self._profile = Entry("None")
        self._known = {_USER: Entries(self.kit.embedder), _AGENT: Entries(self.kit.embedder)}
        self._order: dict[str, deque[int]] = {_USER: deque(), _AGENT: deque()}
        self._names = ("user", "assistant")
        self._continuity = load_prompt(_PACKAGE, "continuity", "previous", "current")
        self._chain = load_prompt(_PACKAGE, "chain", "summary", "page")
        self._topics = load_prompt(_PACKAGE, "topics", "page")
        self._analysis = load_prompt(_PACKAGE, "profile", "user", "profile", "pages")
        self._extraction = load_prompt(_PACKAGE, "knowledge", "user", "agent", "pages")
        return Reader(self.kit, self.model, load_prompt(_PACKAGE, "answer", "memories", "question"), _under_headings)

    def _read(self, conversation: Conversation) -> None:
        user, *others = conversation.speakers
        self._names = (user, " and ".join(others) or "assistant")
        for page in chain.from_iterable(pages_of(session, user) for session in conversation.sessions):
            with self._adding(page.turns[-1]):
                if len(self._short) >= _SHORT_TERM:
                    self._to_mid_term(self._short.popleft(), page.time)
                self._short.append(page)
                self._to_long_term(page.time)

    def _to_mid_term(self, page: Page, now: datetime | None) -> None:
        if self._last:
            row = {"previous": self._last.text, "current": page.text}
            [reply] = self._ask(self._continuity, [row], max_tokens=8)
            if reply.lower().startswith("true"):
                page.chain = self._last.chain
        self._last = page
        row = {"summary": page.chain.summary, "page": page.text}
        [page.chain.summary] = self._ask(self._chain, [row], max_tokens=100)
        [reply] = self._ask(self._topics, [{"page": page.text}], max_tokens=192, json_object=True)
        topics = (json_fields(reply) or {}).get("topics")
        usable = [topic for topic in topics if isinstance(topic, dict)] if isinstance(topics, list) else []
        if not usable:
            self._done(REJECTED)
        for topic in usable[:2] or [{}]:
            summary = " ".join(text_list(topic.get("content"))) or _GENERAL
            new = self._mid.insert(page, summary, text_list(topic.get("keywords")), now)
            self._done("ADD" if new else "UPDATE")

    def _to_long_term(self, now: datetime | None) -> None:
        segment = self._mid.hottest(now)
        if segment is not None and segment.heat(now) >= _HOT:
            self._analyse(segment, [page for page in segment.pages if not page.analysed])

    def _analyse(self, segment: Segment, fresh: Sequence[Page]) -> None:
        user, agent = self._names
        for page in fresh:
            page.analysed = True
        segment.length = 0
        if not fresh:
            return
        pages = "\n".join(f"({when(page.time)})\n{page.text}" for page in fresh)
        turns, time_ = sources(*(page.turns for page in fresh)), fresh[-1].time
        [profile] = self._ask(
            self._analysis, [{"user": user, "profile": self._profile.text, "pages": pages}], max_tokens=256
        )
        [facts] = self._ask(self._extraction, [{"user": user, "agent": agent, "pages": pages}], max_tokens=256)
        if profile and profile.lower() != "none":
            self._profile = Entry(profile, time_, sources(self._profile.turns, turns))
            self._done("PROFILE")
        for side, lines in zip((_USER, _AGENT), _knowledge(facts), strict=True):
            for line in lines:
                self._learn(side, Entry(line, time_, turns))

    def _learn(self, side: str, entry: Entry) -> None:
        order = self._order[side]
        order.append(self._known[side].add(entry))
        if len(order) > _KNOWLEDGE:
            self._known[side].remove(order.popleft())
        self._done("KNOW")

    def _find(self, questions: Sequence[Question]) -> list[tuple[list[Found], Cost]]:
        return [(self._found(question.text), Cost()) for question in questions]

    def _found(self, query: str) -> list[Found]:
        profile = [Found(self._profile, self._profile.text, _PROFILE)] if self._profile.text != "None" else []
        known = [
            [
                Found(store[key], f"- {store[key].text} ({when(store[key].time)})", side)
                for key, _ in store.nearest(query, _FACTS, floor=_LEAST_FACT)
            ]
            for side, store in self._known.items()
        ]
        earlier = [
            Found(entry, f"({when(entry.time)}) {entry.text}\n(about: {self._mid.chains[key].summary})", _PAGE)
            for key in self._mid.nearest_pages(query, _SEGMENTS, _PAGES, _LEAST_PAGE)
            for entry in (self._mid.pages[key],)
        ]
        recent = [
            Found(Entry(page.text, page.time, page.turns), f"({when(page.time)}) {page.text}", _RECENT)
            for page in reversed(self._short)
        ]
        # no kind may fill the reader's limit alone, so they take turns
        mixed = chain.from_iterable(zip_longest(earlier, *known, recent))
        return [*profile, *(item for item in mixed if item is not None)]

    def _bank(self) -> Iterable[str]:
        yield from (page.text for page in self._short)
        for store in (self._mid.pages, self._mid.summaries, *self._known.values()):
            yield from (entry.text for entry in store)
        if self._profile.text != "None":
            yield self._profile.text


def _under_headings(items: Sequence[Found]) -> Mapping[str, str]:
    blocks = []
    for heading in (_PROFILE, _USER, _AGENT, _PAGE, _RECENT):
        if lines := [item.line for item in items if item.group == heading]:
            # recent pages were taken from the last one back
            blocks.append("\n".join([f"{heading}:", *(reversed(lines) if heading == _RECENT else lines)]))
    return {"memories": "\n\n".join(blocks) or "Nothing."}


def _knowledge(text: str) -> tuple[list[str], list[str]]:
    """The facts about each side in an analysis; none where its heading is missing."""
    head, _, agent = text.partition("[Assistant Knowledge]")
    _, _, user = head.partition("[User Private Data]")
    return _facts(user), _facts(agent)


def _facts(text: str) -> list[str]:
    lines = [line.strip().removeprefix("-").strip() for line in text.splitlines()]
    return [line for line in lines if line and line.strip(".()").lower() != "none"]
