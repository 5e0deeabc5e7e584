"""Filters as SQL conditions on `memories AS m` and `banks AS b`; they accept what `Filter.matches` accepts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from memory_r1.bank.filters import (
    TEXT_FIELDS,
    TIME_FIELDS,
    Condition,
    Every,
    Filter,
    Negation,
    Operator,
    Some,
    Value,
    kind_of,
)
from memory_r1.bank.scope import SCOPE_FIELDS
from memory_r1.bank.sqlite.rows import to_micros

_COMPARISONS = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_ATTRIBUTE = "EXISTS (SELECT 1 FROM attributes a WHERE a.memory = m.key AND a.name = ? AND {})"


def compile_filter(where: Filter) -> tuple[str, list[Any]]:
    """The SQL condition and its parameters. It is never NULL, so NOT is the plain negation."""
    match where:
        case Condition():
            if where.key in TEXT_FIELDS or where.key in TIME_FIELDS:
                return _on_field(where)
            return _on_metadata(where)
        case Negation(part):
            sql, parameters = compile_filter(part)
            return f"NOT {sql}", parameters
        case Every(parts) | Some(parts):
            word, neutral = (" AND ", "1") if isinstance(where, Every) else (" OR ", "0")
            compiled = [compile_filter(part) for part in parts]
            sql = word.join(sql for sql, _ in compiled) or neutral
            return f"({sql})", [parameter for _, parameters in compiled for parameter in parameters]
    raise TypeError(f"unknown filter {where!r}")


def _on_field(condition: Condition) -> tuple[str, list[Any]]:
    column = f"{'b' if condition.key in SCOPE_FIELDS else 'm'}.{condition.key}"
    kind = "time" if condition.key in TIME_FIELDS else "text"
    if condition.operator is Operator.PRESENT:
        return f"({column} IS NOT NULL)", []
    values = [_plain(value) for value in condition.values if kind_of(value) == kind]
    if condition.operator is Operator.ONE_OF:
        sql = f"ifnull({column} IN ({_marks(values)}), 0)"
        return (f"({column} IS NULL OR {sql})" if None in condition.values else sql), values
    if not values:
        return "0", []
    return f"ifnull({_compare(condition.operator, column)}, 0)", [_needle(condition.operator, values[0])]


def _on_metadata(condition: Condition) -> tuple[str, list[Any]]:
    key, operator = condition.key, condition.operator
    if operator is Operator.PRESENT:
        return _ATTRIBUTE.format("a.position = 0"), [key]
    if operator is Operator.ONE_OF:
        return _one_of(condition)
    value = condition.values[0]
    needle = _needle(operator, _plain(value))
    if operator in _COMPARISONS:
        compared = f"a.position = 0 AND a.kind = ? AND {_compare(operator, 'a.value')}"
        return _ATTRIBUTE.format(compared), [key, kind_of(value), needle]
    item = "casefold(a.value) = ?" if operator is Operator.ICONTAINS else "a.value = ?"
    part = _compare(operator, "a.value")
    return _ATTRIBUTE.format(f"(a.kind = 'text' AND {part} OR a.kind = 'item' AND {item})"), [key, needle, needle]


def _one_of(condition: Condition) -> tuple[str, list[Any]]:
    key = condition.key
    by_kind: dict[str, list[Any]] = {}
    for value in condition.values:
        by_kind.setdefault(kind_of(value), []).append(_plain(value))
    absent = by_kind.pop("null", None) is not None
    tests = ["0"]
    parameters: list[Any] = [key]
    for kind, values in by_kind.items():
        tests.append(f"a.kind = ? AND a.value IN ({_marks(values)})")
        parameters += [kind, *values]
    sql = _ATTRIBUTE.format(f"a.position = 0 AND ({' OR '.join(tests)})")
    if absent:
        known = _ATTRIBUTE.format("a.position = 0 AND a.kind != 'null'")
        return f"({sql} OR NOT {known})", [*parameters, key]
    return sql, parameters


def _compare(operator: Operator, column: str) -> str:
    match operator:
        case Operator.CONTAINS:
            return f"instr({column}, ?) > 0"
        case Operator.ICONTAINS:
            return f"instr(casefold({column}), ?) > 0"
    return f"{column} {_COMPARISONS[operator]} ?"


def _needle(operator: Operator, value: Any) -> Any:
    return value.casefold() if operator is Operator.ICONTAINS else value


def _plain(value: Value) -> Any:
    if isinstance(value, datetime):
        return to_micros(value)
    return int(value) if isinstance(value, bool) else value


def _marks(values: list[Any]) -> str:
    return ", ".join("?" * len(values))
