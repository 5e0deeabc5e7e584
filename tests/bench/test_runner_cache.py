import sqlite3
import threading

import pytest

from memory_r1.bench.cache import CachedLM, CompletionCache
from memory_r1.bench.meter import Meter, MeteredLM, Stopped, metered, share
from memory_r1.bench.pricing import priced, priced_stats
from memory_r1.bench.system import Cost, Stats, SystemAnswer
from memory_r1.errors import ConfigError, ModelError, StoreError
from memory_r1.lm.base import Completion, Sampling
from memory_r1.testing import ScriptedLM


def chat(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def cache(tmp_path):
    made = CompletionCache(tmp_path / "deep" / "completions.sqlite")
    yield made
    made.close()


def echo(text):
    return f"said {text[-1]['content']}"


def test_a_prompt_is_computed_once(cache):
    inner = ScriptedLM(echo)
    lm = CachedLM(inner, cache, identity="m")
    first = lm.complete([chat("a"), chat("b"), chat("a")])
    assert [one.text for one in first] == ["said a", "said b", "said a"]
    assert lm.complete([chat("b"), chat("c")])[0] == first[1]
    assert [call.prompt for call in inner.calls] == ["a", "b", "c"]
    assert (lm.hits, lm.misses) == (2, 3)
    assert len(cache) == 3


def test_the_cache_outlives_the_process(cache, tmp_path):
    whole = Completion("x", 3, 2, "length", 1.5, cached_tokens=1, token_ids=(4, 5), logprobs=(-0.5, -1.0))
    CachedLM(ScriptedLM([whole]), cache, identity="m").complete([chat("a")])
    cache.close()
    other = CompletionCache(tmp_path / "deep" / "completions.sqlite")
    assert CachedLM(ScriptedLM([]), other, identity="m").complete([chat("a")]) == [whole]
    other.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"identity": "other"},
        {"adapters": {"a": "other weights"}},
        {"adapter": None},
        {"sampling": Sampling(max_tokens=9)},
        {"sampling": Sampling(temperature=0.5, seed=2)},
        {"text": "b"},
        {"context_length": 99},
    ],
)
def test_all_that_decides_on_an_answer_is_in_the_key(cache, changed):
    def ask(*, identity="m", adapters=None, adapter="a", sampling=None, text="a", context_length=8192):
        inner = ScriptedLM(echo, context_length=context_length)
        lm = CachedLM(inner, cache, identity=identity, adapters=adapters or {"a": "weights"})
        lm.complete([chat(text)], sampling, adapter=adapter)
        return len(inner.calls)

    assert ask() == 1
    assert ask() == 0
    assert ask(**changed) == 1


def test_the_same_weights_in_another_place_are_the_same(cache):
    CachedLM(ScriptedLM("x"), cache, identity="m", adapters={"a": "w"}).complete([chat("q")], adapter="a")
    lm = CachedLM(ScriptedLM([]), cache, identity="m", adapters={"b": "w"})
    assert lm.complete([chat("q")], adapter="b")[0].text == "x"


def test_what_is_drawn_without_a_seed_is_drawn_anew(cache):
    inner = ScriptedLM(["one", "two"])
    lm = CachedLM(inner, cache, identity="m")
    warm = Sampling(temperature=1.0)
    assert [lm.complete([chat("a")], warm)[0].text for _ in range(2)] == ["one", "two"]


def test_a_chat_that_comes_several_times_is_sampled_as_often_and_kept_as_often(cache):
    lm = CachedLM(ScriptedLM(["one", "two", "three", "other"]), cache, identity="m")
    warm = Sampling(temperature=1.0, seed=0)
    asked = [chat("a"), chat("a"), chat("a"), chat("b")]
    for _ in range(2):
        assert [one.text for one in lm.complete(asked, warm)] == ["one", "two", "three", "other"]
    assert [one.text for one in lm.complete(asked[:2], warm)] == ["one", "two"]
    assert (lm.misses, lm.hits) == (4, 6)


