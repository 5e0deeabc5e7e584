"""A stronger model plays the tasks, and what it was rewarded for is imitated: the paper's Memory-SFT baseline."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory_r1.agents.json_object import first_object
from memory_r1.errors import TrainingError
from memory_r1.lm.base import LanguageModel, Message, Sampling
from memory_r1.lm.request import estimate_text_tokens
from memory_r1.rl.episode import Episode, Observation, Related, Reward, Task
from memory_r1.rl.scoring import score_together

_AT_ONCE = 32
"""Tasks between two reports of progress."""
_ROOM = 64
"""Limits are rounded up to a multiple of this, so that many prompts go to the endpoint together."""


class TeacherConfig(BaseModel):
    """Who is imitated, and in what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """As in `make_lm`, e.g. `openai:NAME` or `http://HOST:PORT/v1#NAME`."""
    samples: int = Field(4, ge=1)
    """How often it plays each task: the first time greedily, then at temperature 1."""
    least: float = 0.5
    """Least reward of what is imitated."""
    every: bool = False
    """Imitate all of a task's different rollouts with that reward, instead of the best one alone."""
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of an answer; the learner's own limit if None. A model that thinks first needs more."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A prompt and what the teacher wrote there; a task that can only be imitated."""

    id: str
    observation: Observation
    text: str
    family: str | None = None

    def start(self) -> Episode:
        """An episode of this one prompt."""
        return _Shown(self)

    def demonstration(self) -> str:
        """What the teacher wrote."""
        return self.text


class _Shown:
    """One prompt of a teacher's rollout."""

    def __init__(self, taught: Taught) -> None:
        self._taught = taught
        self._text: str | None = None

    def observe(self) -> Observation | None:
        return self._taught.observation if self._text is None else None

    def act(self, text: str, finish: Literal["stop", "length"]) -> None:
        self._text = text

    def score(self) -> Reward:
        same = float(self._text == self._taught.text)
        return Reward(same, {"em": same})


@dataclass(slots=True)
class _Game:
    """One rollout of one task."""

    task: Task
    number: int
    episode: Episode
    moves: list[tuple[Observation, str]] = field(default_factory=list)
    whole: bool = True
    """Whether each answer is one that the learner could finish."""


def learn_from(
    lm: LanguageModel,
    tasks: Sequence[Task],
    config: TeacherConfig,
    *,
    seed: int = 0,
    on_progress: Callable[[str], None] = lambda text: None,
) -> tuple[list[Taught], dict[str, Any]]:
    """Let a teacher play tasks, and keep what earned enough.

    Args:
        lm: The teacher.
        tasks: What it plays; prompts and rewards are those that the learner would get.
        config: How often it plays, and what is kept.
        seed: Of sampling, where the endpoint takes one.
        on_progress: Told now and then how far it is.

    Returns:
        What to imitate, in the order of the tasks, and figures for the run folder.

    Raises:
        TrainingError: Nothing earned enough.
        EndpointError: The endpoint failed for good; what was answered by then is not asked again.
        ModelError: A frozen model that a reward needs has failed.
    """
    taught: list[Taught] = []
    best: list[tuple[float, str]] = []
    with_one = 0
    for start in range(0, len(tasks), _AT_ONCE):
        part = tasks[start : start + _AT_ONCE]
        for task, ranked in zip(part, _ranked(lm, part, config, seed), strict=True):
            best.append((ranked[0][0], "".join(text for _, text in ranked[0][1].moves)))
            kept = _kept(ranked, config)
            with_one += bool(kept)
            taught += _taught(task, kept)
        done = start + len(part)
        on_progress(f"Teacher {lm.name}: {done}/{len(tasks)} tasks, {with_one} of them with something to imitate.")
    if not taught:
        most, wrote = max(best, default=(0.0, ""))
        raise TrainingError(
            f"Nothing that the teacher {lm.name} did earned {config.least:g}; its best earned {most:.2f}, "
            f"by {wrote[:80]!r}.",
            hint="Try a stronger teacher, more --teacher-samples, other --rewards, or a smaller --teacher-least.",
        )
    about = {
        **config.model_dump(),
        "tasks": len(tasks),
        "tasks_taught": with_one,
        "demonstrations": len(taught),
        "best_reward": sum(reward for reward, _ in best) / len(best),
    }
    return taught, about


def digest(taught: Sequence[Taught]) -> str:
    """A hash of what is imitated."""
    lines = [[one.id, [dict(message) for message in one.observation.chat], one.text] for one in taught]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _ranked(
    lm: LanguageModel, tasks: Sequence[Task], config: TeacherConfig, seed: int
) -> Iterator[list[tuple[float, _Game]]]:
    """Each task's rollouts with their rewards, the best first; of equals the first played."""
    games = [_Game(task, number, task.start()) for task in tasks for number in range(config.samples)]
    asked = _observe(games)
    while asked:
        _act(lm, asked, config, seed)
        asked = _observe([game for game, _ in asked])
    rewards = [reward.total for reward in score_together([game.episode for game in games])]
    for start in range(0, len(games), config.samples):
        pairs = zip(rewards[start : start + config.samples], games[start : start + config.samples], strict=True)
        yield sorted(pairs, key=lambda pair: (-pair[0], pair[1].number))


def _observe(games: Sequence[_Game]) -> list[tuple[_Game, Observation]]:
    seen = ((game, game.episode.observe()) for game in games)
    return [(game, observation) for game, observation in seen if observation is not None]


def _act(lm: LanguageModel, asked: Sequence[tuple[_Game, Observation]], config: TeacherConfig, seed: int) -> None:
    alike: defaultdict[tuple[int, int, bool], list[tuple[_Game, Observation]]] = defaultdict(list)
    for game, observation in asked:
        room = max(observation.max_tokens, config.max_tokens or 0)
        alike[game.number, -(-room // _ROOM) * _ROOM, observation.json_object].append((game, observation))
    for (number, room, json_object), rows in alike.items():
        sampling = Sampling(
            max_tokens=room,
            temperature=1.0 if number else 0.0,
            seed=seed * 1009 + number if number else None,
            json_object=json_object,
        )
        chats: list[Sequence[Message]] = [observation.chat for _, observation in rows]
        for (game, observation), completion in zip(rows, lm.complete(chats, sampling), strict=True):
            text = _plain(completion.text, observation)
            game.moves.append((observation, text))
            fits = 0 < estimate_text_tokens(text) <= observation.max_tokens
            game.whole = game.whole and completion.finish == "stop" and fits
            game.episode.act(text, completion.finish)


def _plain(text: str, observation: Observation) -> str:
    """What is worth imitating of an answer: the object without the chatter and the code fence around it."""
    found = first_object(text) if observation.json_object else "none"
    if isinstance(found, dict):
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return text.strip()


def _kept(ranked: Sequence[tuple[float, _Game]], config: TeacherConfig) -> list[_Game]:
    good = [game for reward, game in ranked if reward >= config.least and game.whole and game.moves]
    different: dict[tuple[str, ...], _Game] = {}
    for game in good:
        different.setdefault(tuple(text for _, text in game.moves), game)
    return list(different.values())[: None if config.every else 1]


def _taught(task: Task, kept: Sequence[_Game]) -> list[Taught]:
    moves = [move for game in kept for move in game.moves]
    family = task.family if isinstance(task, Related) else None
    if len(moves) == 1:
        return [Taught(task.id, *moves[0], family)]
    # what one task gave is learnt together, so that its prompt is computed once
    return [Taught(f"{task.id}/{number}", *move, family or task.id) for number, move in enumerate(moves)]
