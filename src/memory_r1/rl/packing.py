"""Packs the completions of a group behind one copy of their prompt.

A group is one prompt of P tokens with G completions of C tokens. Unpacked it costs G(P + C) tokens, packed P + GC. The
packed sequence is `prompt, completion 0, completion 1, ...`; each completion's positions restart after the prompt, and
attention (see `attention.py`) lets a completion see the prompt and itself. Several groups stand one after another in
one sequence and do not see each other.

Shapes: T tokens in the packed sequence, N completion tokens in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Group:
    """One prompt and completions sampled for it, as token ids.

    Raises:
        ValueError: The prompt, the list of completions, or a completion is empty.
    """

    prompt: tuple[int, ...]
    completions: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.prompt or not self.completions or not all(self.completions):
            raise ValueError("A group needs a prompt and at least one completion, none of them empty.")

    @property
    def tokens(self) -> int:
        """Tokens this group takes when packed: P + sum of C."""
        return len(self.prompt) + sum(map(len, self.completions))


@dataclass(frozen=True, slots=True)
class Span:
    """Where one group lies in a packed sequence."""

    start: int
    prompt: int
    """P."""
    completions: tuple[int, ...]
    """C of each completion."""

    @property
    def end(self) -> int:
        """One past the last token."""
        return self.start + self.prompt + sum(self.completions)


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed sequence, ready for one forward pass."""

    input_ids: torch.Tensor
    """(1, T) token ids."""
    position_ids: torch.Tensor
    """(1, T) positions; a completion's start at P."""
    spans: tuple[Span, ...]
    predictors: torch.Tensor
    """(N,) the position in the packed sequence whose output predicts each completion token."""
    targets: torch.Tensor
    """(N,) the completion tokens, group after group, completion after completion."""
    completion: torch.Tensor
    """(N,) which completion a token belongs to, counted over all groups."""


def pack(groups: Sequence[Group], *, device: torch.device | str = "cpu") -> Packed:
    """Lay groups one after another into one sequence.

    Raises:
        ValueError: There is no group.
    """
    if not groups:
        raise ValueError("There is nothing to pack.")
    ids: list[int] = []
    positions: list[int] = []
    spans: list[Span] = []
    predictors: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    owner = 0
    for group in groups:
        start, width = len(ids), len(group.prompt)
        spans.append(Span(start, width, tuple(map(len, group.completions))))
        ids.extend(group.prompt)
        positions.extend(range(width))
        for completion in group.completions:
            here = len(ids)
            # the prompt's last token predicts the first token of every completion
            predictors.append(start + width - 1)
            predictors.extend(range(here, here + len(completion) - 1))
            ids.extend(completion)
            positions.extend(range(width, width + len(completion)))
            targets.extend(completion)
            owners.extend([owner] * len(completion))
            owner += 1

    def row(values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Packed(row(ids)[None], row(positions)[None], tuple(spans), row(predictors), row(targets), row(owners))


def batches(groups: Sequence[Group], max_tokens: int) -> list[list[int]]:
    """Divide groups into packs of at most `max_tokens` tokens, in order; a larger group stands alone.

    Returns:
        Indices into `groups`, one list a pack.

    Example:
        >>> batches([Group((1, 2), ((3,),)), Group((1,), ((2,),)), Group((1, 2, 3), ((4,),))], 5)
        [[0, 1], [2]]
    """
    packs: list[list[int]] = []
    room = 0
    for index, group in enumerate(groups):
        if not packs or group.tokens > room:
            packs.append([])
            room = max_tokens
        packs[-1].append(index)
        room -= group.tokens
    return packs
