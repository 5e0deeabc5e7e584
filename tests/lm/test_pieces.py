"""Stop rules, token prefixes, slabs, chats and the factory: what needs no model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.errors import ConfigError, ModelError
from memory_r1.lm.base import LanguageModel, Sampling
from memory_r1.lm.bundled import BundledLM
from memory_r1.lm.factory import make_lm
from memory_r1.lm.local import LocalLM
from memory_r1.lm.prefix import PrefixCache, common_prefix
from memory_r1.lm.remote import RemoteLM
from memory_r1.lm.stopping import StopRule, json_object_end
from memory_r1.testing.lm import ScriptedLM

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
tokens = st.lists(st.integers(0, 2), max_size=12).map(tuple)


@given(st.text().filter(lambda text: "{" not in text), st.dictionaries(st.text(), json_values), st.text())
def test_json_object_ends_at_its_brace(before, value, after):
    written = json.dumps(value)
    assert json_object_end(before + written + after) == len(before + written)
    assert json_object_end(before + written[:-1]) is None


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_a_text_cut_by_a_rule_is_free_of_stops(text, stops):
    end = StopRule(stop=tuple(stops)).end(text)
    cut = text[:end]
    assert not any(stop in cut for stop in stops)
    assert (end is None) == (not any(stop in text for stop in stops))


@given(st.lists(tokens, min_size=1, max_size=5))
def test_common_prefix(sequences):
    length = common_prefix(sequences)
    assert len({sequence[:length] for sequence in sequences}) == 1
    assert length == min(map(len, sequences)) or len({sequence[: length + 1] for sequence in sequences}) > 1


def kv(length, value=0.0):
    import torch

    return [(torch.full((1, length, 4), value), torch.full((1, length, 4), value))]  # 32 bytes a token


def test_prefix_cache_finds_the_longest_and_drops_the_least_used():
    cache = PrefixCache(max_bytes=32 * 40, min_tokens=4)
    old, middle, new = ((mark,) * 16 for mark in (1, 2, 3))
    cache.keep(None, old, kv(16))
    cache.keep(None, middle, kv(16))
    assert cache.find(None, (*old, 9), 99)[1] == 16
    cache.keep(None, new, kv(16))
    assert cache.size == 32 * 32
    assert cache.find(None, middle, 99) == (None, 0)
    assert cache.find(None, old, 10)[1] == 10
    assert cache.find("adapter", old, 99) == (None, 0)
    assert cache.find(None, (1, 1, 1), 99) == (None, 0)
    cache.keep(None, (5,) * 41, kv(41))
    assert cache.find(None, (5,) * 41, 99) == (None, 0)
    cache.clear()
    assert (cache.size, cache.find(None, new, 99)) == (0, (None, 0))


def test_prefix_cache_keeps_copies():
    cache = PrefixCache(max_bytes=10**6, min_tokens=1)
    slab = kv(8, 1.0)
    cache.keep(None, (1,) * 8, slab)
    slab[0][0].zero_()
    prefix, _ = cache.find(None, (1,) * 8, 8)
    assert prefix.kv[0][0].eq(1).all()


def test_learns_what_prompts_share():
    cache = PrefixCache(max_bytes=10**6)
    assert cache.learn(None, (1, 2, 3, 4)) == 0
    assert cache.learn(None, (1, 2, 3, 5)) == 3
    assert cache.learn("adapter", (1, 2, 3, 5)) == 0


@pytest.mark.parametrize(
    ("spec", "kind", "name"),
    [
        ("bundled", BundledLM, "smollm2-135m-instruct"),
        ("local:Org/Model-1B", LocalLM, "model-1b"),
        ("Org/Model-1B", LocalLM, "model-1b"),
        ("local:/models/mine/", LocalLM, "mine"),
        ("openai:gpt-4o-mini", RemoteLM, "gpt-4o-mini"),
        ("openai:qwen2.5:7b", RemoteLM, "qwen2.5:7b"),
        ("http://localhost:8000/v1#Org/Model", RemoteLM, "Org/Model"),
    ],
)
def test_factory_forms(spec, kind, name):
    lm = make_lm(spec, adapters={}, base_url=None, api_key=None)
    assert isinstance(lm, kind)
    assert lm.name == name
    lm.close()


def test_factory_takes_a_bare_folder(tmp_path):
    assert make_lm(str(tmp_path)).name == tmp_path.name.lower()


@pytest.mark.parametrize("spec", ["", "gpt-4o-mini", "openai:", "local:", "claude:x", "http://#m"])
def test_factory_lists_the_forms(spec):
    with pytest.raises(ConfigError, match=r"openai:NAME|#NAME"):
        make_lm(spec)


def test_factory_refuses_what_does_not_go_together(tmp_path):
    with pytest.raises(ConfigError, match="cannot load adapters"):
        make_lm("openai:gpt-4o-mini", adapters={"manager": tmp_path})
    with pytest.raises(ConfigError, match="does not take these options"):
        make_lm("bundled", colour="red")


def test_scripted_lm_runs_out_and_raises():
    chat = [{"role": "user", "content": "Hi"}]
    lm = ScriptedLM([ValueError("as scripted")], adapters=["manager"])
    with pytest.raises(ValueError, match="as scripted"):
        lm.complete([chat])
    with pytest.raises(ModelError, match="only 1 replies"):
        lm.complete([chat])
    with pytest.raises(ConfigError, match="manager"):
        lm.complete([chat], adapter="other")
    assert [call.prompt for call in lm.calls] == ["Hi", "Hi"]


def test_scripted_lm_keeps_the_contract():
    lm = ScriptedLM(lambda chat: chat[-1]["content"].upper(), name="echo")
    assert isinstance(lm, LanguageModel)
    chats = [[{"role": "user", "content": text}] for text in ('say {"a": 1} now', "one stop two", "x" * 99)]
    answers = lm.complete(chats, Sampling(max_tokens=8, stop=("STOP",), json_object=True))
    assert [answer.text for answer in answers] == ['SAY {"A": 1}', "ONE ", "X" * 32]
    assert [answer.finish for answer in answers] == ["stop", "stop", "length"]
