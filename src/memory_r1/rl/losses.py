"""The objectives, as functions of tensors.

Shape suffix: N completion tokens of a batch, one after another; `owners_N` says which completion a token belongs to.
Only completion tokens are here at all, so no mask is needed and none can be forgotten.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

Average = Literal["sequence", "token", "constant"]


class PolicyLoss(NamedTuple):
    """A policy's loss, and what to watch."""

    loss: torch.Tensor
    """Scalar to minimise."""
    ratio: torch.Tensor
    """Mean probability ratio of new to old policy."""
    clip_fraction: torch.Tensor
    """Share of tokens at which the clip was in force."""
    approx_kl: torch.Tensor
    """Estimated KL of the old policy from the new one, (ratio - 1) - log ratio (Schulman, 2020)."""


def clipped_policy_loss(
    logprobs_N: torch.Tensor,
    old_logprobs_N: torch.Tensor,
    advantages_N: torch.Tensor,
    owners_N: torch.Tensor,
    *,
    clip: float | None = 0.2,
    clip_high: float | None = None,
    average: Average = "sequence",
    length: int | None = None,
) -> PolicyLoss:
    """The clipped surrogate of PPO (arXiv 1707.06347, equation 7; Memory-R1, equation 2), shared by GRPO.

    -min(rho A, clip(rho, 1 - clip, 1 + clip_high) A), rho = exp(logprob - old logprob).

    Args:
        logprobs_N: Log-probability of each token now; carries the gradient.
        old_logprobs_N: The same when it was sampled.
        advantages_N: Advantage of each token.
        owners_N: Completion of each token, counted from 0.
        clip: Width of the trust region; None for no clipping, as Memory-R1 prints GRPO (equation 3).
        clip_high: Width above 1 where it differs, as DAPO's clip-higher (arXiv 2503.14476).
        average: How tokens are averaged, see `average_tokens`.
        length: Divisor for `average="constant"`.
    """
    log_ratio_N = logprobs_N - old_logprobs_N
    ratio_N = log_ratio_N.exp()
    objective_N = ratio_N * advantages_N
    clipped_N = torch.zeros_like(ratio_N, dtype=torch.bool)
    if clip is not None:
        bounded_N = ratio_N.clamp(1 - clip, 1 + (clip if clip_high is None else clip_high)) * advantages_N
        clipped_N = bounded_N < objective_N
        objective_N = torch.minimum(objective_N, bounded_N)
    with torch.no_grad():
        kl = (ratio_N - 1 - log_ratio_N).mean()
    return PolicyLoss(
        -average_tokens(objective_N, owners_N, average, length), ratio_N.detach().mean(), clipped_N.float().mean(), kl
    )


def kl_to_reference(logprobs_N: torch.Tensor, reference_N: torch.Tensor) -> torch.Tensor:
    """Unbiased, never negative estimate of KL(policy || reference) at each sampled token.

    k3 = exp(r) - r - 1 with r = reference - policy (DeepSeekMath, equation 4; Schulman, 2020).

    Example:
        >>> kl_to_reference(torch.tensor([-1.0]), torch.tensor([-1.0])).tolist()
        [0.0]
    """
    difference_N = reference_N - logprobs_N
    return difference_N.exp() - difference_N - 1


def value_loss(
    values_N: torch.Tensor, old_values_N: torch.Tensor, returns_N: torch.Tensor, *, clip: float | None = 0.2
) -> torch.Tensor:
    """The critic's squared error, half of it, clipped around its old values as in PPO's reference implementation.

    Args:
        values_N: The critic's values now; carries the gradient.
        old_values_N: The same when the tokens were sampled.
        returns_N: Targets, from `gae`.
        clip: How far a value may move before the error stops falling; None for the plain error.
    """
    error_N = (values_N - returns_N) ** 2
    if clip is not None:
        near_N = old_values_N + (values_N - old_values_N).clamp(-clip, clip)
        error_N = torch.maximum(error_N, (near_N - returns_N) ** 2)
    return 0.5 * error_N.mean()


def average_tokens(
    values_N: torch.Tensor, owners_N: torch.Tensor, average: Average, length: int | None = None
) -> torch.Tensor:
    """Average a quantity over tokens.

    Args:
        values_N: The quantity.
        owners_N: Completion of each token, counted from 0 without gaps.
        average: `sequence`: mean over each completion, then over completions (GRPO). `token`: mean over all tokens
            (DAPO). `constant`: sum over each completion divided by `length`, then mean over completions (Dr. GRPO), so
            that long wrong completions are not punished less for each token.
        length: The constant, usually the longest completion allowed.

    Raises:
        ValueError: `constant` without a length.

    Example:
        >>> average_tokens(torch.tensor([1.0, 3.0, 6.0]), torch.tensor([0, 0, 1]), "sequence").item()
        4.0
    """
    if average == "token":
        return values_N.mean()
    count = int(owners_N[-1]) + 1
    sums = values_N.new_zeros(count).index_add_(0, owners_N, values_N)
    if average == "constant":
        if length is None:
            raise ValueError("average='constant' needs a length.")
        return (sums / length).mean()
    return (sums / torch.bincount(owners_N, minlength=count)).mean()
