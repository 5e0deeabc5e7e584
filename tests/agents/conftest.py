from datetime import UTC, datetime

import pytest

from memory_r1.agents.prompts import Prompts
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.scope import Scope
from memory_r1.data.conversation import Turn

SAID = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


@pytest.fixture(scope="session")
def prompts():
    return Prompts.load()


@pytest.fixture
def turn():
    def make(text, speaker="Caroline", *, id="D1:3", time=SAID, **options):
        return Turn(id, speaker, text, time, **options)

    return make


@pytest.fixture
def record():
    def make(text, speaker="Ann", *, day=SAID):
        return MemoryRecord("5f0c", Scope("u"), text, day, day, event_time=day, provenance=Provenance(speaker=speaker))

    return make


@pytest.fixture
def fact():
    def make(text, speaker="Ann", *, day=SAID):
        return Fact(text, day, Provenance(speaker=speaker))

    return make
