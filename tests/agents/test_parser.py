import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.agents.json_object import first_object
from memory_r1.agents.parser import parse_decision
from memory_r1.bank.operation import OperationKind

OLD = ["Ann has a dog", "Ann lives in Rome", "Ann plays chess"]
ADD, UPDATE, DELETE, NOOP = OperationKind.ADD, OperationKind.UPDATE, OperationKind.DELETE, OperationKind.NOOP


@pytest.mark.parametrize(
    ("completion", "kind", "target", "text"),
    [
        ('{"op":"ADD"}', ADD, None, None),
        ('{"op":"ADD","text":"Ann is tall"}', ADD, None, "Ann is tall"),
        ('{"op":"UPDATE","id":1,"text":"Ann lives in Oslo"}', UPDATE, 1, "Ann lives in Oslo"),
        ('{"op":"DELETE","id":0}', DELETE, 0, None),
        ('{"op":"NOOP"}', NOOP, None, None),
        ('{"op":"NOOP","id":2}', NOOP, 2, None),
        ('{"op":"NOOP","id":9}', NOOP, None, None),
        ('{"op":"NONE"}', NOOP, None, None),
        ('{"op":"noop"}', NOOP, None, None),
        ('{"event":"delete","id":"1"}', DELETE, 1, None),
        ('{"operation":"DELETE","id":1.0}', DELETE, 1, None),
        ('{"action":"Update","memory_id":"[2]","memory":"Ann plays go"}', UPDATE, 2, "Ann plays go"),
        ('```json\n{"op": "DELETE", "id": 2}\n```', DELETE, 2, None),
        ('Sure! Here it is: {"op":"NOOP"} Hope this helps {"op":"ADD"}', NOOP, None, None),
        ('{"op":"DELETE","id":1}{"op":"ADD"}', DELETE, 1, None),
        ("{'op': 'UPDATE', 'id': 0, 'text': 'Ann\\'s dog is \"Max\"',}", UPDATE, 0, 'Ann\'s dog is "Max"'),
        ("{'op': 'UPDATE', 'id': 0, 'text': 'Ann's dog died'}", UPDATE, 0, "Ann's dog died"),
        ('{"op":"UPDATE","id":0,"text":"two\nlines"}', UPDATE, 0, "two\nlines"),
        ('I think {so}: {"op":"DELETE","id":0}', DELETE, 0, None),
        ('{ and {"op":"DELETE","id":0}', DELETE, 0, None),
        ('[{"op":"DELETE","id":0}]', DELETE, 0, None),
        ('{"op":"ADD","text":null,"id":None}', ADD, None, None),
        ('{"op":"ADD","text":"a \\ud800 b\\u0000"}', ADD, None, "a � b"),
        ('{"memory":[{"id":"0","event":"NONE"},{"id":"1","text":"x y","event":"UPDATE"}]}', UPDATE, 1, "x y"),
        ('{"memory":[{"id":"0","text":"Ann has a dog","event":"NONE"}]}', NOOP, None, None),
    ],
)
def test_usable_completions(completion, kind, target, text):
    parsed = parse_decision(completion, len(OLD))
    assert (parsed.kind, parsed.target, parsed.text, parsed.rejected) == (kind, target, text, None)


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("", "empty completion"),
        (" \n", "empty completion"),
        ("I would add it.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ('{"op":"UPDATE","id":1,"text":"Ann li', "the JSON object is cut off"),
        ("{", "the JSON object is cut off"),
        ('{"op":"DELETE","id":3}', "made-up id 3: the candidates are 0 to 2"),
        ('{"op":"DELETE","id":-1}', "made-up id -1: the candidates are 0 to 2"),
        ('{"op":"UPDATE","id":77777777777777777777,"text":"x"}', "made-up id 777777777777: the candidates are 0 to 2"),
        ('{"op":"DELETE"}', "DELETE without an id"),
        ('{"op":"DELETE","id":true}', "DELETE without an id"),
        ('{"op":"DELETE","id":"5f0c-11"}', "DELETE without an id"),
        ('{"op":"UPDATE","text":"x"}', "UPDATE without an id"),
        ('{"op":"UPDATE","id":1,"text":"  "}', "UPDATE with an unusable text"),
        ('{"op":"UPDATE","id":1,"text":["x"]}', "UPDATE with an unusable text"),
        ('{"op":"MERGE","id":1}', "unknown operation 'MERGE'"),
        ('{"id":1}', "no operation in the JSON object"),
        ("{}", "no operation in the JSON object"),
        ('{"op":["ADD"]}', "unknown operation \"['ADD']\""),
        ('{"memory":[]}', "no operation in the JSON object"),
    ],
)
def test_unusable_completions_are_rejected_with_the_reason_and_fall_back_to_add(completion, reason):
    parsed = parse_decision(completion, len(OLD))
    assert (parsed.kind, parsed.target, parsed.text, parsed.rejected) == (ADD, None, None, reason)


def test_a_candidate_that_was_not_shown_cannot_be_chosen():
    assert parse_decision('{"op":"DELETE","id":1}', len(OLD), shown=[0, 2]).rejected is not None
    assert parse_decision('{"op":"DELETE","id":2}', len(OLD), shown=[0, 2]).target == 2


FRAGMENTS = st.sampled_from(
    [
        *(
            '{"op":"',
            "ADD",
            "UPDATE",
            "DELETE",
            "NOOP",
            '","id":',
            "0",
            "1",
            "7",
            '"',
            "'",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
        ),
        *("\\", "\n", "```json", '"text":"', '"memory":', "null", "None", "NaN", "1e999", "x", "\ud800", "\0"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["op", "id", "text", "memory"]), inner),
    max_leaves=8,
)


@given(
    st.one_of(
        st.text(),
        st.lists(FRAGMENTS).map("".join),
        st.dictionaries(st.sampled_from(["op", "id", "text", "memory", "event"]), VALUES).map(json.dumps),
    ),
    st.integers(0, 3),
)
def test_any_text_gives_a_decision_that_can_be_carried_out(completion, candidates):
    parsed = parse_decision(completion, candidates)
    assert parsed.kind in (ADD, UPDATE, DELETE, NOOP)
    if parsed.kind in (UPDATE, DELETE):
        assert parsed.target in range(candidates)
    if parsed.text is not None:
        assert parsed.text
        parsed.text.encode()
    if parsed.rejected is not None:
        assert (parsed.kind, parsed.target, parsed.text) == (ADD, None, None)


@pytest.mark.parametrize(
    "text", ["{" * 50_000, '{"a":' * 50_000, "{'a'" * 9_000, '{"a":"' + "\\" * 50_000, "'{" * 20_000]
)
def test_hostile_nesting_is_survived(text):
    assert first_object(text) in ("none", "cut off")
