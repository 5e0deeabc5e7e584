"""What the engine computes on packed batches is what the plain computation on single sequences gives."""

from __future__ import annotations

import pytest
import torch

from memory_r1.rl.advantages import gae, group_advantages, whiten
from memory_r1.rl.config import make_config
from memory_r1.rl.grpo import GRPO
from memory_r1.rl.policy import Policy
from memory_r1.rl.ppo import PPO
from memory_r1.rl.sampler import play
from memory_r1.rl.samples import make_batches


def shake(policy):
    """Moves the adapters off their start, so that policy, reference and critic differ."""
    torch.manual_seed(3)
    with torch.no_grad():
        for role in ("policy", "critic") if policy.config.algorithm == "ppo" else ("policy",):
            for weight in policy.parameters(role):
                weight.add_(0.1 * torch.randn_like(weight))
    policy.updated()


def forward(policy, role, prompt, completion):
    """Log-probabilities and last hidden states of one sequence by a plain forward pass."""
    with policy._playing(role) as model:
        output = model(input_ids=torch.tensor([prompt + completion]), output_hidden_states=True)
    logits = output.logits[0, len(prompt) - 1 : -1]
    logprobs = logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]
    return logprobs, output.hidden_states[-1][0, len(prompt) - 1 : -1]


def gradient(policy, roles=("policy",)):
    grads = [weight.grad for role in roles for weight in policy.parameters(role)]
    assert all(grad is not None for grad in grads)
    return torch.cat([grad.flatten() for grad in grads])


def rollouts_of(policy, tasks, completions=3):
    played = play(policy, tasks, completions=completions, temperature=1.0, seed=5)
    # rewards of our own, so that every group teaches
    for number, rollout in enumerate(played):
        object.__setattr__(rollout.reward, "total", float(number * number % 7) / 7)
    return played


