"""What several threads ask of one model at once is one batch, and everyone gets what she asked for."""

import threading
from concurrent.futures import ThreadPoolExecutor

from memory_r1.bench.together import TogetherLM
from memory_r1.errors import PromptTooLongError
from memory_r1.lm.base import Sampling
from memory_r1.testing import ScriptedLM


class Batches(ScriptedLM):
    """Keeps the sizes of its batches, and refuses what is too long."""

    def __init__(self):
        super().__init__(lambda chat: chat[-1]["content"].upper())
        self.sizes = []

    def complete(self, chats, sampling=None, *, adapter=None):
        self.sizes.append(len(chats))
        if any(len(chat[-1]["content"]) > 50 for chat in chats):
            raise PromptTooLongError("too long")
        return super().complete(chats, sampling, adapter=adapter)


def chat(text):
    return [{"role": "user", "content": text}]


def ask_all(lm, requests):
    """Ask from a thread for each request, all taking part from the beginning on; answers or errors in order."""
    ready = threading.Barrier(len(requests), timeout=30)

    def ask(request):
        texts, sampling = request
        with lm.part():
            ready.wait()
            try:
                return [one.text for one in lm.complete([chat(text) for text in texts], sampling)]
            except PromptTooLongError as error:
                return error

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def test_requests_of_one_moment_are_one_batch():
    inner = Batches()
    found = ask_all(TogetherLM(inner), [(["a", "b"], None), (["c"], None), (["d"], None)])
    assert found == [["A", "B"], ["C"], ["D"]]
    assert inner.sizes == [4]


def test_requests_that_are_decoded_otherwise_have_their_own_batch():
    inner = Batches()
    found = ask_all(TogetherLM(inner), [(["a"], Sampling(max_tokens=5)), (["b"], None), (["c"], None)])
    assert found == [["A"], ["B"], ["C"]]
    assert sorted(inner.sizes) == [1, 2]


def test_one_prompt_that_fails_is_an_error_where_it_was_asked():
    found = ask_all(TogetherLM(Batches()), [(["a"], None), (["b" * 60], None), (["c"], None)])
    assert found[0] == ["A"]
    assert found[2] == ["C"]
    assert isinstance(found[1], PromptTooLongError)


def test_nobody_waits_for_a_thread_that_is_at_other_work():
    lm = TogetherLM(Batches())
    with lm.part(), lm.part():
        assert lm.complete([chat("a")])[0].text == "A"


def test_the_real_model_answers_the_same_alone_and_together(bundled_lm):
    chats = [chat("hello"), chat("a longer question, about the weather"), chat("why?")]
    alone = [bundled_lm.complete([one], Sampling(max_tokens=8))[0].text for one in chats]
    lm = TogetherLM(bundled_lm)
    texts = [(one[0]["content"],) for one in chats]
    assert ask_all(lm, [(text, Sampling(max_tokens=8)) for text in texts]) == [[text] for text in alone]
