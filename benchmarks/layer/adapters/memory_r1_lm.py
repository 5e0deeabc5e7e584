"""What memory-r1's language model costs: requests beside those that every system answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from workload import facts

if TYPE_CHECKING:
    from memory_r1 import Memory
    from memory_r1.agents.results import Usage
    from memory_r1.lm.base import LanguageModel


class LmFigures:
    """Requests about the language model; the adapter inherits them."""

    memory: Memory

    def learn(self, messages: list[dict[str, str]], scope: str) -> list[dict[str, float]]:
        """Add messages one by one with extraction and decisions; the cost of each."""
        costs = []
        for message in messages:
            began = time.perf_counter()
            usage = self.memory.add([message], user_id=scope)["usage"]
            costs.append(_cost(usage, time.perf_counter() - began))
        return costs

    def answers(self, questions: list[str], scope: str) -> list[dict[str, float]]:
        """Answer questions one by one; the cost of each."""
        costs = []
        for question in questions:
            began = time.perf_counter()
            usage = self.memory.answer(question, user_id=scope).usage
            costs.append(_cost(usage, time.perf_counter() - began))
        return costs

    def speed(self, model: str) -> dict[str, float]:
        """Tokens a second: prefill of a prompt of some 500 tokens, decoding of one chat and of eight at once."""
        from memory_r1.lm.factory import make_lm

        lm = make_lm(model)
        try:
            long = [_prompt(" ".join(facts(25 * number, 25))) for number in range(4)]
            lm.complete([_prompt("Say yes.")], _sampling(8))
            read = [lm.complete([chat], _sampling(1))[0] for chat in long]
            return {
                "prefill": sum(c.prompt_tokens - c.cached_tokens for c in read) / sum(c.seconds for c in read),
                "decode": _decode(lm, 1),
                "decode_8": _decode(lm, 8),
            }
        finally:
            lm.close()

    def count_tokens(self, model: str, chats: list[list[Any]]) -> list[int]:
        """Tokens of chats as the bundled model's prompts."""
        from memory_r1.lm.factory import make_lm

        lm = make_lm(model)
        try:
            return [lm.count_tokens(chat) for chat in chats]
        finally:
            lm.close()


def _decode(lm: LanguageModel, batch: int) -> float:
    """Tokens a second over a batch, the reading of the prompt taken off."""
    chats = [_prompt(f"Write a long story about {fact}") for fact in facts(500, batch)]
    began = time.perf_counter()
    lm.complete(chats, _sampling(1))
    middle = time.perf_counter()
    written = lm.complete(chats, _sampling(65))
    end = time.perf_counter()
    return (sum(c.completion_tokens for c in written) - batch) / ((end - middle) - (middle - began))


def _prompt(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def _sampling(max_tokens: int) -> Any:
    from memory_r1.lm.base import Sampling

    return Sampling(max_tokens=max_tokens)


def _cost(usage: Usage, seconds: float) -> dict[str, float]:
    return {
        "prompt": usage.prompt_tokens,
        "computed": usage.prompt_tokens - usage.cached_tokens,
        "calls": usage.calls,
        "seconds": seconds,
    }
