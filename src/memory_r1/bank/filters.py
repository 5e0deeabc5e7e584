"""Filters on memories, in mem0's grammar.

A filter is a dictionary. Its keys name entries of a memory's metadata, or these fields of the memory itself: user_id,
agent_id, run_id, speaker, role, source, turn_id, session_id (texts), event_time, created_at, updated_at (times).

| written | means |
|---|---|
| `{"k": 1}` | equal; `None` also means absent |
| `{"k": [1, 2]}` | equal to one of them |
| `{"k": "*"}` | present, with any value (for a field of the memory: known) |
| `{"k": {"gte": 1, "lt": 9}}` | all of: eq ne gt gte lt lte in nin contains icontains |
| `{"a": 1, "b": 2}` | both |
| `{"AND": [..]}`, `{"OR": [..]}`, `{"NOT": [..]}` | all, any, none of the filters in the list |

Values of unlike kinds (text, number, boolean) are never equal and never in order; `1` equals `1.0`, `True` equals
only `True`. `ne`, `nin` and `NOT` are the plain negation, so they hold for a memory that lacks the key. `contains`
looks for a part of a text, or for one of the texts in a list; `icontains` ignores case. Texts are ordered by code
point. Times are ISO 8601 texts or datetimes; without a zone they are UTC.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.scope import SCOPE_FIELDS
from memory_r1.errors import InvalidInputError

TEXT_FIELDS = (*SCOPE_FIELDS, "speaker", "role", "source", "turn_id", "session_id")
TIME_FIELDS = ("event_time", "created_at", "updated_at")
MAX_DEPTH = 8
MAX_CONDITIONS = 500
MAX_VALUES = 10_000

Scalar = str | int | float | bool | None
Value = Scalar | datetime


class Operator(StrEnum):
    """How a condition compares. `eq` and `in` are ONE_OF; `ne` and `nin` are its negation."""

    ONE_OF = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    PRESENT = "*"


class Filter(ABC):
    """A parsed, valid, immutable filter."""

    @abstractmethod
    def matches(self, record: MemoryRecord) -> bool:
        """Whether the filter accepts a memory."""


@dataclass(frozen=True, slots=True)
class Condition(Filter):
    """A comparison of one value of the memory."""

    key: str
    operator: Operator
    values: tuple[Value, ...] = ()
    """Any number for ONE_OF, none for PRESENT, else one. Numbers fit 64 bits; for a time field, times or None."""

    def matches(self, record: MemoryRecord) -> bool:
        """Whether the memory's value compares as asked."""
        present, actual = _look_up(record, self.key)
        match self.operator:
            case Operator.PRESENT:
                return present
            case Operator.ONE_OF:
                return any(kind_of(value) == kind_of(actual) and value == actual for value in self.values)
            case Operator.CONTAINS | Operator.ICONTAINS:
                return self._contains(actual)
        value: Any = self.values[0]
        if kind_of(value) != kind_of(actual):
            return False
        match self.operator:
            case Operator.GT:
                return bool(actual > value)
            case Operator.GTE:
                return bool(actual >= value)
            case Operator.LT:
                return bool(actual < value)
        return bool(actual <= value)

    def _contains(self, actual: Any) -> bool:
        fold = str.casefold if self.operator is Operator.ICONTAINS else str
        wanted = fold(str(self.values[0]))
        if isinstance(actual, str):
            return wanted in fold(actual)
        return isinstance(actual, list) and any(isinstance(item, str) and fold(item) == wanted for item in actual)


