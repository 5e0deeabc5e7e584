"""Plain prompt-and-answer tasks from a JSON Lines file, for a user's own data and for trying the engine out.

One object a line: `prompt` (a text or a list of messages), `answer` (a text or a list of accepted ones), and optionally
`id`, `target` (a completion to imitate; the answer by default), `max_tokens`, `json` (end with one JSON object) and
`reward` (`em`, `f1` or `contains`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memory_r1.bench.metrics import exact_match, token_f1
from memory_r1.errors import InvalidInputError
from memory_r1.lm.base import Message
from memory_r1.rl.episode import Observation, Reward


class PromptMessage(BaseModel):
    """One message of a prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class PromptTask(BaseModel):
    """A prompt, and the answers that are right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = ""
    prompt: str | tuple[PromptMessage, ...]
    answer: str | tuple[str, ...]
    target: str | None = None
    max_tokens: int = Field(32, ge=1)
    json_object: bool = Field(False, alias="json")
    reward: Literal["em", "f1", "contains"] = "f1"
    """What is learnt from; `contains` asks whether an answer is somewhere in the completion. All three are logged."""

    def start(self) -> PromptEpisode:
        """A fresh episode."""
        return PromptEpisode(self)

    def demonstration(self) -> str | None:
        """The completion to imitate."""
        return self.target if self.target is not None else self.answers[0]

    @property
    def answers(self) -> tuple[str, ...]:
        """All accepted answers."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer


class PromptEpisode:
    """One prompt, answered once."""

    def __init__(self, task: PromptTask) -> None:
        self._task = task
        self._text: str | None = None

    def observe(self) -> Observation | None:
        """The prompt; None once it is answered."""
        if self._text is not None:
            return None
        prompt = self._task.prompt
        messages = (PromptMessage(role="user", content=prompt),) if isinstance(prompt, str) else prompt
        chat = tuple(Message(role=message.role, content=message.content) for message in messages)
        return Observation(chat, self._task.max_tokens, self._task.json_object)

    def act(self, text: str, finish: Literal["stop", "length"]) -> None:
        """Keep what the policy wrote."""
        self._text = text

    def score(self) -> Reward:
        """How near the text is to the nearest accepted answer."""
        text, answers = self._text or "", self._task.answers
        parts = {
            "em": max(exact_match(text, answer) for answer in answers),
            "f1": max(token_f1(text, answer) for answer in answers),
            "contains": float(any(answer in text for answer in answers)),
        }
        return Reward(parts[self._task.reward], parts)


def read_prompt_tasks(path: str | Path) -> list[PromptTask]:
    """Read tasks from JSON Lines; those without an id are named by their line.

    Raises:
        InvalidInputError: The file cannot be read, is empty, has two tasks of one id, or a line is not a task.
    """
    path = Path(path).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}.") from error
    tasks: dict[str, PromptTask] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            task = PromptTask.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InvalidInputError(f"{path}, line {number} is no task: {where} {first['msg']}.") from error
        task = task.model_copy(update={"id": task.id or f"line-{number}"})
        if task.id in tasks:
            raise InvalidInputError(f"{path}, line {number}: the id {task.id!r} is there twice.")
        tasks[task.id] = task
    if not tasks:
        raise InvalidInputError(f"{path} holds no task.", hint="Write one JSON object a line.")
    return list(tasks.values())
