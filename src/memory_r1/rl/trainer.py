"""The training loop: sample, score, learn, look, save; and go on where it was stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from memory_r1.errors import TrainingError
from memory_r1.rl.config import TrainConfig
from memory_r1.rl.curves import draw_curves
from memory_r1.rl.disk import write_whole
from memory_r1.rl.episode import Rollout, Task, families
from memory_r1.rl.grpo import GRPO
from memory_r1.rl.learner import Learner, NotFinite
from memory_r1.rl.policy import Policy
from memory_r1.rl.ppo import PPO
from memory_r1.rl.readable import card, failed_batch, readable_rollouts, rollout_metrics
from memory_r1.rl.run_folder import RunFolder
from memory_r1.rl.sampler import Clock, check_prompts, play
from memory_r1.rl.samples import Sample
from memory_r1.rl.sft import SFT, demonstrations
from memory_r1.rl.watch import Watcher

_T = TypeVar("_T")

_SHOWN_HELD_OUT = 12
"""Held-out tasks that are written out to read each time they are tried."""


@dataclass(slots=True)
class Progress:
    """Where a run stands; what a checkpoint holds besides tensors."""

    step: int = 0
    """Steps done."""
    taken: int = 0
    """Families of tasks taken from the shuffled stream."""
    best: float | None = None
    """Best held-out reward after training began."""


class Trainer:
    """Trains one policy on tasks.

    Args:
        config: What to do.
        tasks: What is learnt from.
        held_out: What is only looked at.
        run: Where everything is written.
        policy: Made from the configuration if None.
        watchers: Told of every step.

    Raises:
        TrainingError: There is no task.
        PromptTooLongError: A demonstration (SFT) or the prompt of a plain task does not fit.
    """

    def __init__(
        self,
        config: TrainConfig,
        tasks: Sequence[Task],
        held_out: Sequence[Task],
        run: RunFolder,
        *,
        policy: Policy | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        if not tasks:
            raise TrainingError("There is no task to learn from.", hint="Check the data and the builder's options.")
        self.config, self.tasks, self.run = config, tasks, run
        self.held_out = spread(held_out, config.eval_tasks)
        self.policy = policy or Policy(config)
        self.watchers = watchers
        self.progress = Progress()
        self._stop = threading.Event()
        self._families = families(tasks)
        self._demonstrations: list[list[Sample]] = []
        if config.algorithm == "sft":
            self._demonstrations = demonstrations(self.policy, tasks)
            self._learner = Learner(self.policy, SFT(self.policy), config)
        else:
            check_prompts(self.policy, tasks)
            self._algorithm = (GRPO if config.algorithm == "grpo" else PPO)(self.policy, config)
            self._learner = Learner(self.policy, self._algorithm, config)

    def resume(self) -> None:
        """Take up the run's last checkpoint; what was measured after it is dropped and measured again.

        Raises:
            TrainingError: There is no usable checkpoint.
        """
        state = self.run.load_checkpoint()
        self.policy.load_state(state["weights"])
        self._learner.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.progress = Progress(**state["progress"])
        self.run.cut_rows(self.progress.step)

    def train(self, until: int | None = None) -> bool:
        """Take steps until all are done; save at the end, and on Ctrl-C after the step that is under way.

        Args:
            until: Stop after this step, to go on later; None goes to the configured end.

        Returns:
            Whether all steps are done.

        Raises:
            NotFinite: A loss is not a number; the batch is in the run folder as `failed-batch.json`.
            TrainingError: The run folder cannot be written.
            ModelError: A frozen model that a reward needs has failed.
        """
        end = self.config.steps if until is None else min(until, self.config.steps)
        with self._interruptible():
            if self.progress.step == 0:
                row = {"step": 0, **self._evaluate(keep=False)}
                self._record(row)
                self._save()
            while self.progress.step < end and not self._stop.is_set():
                self._step()
        self._save()
        done = self.progress.step >= self.config.steps
        if done or not (self.run.path / "adapter").exists():
            self._finish()
        return done

    def conclude(self) -> None:
        """End a run that was stopped as if this had been its last step: look at the held-out tasks, leave a policy."""
        if self.progress.step < self.config.steps:
            self._record({"step": self.progress.step, **self._evaluate(keep=True)})
            self._save()
            self._finish()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the run to save and end after the step that is under way; safe from other threads."""
        self._stop.set()

    def _step(self) -> None:
        started, step = time.perf_counter(), self.progress.step
        try:
            row = self._imitate(step) if self.config.algorithm == "sft" else self._reinforce(step)
        except NotFinite as error:
            write_whole(self.run.path / "failed-batch.json", failed_batch(error.samples, step + 1, self.policy))
            raise
        self.progress.step = step + 1
        row["time/step"] = time.perf_counter() - started
        last = self.progress.step == self.config.steps
        if last or (self.config.eval_every and self.progress.step % self.config.eval_every == 0):
            row.update(self._evaluate(keep=True))
        self._record({"step": self.progress.step, **row})
        if self.progress.step % self.config.save_every == 0:
            self._save()

    def _imitate(self, step: int) -> dict[str, float]:
        chosen = self._take(self.config.prompts, self._demonstrations)
        # the same demonstration may come twice at the seam of two passes
        samples = [Sample(one.prompt, one.completion) for one in chosen]
        started = time.perf_counter()
        row = self._learner.learn(samples, step)
        tokens = sum(len(one.completion) for one in chosen)
        seconds = time.perf_counter() - started
        return {**row, "charts/length": tokens / len(chosen), "charts/tokens_per_second": tokens / seconds}

    def _reinforce(self, step: int) -> dict[str, float]:
        clock = Clock()
        rollouts, used = self._sample(step, clock)
        row = rollout_metrics(rollouts, clock)
        if step % self.config.sample_every == 0:
            self.run.add_sample(step + 1, readable_rollouts(used or rollouts, self.policy))
        started = time.perf_counter()
        if used:
            samples, watched = self._algorithm.prepare(used)
            row |= watched | self._learner.learn(samples, step)
        groups = {rollout.group for rollout in rollouts}
        row["charts/groups_used"] = len({rollout.group for rollout in used}) / len(groups)
        row["time/learning"] = time.perf_counter() - started
        return row

    def _sample(self, step: int, clock: Clock) -> tuple[list[Rollout], list[Rollout]]:
        """All rollouts of a step, and those that there is something to learn from."""
        config = self.config
        everything: list[Rollout] = []
        used: list[Rollout] = []
        rounds = 1 + (config.resample_rounds if config.zero_variance == "resample" else 0)
        wanted = config.prompts
        for number in range(rounds):
            tasks = self._take(wanted, self._families)
            seed = (config.seed * 1_000_003 + step) * 11 + number
            played = play(
                self.policy,
                tasks,
                completions=config.completions,
                temperature=config.temperature,
                seed=seed,
                clock=clock,
            )
            offset = 1 + max((rollout.group for rollout in everything), default=-1)
            played = [replace(rollout, group=rollout.group + offset) for rollout in played]
            everything += played
            used += [rollout for rollout in played if rollout.steps and self._teaches(rollout, played)]
            wanted = config.prompts - len({rollout.group for rollout in used})
            if wanted <= 0:
                break
        return everything, used

    def _teaches(self, rollout: Rollout, others: Sequence[Rollout]) -> bool:
        """Whether the rollouts of its group were rewarded differently (GRPO has nothing else to go by)."""
        if self.config.algorithm != "grpo" or self.config.zero_variance == "keep":
            return True
        return len({other.reward.total for other in others if other.group == rollout.group}) > 1

    def _take(self, count: int, units: Sequence[Sequence[_T]]) -> list[_T]:
        """At least so many of an endless stream of shuffled passes; a function of the seed and the place alone."""
        taken: list[_T] = []
        orders: dict[int, list[int]] = {}
        while len(taken) < count:
            epoch, place = divmod(self.progress.taken, len(units))
            if epoch not in orders:
                orders[epoch] = shuffled(len(units), self.config.seed, epoch)
            taken += units[orders[epoch][place]]
            self.progress.taken += 1
        return taken

    def _evaluate(self, *, keep: bool) -> dict[str, float]:
        if not self.held_out:
            return {}
        for watcher in self.watchers:
            watcher.note(f"Trying {len(self.held_out)} held-out tasks.")
        rollouts = play(self.policy, self.held_out, completions=1, temperature=0.0, seed=0)
        self.run.add_held_out(
            [
                {"step": self.progress.step, "task": one.task_id, "reward": one.reward.total, **one.reward.parts}
                for one in rollouts
            ]
        )
        shown = readable_rollouts(spread(rollouts, _SHOWN_HELD_OUT), self.policy, _SHOWN_HELD_OUT)
        self.run.add_sample(self.progress.step, shown, kind="held-out")
        found = rollout_metrics(rollouts, None)
        row = {f"eval/{name.partition('/')[2]}": value for name, value in found.items()}
        if keep and (self.progress.best is None or row["eval/reward"] > self.progress.best):
            self.progress.best = row["eval/reward"]
            self.run.save_policy(self.policy, card(self.run, self.config, self.progress.step, row))
        return row

    def _record(self, row: Mapping[str, float]) -> None:
        self.run.add_metrics(row)
        for watcher in self.watchers:
            watcher.step(row)

    def _save(self) -> None:
        state: dict[str, Any] = {
            "weights": self.policy.state(),
            "optimizer": self._learner.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "progress": {name: getattr(self.progress, name) for name in ("step", "taken", "best")},
        }
        self.run.save_checkpoint(self.progress.step, state, keep=self.config.keep_checkpoints)
        draw_curves(list(self.run.metrics()), self.run.path / "curves.png", title=self.run.path.name)

    def _finish(self) -> None:
        """Leave a policy and the scores; without held-out tasks the last policy is the best there is."""
        if not self.held_out or not (self.run.path / "adapter").exists():
            self.run.save_policy(self.policy, card(self.run, self.config, self.progress.step, {}))
        evaluated = [row for row in self.run.metrics() if "eval/reward" in row]
        if evaluated:
            self.run.describe(
                before=evaluated[0]["eval/reward"], after=evaluated[-1]["eval/reward"], best=self.progress.best
            )
        self.run.describe(steps_done=self.progress.step)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C asks to stop after the step; a second one interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        usual = signal.getsignal(signal.SIGINT)

        def ask(*_: object) -> None:
            self.stop()
            signal.signal(signal.SIGINT, usual)
            for watcher in self.watchers:
                watcher.note("Stopping after this step, then saving. Press Ctrl-C again to stop at once.")

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)


def spread(tasks: Sequence[_T], most: int) -> list[_T]:
    """So many tasks at most, taken evenly, so that every conversation has its share.

    Example:
        >>> spread("abcdef", 3), spread("ab", 3)
        (['a', 'c', 'e'], ['a', 'b'])
    """
    count = min(most, len(tasks))
    return [tasks[place * len(tasks) // count] for place in range(count)]


def shuffled(size: int, seed: int, epoch: int) -> list[int]:
    """A random order of indices that is always the same for a seed and a pass."""
    source = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order: list[int] = torch.randperm(size, generator=source).tolist()
    return order