@dataclass(frozen=True, slots=True)
class Every(Filter):
    """All parts hold; true without parts."""

    parts: tuple[Filter, ...]

    def matches(self, record: MemoryRecord) -> bool:
        """Whether all parts accept the memory."""
        return all(part.matches(record) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Some(Filter):
    """At least one part holds; false without parts."""

    parts: tuple[Filter, ...]

    def matches(self, record: MemoryRecord) -> bool:
        """Whether any part accepts the memory."""
        return any(part.matches(record) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Negation(Filter):
    """The part does not hold."""

    part: Filter

    def matches(self, record: MemoryRecord) -> bool:
        """Whether the part rejects the memory."""
        return not self.part.matches(record)


def parse_filter(spec: Mapping[str, Any]) -> Filter:
    """Read a filter from a dictionary in the grammar of this module.

    Raises:
        InvalidInputError: It is not one; the message names the part at fault.

    Example:
        >>> now = datetime(2023, 5, 8, tzinfo=UTC)
        >>> from memory_r1.bank.scope import Scope
        >>> record = MemoryRecord("m", Scope("ann"), "Tea", now, now, metadata={"rank": 3})
        >>> parse_filter({"rank": {"above": 1}})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        memory_r1.errors.InvalidInputError: Filter, at rank.above: 'above' is not an operator. Use one of ...
        >>> parse_filter({"rank": {"gte": 1}, "NOT": [{"event_time": {"lt": "2020-01-01"}}]}).matches(record)
        True
    """
    parser = _Parser()
    return parser.parse(spec, "", 0)


def kind_of(value: Any) -> str:
    """Kind of a value in comparisons: null, bool, number, text, time, or other."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "text"
        case datetime():
            return "time"
    return "other"


def _look_up(record: MemoryRecord, key: str) -> tuple[bool, Any]:
    """Whether the memory has the key, and its value."""
    if key in SCOPE_FIELDS:
        value: Any = getattr(record.scope, key)
    elif key in TEXT_FIELDS:
        value = getattr(record.provenance, key)
    elif key in TIME_FIELDS:
        value = getattr(record, key)
    else:
        value = record.metadata.get(key)
        return key in record.metadata, _within_64_bits(value)
    return value is not None, value


def _within_64_bits(value: Any) -> Any:
    """Whole numbers beyond 64 bits count as the nearest float, as databases have it."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return value


_ORDERED = {"gt": Operator.GT, "gte": Operator.GTE, "lt": Operator.LT, "lte": Operator.LTE}
_PARTIAL = {"contains": Operator.CONTAINS, "icontains": Operator.ICONTAINS}
_OPERATORS = ("eq", "ne", "in", "nin", *_ORDERED, *_PARTIAL)


class _Parser:
    """Keeps count of the conditions, so that a filter stays within what databases take."""

    def __init__(self) -> None:
        self._conditions = 0

    def parse(self, spec: object, where: str, depth: int) -> Filter:
        if not isinstance(spec, Mapping):
            raise _error(where, f"{_short(spec)} is not a dictionary", 'Write {"key": value}.')
        if depth > MAX_DEPTH:
            raise _error(where, f"nested deeper than {MAX_DEPTH}", "Flatten it.")
        parts = [self._entry(key, value, where, depth) for key, value in spec.items()]
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _entry(self, key: object, value: object, where: str, depth: int) -> Filter:
        if not isinstance(key, str) or not key:
            raise _error(where, f"the key {_short(key)} is not a name", "Keys are non-empty texts.")
        inner = f"{where}.{key}" if where else key
        _check_unicode(key, inner)
        if key in ("AND", "OR", "NOT"):
            if key == "NOT" and isinstance(value, Mapping):
                value = [value]
            if not isinstance(value, list | tuple) or not value:
                raise _error(
                    inner, f"{_short(value)} is not a list of filters", f'Write {{"{key}": [{{..}}, {{..}}]}}.'
                )
            parts = tuple(self.parse(part, f"{inner}[{place}]", depth + 1) for place, part in enumerate(value))
            return Every(parts) if key == "AND" else Some(parts) if key == "OR" else Negation(Some(parts))
        if not isinstance(value, Mapping):
            return self._condition(key, "in" if isinstance(value, list | tuple) else "eq", value, inner, literal=False)
        if not value:
            raise _error(inner, "no operator", f"Use one of {', '.join(_OPERATORS)}.")
        found = [self._condition(key, name, item, f"{inner}.{name}", literal=True) for name, item in value.items()]
        return found[0] if len(found) == 1 else Every(tuple(found))

    def _condition(self, key: str, name: object, value: object, where: str, *, literal: bool) -> Filter:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _error(where, f"more than {MAX_CONDITIONS} conditions", "Use `in` with a list.")
        if value == "*" and not literal:
            return Condition(key, Operator.PRESENT)
        if name in ("eq", "ne"):
            equal = Condition(key, Operator.ONE_OF, (_value(key, value, where),))
            return equal if name == "eq" else Negation(equal)
        if name in ("in", "nin"):
            among = Condition(key, Operator.ONE_OF, _values(key, value, where))
            return among if name == "in" else Negation(among)
        if name in _ORDERED:
            bound = _value(key, value, where)
            if bound is None or isinstance(bound, bool):
                raise _error(where, f"{_short(bound)} has no order", "Compare with a number, a text or a time.")
            return Condition(key, _ORDERED[str(name)], (bound,))
        if name in _PARTIAL:
            if key in TIME_FIELDS:
                raise _error(where, "a time contains nothing", "Compare it with gt, gte, lt, lte.")
            if not isinstance(value, str):
                raise _error(where, f"{_short(value)} is not a text", "Pass the text to look for.")
            _check_unicode(value, where)
            return Condition(key, _PARTIAL[str(name)], (value,))
        raise _error(where, f"{_short(name)} is not an operator", f"Use one of {', '.join(_OPERATORS)}.")


def _values(key: str, value: object, where: str) -> tuple[Value, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _error(where, f"{_short(value)} is not a list", "Pass a list of values.")
    if len(value) > MAX_VALUES:
        raise _error(where, f"{len(value):,} values", f"At most {MAX_VALUES:,} are taken.")
    return tuple(_value(key, item, f"{where}[{place}]") for place, item in enumerate(value))


def _value(key: str, value: object, where: str) -> Value:
    if value is None:
        return None
    if key in TIME_FIELDS:
        return _time(value, where)
    if isinstance(value, datetime):
        raise _error(where, "a time", f"Only {', '.join(TIME_FIELDS)} are times; metadata hold texts and numbers.")
    if isinstance(value, str):
        _check_unicode(value, where)
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        number = _within_64_bits(value)
        if math.isfinite(number):
            return float(number) if isinstance(number, float) else int(number)
    raise _error(where, f"{_short(value)} cannot be compared", "Use a text, a finite number, a boolean or None.")


def _time(value: object, where: str) -> datetime:
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    if not isinstance(value, datetime):
        raise _error(
            where, f"{_short(value)} is not a time", "Use ISO 8601, e.g. 2023-05-08 or 2023-05-08T13:56:00+00:00."
        )
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise _error(where, f"{_short(value)} is out of range", "Use a time between the years 1 and 9999.") from error


def _check_unicode(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _error("", f"the text at {where!a} holds a lone surrogate", "Use well-formed Unicode.") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _error(where: str, what: str, hint: str) -> InvalidInputError:
    return InvalidInputError(f"Filter{f', at {where}' if where else ''}: {what}.", hint=hint)
