"""The seam of learning: an episode speaks text and never sees tokens, an engine sees tokens and never a bank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from memory_r1.lm.base import Message


@dataclass(frozen=True, slots=True)
class Reward:
    """What a rollout earned."""

    total: float
    """The weighted sum that is learnt from."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Each term by itself and unweighted, for the logs."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the policy is asked next."""

    chat: tuple[Message, ...]
    max_tokens: int
    """Most tokens of the completion."""
    json_object: bool = False
    """The completion ends with one complete JSON object."""


@runtime_checkable
class Episode(Protocol):
    """One run through one problem; used once.

    `observe` and `act` take turns until `observe` returns None; then `score`.
    """

    def observe(self) -> Observation | None:
        """The next prompt, or None if the episode is over."""
        ...

    def act(self, text: str, finish: Literal["stop", "length"]) -> None:
        """Carry out what the policy wrote."""
        ...

    def score(self) -> Reward:
        """What the episode earned.

        Raises:
            ModelError: A frozen model that the reward needs has failed; never a zero reward.
        """
        ...


@runtime_checkable
class Task(Protocol):
    """A problem that can be started any number of times, always from the same state."""

    @property
    def id(self) -> str:
        """Names the problem in logs and errors."""
        ...

    def start(self) -> Episode:
        """A fresh episode."""
        ...

    def demonstration(self) -> str | None:
        """A completion to imitate in supervised training of a one-step task; None if none is known."""
        ...


@runtime_checkable
class Related(Protocol):
    """A task whose prompt begins like those of its family, so that a step takes all of them together."""

    @property
    def family(self) -> str | None:
        """Name of the family; None: it has none."""
        ...


def families(tasks: Sequence[Task]) -> list[list[Task]]:
    """Tasks that a step takes together: neighbours of the same family, each other task alone."""
    found: list[list[Task]] = []
    last: str | None = None
    for task in tasks:
        name = task.family if isinstance(task, Related) else None
        if name is not None and name == last:
            found[-1].append(task)
        else:
            found.append([task])
        last = name
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """One prompt and what was sampled for it."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    """Ids as sampled, never re-tokenised."""
    logprobs: tuple[float, ...]
    """Natural log of the sampling policy at temperature 1, one for each id of the completion."""
    text: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """One episode as it went."""

    task_id: str
    group: int
    """Rollouts of the same task in the same step share it."""
    steps: Sequence[Step]
    reward: Reward
