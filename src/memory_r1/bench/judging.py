"""LLM-as-a-judge over a run's answers: cached on disk, counted, and never a zero for want of a verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from memory_r1.agents.json_object import first_object
from memory_r1.bench.judge_prompts import REMINDER, PromptName, judge_chat
from memory_r1.bench.records import Prediction
from memory_r1.bench.system import Cost
from memory_r1.errors import InvalidInputError, ModelError
from memory_r1.lm.base import Completion, LanguageModel, Message, Sampling

_SAMPLING = Sampling(max_tokens=256, temperature=0.0, json_object=True)
_LABELS = {"CORRECT": True, "WRONG": False}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one answer."""

    correct: bool
    why: str = ""
    """Its reason, in its own words."""


class _Line(BaseModel):
    """A verdict on disk."""

    model_config = ConfigDict(extra="forbid")

    key: str
    judge: str
    prompt: str
    question: str
    gold: str
    given: str
    correct: bool
    why: str


class AnswerJudge:
    """A judge that asks a language model at temperature 0. Not safe to share between threads.

    The model is asked in batches, and a batch's verdicts are on disk before the next one is asked, so an endpoint that
    dies costs one batch. Failed requests are retried by `RemoteLM`. A verdict that cannot be read is asked for once
    more, with a reminder; then it is an error. An empty answer is wrong without asking.

    Args:
        lm: The model; as a rule an endpoint's, and a strong one.
        prompt: `generous` (comparable with published J) or `strict`.
        cache: A JSON Lines file of verdicts, made if it is not there; None keeps them in memory only. A verdict is
            found again by the model's identity and the exact chat.
        batch: Most chats at once.
        identity: Tells the model from others of the same name, e.g. with its endpoint's address; its name if empty.

    Raises:
        InvalidInputError: The cache file is damaged; a last line cut short by a kill is not, it is left out.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompt: PromptName = "generous",
        *,
        cache: Path | None = None,
        batch: int = 32,
        identity: str = "",
    ) -> None:
        self.prompt: PromptName = prompt
        """As given."""
        self.cost = Cost()
        """What the model was asked so far, reminders included."""
        self.cached = 0
        """Verdicts that were already known when they were asked for."""
        self.reminded = 0
        """Verdicts that had to be asked for twice."""
        self._lm, self._cache, self._batch, self._identity = lm, cache, batch, identity or lm.name
        self._known = _read_cache(cache) if cache else {}

    @property
    def metric(self) -> str:
        """Key of its scores, e.g. `judge_strict`."""
        return f"judge_{self.prompt}"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._lm.name

    def judge(self, answers: Sequence[tuple[str, str, str]]) -> list[Verdict]:
        """Judge each (question, gold answer, given answer), in order.

        Raises:
            ModelError: The model failed, or its verdict cannot be read; never a zero.
        """
        chats = {item: judge_chat(self.prompt, *item) for item in answers if item[2].strip()}
        keys = {item: self._key(chat) for item, chat in chats.items()}
        new = [item for item in chats if keys[item] not in self._known]
        self.cached += sum(item in keys and keys[item] in self._known for item in answers)
        for start in range(0, len(new), self._batch):
            part = new[start : start + self._batch]
            self._ask(part, [chats[item] for item in part], [keys[item] for item in part])
        empty = Verdict(False, "There is no answer.")
        return [self._known[keys[item]] if item in keys else empty for item in answers]

    def grade(self, graded: Sequence[tuple[str, str, str]]) -> list[float]:
        """The verdicts as numbers, 1 if right and 0 if wrong: what a reward asks of a judge (`rl.judge.Judge`)."""
        return [float(verdict.correct) for verdict in self.judge(graded)]

    def _ask(self, items: Sequence[tuple[str, str, str]], chats: Sequence[list[Message]], keys: Sequence[str]) -> None:
        completions = self._complete(chats)
        verdicts = [_read(completion.text) for completion in completions]
        self._keep(items, keys, verdicts)
        unread = [place for place, verdict in enumerate(verdicts) if verdict is None]
        if not unread:
            return
        self.reminded += len(unread)
        again = self._complete([_reminded(chats[place], completions[place].text) for place in unread])
        second = [_read(completion.text) for completion in again]
        self._keep([items[place] for place in unread], [keys[place] for place in unread], second)
        for place, verdict, completion in zip(unread, second, again, strict=True):
            if verdict is None:
                raise ModelError(
                    f"The judge {self.name} answered {completion.text[:80]!r} instead of a label, twice, on "
                    f"{items[place][0][:80]!r}.",
                    hint="Use a stronger model as judge, or leave the judge out.",
                )

    def _complete(self, chats: Sequence[list[Message]]) -> list[Completion]:
        completions = self._lm.complete(chats, _SAMPLING)
        for one in completions:
            self.cost += Cost(1, one.prompt_tokens, one.completion_tokens, one.seconds)
        return completions

    def _keep(
        self, items: Sequence[tuple[str, str, str]], keys: Sequence[str], verdicts: Sequence[Verdict | None]
    ) -> None:
        lines = []
        for (question, gold, given), key, verdict in zip(items, keys, verdicts, strict=True):
            if verdict is None:
                continue
            self._known[key] = verdict
            line = _Line(
                key=key,
                judge=self.name,
                prompt=self.prompt,
                question=question,
                gold=gold,
                given=given,
                correct=verdict.correct,
                why=verdict.why,
            )
            lines.append(line.model_dump_json() + "\n")
        if self._cache and lines:
            with self._cache.open("a", encoding="utf-8") as file:
                file.write("".join(lines))

    def _key(self, chat: Sequence[Message]) -> str:
        content = json.dumps([self._identity, chat, _SAMPLING.max_tokens, _SAMPLING.temperature])
        return hashlib.sha256(content.encode()).hexdigest()


def judge_predictions(predictions: Iterable[Prediction], judge: AnswerJudge) -> list[Prediction]:
    """The predictions with the judge's score added to `scores`, 1 if right and 0 if wrong.

    Left as they are: predictions with an error, and questions without a gold answer (category 5), as in Mem0's harness.

    Raises:
        ModelError: As for `AnswerJudge.judge`.
    """
    predictions = list(predictions)
    asked = [
        (one.question, one.gold, one.answer) if one.error is None and one.gold is not None else None
        for one in predictions
    ]
    verdicts = iter(judge.judge([item for item in asked if item is not None]))
    return [
        one
        if item is None
        else one.model_copy(update={"scores": {**one.scores, judge.metric: float(next(verdicts).correct)}})
        for one, item in zip(predictions, asked, strict=True)
    ]


def _reminded(chat: Sequence[Message], reply: str) -> list[Message]:
    # an empty assistant message is refused by some endpoints
    said = Message(role="assistant", content=reply.strip() or "...")
    return [*chat, said, Message(role="user", content=REMINDER)]


def _read(text: str) -> Verdict | None:
    found = first_object(text)
    if isinstance(found, str):
        return None
    correct = _LABELS.get(str(found.get("label", "")).strip().upper())
    return None if correct is None else Verdict(correct, str(found.get("why", "")).strip())


def _read_cache(path: Path) -> dict[str, Verdict]:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        return {}
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    whole = content[: content.rfind(b"\n") + 1]
    known = {}
    # not splitlines, which also splits at separators that JSON leaves as they are
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        try:
            read = _Line.model_validate_json(line)
        except ValidationError as error:
            raise InvalidInputError(
                f"{path}, line {number} is no verdict: {error.errors()[0]['msg']}.",
                hint="Delete the line; that answer is judged again.",
            ) from error
        known[read.key] = Verdict(read.correct, read.why)
    if len(whole) < len(content):
        # what a kill cut short must not swallow the next line
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return known
