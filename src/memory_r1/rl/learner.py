"""Takes optimiser updates on samples: packs, gradients summed over packs, clipping, learning rates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from memory_r1.errors import TrainingError
from memory_r1.rl.config import TrainConfig
from memory_r1.rl.policy import Policy
from memory_r1.rl.samples import Batch, Sample, Share, make_batches, split


class Objective(Protocol):
    """What an algorithm is to the learner."""

    def backward(self, batch: Batch, share: Share, length: int) -> dict[str, torch.Tensor]:
        """Add a batch's gradient and tell what to watch."""
        ...


class NotFinite(TrainingError):
    """A loss or gradient is not a number."""

    def __init__(self, what: str, samples: Sequence[Sample]) -> None:
        super().__init__(f"The {what} is not finite.", hint="Lower the learning rate, or train in float32.")
        self.samples = tuple(samples)
        """The batch it happened in."""


class Learner:
    """An AdamW optimiser over what of a policy is trained.

    Args:
        policy: Who learns.
        objective: The algorithm.
        config: Learning rates, passes, minibatches.
    """

    def __init__(self, policy: Policy, objective: Objective, config: TrainConfig) -> None:
        self._policy, self._objective, self._config = policy, objective, config
        groups: list[dict[str, Any]] = [{"params": policy.parameters("policy"), "lr": config.lr, "base": config.lr}]
        if config.algorithm == "ppo":
            groups.append({"params": policy.parameters("critic"), "lr": config.critic_lr, "base": config.critic_lr})
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)

    def learn(self, samples: Sequence[Sample], step: int) -> dict[str, float]:
        """Take the updates of one step.

        Args:
            samples: What the algorithm made of the step's rollouts; may be empty.
            step: Counted from 0; sets the learning rates and the order of minibatches.

        Returns:
            Means over all updates, by metric name.

        Raises:
            NotFinite: A loss or gradient is not a number; the weights are as before that update.
        """
        if not samples:
            return {}
        factor = rate_factor(step, self._config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor
        watched: dict[str, list[float]] = defaultdict(list)
        for epoch in range(self._config.epochs):
            seed = (self._config.seed * 1_000_003 + step) * 101 + epoch
            for part in split(samples, self._config.minibatches, seed):
                for name, value in self._update(part).items():
                    watched[name].append(value)
        means = {name: sum(values) / len(values) for name, values in watched.items()}
        return {**means, "charts/learning_rate": self.optimizer.param_groups[0]["lr"]}

    def _update(self, samples: Sequence[Sample]) -> dict[str, float]:
        self.optimizer.zero_grad(set_to_none=True)
        length = max(len(sample.completion) for sample in samples)
        watched: dict[str, float] = defaultdict(float)
        for batch in make_batches(samples, self._config.pack_tokens, self._policy.device):
            share = batch.share(samples)
            found = self._objective.backward(batch, share, length)
            if not torch.isfinite(found["losses/loss"]):
                raise NotFinite("loss", batch.samples)
            for name, value in found.items():
                watched[name] += value.item() * share.tokens
        norms = [
            torch.nn.utils.clip_grad_norm_(group["params"], self._config.max_grad_norm)
            for group in self.optimizer.param_groups
        ]
        if not all(torch.isfinite(norm) for norm in norms):
            raise NotFinite("gradient", samples)
        self.optimizer.step()
        self._policy.updated()
        return {**watched, "losses/grad_norm": norms[0].item()}


def rate_factor(step: int, config: TrainConfig) -> float:
    """What the learning rates are multiplied by at a step, counted from 0.

    Example:
        >>> from memory_r1.rl.config import TrainConfig
        >>> [rate_factor(step, TrainConfig(steps=4, warmup=2, schedule="linear")) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    if config.schedule == "linear":
        return 1 - done
    return 0.5 * (1 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1.0
