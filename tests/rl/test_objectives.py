"""Advantages and losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.rl.advantages import gae, group_advantages, whiten
from memory_r1.rl.config import make_config
from memory_r1.rl.losses import average_tokens, clipped_policy_loss, kl_to_reference, value_loss


def test_group_advantages_by_hand() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.0, 2.0, 2.0])
    groups = torch.tensor([7, 7, 7, 7, 3, 3])
    # mean 1/4, population standard deviation sqrt(3)/4
    root = math.sqrt(3)
    expected = torch.tensor([root, -1 / root, -1 / root, -1 / root, 0.0, 0.0])
    assert torch.allclose(group_advantages(rewards, groups), expected, atol=1e-4)


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 3)), min_size=1, max_size=20), st.sampled_from(["std", "none"])
)
def test_advantages_of_a_group_sum_to_zero(rows: list[tuple[float, int]], scale: str) -> None:
    rewards = torch.tensor([row[0] for row in rows], dtype=torch.float64)
    groups = torch.tensor([row[1] for row in rows])
    advantages = group_advantages(rewards, groups, scale=scale)
    for group in set(groups.tolist()):
        assert abs(advantages[groups == group].sum().item()) < 1e-6


def test_gae_by_hand() -> None:
    rewards, values = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.2, 0.4, 0.6])
    # deltas 0.9*0.4-0.2 = 0.16, 0.9*0.6-0.4 = 0.14, 1-0.6 = 0.4; decay 0.9*0.5 = 0.45
    third = 0.4
    second = 0.14 + 0.45 * third
    first = 0.16 + 0.45 * second
    advantages, returns = gae(rewards, values, gamma=0.9, lam=0.5)
    assert torch.allclose(advantages, torch.tensor([first, second, third]))
    assert torch.allclose(returns, advantages + values)


def test_a_critic_that_knows_nothing_sets_no_token_back_for_its_place() -> None:
    lam = make_config(algorithm="ppo").lam
    good, bad = (gae(torch.tensor([0.0, 0.0, reward]), torch.zeros(3), lam=lam)[0] for reward in (1.0, 0.2))
    whitened = whiten(torch.cat([good, bad]))
    assert torch.allclose(whitened, torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]))


def test_whitened_advantages_have_mean_zero_and_unit_variance() -> None:
    whitened = whiten(torch.tensor([1.0, 2.0, 6.0]))
    assert whitened.mean().item() == pytest.approx(0, abs=1e-6)
    assert whitened.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_the_clip_stops_the_gradient_only_where_it_would_move_further_away() -> None:
    old = torch.zeros(4)
    new = torch.log(torch.tensor([1.5, 1.5, 0.5, 0.5])).requires_grad_()
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    result = clipped_policy_loss(new, old, advantages, torch.zeros(4, dtype=torch.long), clip=0.2, average="token")
    # objectives: min(1.5, 1.2), min(-1.5, -1.2), min(0.5, 0.8), min(-0.5, -0.8)
    assert result.loss.item() == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8) / 4)
    assert result.clip_fraction.item() == 0.5
    (gradient,) = torch.autograd.grad(result.loss, new)
    assert (gradient == 0).tolist() == [True, False, False, True]


def test_clip_higher_widens_the_upper_side_alone() -> None:
    new, old = torch.log(torch.tensor([1.25, 0.75])), torch.zeros(2)
    arguments = (new, old, torch.tensor([1.0, -1.0]), torch.zeros(2, dtype=torch.long))
    assert clipped_policy_loss(*arguments, clip=0.2, average="token").clip_fraction.item() == 1.0
    assert clipped_policy_loss(*arguments, clip=0.2, clip_high=0.28, average="token").clip_fraction.item() == 0.5
    assert clipped_policy_loss(*arguments, clip=None, average="token").clip_fraction.item() == 0.0


@given(st.lists(st.tuples(st.floats(-8, 0), st.floats(-8, 0)), min_size=1, max_size=10))
def test_kl_estimate_is_never_negative(pairs: list[tuple[float, float]]) -> None:
    policy, reference = torch.tensor(pairs).T
    assert (kl_to_reference(policy, reference) >= -1e-6).all()


def test_the_critics_loss_by_hand() -> None:
    values, old, returns = torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([2.0])
    assert value_loss(values, old, returns, clip=None).item() == pytest.approx(0.5)
    # clipped to 0.2, error 1.8: the larger one counts
    assert value_loss(values, old, returns, clip=0.2).item() == pytest.approx(0.5 * 1.8**2)


def test_averages_weigh_tokens_as_they_say() -> None:
    values, owners = torch.tensor([1.0, 3.0, 6.0]), torch.tensor([0, 0, 1])
    assert average_tokens(values, owners, "sequence").item() == pytest.approx((2 + 6) / 2)
    assert average_tokens(values, owners, "token").item() == pytest.approx(10 / 3)
    assert average_tokens(values, owners, "constant", 4).item() == pytest.approx((1.0 + 1.5) / 2)
    with pytest.raises(ValueError, match="needs a length"):
        average_tokens(values, owners, "constant")
