"""SFT: imitates demonstrations. The warm start of small models, and the paper's Memory-SFT baseline."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from memory_r1.errors import PromptTooLongError, TrainingError
from memory_r1.rl.episode import Task, families
from memory_r1.rl.losses import average_tokens
from memory_r1.rl.policy import Policy
from memory_r1.rl.sampler import encode
from memory_r1.rl.samples import Batch, Sample, Share


def demonstrations(policy: Policy, tasks: Sequence[Task]) -> list[list[Sample]]:
    """Each task's prompt with the completion to imitate, by families; tasks without one are left out.

    Raises:
        TrainingError: No task has a demonstration.
        PromptTooLongError: One does not fit the model; names the task.
    """
    found = [[_demonstration(policy, task) for task in family] for family in families(tasks)]
    known = [[sample for sample in family if sample is not None] for family in found]
    if not any(known):
        raise TrainingError(
            "No task has a demonstration to imitate.",
            hint="Use data with gold operations or answers, or train by grpo.",
        )
    return [family for family in known if family]


def _demonstration(policy: Policy, task: Task) -> Sample | None:
    text = task.demonstration()
    observation = None if text is None else task.start().observe()
    if text is None or observation is None:
        return None
    prompt, target = encode(policy, observation, task.id).tokens, policy.tokenizer.encode_answer(text)
    if len(prompt) + len(target) > policy.context_length:
        raise PromptTooLongError(
            f"The demonstration of {task.id} makes {len(prompt) + len(target)} tokens with its prompt; "
            f"{policy.name} takes {policy.context_length}."
        )
    return Sample(prompt, target)


class SFT:
    """Turns batches of demonstrations into gradients.

    Args:
        policy: Who learns.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def backward(self, batch: Batch, share: Share, length: int) -> dict[str, torch.Tensor]:
        """Add the gradient of the mean negative log-likelihood of the target tokens, and of them alone.

        The mean is over all of them (`average="token"`), or over each demonstration and then over demonstrations
        (`"sequence"`), so that a long one does not drown what a short one decides.

        Args:
            batch: Some of the demonstrations of an update.
            share: How much of the update's average this batch makes up.
            length: Tokens of the longest demonstration of the update, for `average="constant"`.

        Returns:
            What to watch, means over the batch.
        """
        logprobs_N, entropy_N = self.policy.score(batch.packed)
        average = self.policy.config.average
        loss = -average_tokens(logprobs_N, batch.packed.owners, average, length)
        self.policy.backward(loss * share.of(average))
        return {
            "losses/loss": loss.detach(),
            "losses/entropy": entropy_N.detach().mean(),
        }