def plain_policy_loss(logprobs, old, advantage, clip):
    ratio = (logprobs - old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


@pytest.mark.parametrize("pack_tokens", [1, 150, 10_000])
@pytest.mark.parametrize("average", ["sequence", "token", "constant"])
def test_grpo_gradient_equals_the_unpacked_one(tiny_model, toy_tasks, pack_tokens, average):
    config = make_config("tiny", model=tiny_model, pack_tokens=pack_tokens, average=average, kl=0.1)
    policy = Policy(config)
    played = rollouts_of(policy, toy_tasks[:3])
    shake(policy)
    algorithm = GRPO(policy, config)
    samples, _ = algorithm.prepare(played)
    length = max(len(sample.completion) for sample in samples)
    for batch in make_batches(samples, pack_tokens):
        algorithm.backward(batch, batch.share(samples), length)
    ours = gradient(policy)

    for weight in policy.parameters("policy"):
        weight.grad = None
    rewards = torch.tensor([rollout.reward.total for rollout in played])
    advantages = group_advantages(rewards, torch.tensor([rollout.group for rollout in played]))
    tokens = sum(len(rollout.steps[0].completion) for rollout in played)
    for rollout, advantage in zip(played, advantages, strict=True):
        [step] = rollout.steps
        with torch.no_grad():
            reference = forward(policy, "reference", step.prompt, step.completion)[0]
        logprobs = forward(policy, "policy", step.prompt, step.completion)[0]
        difference = reference - logprobs
        kl = difference.exp() - difference - 1
        loss = plain_policy_loss(logprobs, torch.tensor(step.logprobs), advantage, 0.2) + 0.1 * kl
        divisor = {
            "sequence": len(played) * len(step.completion),
            "token": tokens,
            "constant": len(played) * length,
        }
        (loss.sum() / divisor[average]).backward()
    theirs = gradient(policy)
    assert (ours - theirs).norm() <= 1e-4 * theirs.norm()
    assert theirs.norm() > 1e-3


@pytest.mark.parametrize(("baseline", "differ"), [("none", True), ("group", False)])
def test_a_hard_prompt_is_no_fault_of_its_completions_where_groups_are_the_baseline(
    tiny_model, toy_tasks, baseline, differ
):
    config = make_config("tiny", algorithm="ppo", model=tiny_model, baseline=baseline)
    policy = Policy(config)
    played = play(policy, toy_tasks[:2], completions=2, temperature=1.0, seed=5)
    for number, rollout in enumerate(played):
        object.__setattr__(rollout.reward, "total", (0.0, 0.2, 5.0, 5.2)[number])
    samples, _ = PPO(policy, config).prepare(played)
    worse, better, *others = [sample.columns["advantage"].mean().item() for sample in samples]
    assert worse < better
    assert (others[0] - worse > 5 * (better - worse)) == differ


@pytest.mark.parametrize("pack_tokens", [1, 10_000])
def test_ppo_gradients_equal_the_unpacked_ones(tiny_model, toy_tasks, pack_tokens):
    config = make_config("tiny", algorithm="ppo", model=tiny_model, pack_tokens=pack_tokens, kl=0.1, lam=0.9)
    policy = Policy(config)
    shake(policy)
    played = rollouts_of(policy, toy_tasks[:3])
    shake(policy)
    algorithm = PPO(policy, config)
    samples, _ = algorithm.prepare(played)
    for batch in make_batches(samples, pack_tokens):
        algorithm.backward(batch, batch.share(samples), 6)
    ours = {role: gradient(policy, [role]) for role in ("policy", "critic")}

    for role in ("policy", "critic"):
        for weight in policy.parameters(role):
            weight.grad = None
    head = policy._value_head
    prepared = []
    with torch.no_grad():
        for rollout in played:
            [step] = rollout.steps
            reference = forward(policy, "reference", step.prompt, step.completion)[0]
            values = head(forward(policy, "critic", step.prompt, step.completion)[1])[:, 0]
            rewards = -0.1 * (torch.tensor(step.logprobs) - reference)
            rewards[-1] += rollout.reward.total
            prepared.append((step, values, *gae(rewards, values, gamma=1.0, lam=0.9)))
    white = whiten(torch.cat([advantages for _, _, advantages, _ in prepared]))
    white = white.split([len(step.completion) for step, *_ in prepared])
    tokens = sum(len(step.completion) for step, *_ in prepared)
    for (step, values, _, returns), advantages in zip(prepared, white, strict=True):
        logprobs = forward(policy, "policy", step.prompt, step.completion)[0]
        loss = plain_policy_loss(logprobs, torch.tensor(step.logprobs), advantages, 0.2)
        (loss.mean() / len(played)).backward()
        now = head(forward(policy, "critic", step.prompt, step.completion)[1])[:, 0]
        near = values + (now - values).clamp(-0.2, 0.2)
        error = torch.maximum((now - returns) ** 2, (near - returns) ** 2)
        (0.5 * error.sum() / tokens).backward()
    for role in ("policy", "critic"):
        theirs = gradient(policy, [role])
        assert (ours[role] - theirs).norm() <= 1e-4 * theirs.norm(), role
        assert theirs.norm() > 1e-3


def test_log_probabilities_computed_again_equal_the_samplers(tiny_model, toy_tasks):
    policy = Policy(make_config("tiny", model=tiny_model))
    shake(policy)
    played = play(policy, toy_tasks, completions=4, temperature=1.0, seed=1)
    algorithm = GRPO(policy, policy.config)
    samples, _ = algorithm.prepare(played)
    for batch in make_batches(samples, 10_000):
        with torch.no_grad():
            again, entropy = policy.score(batch.packed)
        assert torch.allclose(again, batch.column("old"), atol=1e-4)
        assert (entropy > 0).all()


def test_gradient_checkpointing_changes_nothing(tiny_model, toy_tasks):
    found = []
    for checkpointing in (False, True):
        config = make_config("tiny", model=tiny_model, gradient_checkpointing=checkpointing)
        policy = Policy(config)
        shake(policy)
        algorithm = GRPO(policy, config)
        samples, _ = algorithm.prepare(rollouts_of(policy, toy_tasks[:2]))
        [batch] = make_batches(samples, 10_000)
        algorithm.backward(batch, batch.share(samples), 6)
        found.append(gradient(policy))
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert found[0].norm() > 1e-3


def test_reference_is_the_start_adapter_and_stays(tiny_model, toy_tasks, tmp_path):
    first = Policy(make_config("tiny", model=tiny_model))
    shake(first)
    (tmp_path / "start").mkdir()
    first.save(tmp_path / "start")
    policy = Policy(make_config("tiny", model=tiny_model, start=str(tmp_path / "start")))
    samples, _ = GRPO(policy, policy.config).prepare(rollouts_of(policy, toy_tasks[:2]))
    [batch] = make_batches(samples, 10_000)
    with torch.no_grad():
        assert torch.allclose(policy.score(batch.packed)[0], policy.score(batch.packed, "reference")[0], atol=1e-5)
        assert torch.allclose(first.score(batch.packed)[0], policy.score(batch.packed, "reference")[0], atol=1e-5)
        shake(policy)
        assert not torch.allclose(policy.score(batch.packed)[0], batch.column("reference"), atol=1e-2)
        assert torch.allclose(policy.score(batch.packed, "reference")[0], batch.column("reference"), atol=1e-5)


def test_merging_for_sampling_leaves_the_weights_as_they_were(tiny_model, toy_tasks):
    policy = Policy(make_config("tiny", model=tiny_model))
    shake(policy)
    before = {name: weight.clone() for name, weight in policy.model.named_parameters()}
    play(policy, toy_tasks, completions=2, temperature=1.0, seed=1)
    assert all(torch.equal(weight, before[name]) for name, weight in policy.model.named_parameters())
