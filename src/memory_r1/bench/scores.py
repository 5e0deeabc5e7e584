"""All scores of one answer, under names that say whose definition each is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from memory_r1.agents.answer_parser import parse_answer
from memory_r1.bench.locomo_official import abstains as abstains_by_locomo
from memory_r1.bench.locomo_official import locomo_f1
from memory_r1.bench.metrics import memoryos_f1, memos_f1, score, squad_exact_match, squad_f1
from memory_r1.bench.records import Prediction
from memory_r1.data.conversation import Conversation, Question
from memory_r1.errors import InvalidInputError

METRICS: Mapping[str, str] = {
    "mem0_f1": "F1 (Mem0)",
    "mem0_bleu1": "BLEU-1 (Mem0)",
    "mem0_em": "EM (Mem0)",
    "locomo_f1": "F1 (LoCoMo)",
    "squad_f1": "F1 (SQuAD)",
    "squad_em": "EM (SQuAD)",
    "memoryos_f1": "F1 (MemoryOS)",
    "memos_f1": "F1 (MemOS)",
    "judge_generous": "J (generous)",
    "judge_strict": "J (strict)",
    "abstention": "abstention",
}
"""Every metric by its key in `Prediction.scores`, with the label for tables; the order is that of the tables."""

_ALL_WORDS = 1_000_000


def score_all(category: str, prediction: str, gold: str | None, *, abstained: bool = False) -> dict[str, float]:
    """Score an answer by every definition that needs no language model.

    Args:
        category: The question's, which LoCoMo's own F1 depends on.
        prediction: What the system answered.
        gold: The gold answer; None if the conversation does not say.
        abstained: Whether the system itself says that it abstains.

    Returns:
        `mem0_f1`, `mem0_bleu1`, `mem0_em`, `locomo_f1`, `squad_f1`, `squad_em`, `memoryos_f1` and `memos_f1`; for an
        unanswerable question only `abstention`. Each between 0 and 1.

    Example:
        >>> score_all("single-hop", "The dogs.", "a dog")["locomo_f1"]
        1.0
        >>> score_all("adversarial", "I don't know.", None), score_all("adversarial", "Rex", None)
        ({'abstention': 1.0}, {'abstention': 0.0})
    """
    if gold is None:
        return {"abstention": float(abstained or abstains(prediction))}
    mem0 = score(prediction, gold)
    return {
        "mem0_f1": mem0.f1,
        "mem0_bleu1": mem0.bleu1,
        "mem0_em": mem0.em,
        "locomo_f1": locomo_f1(prediction, gold, category),
        "squad_f1": squad_f1(prediction, gold),
        "squad_em": squad_exact_match(prediction, gold),
        "memoryos_f1": memoryos_f1(prediction, gold),
        "memos_f1": memos_f1(prediction, gold),
    }


def abstains(answer: str) -> bool:
    """Whether an answer says that the memories do not tell: by LoCoMo's phrases, or to the Answer Agent's parser.

    An empty answer says nothing and is no abstention.

    Example:
        >>> abstains("It is not mentioned."), abstains("Unknown"), abstains("She never told Ann why"), abstains("")
        (True, True, False, False)
    """
    if not answer.strip():
        return False
    return abstains_by_locomo(answer) or parse_answer(answer, shown=(), max_words=_ALL_WORDS).abstained


@dataclass(frozen=True, slots=True)
class Rescored:
    """Predictions of a run under other labels."""

    predictions: tuple[Prediction, ...]
    left_out: int
    """Predictions whose question the new labels do not have."""


def rescore(predictions: Iterable[Prediction], conversations: Sequence[Conversation]) -> Rescored:
    """Score the predictions of a run anew, against the gold answers and evidence of these conversations.

    No system is asked again. Verdicts of a judge stay where the gold answer stays and are dropped where it changes.

    Args:
        predictions: Of one system.
        conversations: With the labels to score by, e.g. from `audit.corrected`.

    Raises:
        InvalidInputError: A prediction's conversation is not among these, or its question has another text there.
    """
    questions = {one.id: {question.id: question for question in one.questions} for one in conversations}
    kept, left_out = [], 0
    for prediction in predictions:
        if prediction.conversation not in questions:
            raise InvalidInputError(
                f"The labels have no conversation {prediction.conversation!r}.",
                hint="Give those of the run's own data.",
            )
        question = questions[prediction.conversation].get(prediction.question_id)
        if question is None:
            left_out += 1
        else:
            kept.append(_relabelled(prediction, question))
    return Rescored(tuple(kept), left_out)


def _relabelled(prediction: Prediction, question: Question) -> Prediction:
    if question.text != prediction.question:
        raise InvalidInputError(
            f"Question {question.id} is {question.text!r} in the labels and {prediction.question!r} in the run.",
            hint="Give the labels of the run's own data.",
        )
    changed = {"category": question.category, "gold": question.answer, "evidence": question.evidence}
    if prediction.error is not None:
        return prediction.model_copy(update=changed)
    fresh = score_all(question.category, prediction.answer, question.answer, abstained=prediction.abstained)
    old = prediction.scores if question.answer == prediction.gold else {}
    return prediction.model_copy(update={**changed, "scores": {**old, **fresh}})
