"""Facts of a conversation, taken once for each extractor, with what taking them cost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from memory_r1.agents.fact_extractor import FactExtractor
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.results import Extraction
from memory_r1.agents.selector import make_extractor
from memory_r1.agents.windows import Window
from memory_r1.bank.fact import Fact
from memory_r1.bench.kit import EXTRACTOR, RunKit, adapter_of
from memory_r1.bench.meter import Meter, metered
from memory_r1.bench.system import Cost, Kit
from memory_r1.data.conversation import Conversation
from memory_r1.rl.fact_cache import FactCache

_COST = TypeAdapter(Cost)


@dataclass(frozen=True, slots=True)
class TakenFacts:
    """What the extractor made of a conversation."""

    by_turn: Mapping[str, tuple[Fact, ...]]
    """By turn id; turns without a fact are left out."""
    cost: Cost
    """What it took when it was done, whether now or in an earlier run."""


def take_facts(
    kit: Kit, conversation: Conversation, *, on_turns: Callable[[int], None] = lambda read: None
) -> TakenFacts:
    """The facts of a conversation by the product's extractor, with the kit's adapter for it if there is one.

    Several systems, threads and processes that want the same facts at once wait for the first of them.

    Args:
        kit: Whose model, and where facts are kept.
        conversation: What to read.
        on_turns: Told how many turns are read; not at all if their facts are there already.

    Raises:
        InvalidInputError: What is kept on disk is damaged or cannot be written.
        ModelError: The model failed.
    """
    lm, prompts = metered(kit.lm), Prompts.load()
    extractor = make_extractor(lm, prompts, adapter_of(kit, EXTRACTOR))
    cache = FactCache(_folder(kit), extractor, name=_name(kit, extractor, prompts))
    path = cache.path(conversation)
    told = path.with_suffix(".cost")
    with FileLock(f"{path}.lock"):
        cost = _read(told)
        if cost is None:
            # a kill between the two files: the completions are cached, so it is soon done again
            path.unlink(missing_ok=True)
        if path.is_file() and cost is not None:
            return TakenFacts(cache.facts(conversation), cost)
        meter = Meter(lm)
        facts = cache.facts(conversation, on_turns=lambda read, _: on_turns(read))
        cost = meter.lap()
        _write(told, cost)
        return TakenFacts(facts, cost)


class KnownFacts(FactExtractor):
    """An extractor that hands out facts taken before, for `memory_r1.ingest`.

    Args:
        taken: The facts.
    """

    policy = "known facts"

    def __init__(self, taken: TakenFacts) -> None:
        self._taken = taken

    def extract_many(self, windows: Sequence[Window], *, known: Sequence[str] = ()) -> list[Extraction]:
        """The facts of each window's turns; its place in the conversation is the window's."""
        return [
            Extraction(
                tuple(
                    _placed(fact, window, place)
                    for place, turn in enumerate(window.turns)
                    for fact in self._taken.by_turn.get(turn.id, ())
                ),
                raw="",
            )
            for window in windows
        ]


def _placed(fact: Fact, window: Window, place: int) -> Fact:
    index = None if window.first_index is None else window.first_index + place
    return replace(fact, provenance=replace(fact.provenance, turn_index=index, source=window.source))


def _folder(kit: Kit) -> Path:
    kept = kit.facts if isinstance(kit, RunKit) else None
    return kept or kit.folder / "facts"


def _name(kit: Kit, extractor: FactExtractor, prompts: Prompts) -> str:
    """All that decides on the facts besides the conversation: weights and instructions."""
    asked = hashlib.sha256(repr((prompts.extract, prompts.select)).encode()).hexdigest()[:16]
    if not isinstance(kit, RunKit):
        return f"{extractor.policy}/{asked}"
    return f"{kit.identity}/{kit.hashes.get(EXTRACTOR, 'base')}/{asked}"


def _read(path: Path) -> Cost | None:
    try:
        return _COST.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, cost: Cost) -> None:
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_bytes(_COST.dump_json(cost))
    partial.replace(path)
