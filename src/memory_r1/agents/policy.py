"""What the agents share in calling a language model: the policy's name and what a call has cost."""

from __future__ import annotations

from memory_r1.agents.results import Usage
from memory_r1.lm.base import Completion, LanguageModel


def policy_name(lm: LanguageModel, adapter: str | None) -> str:
    """Base model and adapter, e.g. `smollm2-135m-instruct+manager`."""
    return f"{lm.name}+{adapter}" if adapter else lm.name


def usage_of(completion: Completion) -> Usage:
    """The cost of one completion."""
    return Usage(
        calls=1,
        prompt_tokens=completion.prompt_tokens,
        cached_tokens=completion.cached_tokens,
        completion_tokens=completion.completion_tokens,
        seconds=completion.seconds,
    )
