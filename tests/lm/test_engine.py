"""Threads that ask at the same time share batches, and each gets what it would have got alone."""

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from memory_r1.lm import batch as batches
from memory_r1.lm import engine
from memory_r1.lm.base import Sampling
from memory_r1.lm.bundled import BundledLM
from memory_r1.policies import shipped

WORDS = ["dog", "Leeds", "garden", "piano", "on Monday", "my sister", "two", "red", "Why?", "moved"]


def chat(number):
    words = random.Random(number).choices(WORDS, k=3 + 17 * (number % 5))
    return [{"role": "user", "content": f"{number}. {' '.join(words)}"}]


@pytest.fixture(scope="module")
def lm():
    """A model of its own, since the tests look into its engine."""
    found = BundledLM(batch_tokens=2048)
    yield found
    found.close()


def test_threads_get_what_they_would_get_alone(lm):
    # of different lengths, with and without probabilities, up to another limit each
    asked = [(chat(n), Sampling(max_tokens=4 + 5 * (n % 4), logprobs=n % 2 == 0)) for n in range(12)]
    alone = [lm.complete([one], sampling)[0] for one, sampling in asked]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda pair: lm.complete([pair[0]], pair[1])[0], asked))
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.finish for one in together] == [one.finish for one in alone]
    for mine, other in zip(together, alone, strict=True):
        assert (mine.logprobs is None) == (other.logprobs is None)
        if mine.logprobs is not None:
            assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-2)


def test_who_comes_later_joins_the_batch(lm, monkeypatch):
    sizes = []
    forward = batches.RunningBatch._forward

    def counted(self):
        sizes.append(len(self.alive))
        forward(self)

    monkeypatch.setattr(batches.RunningBatch, "_forward", counted)
    first = threading.Thread(target=lm.complete, args=([chat(1)], Sampling(max_tokens=60)))
    first.start()
    while not sizes:
        time.sleep(0.01)
    lm.complete([chat(2)], Sampling(max_tokens=5))
    first.join()
    assert sizes[0] == 1
    assert 2 in sizes
    assert len(sizes) < 60 + 4


def test_adapters_take_turns(lm, monkeypatch):
    monkeypatch.setattr(engine, "_TURN_SECONDS", 0.5)
    lm.load_adapter("answerer", shipped()["answerer"])
    done = []

    def ask(adapter, count):
        for number in range(count):
            lm.complete([chat(number)], Sampling(max_tokens=10), adapter=adapter)
            done.append(adapter)

    # two threads whose batch would never be empty, and one with another adapter
    asking = [threading.Thread(target=ask, args=(None, 8)) for _ in range(2)]
    asking.append(threading.Thread(target=ask, args=("answerer", 2)))
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert "answerer" in done[:-2]
    assert done.count(None) == 16


def test_more_than_a_batch_holds_is_taken_in_parts(lm):
    chats = [chat(n) for n in range(30)]
    sampling = Sampling(max_tokens=6)
    found = lm.complete(chats, sampling)
    assert [one.text for one in found] == [lm.complete([one], sampling)[0].text for one in chats]


def test_sampling_with_a_seed_is_the_same_in_company(lm):
    sampling = Sampling(max_tokens=12, temperature=1.0, seed=3)
    alone = lm.complete([chat(1), chat(2)], sampling)
    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(lm.complete, [chat(n)], Sampling(max_tokens=20, temperature=1.0, seed=n)) for n in (5, 6)]
        together = pool.submit(lm.complete, [chat(1), chat(2)], sampling).result()
        for other in others:
            other.result()
    assert [one.text for one in together] == [one.text for one in alone]


def test_an_error_is_told_to_all_who_shared_the_batch_and_to_nobody_else(lm, monkeypatch):
    def breaks(self):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(batches.RunningBatch, "_forward", breaks)
        with ThreadPoolExecutor(2) as pool:
            told = [pool.submit(lm.complete, [chat(n)], Sampling(max_tokens=5)) for n in range(2)]
            for one in told:
                with pytest.raises(RuntimeError, match="out of memory"):
                    one.result()
    assert lm.complete([chat(1)], Sampling(max_tokens=5))[0].completion_tokens > 0


def test_the_time_of_a_batch_is_shared(lm):
    began = time.perf_counter()
    found = lm.complete([chat(n) for n in range(6)], Sampling(max_tokens=8))
    taken = time.perf_counter() - began
    assert 0 < sum(one.seconds for one in found) <= taken
    assert all(one.seconds > 0 for one in found)


def test_ctrl_c_leaves_the_others_and_the_model_as_they_are(lm):
    sampling = Sampling(max_tokens=40)
    expected = lm.complete([chat(2)], sampling)[0].text

    def interrupted(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(lm.complete, [chat(2)], sampling)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                lm.complete([chat(1)], Sampling(max_tokens=2000))
            assert other.result()[0].text == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert lm.complete([chat(2)], sampling)[0].text == expected


def test_an_adapter_is_replaced_between_batches(lm):
    stop = threading.Event()
    texts = []

    def ask():
        while not stop.is_set():
            texts.append(lm.complete([chat(3)], Sampling(max_tokens=8))[0].text)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(2):
        lm.load_adapter("answerer", shipped()["answerer"])
    stop.set()
    asking.join()
    assert len(set(texts)) == 1
    assert lm.complete([chat(3)], Sampling(max_tokens=8), adapter="answerer")[0].text != texts[0]
