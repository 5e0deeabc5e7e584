"""Turns as memories, under the product's retrieval: what retrieval alone is worth."""

from __future__ import annotations

from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import Provenance
from memory_r1.bench.product import BankSystem
from memory_r1.data.conversation import Conversation, Turn
from memory_r1.rl.retrieved import turn_texts


class RagHybrid(BankSystem):
    """Adds every turn as it is; a long one in pieces. Option: `cut`."""

    name = "rag-hybrid"
    method = "Turns as memories, found by this project's hybrid retrieval (dense and BM25, fused)."

    def ingest(self, conversation: Conversation) -> None:
        """Add turn by turn."""
        for turn in conversation.turns:
            self.add_facts(_facts(turn))


def _facts(turn: Turn) -> list[Fact]:
    provenance = Provenance(turn_id=turn.id, speaker=turn.speaker, role=turn.role)
    return [Fact(text, turn.time, provenance) for text in turn_texts(turn)]