def test_what_came_before_a_failure_is_kept(cache):
    script = [f"{number}" for number in range(32)]
    lm = CachedLM(ScriptedLM(script), cache, identity="m")
    with pytest.raises(ModelError):
        lm.complete([chat(f"{number}") for number in range(40)])
    assert len(cache) == 32


def test_many_threads_share_a_cache(cache):
    lm = CachedLM(ScriptedLM(echo), cache, identity="m")
    wrong = []

    def work():
        wrong.extend(n for n in range(20) if lm.complete([chat(f"{n}")])[0].text != f"said {n}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) == 20


def test_another_file_is_not_taken_for_a_cache(tmp_path):
    (tmp_path / "notes.txt").write_text("These are notes. " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        CompletionCache(tmp_path / "notes.txt")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE people (name)")
    with pytest.raises(StoreError, match=r"Delete the file"):
        CompletionCache(tmp_path / "other.db")
    with pytest.raises(StoreError):
        CompletionCache(tmp_path / "notes.txt" / "cache")


def test_a_meter_counts_time_that_a_cache_saved(cache):
    slow = Completion("x", 10, 2, "stop", seconds=100.0)
    CachedLM(ScriptedLM([slow]), cache, identity="m").complete([chat("a")])
    lm = MeteredLM(CachedLM(ScriptedLM([]), cache, identity="m"))
    meter = Meter(lm)
    lm.complete([chat("a")])
    spent = meter.lap()
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (1, 10, 2)
    assert 100 <= spent.seconds < 101
    assert meter.lap().seconds < 1
    assert metered(lm) is lm


def test_a_system_sees_its_own_adapters():
    inner = ScriptedLM("x")
    lm = MeteredLM(inner, adapters={"manager": "adapter-1", "runs/m": "adapter-1"})
    lm.complete([chat("a")], adapter="manager")
    lm.complete([chat("a")], adapter="runs/m")
    lm.complete([chat("a")])
    assert [call.adapter for call in inner.calls] == ["adapter-1", "adapter-1", None]
    with pytest.raises(ConfigError, match=r"no adapter 'answerer'"):
        lm.complete([chat("a")], adapter="answerer")
    lm.close()
    assert not inner.closed


def test_a_stopped_run_asks_nothing_more():
    stop, inner = threading.Event(), ScriptedLM("x")
    lm = MeteredLM(inner, stop=stop)
    lm.complete([chat("a")])
    stop.set()
    with pytest.raises(Stopped):
        lm.complete([chat("a")])
    assert not issubclass(Stopped, Exception)
    assert len(inner.calls) == 1


def test_shares_add_up():
    whole = Cost(7, 101, 13, 1.0)
    parts = share(whole, 4)
    total = sum(parts, Cost())
    assert (total.calls, total.prompt_tokens, total.completion_tokens) == (7, 101, 13)
    assert total.seconds == pytest.approx(1)


def test_own_times_are_scaled_to_those_measured():
    answers = [SystemAnswer("a", cost=Cost(1, 10, 2, 0.1)), SystemAnswer("b", cost=Cost(1, 10, 2, 0.3))]
    assert [one.cost.seconds for one in priced(answers, Cost(2, 20, 4, 4.0))] == pytest.approx([1.0, 3.0])
    # it waited for others to share a batch
    assert [one.cost.seconds for one in priced(answers, Cost(2, 20, 4, 0.2))] == pytest.approx([0.05, 0.15])
    # a system that called something else knows better
    assert priced(answers, Cost(1, 10, 2, 4.0)) == answers
    stats = Stats(ingest=Cost(3, 30, 6, 0.5), add_seconds=(0.1, 0.2))
    assert priced_stats(stats, Cost(3, 30, 6, 5.0)).add_seconds == pytest.approx((1.0, 2.0))
    assert priced_stats(stats, Cost(3, 30, 6, 5.0)).ingest.seconds == 5
    assert priced_stats(stats, Cost(9, 30, 6, 5.0)) == stats
    assert priced_stats(Stats(), Cost(9, 30, 6, 5.0)).ingest == Cost(9, 30, 6, 5.0)
