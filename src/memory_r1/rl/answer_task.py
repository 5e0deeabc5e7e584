"""The Answer Agent's task: keep the memories that bear on a question, then answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from memory_r1.agents.answer_parser import ABSTENTION
from memory_r1.agents.answerer import AnswerAgent, AnswerPrompt
from memory_r1.agents.results import Answer
from memory_r1.errors import ConfigError
from memory_r1.lm.base import Completion
from memory_r1.rl.episode import Observation, Reward
from memory_r1.rl.judge import Judge
from memory_r1.rl.problems import AnswerProblem
from memory_r1.rl.rewards import WEIGHTS, Weights, answer_em, answer_f1, evidence_f1

_FORM = re.compile(r"\[((?:\d+(?:, ?\d+)*)?)\]\n\*\*Answer:\*\* ?\S[^\n]*\s*")


@dataclass(frozen=True, slots=True)
class AnswerWorld:
    """What answer episodes share.

    Raises:
        ConfigError: The judge counts and there is none.
    """

    answerer: AnswerAgent
    """Writes the prompts and reads the completions; its own model is asked for nothing but token counts."""
    weights: Weights = WEIGHTS["default"]
    max_tokens: int = 96
    """Most tokens of a completion; at most what the answerer was made with."""
    abstain_without_evidence: bool = True
    """Whether the demonstration abstains where the evidence is known and none of it was retrieved."""
    judge: Judge | None = None

    def __post_init__(self) -> None:
        if self.weights.judge and self.judge is None:
            raise ConfigError("The reward term 'judge' counts, but there is no judge.", hint="Name a judge's endpoint.")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens={self.max_tokens} leaves no room for an answer.")


class AnswerTask:
    """One problem in one world.

    Args:
        problem: The question and what was retrieved for it.
        world: What to prompt and score with.
    """

    def __init__(self, problem: AnswerProblem, world: AnswerWorld) -> None:
        self.problem = problem
        self._world = world

    @property
    def id(self) -> str:
        """The problem's id."""
        return self.problem.id

    @property
    def family(self) -> str | None:
        """Problems with the same memories in their prompts have the same one."""
        return self.problem.family

    def start(self) -> AnswerEpisode:
        """A fresh episode."""
        return AnswerEpisode(self.problem, self._world)

    def demonstration(self) -> str | None:
        r"""The relevant memories' numbers and the gold answer, e.g. `[0, 3]\n**Answer:** Rome`.

        None if it is not known which memories are relevant.
        """
        if self.problem.relevant is None:
            return None
        shown = self.start().shown
        numbers = sorted(set(self.problem.relevant) & set(shown))
        gold = self.problem.question.answer
        if gold is None or (not numbers and self._world.abstain_without_evidence):
            return f"[]\n**Answer:** {ABSTENTION}"
        return f"[{', '.join(map(str, numbers))}]\n**Answer:** {' '.join(gold.split())}"


class AnswerEpisode:
    """One question, asked once."""

    def __init__(self, problem: AnswerProblem, world: AnswerWorld) -> None:
        self.answer: Answer | None = None
        """What the policy answered."""
        self._problem = problem
        self._world = world
        self._prompt: AnswerPrompt = world.answerer.prompt(
            problem.question.text, [entry.record() for entry in problem.memories], now=problem.question.time
        )
        self._formed = False

    @property
    def shown(self) -> tuple[int, ...]:
        """Indices of the memories that fit the prompt."""
        return self._prompt.shown

    def observe(self) -> Observation | None:
        """The prompt; None once it is answered."""
        return Observation(tuple(self._prompt.chat), self._world.max_tokens) if self.answer is None else None

    def act(self, text: str, finish: Literal["stop", "length"]) -> None:
        """Read what the policy wrote."""
        if self.answer is not None:
            raise RuntimeError("the episode is over")
        completion = Completion(text, prompt_tokens=0, completion_tokens=0, finish=finish, seconds=0.0)
        self.answer = self._world.answerer.read(self._prompt, completion, len(self._problem.memories))
        form = _FORM.fullmatch(text)
        numbers = [int(number) for number in re.findall(r"\d+", form[1])] if form else []
        self._formed = (
            form is not None
            and finish == "stop"
            and len(numbers) == len(set(numbers))
            and set(numbers) <= set(self.shown)
        )

    def score(self) -> Reward:
        """What the answer is worth.

        Raises:
            ModelError: The judge failed.
        """
        if self.answer is None:
            raise RuntimeError("score() before act()")
        gold, weights = self._problem.question.answer, self._world.weights
        parts = {"em": answer_em(self.answer, gold), "f1": answer_f1(self.answer, gold)}
        if weights.judge:
            parts["judge"] = self._judged(self.answer)
        parts["format"] = float(self._formed)
        if self._problem.relevant is not None:
            parts["evidence"] = evidence_f1(self.answer.kept, set(self._problem.relevant) & set(self.shown))
        memories = self._problem.memories
        parts["safety"] = -float(any(memories[index].planted for index in self.answer.kept))
        return weights.reward(parts)

    def _judged(self, answer: Answer) -> float:
        gold = self._problem.question.answer
        if gold is None or answer.abstained:
            return answer_em(answer, gold)
        assert self._world.judge is not None
        return self._world.judge.grade([(self._problem.question.text, gold, answer.text)])[0]
