"""LoCoMo with the labels that an audit found wrong put right, or their questions left out.

The audit is `errors.json` of github.com/dial481/locomo-audit (CC BY-NC 4.0; not part of this package): 156 of LoCoMo's
1,540 questions of categories 1 to 4, each with a kind of error, the right evidence, and what the auditor holds to be
the right answer. It was made by a language model and looked through by people: a good filter, not the truth. What it
calls the right answer is written for readers and often is a remark ("This is Ann's bowl, not Bob's."), so:

1. `WRONG_CITATION`: the gold answer stays; the evidence becomes the audit's.
2. `AMBIGUOUS`: the question is left out.
3. Any other kind: what stands in parentheses is taken out of the audit's answer, such as sources and second thoughts.
   If the parentheses begin with "but", "not" or "answer is correct", or the rest is a remark on the question or the
   conversation and no answer to the question, then the question is left out. Otherwise the rest becomes the gold
   answer, and the evidence becomes the audit's.

Nothing is decided by a person or a model at run time, and nothing by how a system scores.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from memory_r1.data.conversation import Conversation, Question
from memory_r1.data.files import DataFile
from memory_r1.data.locomo import parse_evidence
from memory_r1.errors import InvalidInputError

_FILE = DataFile(
    "errors.json", "locomo_audit", "LoCoMo's audit", "Fetch errors.json of github.com/dial481/locomo-audit anew."
)
NAME = "locomo-audit"
"""What its labels are called in a run's configuration."""

_ORDER = (
    "conv-26",
    "conv-30",
    "conv-41",
    "conv-42",
    "conv-43",
    "conv-44",
    "conv-47",
    "conv-48",
    "conv-49",
    "conv-50",
)
"""LoCoMo's conversations as the file has them; the audit counts them."""
_ID = r"^locomo_\d_qa\d+$"
_CITATION = "WRONG_CITATION"
_AMBIGUOUS = "AMBIGUOUS"
_PARENTHESES = re.compile(r"\s*\(([^()]*)\)")
_OBJECTION = re.compile(r"but\b|not\b|answer is correct", re.IGNORECASE)
_REMARK = re.compile(
    r"\b(?:not|never|cannot|unknown|unclear|uncertain|unspecified|question|transcript|statement|occurred)\b",
    re.IGNORECASE,
)


class AuditEntry(BaseModel):
    """One question whose label the audit finds fault with."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question_id: str = Field(pattern=_ID)
    """`locomo_C_qaQ`: the Q-th question of the C-th conversation, both from 0."""
    question: str
    golden_answer: str
    error_type: str
    correct_evidence: tuple[str, ...]
    correct_answer: str

    @property
    def place(self) -> tuple[str, str]:
        """Conversation and question by the names that `load_locomo` gives, e.g. `conv-26`, `conv-26#5`."""
        number, _, question = self.question_id.removeprefix("locomo_").partition("_qa")
        conversation = _ORDER[int(number)]
        return conversation, f"{conversation}#{question}"


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels that are not the data set's own, and how many of the questions asked they change."""

    name: str
    sha256: str
    """Of the file that they come from."""
    cited: int
    """The gold answer stayed, the evidence is new."""
    replaced: int
    """The gold answer and the evidence are new."""
    left_out: int
    """Questions that are not asked, or not scored, for want of a right answer."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """LoCoMo under the audit's labels, and what was done, by question id."""

    conversations: tuple[Conversation, ...]
    cited: tuple[str, ...]
    """The gold answer stayed, the evidence is new."""
    replaced: tuple[str, ...]
    """The gold answer and the evidence are new."""
    left_out: tuple[str, ...]
    """The question is gone."""


def load_audit(path: str | Path) -> list[AuditEntry]:
    """Read the audit.

    Args:
        path: `errors.json`, or a folder that holds it (directly or under `locomo_audit/`).

    Raises:
        InvalidInputError: There is no such file, or it is damaged or something else.
    """
    file = _FILE.find(path)
    try:
        return TypeAdapter(list[AuditEntry]).validate_python(_FILE.items(file, "errors"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _FILE.foreign(file, f"{where}: {first['msg']}") from error


def relabel(conversations: Sequence[Conversation], path: str | Path) -> tuple[tuple[Conversation, ...], Labels]:
    """LoCoMo's conversations by the labels of an audit file, and what that comes to.

    Raises:
        InvalidInputError: As `load_audit` and `corrected`.
    """
    done = corrected(conversations, load_audit(path))
    digest = hashlib.sha256(_FILE.find(path).read_bytes()).hexdigest()
    return done.conversations, Labels(NAME, digest, len(done.cited), len(done.replaced), len(done.left_out))


def corrected_answer(entry: AuditEntry) -> str | None:
    """The gold answer by the audit; None if it states none and the question should be left out.

    Example:
        >>> entry = AuditEntry(
        ...     question_id="locomo_0_qa0", question="When did Ann run?", golden_answer="Sunday",
        ...     error_type="TEMPORAL_ERROR", correct_evidence=("D1:1",), correct_answer="Saturday (20 May)",
        ... )
        >>> corrected_answer(entry)
        'Saturday'
        >>> corrected_answer(entry.model_copy(update={"correct_answer": "Saturday (but it was Bob who ran)"})) is None
        True
    """
    if entry.error_type == _CITATION:
        return entry.golden_answer
    if entry.error_type == _AMBIGUOUS:
        return None
    if any(_OBJECTION.match(aside) for aside in _PARENTHESES.findall(entry.correct_answer)):
        return None
    answer = _PARENTHESES.sub("", entry.correct_answer).strip()
    return None if not answer or _REMARK.search(answer) else answer


def corrected(conversations: Sequence[Conversation], audit: Sequence[AuditEntry]) -> Corrected:
    """LoCoMo's conversations with the audit's labels; see the module's own words for what is done.

    Questions that the audit does not name stay as they are, category 5 among them, which it did not look at. Entries
    about a conversation or question that is not given (another split) play no part.

    Raises:
        InvalidInputError: No conversation is LoCoMo's, or a question or its gold answer differs from the audit's.
    """
    entries = {entry.place: entry for entry in audit}
    if not any(one.id in _ORDER for one in conversations):
        raise InvalidInputError("The audit is about LoCoMo; none of these conversations is.", hint="Leave it out.")
    done: dict[str, list[str]] = {"cited": [], "replaced": [], "left_out": []}
    mended = tuple(_mended(one, entries, done) for one in conversations)
    return Corrected(mended, **{kind: tuple(names) for kind, names in done.items()})


def _mended(
    conversation: Conversation, entries: Mapping[tuple[str, str], AuditEntry], done: Mapping[str, list[str]]
) -> Conversation:
    known = frozenset(turn.id for turn in conversation.turns)
    questions = []
    for question in conversation.questions:
        entry = entries.get((conversation.id, question.id))
        if entry is None:
            questions.append(question)
            continue
        _check(question, entry)
        answer = corrected_answer(entry)
        if answer is None:
            done["left_out"].append(question.id)
            continue
        done["cited" if answer == question.answer else "replaced"].append(question.id)
        questions.append(replace(question, answer=answer, evidence=parse_evidence(entry.correct_evidence, known)))
    return replace(conversation, questions=tuple(questions))


def _check(question: Question, entry: AuditEntry) -> None:
    for ours, theirs in ((question.text, entry.question), (question.answer, entry.golden_answer)):
        if ours != theirs:
            raise InvalidInputError(
                f"Question {question.id} differs: {ours!r} in the data, {theirs!r} in the audit.",
                hint="The audit fits LoCoMo's own locomo10.json and no edited copy of it.",
            )
