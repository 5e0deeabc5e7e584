"""The extractor's facts, every one added: what a manager has to beat."""

from __future__ import annotations

from memory_r1.bench.facts import take_facts
from memory_r1.bench.kit import ANSWERER, EXTRACTOR
from memory_r1.bench.product import BankSystem
from memory_r1.data.conversation import Conversation


class AddAll(BankSystem):
    """Adds each fact; only a fact that is there word for word is not added again. Option: `cut`.

    An add is the facts of one turn: its time is the mean time of extracting a turn and that of writing them.
    """

    name = "add-all"
    policies = (EXTRACTOR,)
    agents = (EXTRACTOR, ANSWERER)
    method = "This project's extractor, retrieval and store, with every fact added and none ever changed."

    def ingest(self, conversation: Conversation) -> None:
        """Extract, then add turn by turn."""
        taken = take_facts(self.kit, conversation, on_turns=self.kit.on_turns)
        self.extracted(taken.cost, len(conversation.turns))
        for turn in conversation.turns:
            self.add_facts(taken.by_turn.get(turn.id, ()))
