"""Batched generation on a loaded transformers model. Imports torch: load it lazily."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from memory_r1.lm.base import Sampling
from memory_r1.lm.batch import Active, Generated, RunningBatch
from memory_r1.lm.packed import PackedWeights
from memory_r1.lm.prefill import Prefiller, Row
from memory_r1.lm.prefix import PrefixCache, Tokens
from memory_r1.lm.sampling import generators
from memory_r1.lm.stopping import StopRule


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenised chat."""

    tokens: Tokens
    head: int = 0
    """Length of its instructions (the system message) in tokens, as a hint for prefix reuse; 0 if unknown."""
    max_tokens: int | None = None
    """Most tokens to write, if fewer than the sampling allows."""


class Generator:
    """Answers prompts in batches, bounded by tokens; a row that is done leaves its batch.

    Args:
        model: A transformers causal LM on its device, in evaluation mode.
        detokenize: Text of token ids, special tokens left out.
        eos: Ids that end a completion.
        context_length: Most tokens of prompt and completion together.
        prefixes: Prefix cache, shared between calls.
        batch_tokens: Most tokens, prompts and completions together, that a batch may hold keys and values for. A single
            prompt may exceed it.
    """

    def __init__(
        self,
        model: Any,
        *,
        detokenize: Callable[[Sequence[int]], str],
        eos: frozenset[int],
        context_length: int,
        prefixes: PrefixCache,
        batch_tokens: int,
    ) -> None:
        self._model = model
        self._detokenize = detokenize
        self._eos = eos
        self._context_length = context_length
        self.batch_tokens = batch_tokens
        """The limit given."""
        self.packed = PackedWeights(model)
        """The model's weights for few rows; whoever changes weights says so to it."""
        self._prefiller = Prefiller(model, prefixes, batch_tokens, self.packed)

    @torch.inference_mode()
    def run(self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None) -> list[Generated]:
        """Answer each prompt, in order.

        Args:
            prompts: Each short enough to leave room for a token.
            sampling: How to decode.
            adapter: Name of the adapter that is switched on; keys the prefix cache.
        """
        actives = self.begin(prompts, sampling)
        batch, waiting = self.batch(sampling), longest_first(actives)
        while waiting:
            joining = self.fitting(batch, waiting)
            batch.join(adapter, joining)
            waiting = waiting[len(joining) :]
            while batch.alive:
                batch.step()
        return [active.result for active in actives]

    def begin(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Active]:
        """The prompts as chats that a batch can take, in order."""
        sources: Sequence[torch.Generator | None] = [None] * len(prompts)
        if sampling.temperature > 0:
            sources = generators(len(prompts), sampling.seed)
        return [
            Active(
                Row(prompt.tokens, prompt.head),
                self._limit(prompt, sampling),
                StopRule.of(sampling),
                sampling.logprobs,
                source,
            )
            for prompt, source in zip(prompts, sources, strict=True)
        ]

    def batch(self, sampling: Sampling) -> RunningBatch:
        """An empty batch for what is decoded like this."""
        return RunningBatch(
            self._model,
            self._prefiller,
            self.packed,
            detokenize=self._detokenize,
            eos=self._eos,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
        )

    def fitting(self, batch: RunningBatch, waiting: Sequence[Active]) -> list[Active]:
        """How many of the first that wait fit into a batch; at least one if it is empty."""
        joining: list[Active] = []
        for active in waiting:
            if (batch.alive or joining) and batch.tokens_with([*joining, active]) > self.batch_tokens:
                break
            joining.append(active)
        return joining

    def _limit(self, prompt: Prompt, sampling: Sampling) -> int:
        room = self._context_length - len(prompt.tokens)
        return min(prompt.max_tokens or sampling.max_tokens, sampling.max_tokens, room)


def longest_first(actives: Sequence[Active]) -> list[Active]:
    """The order in which batches are filled: each has prompts of like length, and the first one shows the peak."""
    return sorted(actives, key=lambda active: -len(active.row.tokens))
