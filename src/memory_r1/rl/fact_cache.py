"""Facts of a conversation, extracted once and kept on disk, so that every rollout of every run sees the same ones."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from memory_r1.agents.fact_extractor import FactExtractor
from memory_r1.agents.windows import Window
from memory_r1.bank.fact import Fact
from memory_r1.data.conversation import Conversation
from memory_r1.errors import InvalidInputError

FORMAT = 3
"""Changes when what an extractor makes of a turn changes for other reasons than its model."""

_BATCH = 16
_FACTS: TypeAdapter[dict[str, tuple[Fact, ...]]] = TypeAdapter(dict[str, tuple[Fact, ...]])


class FactCache:
    """Extracts the facts of conversations and keeps them as one JSON file each, named by a hash of all that counts.

    Args:
        folder: Where the files are; made if it is missing.
        extractor: Takes the facts.
        name: Which policy the extractor is, weights included: another name, other facts. The extractor's own name for
            it does not tell two adapters in the same place apart.
        context_turns: Earlier turns of the session that it sees beside the one it reads.

    Raises:
        InvalidInputError: The folder cannot be made.
    """

    def __init__(self, folder: str | Path, extractor: FactExtractor, *, name: str = "", context_turns: int = 1) -> None:
        self._folder = Path(folder).expanduser()
        self._extractor = extractor
        self._name = name or extractor.policy
        self._context_turns = context_turns
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInputError(f"The folder {self._folder} cannot be made: {error.strerror or error}.") from error

    def path(self, conversation: Conversation) -> Path:
        """The file of a conversation's facts, there or not."""
        turns = [
            [turn.id, turn.speaker, turn.text, str(turn.time), turn.image_caption, turn.role]
            for turn in conversation.turns
        ]
        shape = [len(session.turns) for session in conversation.sessions]
        told = [FORMAT, self._name, self._context_turns, conversation.id, shape, turns]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]
        return self._folder / f"{digest}.json"

    def facts(
        self, conversation: Conversation, *, on_turns: Callable[[int, int], None] | None = None
    ) -> Mapping[str, tuple[Fact, ...]]:
        """The facts of each turn, by its id; turns without one are left out.

        Args:
            conversation: What to read.
            on_turns: Called with turns read and turns in all after each batch; not at all if the facts are known.

        Raises:
            InvalidInputError: The file is damaged or cannot be written.
            ModelError: The extractor's model failed; nothing is kept.
        """
        path = self.path(conversation)
        if path.is_file():
            try:
                return _FACTS.validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                raise InvalidInputError(f"{path} cannot be read as facts.", hint="Delete the file.") from error
        found = self._extract(conversation, on_turns)
        _write(path, _FACTS.dump_json(found))
        return found

    def _extract(
        self, conversation: Conversation, on_turns: Callable[[int, int], None] | None
    ) -> dict[str, tuple[Fact, ...]]:
        windows = [
            Window((turn,), session.turns[max(0, place - self._context_turns) : place], session_id=session.id)
            for session in conversation.sessions
            for place, turn in enumerate(session.turns)
        ]
        found: dict[str, tuple[Fact, ...]] = {}
        for start in range(0, len(windows), _BATCH):
            batch = windows[start : start + _BATCH]
            for window, extraction in zip(batch, self._extractor.extract_many(batch), strict=True):
                if extraction.facts:
                    found[window.turns[0].id] = extraction.facts
            if on_turns:
                on_turns(start + len(batch), len(windows))
        return found


def _write(path: Path, content: bytes) -> None:
    """Write a file in whole or not at all."""
    try:
        descriptor, partial = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be written: {error.strerror or error}.") from error
