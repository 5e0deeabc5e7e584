"""What every extractor can do, however it finds its facts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from memory_r1.agents.results import Extraction
from memory_r1.agents.windows import Window
from memory_r1.data.conversation import Turn


class FactExtractor(ABC):
    """Takes facts from turns: `Extractor` writes them, `SelectingExtractor` chooses sentences."""

    policy: str
    """Who does it, by name."""

    def extract(
        self,
        turns: Sequence[Turn],
        *,
        context: Sequence[Turn] = (),
        known: Sequence[str] = (),
        session_id: str | None = None,
        first_index: int | None = None,
        source: str | None = None,
    ) -> Extraction:
        """Take the facts from a few turns of one session.

        Args:
            turns: What to read.
            context: Turns just before; they give no facts.
            known: Texts of memories recalled to the user lately: what only repeats one is left out.
            session_id: The session of the turns.
            first_index: Position of the first turn in its conversation, counted from 0.
            source: Where the turns entered.

        Returns:
            Facts in the order of their turns.

        Raises:
            EndpointError: A remote model failed for good.
        """
        window = Window(tuple(turns), tuple(context), tuple(known), session_id, first_index, source)
        return self.extract_many([window])[0]

    @abstractmethod
    def extract_many(self, windows: Sequence[Window], *, known: Sequence[str] = ()) -> list[Extraction]:
        """Take the facts from several windows in one batch of model calls.

        Args:
            windows: What to read.
            known: Texts of recalled memories, besides those that each window names.
        """
