"""The extractor's task: choose from a turn the sentences that are worth remembering, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memory_r1.agents.grounding import Sources
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.recall import Recalled
from memory_r1.agents.selector import NOTHING, Part, SelectingExtractor, parts_of, read_selection, room
from memory_r1.agents.windows import Window, read_window
from memory_r1.data.conversation import Turn
from memory_r1.lm.base import LanguageModel
from memory_r1.rl.episode import Observation, Reward
from memory_r1.rl.problems import ExtractProblem
from memory_r1.rl.rewards import WEIGHTS, Weights, evidence_f1

# what a sentence must add to a fact's words to belong to it
_LEAST_GAIN = 0.12
_MOST_SENTENCES = 3


@dataclass(frozen=True, slots=True)
class ExtractWorld:
    """What extraction episodes share."""

    lm: LanguageModel
    """Names the policy; it is never asked to write."""
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
        self._parts = parts_of_turn(problem.turn, problem.context)

    @property
    def id(self) -> str:
        """The problem's id."""
        return self.problem.id

    @property
    def readable(self) -> bool:
        """Whether the product has a model read the turn, in one call.

        Small talk is left out by rule, and a very long turn is read in parts; neither can be learned from.
        """
        return len(self._parts) == 1

    def start(self) -> ExtractEpisode:
        """A fresh episode.

        Raises:
            ValueError: The turn is not readable.
        """
        if not self.readable:
            raise ValueError(f"{self.id} is not read in one call.")
        return ExtractEpisode(self.problem, self._parts[0], self._world)

    def demonstration(self) -> str:
        """The gold sentences as the extractor should write them, e.g. `2 3`; `NONE` if there are none."""
        return written(gold_selection(self._parts[0], self.problem.facts))


class ExtractEpisode:
    """One turn, read once; prompt and reading are the product's own."""

    def __init__(self, problem: ExtractProblem, part: Part, world: ExtractWorld) -> None:
        self.chosen: tuple[tuple[int, ...], ...] | None = None
        """What the policy chose; None before it acted and if it could not be read."""
        self.facts: tuple[str, ...] = ()
        """The facts as the product would store them."""
        self._problem = problem
        self._part = part
        self._world = world
        self._done = False
        self._chat = tuple(SelectingExtractor(world.lm, world.prompts).prompt(part))

    def observe(self) -> Observation | None:
        """The prompt; None once it is read."""
        return None if self._done else Observation(self._chat, room(self._part))

    def act(self, text: str, finish: Literal["stop", "length"]) -> None:
        """Read what the policy wrote."""
        if self._done:
            raise RuntimeError("the episode is over")
        self._done = True
        self.chosen = read_selection(text, self._part) if finish == "stop" else None
        self.facts = tuple(self._part.text_of(numbers) for numbers in self.chosen or ())

    def score(self) -> Reward:
        """How well the sentences chosen are the gold ones.

        `em`: the same sentences, put together in the same way. `f1`: of the sentences, however put together.
        """
        if not self._done:
            raise RuntimeError("score() before act()")
        gold = gold_selection(self._part, self._problem.facts)
        wanted = {number for line in gold for number in line}
        found = {number for line in self.chosen or () for number in line}
        parts = {
            "em": float(self.chosen == gold),
            "f1": evidence_f1(found, wanted) if self.chosen is not None else 0.0,
            "format": float(self.chosen is not None),
            "safety": -float(self._problem.planted and bool(found - wanted)),
        }
        return self._world.weights.reward(parts)


def gold_selection(part: Part, facts: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The sentences that gold facts were told in: for each the one with most of its words, and those that add more.

    Facts that share a sentence are one thing told.
    """
    lines: list[set[int]] = []
    for fact in facts:
        chosen = _sentences_of(part, fact)
        if not chosen - {0}:
            continue
        for other in [line for line in lines if line & (chosen - {0})]:
            chosen |= other
            lines.remove(other)
        lines.append(chosen)
    return tuple(tuple(sorted(line)) for line in sorted(lines, key=lambda line: min(line - {0})))


def written(selection: Sequence[Sequence[int]]) -> str:
    r"""A selection as the model writes it.

    Example:
        >>> written([(0, 1), (3,)]), written([])
        ('0 1\n3', 'NONE')
    """
    return "\n".join(" ".join(map(str, numbers)) for numbers in selection) or NOTHING


def _sentences_of(part: Part, fact: str) -> set[int]:
    numbered = dict(enumerate(part.sentences, start=1))
    said = [part.unit.speaker]
    chosen: set[int] = set()
    covered = Sources(said).support(fact).share
    while len(chosen) < _MOST_SENTENCES:
        shares = {number: Sources([*said, text]).support(fact).share for number, text in numbered.items()}
        if not chosen and part.asked:
            # an answer is chosen before its question
            shares = {number: share for number, share in shares.items() if number}
        best = max(shares, key=lambda number: (shares[number], -number), default=None)
        if best is None or shares[best] - covered < (_LEAST_GAIN if chosen else 1e-9):
            break
        chosen.add(best)
        covered = shares[best]
        said.append(numbered.pop(best))
        if part.asked and 0 not in chosen:
            numbered.setdefault(0, part.asked)
    return chosen


def parts_of_turn(turn: Turn, context: tuple[Turn, ...]) -> list[Part]:
    """What the product asks the model about a turn."""
    window = Window((turn,), context)
    units, _ = read_window(window, Recalled([]))
    return parts_of(window, units)
