"""The storylines that lives are made of, read from `frames/*.toml`.

A frame is one topic of a life that becomes one memory: a pet, a job, a trip. Its steps are what can happen: the start
(ADD), more detail, a change, a correction (UPDATE), the same again in other words (NOOP), the end (DELETE).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic.vocabulary import Split, resources

_RESERVED = {"family", "draw", "share", "probe", "gather", "weight", "many"}
_REPEAT = "again"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that a step makes answerable."""

    category: str
    question: str
    answer: str
    """A template; without slots it is the answer itself."""
    unless: frozenset[str] = frozenset()
    """Steps after which the question no longer has one answer."""


@dataclass(frozen=True, slots=True)
class Gather:
    """A list that several storylines of a family make up together."""

    slots: tuple[str, ...]
    questions: tuple[str, ...]
    both: tuple[str, ...] = ()
    """Questions for what two speakers share."""
    count: tuple[str, ...] = ()
    """Questions for how many there are."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that can happen in a storyline, and the ways to say it."""

    id: str
    kind: OperationKind
    draw: Mapping[str, str] = field(default_factory=dict)
    """Slots that get a value, and what they draw."""
    shift: tuple[str, ...] = ()
    """Slots that get a new value and keep the old one as `<slot>_was`: life went on."""
    redraw: tuple[str, ...] = ()
    """Slots that get a new value because the old one was wrong."""
    mood: str = "plain"
    say: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    """Questions by which the other speaker brings it up."""
    reply: tuple[str, ...] = ()
    """How they are answered."""
    fact: tuple[str, ...] = ()
    clause: str | None = None
    """The sentence it leaves in the memory; None: the fact's words; empty: none of its own."""
    set: Mapping[str, str] = field(default_factory=dict)
    """Sentences of the memory that are put in another's place, by the step that left them."""
    drop: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    """Steps after which it cannot happen."""
    late: str | None = None
    """A slot whose time must have passed."""
    early: str | None = None
    """A slot whose time must not have come."""
    end: bool = False
    asks: tuple[Ask, ...] = ()
    caption: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One topic of a life."""

    id: str
    family: str
    """Topics of one family answer each other's questions."""
    steps: Mapping[str, Step]
    share: tuple[str, ...] = ()
    """Slots that may hold the same for two speakers, who are then easily mistaken."""
    probe: tuple[str, ...] = ()
    """Questions that lead to it."""
    gather: Gather | None = None
    weight: float = 1.0
    many: bool = False
    """Whether a speaker may have several."""

    @property
    def start(self) -> Step:
        """The first step."""
        return self.steps["start"]


@lru_cache(maxsize=1)
def all_frames() -> Mapping[str, Frame]:
    """Every storyline with all its phrasings, by id."""
    return {name: _frame(name, table) for name, table in resources("frames").items()}


def phrasings(templates: Sequence[str], split: Split) -> tuple[str, ...]:
    """The phrasings that a split may use, some of them several times so that a plain choice weighs them.

    Of four or more, the last eighth (one at least) is kept for test and as many before it for validation; the rest is
    shared. In validation and test about every second phrasing is one that training never shows.

    Example:
        >>> phrasings(["a", "b", "c", "d"], "train"), phrasings(["a", "b", "c", "d"], "test")
        (('a', 'b'), ('a', 'b', 'd', 'd'))
        >>> phrasings(["a", "b"], "test")
        ('a', 'b')
    """
    if len(templates) < 4:
        return tuple(templates)
    kept = max(1, len(templates) // 8)
    common = tuple(templates[: -2 * kept])
    if split == "train":
        return common
    own = tuple(templates[-kept:] if split == "test" else templates[-2 * kept : -kept])
    return common + own * (len(common) // kept)


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _frame(name: str, table: Mapping[str, Any]) -> Frame:
    steps = {key: _step(key, value, table) for key, value in table.items() if key not in _RESERVED}
    gather = table.get("gather")
    return Frame(
        id=name,
        family=table.get("family", name),
        steps=steps,
        share=tuple(table.get("share", ())),
        probe=_texts(table.get("probe", ())),
        gather=gather and Gather(*(_texts(gather.get(key, ())) for key in ("slots", "ask", "both", "count"))),
        weight=table.get("weight", 1.0),
        many=table.get("many", False),
    )


def _step(name: str, table: Mapping[str, Any], frame: Mapping[str, Any]) -> Step:
    default = {"start": "ADD", _REPEAT: "NOOP"}.get(name, "UPDATE")
    redraw = tuple(table.get("redraw", ()))
    kind = OperationKind(table.get("op", default))
    return Step(
        id=name,
        kind=kind,
        draw=frame.get("draw", {}) if name == "start" else table.get("draw", {}),
        shift=tuple(table.get("shift", ())),
        redraw=redraw,
        mood=table.get("mood", "plain"),
        say=_texts(table.get("say", ())),
        asked=_texts(table.get("asked", ())),
        reply=_texts(table.get("reply", ())),
        fact=_texts(table["fact"]),
        clause=table.get("clause", "" if redraw or table.get("set") else None),
        set=table.get("set", {}),
        drop=tuple(table.get("drop", ())),
        needs=tuple(table.get("needs", ())),
        bars=tuple(table.get("bars", ())),
        late=table.get("late"),
        early=table.get("early"),
        end=table.get("end", kind is OperationKind.DELETE),
        asks=tuple(Ask(ask[0], ask[1], ask[2], frozenset(ask[3:])) for ask in table.get("ask", ())),
        caption=_texts(table.get("caption", ())),
        weight=table.get("weight", 1.0),
    )
