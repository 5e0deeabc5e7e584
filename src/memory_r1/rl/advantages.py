"""How much better a completion was than expected: by its group (GRPO), or by a critic (PPO).

Shape suffixes: B rollouts, C tokens of one completion.
"""

from __future__ import annotations

from typing import Literal

import torch


def group_advantages(
    rewards_B: torch.Tensor, groups_B: torch.Tensor, *, scale: Literal["std", "none"] = "std", eps: float = 1e-6
) -> torch.Tensor:
    """Advantage of each rollout over the others of its group.

    A_i = (r_i - mean(r)) / (std(r) + eps), with the population's standard deviation, as DeepSeekMath's GRPO
    (arXiv 2402.03300, section 4.1.2) and Memory-R1 (equation 3). `scale="none"` leaves the division out, as Dr. GRPO
    (arXiv 2503.20783), which does not favour questions that are nearly always or nearly never solved.

    Args:
        rewards_B: Total reward of each rollout.
        groups_B: Group of each rollout, any integers.
        scale: Whether to divide by the group's standard deviation.
        eps: Keeps a group without variance finite (its advantages are zero).

    Returns:
        (B,) advantages; they sum to zero in each group.

    Example:
        >>> group_advantages(torch.tensor([1.0, 0.0, 5.0]), torch.tensor([0, 0, 1]), scale="none").tolist()
        [0.5, -0.5, 0.0]
    """
    _, place_B = torch.unique(groups_B, return_inverse=True)
    count = torch.bincount(place_B).to(rewards_B.dtype)
    mean = torch.zeros_like(count).index_add_(0, place_B, rewards_B) / count
    centred_B = rewards_B - mean[place_B]
    if scale == "none":
        return centred_B
    variance = torch.zeros_like(count).index_add_(0, place_B, centred_B**2) / count
    return centred_B / (variance.sqrt()[place_B] + eps)


def gae(
    rewards_C: torch.Tensor, values_C: torch.Tensor, *, gamma: float = 1.0, lam: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalised advantage estimation over the tokens of one completion (arXiv 1506.02438, equation 16).

    A_t = sum_l (gamma lam)^l delta_(t+l), delta_t = r_t + gamma V_(t+1) - V_t, with V = 0 after the last token.

    Args:
        rewards_C: Reward at each token; an outcome reward stands at the last one.
        values_C: The critic's value before each token.
        gamma: Discount; 1 because a completion is short and only its end is rewarded.
        lam: Trade of bias against variance; 1 is the Monte Carlo return. With less, a reward at the end counts
            lam^(C - 1 - t) at token t before the critic has learnt: whitened, that pushes the first tokens down.

    Returns:
        Advantages and returns (the critic's targets), each (C,).

    Example:
        >>> advantages, returns = gae(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5]), lam=1.0)
        >>> advantages.tolist(), returns.tolist()
        ([0.5, 0.5], [1.0, 1.0])
    """
    advantages_C = torch.zeros_like(values_C)
    running = values_C.new_zeros(())
    following = values_C.new_zeros(())
    for step in range(len(values_C) - 1, -1, -1):
        delta = rewards_C[step] + gamma * following - values_C[step]
        running = delta + gamma * lam * running
        advantages_C[step] = running
        following = values_C[step]
    return advantages_C, advantages_C + values_C


def whiten(advantages: torch.Tensor, eps: float = 1e-8) -> torch.Tensor:
    """Shift and scale to mean 0 and standard deviation 1 over the batch, as PPO implementations do.

    Example:
        >>> whiten(torch.tensor([1.0, 3.0])).tolist()
        [-1.0, 1.0]
    """
    centred = advantages - advantages.mean()
    return centred / (advantages.std(correction=0) + eps)
