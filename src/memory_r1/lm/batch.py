"""Chats that are continued together, token by token: each leaves when it is done, and others may join at any token.

Imports torch: load it lazily.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from memory_r1.lm.kv import SlabCache
from memory_r1.lm.packed import PackedWeights
from memory_r1.lm.prefill import Prefiller, Row
from memory_r1.lm.rows import starts_of
from memory_r1.lm.sampling import choose, log_probability
from memory_r1.lm.stopping import StopRule

_SLACK = 64
"""Columns for chats that join a batch later, so that not each of them has all the others moved."""


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
    seconds: float = 0.0
    """Its part of the time that its batches took."""


@dataclass(slots=True, eq=False)
class Active:
    """A chat that is being continued."""

    row: Row
    limit: int
    """Most tokens to write."""
    rule: StopRule
    logprobs: bool
    source: torch.Generator | None
    """Where its random draws come from; None if it is decoded greedily."""
    result: Generated = field(default_factory=Generated)

    @property
    def length(self) -> int:
        """Tokens so far, prompt included."""
        return len(self.row.tokens) + len(self.result.token_ids)

    @property
    def most(self) -> int:
        """Tokens that it may come to, prompt included."""
        return len(self.row.tokens) + self.limit


class RunningBatch:
    """Chats on their way through the model, with one adapter and one temperature.

    Args:
        model: A transformers causal LM on its device, in evaluation mode.
        prefiller: Computes prompts.
        packed: The model's weights for few rows.
        detokenize: Text of token ids, special tokens left out.
        eos: Ids that end a completion.
        temperature: 0 takes the most likely token.
        top_p: See `Sampling`.
    """

    def __init__(
        self,
        model: Any,
        prefiller: Prefiller,
        packed: PackedWeights,
        *,
        detokenize: Callable[[Sequence[int]], str],
        eos: frozenset[int],
        temperature: float,
        top_p: float,
    ) -> None:
        self._model, self._prefiller, self._packed = model, prefiller, packed
        self._detokenize, self._eos = detokenize, eos
        self._temperature, self._top_p = temperature, top_p
        self._layers = int(model.config.get_text_config().num_hidden_layers)
        self.alive: list[Active] = []
        """Those that are not done, in the order of the slab's rows."""
        self._slab: SlabCache | None = None
        self._mask: torch.Tensor | None = None
        self._column = 0
        self._logits: torch.Tensor | None = None

    def tokens_with(self, more: Sequence[Active]) -> int:
        """Tokens that keys and values would be held for if these joined."""
        rows = [*self.alive, *more]
        if not rows:
            return 0
        return len(rows) * sum(_extent(rows))

    def join(self, adapter: str | None, more: Sequence[Active]) -> None:
        """Compute the prompts of further chats. All rows are right-aligned, so that all write the same column.

        Args:
            adapter: Name of the adapter that is switched on; keys the prefix cache.
            more: At least one, none of them begun.
        """
        began = time.perf_counter()
        slab, mask = self._with_room(more)
        for active in more:
            mask[active.row.slot, self._column - active.length :] = True
        self._prefiller.run(adapter, [active.row for active in more], slab, self._column)
        slab.fill(self._column)
        fresh = torch.stack([active.row.logits for active in more if active.row.logits is not None])
        self._logits = fresh if self._logits is None else torch.cat([self._logits, fresh])
        self.alive = [*self.alive, *more]
        for active in more:
            active.row.logits, active.result.cached = None, active.row.cached
        computed = [len(active.row.tokens) - active.row.cached for active in more]
        rate = (time.perf_counter() - began) / max(1, sum(computed))
        for active, tokens in zip(more, computed, strict=True):
            active.result.seconds += rate * tokens

    def _with_room(self, more: Sequence[Active]) -> tuple[SlabCache, torch.Tensor]:
        """Give further chats their rows: spare ones where they fit, else in a slab in which all are laid out anew."""
        slab, mask, rows = self._slab, self._mask, [*self.alive, *more]
        width, left = _extent(rows)
        if slab is not None and mask is not None:
            if len(more) <= slab.spare and width <= self._column and self._column + left <= slab.capacity:
                for active in more:
                    active.row.slot = slab.add()
                    mask[active.row.slot] = False
                return slab, mask
            # for those who will join later
            left += _SLACK
        fresh = SlabCache(self._layers, len(rows), width + left)
        marks = torch.zeros((len(rows), width + left), dtype=torch.bool, device=self._model.device)
        for slot, active in enumerate(rows):
            active.row.slot = slot
            if slot < len(self.alive) and slab is not None:
                fresh.write(slot, width - active.length, slab.read(slot, self._column - active.length, self._column))
                marks[slot, width - active.length :] = True
        self._slab, self._mask, self._column = fresh, marks, width
        return fresh, marks

    def step(self) -> list[Active]:
        """Give every chat its next token.

        Returns:
            Those that are done by it.
        """
        began, rows = time.perf_counter(), self.alive
        done = self._extend()
        if self.alive:
            self._forward()
        else:
            self._slab = self._mask = self._logits = None
        share = (time.perf_counter() - began) / len(rows)
        for active in rows:
            active.result.seconds += share
        return done

    def drop(self, gone: Callable[[Active], bool]) -> None:
        """Take chats out that nobody wants any more."""
        for index in reversed(range(len(self.alive))):
            if gone(self.alive[index]):
                self._remove(index)

    def _extend(self) -> list[Active]:
        assert self._logits is not None
        logits, rows = self._logits, list(self.alive)
        sources = [active.source for active in rows if active.source is not None]
        chosen = choose(logits, self._temperature, self._top_p, sources)
        wanted = any(active.logprobs for active in rows)
        logprobs = log_probability(logits, chosen).tolist() if wanted else [0.0] * len(rows)
        done = []
        # a copy: removing a row moves the last one into its place
        self.alive = list(rows)
        for index in reversed(range(len(rows))):
            active = rows[index]
            active.result.token_ids.append(int(chosen[index]))
            if active.logprobs:
                active.result.logprobs.append(logprobs[index])
            if self._ended(active):
                self._remove(index)
                done.append(active)
        return done[::-1]

    def _remove(self, index: int) -> None:
        assert self._slab is not None
        assert self._mask is not None
        assert self._logits is not None
        last = len(self.alive) - 1
        self._slab.drop(index)
        self._mask[index] = self._mask[last]
        self._logits[index] = self._logits[last]
        self._logits = self._logits[:last]
        self.alive[index] = self.alive[last]
        self.alive.pop()

    def _ended(self, active: Active) -> bool:
        result = active.result
        if result.token_ids[-1] in self._eos:
            result.text, result.finish = self._detokenize(result.token_ids[:-1]), "stop"
            return True
        full = len(result.token_ids) >= active.limit
        if not full and not active.rule.active:
            return False
        text = self._detokenize(result.token_ids)
        end = active.rule.end(text)
        if end is not None:
            result.text, result.finish = text[:end], "stop"
        elif full:
            result.text = text
        return full or end is not None

    def _forward(self) -> None:
        assert self._mask is not None
        device = self._model.device
        ids = torch.tensor([[active.result.token_ids[-1]] for active in self.alive], device=device)
        positions = torch.tensor([[active.length - 1] for active in self.alive], device=device)
        self._column += 1
        starts = starts_of(self._model, [active.length for active in self.alive], self._column)
        seen = (
            {"attention_mask": self._mask[: len(self.alive), : self._column]} if starts is None else {"starts": starts}
        )
        with self._packed.used(steps=1):
            output = self._model(
                input_ids=ids,
                **seen,
                position_ids=positions,
                past_key_values=self._slab,
                use_cache=True,
                logits_to_keep=1,
            )
        self._logits = output.logits[:, -1]


def _extent(rows: Sequence[Active]) -> tuple[int, int]:
    """Columns that right-aligned rows take, and those that they may still write."""
    return max(active.length for active in rows), max(active.most - active.length for active in rows)
