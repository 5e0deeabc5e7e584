"""The extractor's task: take from a turn the facts that are worth remembering, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memory_r1.agents.extractor import Extractor
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.results import Extraction
from memory_r1.agents.text import clean
from memory_r1.bench.metrics import token_f1
from memory_r1.lm.base import Completion, LanguageModel, Message, Sampling
from memory_r1.rl.episode import Observation, Reward
from memory_r1.rl.problems import ExtractProblem
from memory_r1.rl.rewards import WEIGHTS, Weights

NOTHING = "NONE"
"""What the extractor writes where there is nothing to remember."""

_LINE = re.compile(r"\[1\] (\S.*)")
_LINE_LEAD = re.compile(r"^\s*(?:[-*]\s*)?(?:\[?\d+\]?[.):]?\s*)?")


@dataclass(frozen=True, slots=True)
class ExtractWorld:
    """What extraction episodes share."""

    lm: LanguageModel
    """Counts tokens; it is never asked to write."""
    prompts: Prompts
    weights: Weights = WEIGHTS["extract"]


class ExtractTask:
    """One problem in one world.

    Args:
        problem: The turn and its gold facts.
        world: What to prompt and score with.
    """

    def __init__(self, problem: ExtractProblem, world: ExtractWorld) -> None:
        self.problem = problem
        self._world = world

    @property
    def id(self) -> str:
        """The problem's id."""
        return self.problem.id

    @property
    def readable(self) -> bool:
        """Whether the product has a model read the turn, in one call.

        Small talk is left out by rule, and a very long turn is read in parts; neither can be learned from.
        """
        return self.start().observe() is not None

    def start(self) -> ExtractEpisode:
        """A fresh episode."""
        return ExtractEpisode(self.problem, self._world)

    def demonstration(self) -> str:
        """The gold facts, one a line, as the extractor should write them; `NONE` if there are none."""
        return "\n".join(f"[1] {' '.join(fact.split())}" for fact in self.problem.facts) or NOTHING


class ExtractEpisode:
    """One turn, read once.

    The prompt, the room for the completion and what becomes of it are the product's own: its extractor runs with a
    stand-in for the model that hands the policy's text through.
    """

    def __init__(self, problem: ExtractProblem, world: ExtractWorld) -> None:
        self.extraction: Extraction | None = None
        """What the product makes of the completion, fallbacks included."""
        self.lines: tuple[str, ...] = ()
        """The facts as the policy wrote them."""
        self._problem = problem
        self._world = world
        self._asked = self._run("", "stop")[1]
        self._formed = False

    def observe(self) -> Observation | None:
        """The prompt; None once it is read, or if no model reads such a turn in one call."""
        if self.extraction is not None or len(self._asked) != 1:
            return None
        chat, sampling = self._asked[0]
        return Observation(chat, sampling.max_tokens)

    def act(self, text: str, finish: Literal["stop", "length"]) -> None:
        """Read what the policy wrote."""
        if self.observe() is None:
            raise RuntimeError("act() without an open observation")
        self.extraction = self._run(text, finish)[0]
        written = [line for line in clean(text).splitlines() if line.strip()]
        facts = (_LINE_LEAD.sub("", line).strip() for line in written)
        self.lines = tuple(dict.fromkeys(fact for fact in facts if fact and fact.strip(".!").upper() != NOTHING))
        plain = written == [NOTHING] or (bool(written) and all(_LINE.fullmatch(line) for line in written))
        self._formed = plain and finish == "stop" and len(self.lines) == (0 if written == [NOTHING] else len(written))

    def score(self) -> Reward:
        """How well the facts match the gold ones, and whether they are written as asked for."""
        if self.extraction is None:
            raise RuntimeError("score() before act()")
        gold = self._problem.facts
        matched = soft_match(self.lines, gold)
        parts = {
            "em": float(matched == 1.0),
            "f1": matched,
            # not whether the product's checks pass: they distrust an untrained model and refuse many a gold fact
            "format": float(self._formed),
            "safety": -float(self._problem.planted and len(self.lines) > len(gold)),
        }
        return self._world.weights.reward(parts)

    def _run(
        self, text: str, finish: Literal["stop", "length"]
    ) -> tuple[Extraction, list[tuple[tuple[Message, ...], Sampling]]]:
        stand_in = _StandIn(self._world.lm, text, finish)
        extractor = Extractor(stand_in, self._world.prompts)
        extraction = extractor.extract((self._problem.turn,), context=self._problem.context)
        return extraction, stand_in.asked


def soft_match(found: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of two sets of statements, where a pair counts as much as its token F1; each statement is matched once.

    Example:
        >>> soft_match(["Ann has a cat"], ["Ann has a cat", "Ann moved to Leeds"])
        0.6666666666666666
        >>> soft_match([], []), soft_match(["Ann has a cat"], [])
        (1.0, 0.0)
    """
    if not found or not gold:
        return float(not found and not gold)
    pairs = sorted(
        ((token_f1(one, other), place, at) for place, one in enumerate(found) for at, other in enumerate(gold)),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    taken: set[int] = set()
    used: set[int] = set()
    total = 0.0
    for value, place, at in pairs:
        if place not in taken and at not in used:
            taken.add(place)
            used.add(at)
            total += value
    return 2 * total / (len(found) + len(gold))


class _StandIn:
    """A model that writes what it is told to and records what it was asked; tokens are counted by the real one."""

    def __init__(self, lm: LanguageModel, text: str, finish: Literal["stop", "length"]) -> None:
        self.asked: list[tuple[tuple[Message, ...], Sampling]] = []
        self._lm = lm
        self._text = text
        self._finish: Literal["stop", "length"] = finish

    @property
    def name(self) -> str:
        return self._lm.name

    @property
    def context_length(self) -> int:
        return self._lm.context_length

    def complete(
        self, chats: Sequence[Sequence[Message]], sampling: Sampling | None = None, *, adapter: str | None = None
    ) -> list[Completion]:
        self.asked += [(tuple(chat), sampling or Sampling()) for chat in chats]
        return [Completion(self._text, 0, 0, self._finish, 0.0) for _ in chats]

    def count_tokens(self, chat: Sequence[Message]) -> int:
        return self._lm.count_tokens(chat)

    def close(self) -> None:
        """Nothing to free."""
