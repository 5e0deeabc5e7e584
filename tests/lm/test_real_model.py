"""The bundled model itself: that it survived the conversion, and that reuse does not change what it says."""

import pytest

from memory_r1.lm.base import Sampling
from memory_r1.lm.bundled import bundled_model_path
from memory_r1.lm.chat import ChatTokenizer

pytestmark = pytest.mark.lm

RULES = "You are a helpful assistant. Answer in one short sentence."
QUESTIONS = ["What is the capital of France?", "Who wrote Romeo and Juliet?", "What is the capital of Italy?"]


def chat(question):
    return [{"role": "system", "content": RULES}, {"role": "user", "content": question}]


def test_answers_are_sane(bundled_lm):
    answers = bundled_lm.complete([chat(question) for question in QUESTIONS], Sampling(max_tokens=40))
    for answer, word in zip(answers, ("Paris", "Shakespeare", "Rome"), strict=True):
        assert word in answer.text
        assert answer.finish == "stop"


def test_batch_and_reuse_say_the_same_as_one_by_one(bundled_lm):
    sampling = Sampling(max_tokens=24, logprobs=True)
    together = bundled_lm.complete([chat(question) for question in QUESTIONS], sampling)
    alone = [bundled_lm.complete([chat(question)], sampling)[0] for question in QUESTIONS]
    assert [answer.token_ids for answer in together] == [answer.token_ids for answer in alone]
    for first, second in zip(together, alone, strict=True):
        assert first.logprobs == pytest.approx(second.logprobs, abs=1e-3)
    assert all(answer.cached_tokens > 0 for answer in alone)


def test_ends_behind_a_json_object(bundled_lm):
    shown = '{"op": "ADD"} {"op": "NOOP"} {"op": "ADD"}'
    turns = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": shown}] * 3
    answer = bundled_lm.complete([[*turns, turns[0]]], Sampling(max_tokens=60, json_object=True))[0]
    assert (answer.text, answer.finish) == ('{"op": "ADD"}', "stop")


def test_tokenizer_survived_the_conversion(bundled_lm):
    tokenizer = ChatTokenizer.load(bundled_model_path(), "smollm2")
    ids, head = tokenizer.encode([{"role": "system", "content": "S"}, {"role": "user", "content": "On 8 May 2023"}])
    assert (tokenizer.eos_id, tokenizer.size) == (2, 49152)
    assert ids[:head] == (1, 9690, 198, 67, 2, 198)
    assert [ids.count(mark) for mark in (1, 2)] == [3, 2]
    assert tokenizer.decode(ids) == "system\nS\nuser\nOn 8 May 2023\nassistant\n"
    assert bundled_lm.context_length == 8192
