"""Word lists, and values drawn from them.

Lists stand in `words/*.toml`, entries apart by `;`, fields of an entry by `/`. Lists under `[open]` hold what can be
anything (names, cities, titles): their entries are dealt out to the splits, so that what is said in `test` never
occurs in `train`. Lists under `[closed]` (weekdays, patterns) are the same for all. An entry may be a pattern that
names other lists, e.g. `{surname} & {surname}`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib.resources import files
from random import Random
from typing import Any, Literal, get_args

from memory_r1.data.synthetic import times
from memory_r1.data.synthetic.values import Value
from memory_r1.errors import InvalidInputError

Split = Literal["train", "validation", "test"]
"""Which values and phrasings are used: those of one split never occur in another, but for what all share."""

SPLITS: tuple[Split, ...] = get_args(Split)

_NESTED = re.compile(r"\{(\w+)\}")
_RETRIES = 30


def resources(folder: str) -> dict[str, Any]:
    """All tables of the TOML files of a folder of this package, merged in the order of the file names."""
    merged: dict[str, Any] = {}
    for file in sorted(files(__package__).joinpath(folder).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            for key, table in tomllib.loads(file.read_text(encoding="utf-8")).items():
                if isinstance(merged.get(key), dict):
                    merged[key] = {**merged[key], **table}
                else:
                    merged[key] = table
    return merged


@lru_cache(maxsize=1)
def word_lists() -> Mapping[str, tuple[bool, tuple[str, ...]]]:
    """Every list by name: whether it is open, and its entries as written."""
    tables = resources("words")
    return {
        name: (kind == "open", tuple(entry.strip() for entry in text.split(";") if entry.strip()))
        for kind in ("open", "closed")
        for name, text in tables[kind].items()
    }


@lru_cache(maxsize=len(SPLITS))
def vocabulary(split: Split) -> Mapping[str, tuple[str, ...]]:
    """The entries that a split may use, by list.

    Of five neighbours in an open list three go to training and one each to validation and test.

    Raises:
        InvalidInputError: There is no such split.
    """
    if split not in SPLITS:
        raise InvalidInputError(f"There is no split {split!r}.", hint=f"Choose one of: {', '.join(SPLITS)}.")
    mine = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}[split]
    return {
        name: tuple(entry for place, entry in enumerate(entries) if place % 5 in mine) if is_open else entries
        for name, (is_open, entries) in word_lists().items()
    }


@dataclass
class Draws:
    """Draws values for one conversation, without repeating itself where the lists are long enough."""

    rng: Random
    split: Split
    used: set[str] = field(default_factory=set)

    def draw(self, spec: str, known: Mapping[str, Value], now: date, floor: date | None = None) -> Value:
        """Draw a value.

        Args:
            spec: A list's name, with `*` behind it for something that is a he or a she; or `@kind` for what is made up
                on the spot (`@past`, `@fresh`, `@old`, `@future`, `@years`, `@phone`, ...); `@name/slot` is a name of
                that slot's gender.
            known: The values of the storyline so far.
            now: The day on which it is told.
            floor: The first day that `@fresh` may name.
        """
        if spec.startswith("@"):
            return self._made(spec[1:], known, now, floor)
        value = self._listed(spec.removesuffix("*"))
        if spec.endswith("*"):
            return Value(value.said, gender=self.rng.choice("fm"), fields=value.fields)
        return value

    def mention(self, name: str) -> Value:
        """A value that is talked of without becoming part of anybody's life."""
        value = self._row(name)
        for _ in range(_RETRIES):
            if value.said.lower() not in self.used:
                break
            value = self._row(name)
        return value

    def _listed(self, name: str) -> Value:
        value = self.mention(name)
        self.used.add(value.said.lower())
        return value

    def _row(self, name: str) -> Value:
        text, *fields = self.rng.choice(vocabulary(self.split)[name]).split("/")
        text = _NESTED.sub(lambda match: self._row(match[1]).said, text)
        gender = fields[0] if fields and fields[0] in ("f", "m") else "n"
        return Value(text.strip(), gender=gender, fields=tuple(fields))

    def _made(self, kind: str, known: Mapping[str, Value], now: date, floor: date | None) -> Value:
        if kind.startswith("name"):
            slot = kind.partition("/")[2]
            gender = known[slot].gender if slot else self.rng.choice("fm")
            name = self._listed("name_f" if gender == "f" else "name_m")
            return Value(name.said, gender=gender)
        if kind == "fresh":
            return times.past(self.rng, now, floor)
        return _MADE[kind](self.rng, now)


def _years(rng: Random, now: date) -> Value:
    return times.lasting(rng, "year", 2, 11)


def _since(rng: Random, now: date) -> Value:
    return times.years_back(rng, now)


def _months(rng: Random, now: date) -> Value:
    return times.lasting(rng, "month", 2, 10)


def _weeks(rng: Random, now: date) -> Value:
    return times.lasting(rng, "week", 2, 8)


def _phone(rng: Random, now: date) -> Value:
    # ranges that are kept free for fiction
    return Value(rng.choice((f"07700 900{rng.randint(100, 999)}", f"555-01{rng.randint(10, 99)}")))


def _clock(rng: Random, now: date) -> Value:
    hour, minute, half = rng.randint(6, 11), rng.choice(("", ":15", ":30", ":45")), rng.choice(("am", "pm"))
    return Value(f"{hour}{minute} {half}")


def _price(rng: Random, now: date) -> Value:
    return Value(f"${rng.choice((15, 20, 35, 40, 45, 60, 75, 80, 90, 110, 120, 150, 180, 220, 250, 300, 340, 400))}")


def _amount(rng: Random, now: date) -> Value:
    return Value(f"${rng.randrange(1200, 9800, 100):,}")


def _count(rng: Random, now: date) -> Value:
    return Value(rng.choice(("two", "three", "four", "five", "six", "seven")))


def _room(rng: Random, now: date) -> Value:
    return Value(f"{rng.randint(1, 6)}{rng.randint(1, 38):02d}{rng.choice(('', '', 'B'))}")


def _distance(rng: Random, now: date) -> Value:
    return Value(rng.choice(("5 km", "8 km", "10 km", "12 km", "15 km", "10 miles", "18 km", "6 miles", "20 miles")))


def _age(rng: Random, now: date) -> Value:
    return Value(str(rng.randint(2, 15)))


def _birthday(rng: Random, now: date) -> Value:
    day, month = rng.randint(1, 28), times.MONTHS[rng.randrange(12)]
    said = rng.choice((f"{month} {times.ordinal(day)}", f"the {times.ordinal(day)} of {month}", f"{day} {month}"))
    return Value(said, told=f"{day} {month}")


_MADE: Mapping[str, Callable[[Random, date], Value]] = {
    "past": times.past,
    "future": times.future,
    "old": times.old,
    "years": _years,
    "since": _since,
    "months": _months,
    "weeks": _weeks,
    "phone": _phone,
    "clock": _clock,
    "price": _price,
    "amount": _amount,
    "count": _count,
    "room": _room,
    "distance": _distance,
    "age": _age,
    "birthday": _birthday,
}
MADE = frozenset({"name", "fresh", *_MADE})
"""What `@` may ask for."""
