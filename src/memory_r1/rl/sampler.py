"""Plays episodes: all prompts of a step, and all rollouts of each, go to the policy in one call."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from memory_r1.errors import PromptTooLongError
from memory_r1.lm.base import Sampling
from memory_r1.lm.generate import Prompt
from memory_r1.rl.episode import Episode, Observation, Rollout, Step, Task
from memory_r1.rl.policy import Policy
from memory_r1.rl.prompt_task import PromptTask
from memory_r1.rl.scoring import score_together


@dataclass(slots=True)
class Clock:
    """Where the time of a step went, in seconds."""

    sampling: float = 0.0
    scoring: float = 0.0


@dataclass(slots=True)
class _Game:
    """One episode that is being played."""

    task: Task
    group: int
    episode: Episode
    steps: list[Step] = field(default_factory=list)


def play(
    policy: Policy,
    tasks: Sequence[Task],
    *,
    completions: int,
    temperature: float,
    seed: int,
    clock: Clock | None = None,
) -> list[Rollout]:
    """Play each task several times.

    Args:
        policy: Who acts.
        tasks: What is played; the rollouts of `tasks[i]` have the group i.
        completions: Rollouts of each task.
        temperature: 0 is greedy.
        seed: Makes sampling repeatable.
        clock: Told how long sampling and scoring took.

    Returns:
        Rollouts, those of a task next to each other.

    Raises:
        PromptTooLongError: A prompt and its longest completion do not fit the model; names the task.
        ModelError: A frozen model that a reward needs has failed.
    """
    clock = clock or Clock()
    games = [_Game(task, index, task.start()) for index, task in enumerate(tasks) for _ in range(completions)]
    asked = _observe(games)
    turn = 0
    while asked:
        started = time.perf_counter()
        _act(policy, asked, temperature, seed * 1009 + turn)
        clock.sampling += time.perf_counter() - started
        asked = _observe([game for game, _ in asked])
        turn += 1
    started = time.perf_counter()
    rewards = score_together([game.episode for game in games])
    clock.scoring += time.perf_counter() - started
    return [
        Rollout(game.task.id, game.group, tuple(game.steps), reward)
        for game, reward in zip(games, rewards, strict=True)
    ]


def encode(policy: Policy, observation: Observation, task_id: str) -> Prompt:
    """Tokens of a prompt, if there is room for the completion behind it.

    Raises:
        PromptTooLongError: There is not; nothing is ever cut off.
    """
    tokens, head = policy.tokenizer.encode(observation.chat)
    if len(tokens) + observation.max_tokens > policy.context_length:
        raise PromptTooLongError(
            f"The prompt of {task_id} has {len(tokens)} tokens and may be answered by {observation.max_tokens}; "
            f"{policy.name} takes {policy.context_length} in all.",
            hint="Retrieve fewer memories, leave the task out, or use a model with a longer context.",
        )
    return Prompt(tokens, head, observation.max_tokens)


def check_prompts(policy: Policy, tasks: Sequence[Task]) -> None:
    """See that the prompts of plain tasks fit, before any time is spent; agents fit their own to the model.

    Raises:
        PromptTooLongError: One does not; names the task.
    """
    for task in tasks:
        if isinstance(task, PromptTask) and (observation := task.start().observe()) is not None:
            encode(policy, observation, task.id)


def _observe(games: Sequence[_Game]) -> list[tuple[_Game, Observation]]:
    seen = ((game, game.episode.observe()) for game in games)
    return [(game, observation) for game, observation in seen if observation is not None]


def _act(policy: Policy, asked: Sequence[tuple[_Game, Observation]], temperature: float, seed: int) -> None:
    alike: dict[bool, list[tuple[_Game, Prompt]]] = defaultdict(list)
    for game, observation in asked:
        prompt = encode(policy, observation, game.task.id)
        alike[observation.json_object].append((game, prompt))
    for number, (json_object, rows) in enumerate(alike.items()):
        sampling = Sampling(
            max_tokens=max(prompt.max_tokens or 1 for _, prompt in rows),
            temperature=temperature,
            seed=seed * 31 + number,
            logprobs=True,
            json_object=json_object,
        )
        for (game, prompt), result in zip(rows, policy.sample([row[1] for row in rows], sampling), strict=True):
            step = Step(prompt.tokens, tuple(result.token_ids), tuple(result.logprobs), result.text)
            game.steps.append(step)
            game.episode.act(result.text, result.finish)
