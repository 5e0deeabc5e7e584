from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_r1.bank.filters import MAX_CONDITIONS, MAX_DEPTH, TEXT_FIELDS, TIME_FIELDS, parse_filter
from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.scope import Scope
from memory_r1.errors import InvalidInputError

NOW = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
RECORD = MemoryRecord(
    "m",
    Scope("ann", run_id="r1"),
    "Tea",
    NOW,
    NOW + timedelta(days=1),
    event_time=None,
    provenance=Provenance(turn_id="D1:3", speaker="Ann", role="user"),
    metadata={
        "n": 3,
        "x": 1.5,
        "s": "Straße",
        "yes": True,
        "none": None,
        "tags": ["Red", "blue", 3],
        "big": 2**70,
        "map": {"a": 1},
    },
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"n": 3}, True),
        ({"n": 3.0}, True),
        ({"n": "3"}, False),
        ({"yes": True}, True),
        ({"yes": 1}, False),
        ({"n": True}, False),
        ({"n": [1, 3]}, True),
        ({"n": {"in": []}}, False),
        ({"n": {"nin": [1, 2]}}, True),
        ({"n": {"gte": 3, "lt": 4}}, True),
        ({"n": {"gt": 3}}, False),
        ({"n": {"gt": "1"}}, False),
        ({"n": {"ne": 4}}, True),
        ({"missing": {"ne": 4}}, True),
        ({"missing": {"nin": [4]}}, True),
        ({"missing": {"gt": 4}}, False),
        ({"missing": None}, True),
        ({"none": None}, True),
        ({"none": {"ne": None}}, False),
        ({"none": "*"}, True),
        ({"missing": "*"}, False),
        ({"s": {"eq": "*"}}, False),
        ({"s": {"contains": "raß"}}, True),
        ({"s": {"contains": "RASS"}}, False),
        ({"s": {"icontains": "RASS"}}, True),
        ({"s": {"contains": ""}}, True),
        ({"n": {"contains": "3"}}, False),
        ({"tags": {"contains": "Red"}}, True),
        ({"tags": {"contains": "Re"}}, False),
        ({"tags": {"icontains": "BLUE"}}, True),
        ({"tags": "Red"}, False),
        ({"tags": "*"}, True),
        ({"map": "*"}, True),
        ({"big": {"gt": 2**69}}, True),
        ({"big": 2**70}, True),
        ({"user_id": "ann"}, True),
        ({"agent_id": "*"}, False),
        ({"agent_id": None}, True),
        ({"speaker": {"icontains": "an"}}, True),
        ({"role": 3}, False),
        ({"agent_id": {"icontains": ""}}, False),
        ({"event_time": "*"}, False),
        ({"event_time": None}, True),
        ({"created_at": {"gte": "2023-05-08", "lt": "2023-05-09"}}, True),
        ({"created_at": NOW.astimezone(timezone(timedelta(hours=5)))}, True),
        ({"updated_at": {"gt": NOW.replace(tzinfo=None)}}, True),
        ({"event_time": {"lt": "2023-05-08"}}, False),
        ({"n": 3, "x": 1.5}, True),
        ({"n": 3, "x": 2}, False),
        ({"AND": [{"n": 3}, {"x": 2}]}, False),
        ({"OR": [{"n": 4}, {"x": 1.5}]}, True),
        ({"NOT": [{"n": 4}, {"x": 1.5}]}, False),
        ({"NOT": {"n": 4}}, True),
        ({"NOT": [{"OR": [{"n": 1}, {"AND": [{"n": 3}, {"s": "x"}]}]}]}, True),
    ],
)
def test_meaning(spec, expected, store, kit):
    where = parse_filter(spec)
    assert where.matches(RECORD) is expected
    change = kit.add(RECORD.scope, "Tea")
    store.commit([type(change)(change.kind, RECORD.scope, after=RECORD)])
    assert bool(store.memories(RECORD.scope, where=where)) is expected


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("x", "'x' is not a dictionary"),
        ({3: 1}, "the key 3"),
        ({"a": {}}, "at a: no operator"),
        ({"a": {"above": 1}}, "at a.above"),
        ({"AND": []}, "at AND"),
        ({"AND": {"a": 1}}, "at AND"),
        ({"OR": [{"a": 1}, 5]}, r"at OR\[1\]"),
        ({"a": {"in": "abc"}}, "at a.in: 'abc' is not a list"),
        ({"a": {"gt": None}}, "at a.gt: None has no order"),
        ({"a": {"gt": True}}, "at a.gt: True has no order"),
        ({"a": {"contains": 3}}, "at a.contains: 3 is not a text"),
        ({"a": float("nan")}, "at a: nan cannot be compared"),
        ({"a": {"in": [1, {}]}}, r"at a.in\[1\]"),
        ({"a": datetime(2023, 1, 1)}, "at a: a time"),
        ({"event_time": "soon"}, "at event_time: 'soon' is not a time"),
        ({"event_time": {"contains": "2023"}}, "at event_time.contains"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        ({"OR": [{"a": 1}] * (MAX_CONDITIONS + 1)}, "more than"),
    ],
)
def test_errors_name_the_part(spec, part):
    with pytest.raises(InvalidInputError, match=part):
        parse_filter(spec)


