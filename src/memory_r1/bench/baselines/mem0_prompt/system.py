"""Mem0's method before its third version, which the Memory-R1 paper compares with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from memory_r1.agents.text import clean
from memory_r1.bench.baselines.entries import Entries, Entry, sources
from memory_r1.bench.baselines.model import load_prompt
from memory_r1.bench.baselines.reader import Found, Reader, when
from memory_r1.bench.baselines.rival import REJECTED, Rival, json_fields, said, text_list
from memory_r1.bench.system import Cost
from memory_r1.data.conversation import Conversation, Question, Turn

_PACKAGE = "memory_r1.bench.baselines.mem0_prompt"
_MESSAGES_AN_ADD = 2
_NEAREST = 5
"""Old memories that are looked up for each new fact."""
_TOP = 30
"""Memories found for each speaker at a question."""
_FACT_TOKENS, _UPDATE_TOKENS = 256, 1024


class Mem0Prompt(Rival):
    """Extracts facts from pairs of messages, and lets the model say what they do to the five nearest memories of each.

    Each speaker has a bank, filled from the whole conversation with that speaker as the user. Facts of a completion
    that cannot be read are lost, as in Mem0; so is an item with an unknown id, without text or with another event.
    """

    name = "mem0-prompt"
    about = (
        "re-implementation of Mem0 v0.x (ADD/UPDATE/DELETE/NONE by prompt) from its prompts and LoCoMo harness; "
        "differs in: shorter prompts of our own words with worked examples, JSON read leniently, exact search in "
        "memory, captions of shared images included, pairs without a word of the bank's owner skipped, the reader's "
        "token limit of the run"
    )

    def _make_reader(self) -> Reader:
        self._extract = load_prompt(_PACKAGE, "extract", "messages", "date")
        self._update = load_prompt(_PACKAGE, "update", "memories", "facts")
        self._banks: dict[str, Entries] = {}
        return mem0_reader(self)

    def _read(self, conversation: Conversation) -> None:
        self._banks = {speaker: Entries(self.kit.embedder) for speaker in conversation.speakers}
        for session in conversation.sessions:
            adds = list(owned_pairs(session.turns, conversation.speakers))
            rows = [{"messages": _messages(owner, turns), "date": when(turns[0].time)} for owner, turns in adds]
            # what is extracted does not depend on the banks, so a session's pairs are read in one batch
            replies, share = self._ask_together(self._extract, rows, max_tokens=_FACT_TOKENS)
            for (owner, turns), reply in zip(adds, replies, strict=True):
                with self._adding(turns[-1].id, share):
                    fields = json_fields(reply) or {}
                    if "facts" not in fields:
                        self._done(REJECTED)
                    elif facts := text_list(fields["facts"]):
                        self._decide(owner, turns, facts)

    def _decide(self, owner: str, turns: Sequence[Turn], facts: Sequence[str]) -> None:
        bank = self._banks[owner]
        near = chain.from_iterable(bank.nearest_many(facts, _NEAREST))
        keys = {str(number): key for number, key in enumerate(dict.fromkeys(key for key, _ in near))}
        old = [{"id": number, "text": bank[key].text} for number, key in keys.items()]
        row = {"memories": json.dumps(old, ensure_ascii=False), "facts": json.dumps(facts, ensure_ascii=False)}
        [reply] = self._ask(self._update, [row], max_tokens=_UPDATE_TOKENS, json_object=True)
        items = (json_fields(reply) or {}).get("memory")
        if not isinstance(items, list):
            self._done(REJECTED)
            return
        # facts come from the owner's messages alone
        fresh = Entry("", turns[0].time, tuple(turn.id for turn in turns if turn.speaker == owner), owner)
        for item in items:
            self._done(_carry_out(bank, keys, item, fresh))

    def _find(self, questions: Sequence[Question]) -> list[tuple[list[Found], Cost]]:
        texts = [question.text for question in questions]
        hits: list[list[tuple[float, Found]]] = [[] for _ in questions]
        for bank in self._banks.values():
            for mine, near in zip(hits, bank.nearest_many(texts, _TOP), strict=True):
                mine += [(score, found(bank[key])) for key, score in near]
        ranked = [sorted(mine, key=lambda hit: -hit[0]) for mine in hits]
        return [([item for _, item in mine], Cost()) for mine in ranked]

    def _bank(self) -> Iterable[str]:
        return (entry.text for bank in self._banks.values() for entry in bank)


def owned_pairs(turns: Sequence[Turn], speakers: Sequence[str]) -> Iterator[tuple[str, Sequence[Turn]]]:
    """A session's turns two by two, once for each speaker that says something in them."""
    for start in range(0, len(turns), _MESSAGES_AN_ADD):
        pair = turns[start : start + _MESSAGES_AN_ADD]
        for speaker in speakers:
            if any(turn.speaker == speaker for turn in pair):
                yield speaker, pair


def found(entry: Entry) -> Found:
    """A memory as Mem0's reader sees it, e.g. `8 May 2023: Ann has a dog.`"""
    return Found(entry, f"{when(entry.time)}: {entry.text}", entry.speaker)


def mem0_reader(rival: Rival) -> Reader:
    """A reader with the answer prompt of Mem0's harness: memories under a heading for each speaker."""
    prompt = load_prompt(_PACKAGE, "answer", "memories", "question")
    return Reader(rival.kit, rival.model, prompt, _by_speaker)


def _by_speaker(items: Sequence[Found]) -> Mapping[str, str]:
    blocks: dict[str, list[str]] = {}
    for item in items:
        blocks.setdefault(item.group, []).append(item.line)
    texts = ["\n".join([f"Memories of {speaker}:", *lines]) for speaker, lines in blocks.items()]
    return {"memories": "\n\n".join(texts) or "No memories."}


def _messages(owner: str, turns: Sequence[Turn]) -> str:
    return "\n".join(
        f"{'user' if turn.speaker == owner else 'assistant'} ({turn.speaker}): {said(turn)}" for turn in turns
    )


def _carry_out(bank: Entries, keys: Mapping[str, int], item: object, fresh: Entry) -> str:
    """Do what one item of the model's list says; the kind of operation that it was."""
    if not isinstance(item, dict) or not isinstance(item.get("text"), str) or not clean(item["text"]):
        return REJECTED
    text, event = clean(item["text"]), str(item.get("event")).upper()
    if event == "ADD":
        bank.add(Entry(text, fresh.time, fresh.turns, fresh.speaker))
        return event
    key = keys.get(str(item.get("id")))
    if key is None or key not in bank:
        return REJECTED
    if event == "UPDATE":
        bank.put(key, Entry(text, fresh.time, sources(bank[key].turns, fresh.turns), fresh.speaker))
    elif event == "DELETE":
        bank.remove(key)
    elif event not in ("NONE", "NOOP"):
        return REJECTED
    return "NOOP" if event == "NONE" else event
