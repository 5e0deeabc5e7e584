"""GRPO: a completion is as good as it is better than the others of its group. No critic.

Beside the papers: Memory-R1 (arXiv 2508.19828) equation 3, DeepSeekMath (arXiv 2402.03300) equations 3 and 4,
Dr. GRPO (arXiv 2503.20783), DAPO (arXiv 2503.14476).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from memory_r1.rl.advantages import group_advantages
from memory_r1.rl.config import TrainConfig
from memory_r1.rl.episode import Rollout
from memory_r1.rl.losses import average_tokens, clipped_policy_loss, kl_to_reference
from memory_r1.rl.policy import Policy
from memory_r1.rl.samples import Batch, Sample, Share, make_batches, samples_of


class GRPO:
    """Turns rollouts into samples with advantages, and batches of these into gradients.

    Args:
        policy: Who learns.
        config: Clip, KL weight, and Dr. GRPO's and DAPO's options.
    """

    def __init__(self, policy: Policy, config: TrainConfig) -> None:
        self.policy, self.config = policy, config

    def prepare(self, rollouts: Sequence[Rollout]) -> tuple[list[Sample], dict[str, float]]:
        """Samples with A_i = (r_i - mean r) / std r on every token, and the reference's log-probabilities."""
        rewards = torch.tensor([rollout.reward.total for rollout in rollouts])
        groups = torch.tensor([rollout.group for rollout in rollouts])
        advantages = group_advantages(rewards, groups, scale=self.config.scale)
        samples = samples_of(rollouts, advantages.tolist())
        if self.config.kl > 0:
            add_reference(self.policy, samples, self.config)
        return samples, {"losses/advantage_abs": advantages.abs().mean().item()}

    def backward(self, batch: Batch, share: Share, length: int) -> dict[str, torch.Tensor]:
        """Add the gradient of a batch.

        J = E[ 1/G sum_i rho_i A_i ] - beta KL(policy || reference), with the clipped rho A in place of rho A if a clip
        is set.

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
        watched = {
            "losses/policy_loss": policy_loss.loss.detach(),
            "losses/approx_kl": policy_loss.approx_kl,
            "losses/clipfrac": policy_loss.clip_fraction,
            "losses/ratio": policy_loss.ratio,
            "losses/entropy": entropy_N.detach().mean(),
        }
        if config.kl > 0:
            kl_N = kl_to_reference(logprobs_N, batch.column("reference"))
            loss = loss + config.kl * average_tokens(kl_N, batch.packed.owners, config.average, length)
            watched["losses/reference_kl"] = kl_N.detach().mean()
        if config.entropy > 0:
            loss = loss - config.entropy * average_tokens(entropy_N, batch.packed.owners, config.average, length)
        self.policy.backward(loss * share.of(config.average))
        return {**watched, "losses/loss": loss.detach()}


@torch.no_grad()
def add_reference(policy: Policy, samples: Sequence[Sample], config: TrainConfig) -> None:
    """Give samples the reference's log-probabilities."""
    for batch in make_batches(samples, config.pack_tokens, policy.device):
        batch.keep("reference", policy.score(batch.packed, "reference")[0])