def test_nesting_has_a_limit():
    spec = {"a": 1}
    for _ in range(MAX_DEPTH + 1):
        spec = {"NOT": [spec]}
    with pytest.raises(InvalidInputError, match="nested deeper"):
        parse_filter(spec)


def test_the_largest_filters_compile(store, kit):
    change = kit.add(RECORD.scope, "Tea")
    store.commit([type(change)(change.kind, RECORD.scope, after=RECORD)])
    wide = parse_filter({"OR": [{"n": {"eq": n}} for n in range(-MAX_CONDITIONS + 4, 4)]})
    deep = {"s": {"icontains": "RASSE"}}
    for _ in range(MAX_DEPTH):
        deep = {"n": 3, "NOT": [{"n": 4}, deep]}
    many = parse_filter({"n": list(range(10_000))})
    for where in (wide, parse_filter(deep), many):
        assert len(store.memories(RECORD.scope, where=where)) == 1


texts = st.sampled_from(["", "a", "A", "ß", "SS", "b", "1", "é", "z😀", "*", "a'b", '"', "%", "İ"])
numbers = st.integers(-3, 3) | st.sampled_from([0.5, -0.0, 1.0, 1e300, 5e-324, 0.1 + 0.2, 2**53 + 1, 2**63, -(2**70)])
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | floats | texts
names = st.sampled_from(["a", "b", "c d", 'q"', "text", "a.b", "$"])
times = st.datetimes(datetime(2020, 1, 1), datetime(2020, 1, 4), timezones=st.just(UTC))
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=2)


@st.composite
def records(draw):
    ids = {"user_id": "u", "agent_id": draw(st.none() | st.sampled_from(["a", "A"]))}
    optional = st.none() | texts
    return MemoryRecord(
        draw(st.uuids()).hex,
        Scope(**ids),
        draw(st.uuids()).hex,
        draw(times),
        draw(times),
        event_time=draw(st.none() | times),
        provenance=Provenance(*(draw(optional), draw(optional), None, draw(optional), draw(optional), draw(optional))),
        metadata=draw(st.dictionaries(names, values, max_size=4)),
    )


def comparisons(value):
    ordered = value.filter(lambda v: v is not None and not isinstance(v, bool))
    several = st.lists(value, max_size=4)
    return st.one_of(
        value,
        st.just("*"),
        several,
        *(st.fixed_dictionaries({name: value}) for name in ("eq", "ne")),
        *(st.fixed_dictionaries({name: several}) for name in ("in", "nin")),
        *(st.fixed_dictionaries({name: ordered}) for name in ("gt", "gte", "lt", "lte")),
    )


partial = st.sampled_from(["contains", "icontains"]).flatmap(lambda name: st.fixed_dictionaries({name: texts}))
leaves = st.one_of(
    st.dictionaries(names, comparisons(scalars) | partial, max_size=2),
    st.dictionaries(st.sampled_from(TEXT_FIELDS), comparisons(scalars) | partial, max_size=2),
    st.dictionaries(st.sampled_from(TIME_FIELDS), comparisons(st.none() | times | times.map(str)), max_size=2),
)
specs = st.recursive(
    leaves,
    lambda inner: st.sampled_from(["AND", "OR", "NOT"]).flatmap(
        lambda word: st.fixed_dictionaries({word: st.lists(inner, min_size=1, max_size=3)})
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(records(), min_size=1, max_size=4, unique_by=lambda record: record.id), spec=specs)
def test_both_evaluators_agree(make_store, kit, batch, spec):
    store = make_store.empty()
    where = parse_filter(spec)
    change = kit.add(Scope("u"), "x")
    store.commit([type(change)(change.kind, record.scope, after=record) for record in batch])
    accepted = {record.id for record in store.memories(Scope("u"), where=where)}
    assert accepted == {record.id for record in batch if where.matches(record)}
