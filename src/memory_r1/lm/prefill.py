"""Runs prompts through the model once: shared beginnings once for all, the rest in batches of like length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from memory_r1.lm.kv import LayerKV, SlabCache, cut_kv
from memory_r1.lm.packed import PackedWeights
from memory_r1.lm.prefix import PrefixCache, Tokens, common_prefix
from memory_r1.lm.products import quick_products

# tokens that some rows must share beyond the rest to get a pass of their own; a shorter one saves too little
_WORTHWHILE = 64
MAX_WASTE = 0.25
"""Largest share of a prefill batch that may be padding."""


@dataclass(slots=True)
class Row:
    """One prompt on its way through the model."""

    tokens: Tokens
    head: int
    """Length of the instructions (the system message) within `tokens`; 0 if there are none."""
    slot: int = 0
    """Its row in the batch's slab."""
    cached: int = 0
    """Prompt tokens that were not computed for this row."""
    logits: torch.Tensor | None = field(default=None, repr=False)
    """Of the token after the prompt, shape (vocabulary,)."""


class Prefiller:
    """Computes the keys and values of prompts, with the help of a `PrefixCache`.

    Args:
        model: A transformers causal LM.
        prefixes: What is known from earlier calls; new beginnings are added to it.
        batch_tokens: Most tokens, prefix included, of one forward pass over several prompts.
        packed: The model's weights for few rows, no worse for many.
    """

    def __init__(self, model: Any, prefixes: PrefixCache, batch_tokens: int, packed: PackedWeights) -> None:
        self._model, self._packed = model, packed
        self._prefixes = prefixes
        self._batch_tokens = batch_tokens
        self._layers = int(model.config.get_text_config().num_hidden_layers)

    def run(self, adapter: str | None, rows: Sequence[Row], slab: SlabCache, width: int) -> None:
        """Fill the slab with the rows' keys and values, right-aligned at column `width`, and set their logits."""
        twins: dict[Tokens, list[Row]] = defaultdict(list)
        for row in rows:
            twins[row.tokens].append(row)
        for family in _families([same[0] for same in twins.values()], self._prefixes.min_tokens):
            prefix, known = self._shared(adapter, family)
            for batch in _batches(family, known, self._batch_tokens):
                self._forward(batch, prefix, known, slab, width)
            if len(family) == 1:
                self._keep_beginning(adapter, family[0], known, slab, width)
        for first, *others in twins.values():
            start = width - len(first.tokens)
            for row in others:
                slab.write(row.slot, start, slab.read(first.slot, start, width))
                row.logits, row.cached = first.logits, len(first.tokens)

    def _shared(self, adapter: str | None, family: Sequence[Row]) -> tuple[list[LayerKV], int]:
        """Keys and values of what the family shares, computed as far as they are not known, and their length."""
        first = family[0]
        limit = min(len(row.tokens) for row in family) - 1
        if len(family) > 1:
            limit = min(limit, common_prefix([row.tokens for row in family]))
        prefix, known = self._prefixes.find(adapter, first.tokens, limit)
        kv = cut_kv(prefix.kv, known) if prefix else []
        for row in family:
            row.cached = known
        if len(family) > 1 and limit - known >= self._prefixes.min_tokens:
            cache = self._start([kv], known, limit)
            self._call(torch.tensor([first.tokens[known:limit]]), known, cache, torch.tensor([limit - known - 1]))
            kv, known = cache.read(0, 0, limit), limit
            self._prefixes.keep(adapter, first.tokens[:limit], kv)
            for row in family[1:]:
                row.cached = limit
        return kv, known

    def _forward(self, rows: Sequence[Row], prefix: list[LayerKV], known: int, slab: SlabCache, width: int) -> None:
        """Compute what follows the prefix. Padding is on the right, where a causal model does not see it."""
        lengths = [len(row.tokens) - known for row in rows]
        longest = max(lengths)
        cache = self._start([prefix] * len(rows), known, known + longest)
        ids = torch.zeros((len(rows), longest), dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : lengths[index]] = torch.tensor(row.tokens[known:])
        ends = sorted({length - 1 for length in lengths})
        logits = self._call(ids, known, cache, torch.tensor(ends))
        for index, row in enumerate(rows):
            row.logits = logits[index, ends.index(lengths[index] - 1)]
            slab.write(row.slot, width - len(row.tokens), cache.read(index, 0, len(row.tokens)))

    def _keep_beginning(self, adapter: str | None, row: Row, known: int, slab: SlabCache, width: int) -> None:
        """Keep what this prompt shares with an earlier one, or else its instructions."""
        shared = min(max(self._prefixes.learn(adapter, row.tokens), row.head), len(row.tokens) - 1)
        if shared - known >= self._prefixes.min_tokens:
            start = width - len(row.tokens)
            self._prefixes.keep(adapter, row.tokens[:shared], slab.read(row.slot, start, start + shared))

    def _start(self, prefixes: Sequence[list[LayerKV]], known: int, capacity: int) -> SlabCache:
        cache = SlabCache(self._layers, len(prefixes), capacity)
        if known:
            for index, prefix in enumerate(prefixes):
                cache.write(index, 0, prefix)
            cache.fill(known)
        return cache

    def _call(self, ids: torch.Tensor, start: int, cache: SlabCache, keep: torch.Tensor) -> torch.Tensor:
        device = self._model.device
        positions = torch.arange(start, start + ids.shape[1], device=device)[None].expand(ids.shape[0], -1)
        quick = self._packed.used() if self._packed.ready else quick_products(ids.numel(), device)
        with quick:
            output = self._model(
                input_ids=ids.to(device),
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=keep.to(device),
            )
        logits: torch.Tensor = output.logits
        return logits


def _families(rows: Sequence[Row], min_tokens: int) -> list[list[Row]]:
    """Rows grouped by their instructions or, without any, by their first tokens; and within, by what else they share.

    What a part of them shares beyond the instructions (questions about the same memories) is worth a pass of its own if
    it is as long as `_WORTHWHILE`.
    """
    alike: dict[Tokens, list[Row]] = defaultdict(list)
    for row in rows:
        alike[row.tokens[: max(row.head, min_tokens)]].append(row)
    families: list[list[Row]] = []
    for group in alike.values():
        ordered = sorted(group, key=lambda row: row.tokens)
        least = common_prefix([row.tokens for row in ordered]) + _WORTHWHILE
        runs = [[ordered[0]]]
        for row in ordered[1:]:
            if common_prefix((runs[-1][-1].tokens, row.tokens)) >= least:
                runs[-1].append(row)
            else:
                runs.append([row])
        families += [run for run in runs if len(run) > 1]
        rest = [row for run in runs if len(run) == 1 for row in run]
        families += [rest] if rest else []
    return families


def _batches(rows: Sequence[Row], known: int, batch_tokens: int) -> Iterator[list[Row]]:
    """Rows of like length, together within the token limit."""
    batch: list[Row] = []
    total = 0
    for row in sorted(rows, key=lambda row: -len(row.tokens)):
        longest = len((batch or [row])[0].tokens)
        count, wanted = len(batch) + 1, total + len(row.tokens) - known
        padding = 1 - wanted / (count * (longest - known))
        if batch and (count * longest > batch_tokens or padding > MAX_WASTE):
            yield batch
            batch, wanted = [], len(row.tokens) - known
        batch.append(row)
        total = wanted
    yield batch
