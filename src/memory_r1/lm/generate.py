"""Batched generation on a loaded transformers model. Imports torch: load it lazily."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from memory_r1.lm.base import Sampling
from memory_r1.lm.kv import SlabCache
from memory_r1.lm.prefill import Prefiller, Row
from memory_r1.lm.prefix import PrefixCache, Tokens
from memory_r1.lm.sampling import choose, generators, log_probability
from memory_r1.lm.stopping import StopRule


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenised chat."""

    tokens: Tokens
    head: int = 0
    """Length of its instructions (the system message) in tokens, as a hint for prefix reuse; 0 if unknown."""
    max_tokens: int | None = None
    """Most tokens to write, if fewer than the sampling allows."""


@dataclass(slots=True)
class Generated:
    """What came after a prompt."""

    token_ids: list[int] = field(default_factory=list)
    """As sampled, the end-of-turn token included."""
    logprobs: list[float] = field(default_factory=list)
    """Empty unless asked for."""
    text: str = ""
    finish: Literal["stop", "length"] = "length"
    cached: int = 0


@dataclass(slots=True)
class _Active:
    """A row that is being decoded."""

    row: Row
    result: Generated
    limit: int
    source: torch.Generator | None


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
        self._batch_tokens = batch_tokens
        self._prefiller = Prefiller(model, prefixes, batch_tokens)
        self._layers = int(model.config.get_text_config().num_hidden_layers)

    @torch.inference_mode()
    def run(self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None) -> list[Generated]:
        """Answer each prompt, in order.

        Args:
            prompts: Each short enough to leave room for a token.
            sampling: How to decode.
            adapter: Name of the adapter that is switched on; keys the prefix cache.
        """
        sources: Sequence[torch.Generator | None] = [None] * len(prompts)
        if sampling.temperature > 0:
            sources = generators(len(prompts), sampling.seed)
        actives = [
            _Active(
                Row(prompt.tokens, prompt.head),
                Generated(),
                min(
                    prompt.max_tokens or sampling.max_tokens,
                    sampling.max_tokens,
                    self._context_length - len(prompt.tokens),
                ),
                source,
            )
            for prompt, source in zip(prompts, sources, strict=True)
        ]
        for batch in self._batches(actives):
            self._decode(batch, sampling, adapter)
        return [active.result for active in actives]

    def _batches(self, actives: Sequence[_Active]) -> Iterator[list[_Active]]:
        """Longest prompts first, so that a batch holds prompts of like length and the first one shows the peak."""
        batch: list[_Active] = []
        columns = 0
        for active in sorted(actives, key=lambda active: -len(active.row.tokens)):
            wanted = max(columns, len(active.row.tokens) + active.limit)
            if batch and (len(batch) + 1) * wanted > self._batch_tokens:
                yield batch
                batch, wanted = [], len(active.row.tokens) + active.limit
            batch.append(active)
            columns = wanted
        if batch:
            yield batch

    def _decode(self, batch: list[_Active], sampling: Sampling, adapter: str | None) -> None:
        width = max(len(active.row.tokens) for active in batch)
        capacity = width + max(active.limit for active in batch)
        slab = SlabCache(self._layers, len(batch), capacity)
        # rows are right-aligned, so that all of them write the same column
        mask = torch.zeros((len(batch), capacity), dtype=torch.bool, device=self._model.device)
        for slot, active in enumerate(batch):
            active.row.slot = slot
            mask[slot, width - len(active.row.tokens) :] = True
        self._prefiller.run(adapter, [active.row for active in batch], slab, width)
        slab.fill(width)
        logits = torch.stack([active.row.logits for active in batch if active.row.logits is not None])
        for active in batch:
            active.row.logits, active.result.cached = None, active.row.cached
        rule, alive = StopRule.of(sampling), list(batch)
        for column in range(width, capacity):
            alive = self._extend(alive, logits, sampling, rule, slab, mask)
            if not alive:
                return
            logits = self._step(alive, slab, mask[: len(alive), : column + 1])

    def _extend(
        self,
        alive: list[_Active],
        logits: torch.Tensor,
        sampling: Sampling,
        rule: StopRule,
        slab: SlabCache,
        mask: torch.Tensor,
    ) -> list[_Active]:
        """Give every row its next token and return the rows that go on, in the slab's order."""
        sources = [active.source for active in alive if active.source is not None]
        chosen = choose(logits, sampling.temperature, sampling.top_p, sources)
        logprobs = log_probability(logits, chosen).tolist() if sampling.logprobs else None
        for index, token in enumerate(chosen.tolist()):
            alive[index].result.token_ids.append(token)
            if logprobs is not None:
                alive[index].result.logprobs.append(logprobs[index])
        going = list(alive)
        # backwards, because dropping a row moves the last one into its place
        for index in reversed(range(len(alive))):
            if self._ended(alive[index], rule):
                slab.drop(index)
                mask[index] = mask[len(going) - 1]
                going[index] = going[-1]
                going.pop()
        return going

    def _ended(self, active: _Active, rule: StopRule) -> bool:
        result = active.result
        if result.token_ids[-1] in self._eos:
            result.text, result.finish = self._detokenize(result.token_ids[:-1]), "stop"
            return True
        full = len(result.token_ids) >= active.limit
        if not full and not rule.active:
            return False
        text = self._detokenize(result.token_ids)
        end = rule.end(text)
        if end is not None:
            result.text, result.finish = text[:end], "stop"
        elif full:
            result.text = text
        return full or end is not None

    def _step(self, alive: Sequence[_Active], slab: SlabCache, mask: torch.Tensor) -> torch.Tensor:
        device = self._model.device
        ids = torch.tensor([[active.result.token_ids[-1]] for active in alive], device=device)
        positions = torch.tensor(
            [[len(active.row.tokens) + len(active.result.token_ids) - 1] for active in alive], device=device
        )
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=slab,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits
