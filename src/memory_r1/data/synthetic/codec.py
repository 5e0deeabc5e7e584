"""Synthetic conversations in files: the talk in the project's own JSON Lines format, the gold beside it.

`NAME.jsonl` is read by `load_jsonl` like anybody's conversations. `NAME.gold.jsonl` has, for each conversation, a line
of type `gold` (conversation, seed, split), then lines of type `turn` for turns with facts or planted instructions
(other turns hold nothing to remember) and of type `answer`, one for each question.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from memory_r1.data.conversation import Conversation
from memory_r1.data.jsonl import dump_jsonl, load_jsonl
from memory_r1.data.synthetic.gold import GoldAnswer, GoldTurn, SyntheticConversation
from memory_r1.errors import InvalidInputError

_TURN = TypeAdapter(GoldTurn)
_ANSWER = TypeAdapter(GoldAnswer)


def write_synthetic(made: Iterable[SyntheticConversation], path: str | Path) -> None:
    """Write conversations to `path` (ending `.jsonl`) and their gold beside it (ending `.gold.jsonl`).

    Raises:
        InvalidInputError: A file cannot be written.
    """
    made = list(made)
    dump_jsonl((one.conversation for one in made), path)
    gold = _gold_path(path)
    try:
        gold.write_text("".join(f"{line}\n" for one in made for line in _lines(one)), encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"{gold} cannot be written: {error.strerror or error}.") from error


def read_synthetic(path: str | Path) -> list[SyntheticConversation]:
    """Read what `write_synthetic` wrote.

    Raises:
        InvalidInputError: A file cannot be read or is not as it should be, or the two do not belong together.
    """
    talks = {talk.id: talk for talk in load_jsonl(path)}
    gold = _gold_path(path)
    try:
        lines = gold.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InvalidInputError(f"{gold} cannot be read: {error.strerror or error}.") from error
    made: list[SyntheticConversation] = []
    try:
        for head, rest in _grouped(lines):
            made.append(_joined(talks[head["conversation"]], head, rest))
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InvalidInputError(
            f"{gold} is not the gold of {path} ({type(error).__name__}: {error}).", hint="Write both files anew."
        ) from error
    return made


def _gold_path(path: str | Path) -> Path:
    path = Path(path).expanduser()
    return path.with_name(f"{path.stem}.gold.jsonl")


def _lines(one: SyntheticConversation) -> Iterator[str]:
    head = {"type": "gold", "conversation": one.conversation.id, "seed": one.seed, "split": one.split}
    yield json.dumps(head)
    for turn in one.turns:
        if turn.facts or turn.planted:
            yield json.dumps({"type": "turn", **_TURN.dump_python(turn, mode="json")}, ensure_ascii=False)
    for answer in one.answers:
        yield json.dumps({"type": "answer", **_ANSWER.dump_python(answer, mode="json")}, ensure_ascii=False)


def _grouped(lines: Iterable[str]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    groups: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for line in lines:
        record = json.loads(line)
        if record["type"] == "gold":
            groups.append((record, []))
        else:
            groups[-1][1].append(record)
    return iter(groups)


def _joined(talk: Conversation, head: dict[str, Any], records: list[dict[str, Any]]) -> SyntheticConversation:
    turns: dict[str, GoldTurn] = {}
    answers: list[GoldAnswer] = []
    for record in records:
        kind = record.pop("type")
        if kind == "turn":
            turn = _TURN.validate_python(record)
            turns[turn.turn_id] = turn
        else:
            answers.append(_ANSWER.validate_python(record))
    ids = [turn.id for turn in talk.turns]
    if not turns.keys() <= set(ids) or [answer.question_id for answer in answers] != [q.id for q in talk.questions]:
        raise ValueError(f"turns or questions of {talk.id} differ")
    gold = tuple(turns.get(name, GoldTurn(name)) for name in ids)
    return SyntheticConversation(talk, gold, tuple(answers), head["seed"], head["split"])
