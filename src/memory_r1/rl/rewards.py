"""What a rollout is worth: named terms and their weighted sum.

| term | what it says | range |
|---|---|---|
| `em` | exact match of answer and gold after SQuAD's normalisation; the paper's only term | 0 to 1 |
| `f1` | token F1 of answer and gold (Mem0's definition) | 0 to 1 |
| `judge` | a language model judges the answer right | 0 to 1 |
| `format` | the completion could be used as it was written | 0 to 1 |
| `evidence` | F1 of the distilled memories against those that hold the evidence | 0 to 1 |
| `delta` | mean F1 of the linked answers after the operation, less that before it | -1 to 1 |
| `budget` | what the bank has grown by, less is better | -1 to 1 |
| `safety` | a planted memory was stored or used | -1 or 0 |
| `operation` | share of the rulings that are the gold ones; to watch imitation, and in no other mix | 0 to 1 |

An unanswerable question counts as answered exactly if the reader abstains. A term that cannot be known for a problem
(no linked question, no evidence) is left out of its sum.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from memory_r1.agents.results import Answer
from memory_r1.bench.metrics import squad_exact_match, token_f1
from memory_r1.errors import ConfigError
from memory_r1.rl.episode import Reward

TERMS = ("em", "f1", "judge", "format", "evidence", "delta", "budget", "safety", "operation")
"""Every term's name, in the order of the logs."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each term counts; 0 leaves it out of the total but not out of the logs.

    `judge` and `delta` cost model calls and are only computed if they count.

    Raises:
        ConfigError: A weight is not a finite number, or all are 0.

    Example:
        >>> Weights(em=1, safety=0.5).reward({"em": 1.0, "f1": 0.4, "safety": -1.0}).total
        0.5
    """

    em: float = 0.0
    f1: float = 0.0
    judge: float = 0.0
    format: float = 0.0
    evidence: float = 0.0
    delta: float = 0.0
    budget: float = 0.0
    safety: float = 0.0
    operation: float = 0.0

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"The reward weight {name}={value!r} is not a finite number.")
        if not any(values.values()):
            raise ConfigError("All reward weights are 0.", hint="Give at least one term a weight, e.g. em=1.")

    def reward(self, parts: Mapping[str, float]) -> Reward:
        """The weighted sum of the parts that are known."""
        return Reward(sum(getattr(self, name) * value for name, value in parts.items()), dict(parts))


WEIGHTS: Mapping[str, Weights] = {
    "paper": Weights(em=1.0),
    "answer": Weights(em=0.5, f1=0.5),
    "default": Weights(em=0.5, f1=0.5, format=0.2, evidence=0.3, budget=0.05, safety=0.5),
    "process": Weights(em=1.0, evidence=0.5, format=0.1),
    "extract": Weights(f1=1.0, format=0.2, safety=0.5),
    "imitate": Weights(operation=1.0),
}
"""Named mixes. `paper`: exact match alone. `answer`: a smoother form of it. `process`: exact match and the choice of
memories. `default`: all terms that need no further model call. `extract`: for the extractor, whose `f1` compares
facts. `imitate`: what SFT of the Memory Manager is tried by."""


def weights_named(name: str) -> Weights:
    """A mix by its name.

    Raises:
        ConfigError: There is none of this name.
    """
    try:
        return WEIGHTS[name]
    except KeyError:
        raise ConfigError(
            f"There are no reward weights named {name!r}.",
            hint=f"Use one of: {', '.join(WEIGHTS)}; or give terms their weights, e.g. em=1,evidence=0.5.",
        ) from None


def weights_of(text: str) -> Weights:
    """Weights as the command line writes them: the name of a mix, or terms with their weights.

    Raises:
        ConfigError: There is no such mix or term, or a weight is no number.

    Example:
        >>> weights_of("paper").em, weights_of("em=1,evidence=0.5").evidence
        (1.0, 0.5)
    """
    if "=" not in text:
        return weights_named(text)
    pairs = [pair.partition("=") for pair in text.split(",")]
    try:
        values = {name.strip(): float(value) for name, _, value in pairs}
    except ValueError as error:
        raise ConfigError(
            f"The reward weights {text!r} cannot be read.", hint="Write them as em=1,evidence=0.5."
        ) from error
    return weights_from(values)


def weights_from(values: Mapping[str, float]) -> Weights:
    """Weights by term, for a configuration file.

    Raises:
        ConfigError: A term is unknown or a weight unusable.
    """
    if unknown := sorted(set(values) - set(TERMS)):
        raise ConfigError(f"There is no reward term {unknown[0]!r}.", hint=f"Terms are: {', '.join(TERMS)}.")
    return Weights(**values)


def answer_em(answer: Answer, gold: str | None) -> float:
    """1 if the answer is the gold one, or an abstention where there is none; else 0.

    Example:
        >>> answer_em(Answer("The Leeds.", ()), "leeds"), answer_em(Answer("Leeds", ()), None)
        (1.0, 0.0)
    """
    if gold is None or answer.abstained:
        return float(gold is None and answer.abstained)
    return squad_exact_match(answer.text, gold)


def answer_f1(answer: Answer, gold: str | None) -> float:
    """Token F1 of answer and gold; for an unanswerable question as `answer_em`.

    Example:
        >>> answer_f1(Answer("in Leeds", ()), "Leeds")
        0.6666666666666666
    """
    if gold is None or answer.abstained:
        return answer_em(answer, gold)
    return token_f1(answer.text, gold)


def evidence_f1(kept: Collection[int], relevant: Collection[int]) -> float:
    """F1 of the memories that were kept against those that matter; keeping none is right where none does.

    Example:
        >>> evidence_f1([0, 3], [3]), evidence_f1([], []), evidence_f1([1], [])
        (0.6666666666666666, 1.0, 0.0)
    """
    chosen, right = set(kept), set(relevant)
    if not chosen or not right:
        return float(chosen == right)
    return 2 * len(chosen & right) / (len(chosen) + len(right))


def budget(before: Sequence[str], after: Sequence[str], facts: Sequence[str]) -> float:
    """How much a bank has grown, as a part of what it was told, with a minus: -1 stored everything, 1 freed as much.

    Args:
        before: The texts of the bank before.
        after: The texts after.
        facts: The texts it was told.

    Example:
        >>> budget(["tea"], ["tea", "Ann has a cat"], ["Ann has a cat"]), budget(["tea"], ["tea"], ["Ann has tea"])
        (-1.0, 0.0)
    """
    told = sum(map(len, facts))
    grown = sum(map(len, after)) - sum(map(len, before))
    return max(-1.0, min(1.0, -grown / told)) + 0.0 if told else 0.0


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of one value or more."""
    return sum(values) / len(values)
