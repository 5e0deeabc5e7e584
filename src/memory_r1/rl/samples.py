"""From rollouts to packed batches: what each completion has to carry so that an algorithm can learn from it.

Shapes: C tokens of one completion, N completion tokens of a packed batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from memory_r1.rl.episode import Rollout
from memory_r1.rl.losses import Average
from memory_r1.rl.packing import Packed, batches, group, pack, share_beginning

Tokens = tuple[int, ...]


@dataclass(slots=True)
class Sample:
    """A prompt and one completion of it, with what is known of each of the completion's tokens."""

    prompt: Tokens
    completion: Tokens
    columns: dict[str, torch.Tensor] = field(default_factory=dict)
    """Each (C,), by name: `old` log-probabilities, `advantage`, `reference`, `value`, `return`."""


class Share(NamedTuple):
    """How much of an update a batch makes up, so that batches add up to the update's average."""

    sequences: float
    tokens: float

    def of(self, average: Average) -> float:
        """The share that goes with a way of averaging."""
        return self.tokens if average == "token" else self.sequences


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one forward pass."""

    packed: Packed
    samples: tuple[Sample, ...]
    """In the order of `packed.owners`."""

    def share(self, of: Sequence[Sample]) -> Share:
        """How much of an update's samples these are."""
        total = sum(len(sample.completion) for sample in of)
        return Share(len(self.samples) / len(of), len(self.packed.targets) / total)

    def column(self, name: str) -> torch.Tensor:
        """(N,) what the samples carry under a name."""
        return torch.cat([sample.columns[name] for sample in self.samples]).to(self.packed.targets.device)

    def keep(self, name: str, values_N: torch.Tensor) -> None:
        """Give each sample its part of a tensor."""
        sizes = [len(sample.completion) for sample in self.samples]
        for sample, values_C in zip(self.samples, torch.split(values_N.detach().cpu(), sizes), strict=True):
            sample.columns[name] = values_C


def samples_of(rollouts: Sequence[Rollout], advantages: Sequence[float] | None = None) -> list[Sample]:
    """A sample for every step of every rollout.

    Args:
        rollouts: What was sampled.
        advantages: One for each rollout; every token of every step of it gets the same.
    """
    found = []
    for index, rollout in enumerate(rollouts):
        for step in rollout.steps:
            sample = Sample(step.prompt, step.completion, {"old": torch.tensor(step.logprobs)})
            if advantages is not None:
                sample.columns["advantage"] = torch.full((len(step.completion),), advantages[index])
            found.append(sample)
    return found


def make_batches(samples: Sequence[Sample], max_tokens: int, device: torch.device | str = "cpu") -> Iterator[Batch]:
    """Pack samples: completions behind one copy of their prompt, prompts behind one copy of their instructions.

    Args:
        samples: In any order; those of one prompt come together.
        max_tokens: Most tokens of a batch; a prompt whose completions exceed it stands alone.
        device: Where the batches go.
    """
    by_prompt: dict[Tokens, list[Sample]] = {}
    for sample in samples:
        by_prompt.setdefault(sample.prompt, []).append(sample)
    families = list(by_prompt.values())
    trees = [group(family[0].prompt, [sample.completion for sample in family]) for family in families]
    for indices in batches(trees, max_tokens):
        packed = pack(share_beginning([trees[index] for index in indices]), device=device)
        yield Batch(packed, tuple(sample for index in indices for sample in families[index]))


def split(samples: Sequence[Sample], parts: int, seed: int) -> list[list[Sample]]:
    """Divide samples into parts of like size, by whole prompts chosen at random.

    Within a part the order stays, so that neighbours whose prompts begin alike still share that beginning.
    """
    by_prompt: dict[Tokens, list[Sample]] = {}
    for sample in samples:
        by_prompt.setdefault(sample.prompt, []).append(sample)
    families = list(by_prompt.values())
    order = torch.randperm(len(families), generator=torch.Generator().manual_seed(seed)).tolist()
    chunks = [sorted(order[part::parts]) for part in range(parts)]
    return [[sample for index in chunk for sample in families[index]] for chunk in chunks if chunk]
