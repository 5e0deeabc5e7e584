"""What is said: turns, sessions, conversations, and the questions asked about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance."""

    id: str
    """Unique in its conversation, e.g. `D1:3`."""
    speaker: str
    text: str
    time: datetime | None = None
    """When it was said (aware, UTC); data that dates only sessions gives every turn its session's time."""
    image_caption: str | None = None
    """What a shared picture shows, where the data has it."""
    role: str = "user"
    """Chat role."""


@dataclass(frozen=True, slots=True)
class Session:
    """The turns of one sitting."""

    id: str
    time: datetime | None
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a conversation, with its gold answer."""

    id: str
    text: str
    answer: str | None
    """None if the conversation does not say; a reader should then abstain."""
    category: str = ""
    """Kind of question in the words of its data set, e.g. `multi-hop`."""
    evidence: tuple[str, ...] = ()
    """Ids of the turns that the answer rests on."""
    time: datetime | None = None
    """When it is asked; None: after the last session."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """All sessions of a set of speakers, oldest first, and the questions about them."""

    id: str
    speakers: tuple[str, ...]
    sessions: tuple[Session, ...]
    questions: tuple[Question, ...] = field(default=())

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns in order."""
        return tuple(turn for session in self.sessions for turn in session.turns)
