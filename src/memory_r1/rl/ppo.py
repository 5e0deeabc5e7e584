"""PPO: a critic says what each token was expected to bring; what it brought beyond that is learnt.

Beside the papers: Schulman et al. (arXiv 1707.06347) equations 7 and 9, GAE (arXiv 1506.02438) equation 16, Memory-R1
(arXiv 2508.19828) equation 2, and InstructGPT (arXiv 2203.02155) for the KL in the reward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from memory_r1.rl.advantages import gae, group_advantages, whiten
from memory_r1.rl.config import TrainConfig
from memory_r1.rl.episode import Rollout
from memory_r1.rl.grpo import add_reference
from memory_r1.rl.losses import average_tokens, clipped_policy_loss, value_loss
from memory_r1.rl.policy import Policy
from memory_r1.rl.samples import Batch, Sample, Share, make_batches, samples_of


class PPO:
    """Turns rollouts into samples with advantages and returns, and batches of these into gradients.

    A rollout of several steps is several samples: each ends with the reward of the whole.

    Args:
        policy: Who learns, with its critic.
        config: Clip, KL weight, gamma, lambda.
    """

    def __init__(self, policy: Policy, config: TrainConfig) -> None:
        self.policy, self.config = policy, config

    def prepare(self, rollouts: Sequence[Rollout]) -> tuple[list[Sample], dict[str, float]]:
        """Samples with values, returns, and advantages by GAE, whitened over the whole step."""
        config, samples = self.config, samples_of(rollouts)
        self._add_values(samples)
        if config.kl > 0:
            add_reference(self.policy, samples, config)
        rewards_B = torch.tensor([rollout.reward.total for rollout in rollouts])
        if config.baseline == "group":
            rewards_B = group_advantages(rewards_B, torch.tensor([one.group for one in rollouts]), scale="none")
        totals = [reward for reward, one in zip(rewards_B.tolist(), rollouts, strict=True) for _ in one.steps]
        for sample, total in zip(samples, totals, strict=True):
            rewards_C = torch.zeros(len(sample.completion))
            if config.kl > 0:
                rewards_C -= config.kl * (sample.columns["old"] - sample.columns["reference"])
            rewards_C[-1] += total
            advantages_C, returns_C = gae(rewards_C, sample.columns["value"], gamma=config.gamma, lam=config.lam)
            sample.columns["advantage"], sample.columns["return"] = advantages_C, returns_C
        values, returns = (torch.cat([sample.columns[name] for sample in samples]) for name in ("value", "return"))
        advantages = whiten(torch.cat([sample.columns["advantage"] for sample in samples]))
        sizes = [len(sample.completion) for sample in samples]
        for sample, advantages_C in zip(samples, torch.split(advantages, sizes), strict=True):
            sample.columns["advantage"] = advantages_C
        return samples, {"losses/explained_variance": explained_variance(values, returns)}

    def backward(self, batch: Batch, share: Share, length: int) -> dict[str, torch.Tensor]:
        """Add the gradients of a batch: of the clipped surrogate to the policy, of the value error to the critic.

        Args:
            batch: Some of the samples of an update.
            share: How much of the update's average this batch makes up.
            length: Longest completion, for the average `constant`.

        Returns:
            What to watch, means over the batch.
        """
        config = self.config
        logprobs_N, entropy_N = self.policy.score(batch.packed)
        policy_loss = clipped_policy_loss(
            logprobs_N,
            batch.column("old"),
            batch.column("advantage"),
            batch.packed.owners,
            clip=config.clip or None,
            clip_high=config.clip_high,
            average=config.average,
            length=length,
        )
        loss = policy_loss.loss
        if config.entropy > 0:
            loss = loss - config.entropy * average_tokens(entropy_N, batch.packed.owners, config.average, length)
        self.policy.backward(loss * share.of(config.average))

        values_N = self.policy.values(batch.packed)
        critic_loss = value_loss(
            values_N, batch.column("value"), batch.column("return"), clip=config.value_clip or None
        )
        self.policy.backward(critic_loss * share.tokens, "critic")

        watched = {
            "losses/policy_loss": policy_loss.loss.detach(),
            "losses/value_loss": critic_loss.detach(),
            "losses/approx_kl": policy_loss.approx_kl,
            "losses/clipfrac": policy_loss.clip_fraction,
            "losses/ratio": policy_loss.ratio,
            "losses/entropy": entropy_N.detach().mean(),
            "losses/loss": (loss + critic_loss).detach(),
        }
        if config.kl > 0:
            watched["losses/reference_kl"] = (batch.column("old") - batch.column("reference")).mean()
        return watched

    @torch.no_grad()
    def _add_values(self, samples: Sequence[Sample]) -> None:
        for batch in make_batches(samples, self.config.pack_tokens, self.policy.device):
            batch.keep("value", self.policy.values(batch.packed))


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> float:
    """How much of the returns' variance the critic foresees: 1 all, 0 none, below 0 worse than a constant.

    Example:
        >>> explained_variance(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
        1.0
    """
    variance = returns.var(correction=0)
    return 0.0 if variance == 0 else (1 - (returns - values).var(correction=0) / variance).item()
