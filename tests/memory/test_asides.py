"""What is hardly worth a memory, on a bank of the product's own."""

from datetime import UTC, datetime

import pytest

from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.results import Ruling
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import Provenance
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.bank.states import retired
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.curator import Curator
from memory_r1.retrieval.search import Retriever
from memory_r1.testing import HashEmbedder, ScriptedLM

ANN = Scope(user_id="ann")
DAY = datetime(2023, 5, 8, tzinfo=UTC)
KIND, BOTH = "Ann: That is so kind of you.", "Ann: I row on Mondays. Ann: That is so kind of you."


class AddsAll(MemoryManager):
    """Adds every fact, the kind ones only as asides."""

    def decide(self, fact, candidates):
        return Ruling(OperationKind.ADD, text=fact.text, aside="kind" in fact.text)


@pytest.fixture
def bank():
    embedder, store = HashEmbedder(), SqliteStore(":memory:", durable=False)
    store.bind_embedder(EmbedderIdentity(embedder.name, embedder.dimension))
    yield store, Curator(store, Retriever(store, embedder), embedder, AddsAll(ScriptedLM(), Prompts.load()))
    store.close()


def told(text):
    return Fact(text, DAY, Provenance(speaker=text.split(":")[0]))


def test_an_aside_goes_behind_what_its_speaker_told_last(bank):
    store, curator = bank
    for text in ("Ann: I row on Mondays.", "Bob: I ski."):
        curator.curate(told(text), ANN)
    operation, _ = curator.curate(told(KIND), ANN)
    assert (operation.kind, operation.before.text, operation.after.text) == (
        OperationKind.UPDATE,
        "Ann: I row on Mondays.",
        BOTH,
    )
    assert operation.memory_id in {one.memory_id for one in operation.decision.candidates}
    assert [memory.text for memory in store.memories(ANN)] == [BOTH, "Bob: I ski."]


def test_an_aside_never_goes_into_another_bank_that_a_read_covers(bank):
    _, curator = bank
    wider, narrower = Scope(user_id="ann"), Scope(user_id="ann", run_id="monday")
    curator.curate(told("Ann: I row on Mondays."), narrower)
    operation, _ = curator.curate(told(KIND), wider)
    assert operation.kind is OperationKind.ADD


def test_what_was_retired_takes_no_aside(bank):
    store, curator = bank
    for text in ("Ann: I row.", "Ann: I swim."):
        last, _ = curator.curate(told(text), ANN)
    store.commit([Change(OperationKind.DELETE, ANN, memory_id=last.memory_id, after=retired(last.after))])
    operation, _ = curator.curate(told(KIND), ANN)
    assert operation.after.text == f"Ann: I row. {KIND}"


def test_a_plan_puts_an_aside_where_carrying_it_out_would(bank):
    _, curator = bank
    facts = [told(text) for text in ("Ann: I row on Mondays.", "Bob: I ski.", KIND)]
    planned = [(one.kind, one.after.text) for one in curator.plan(facts, ANN)]
    done = [curator.curate(fact, ANN)[0] for fact in facts]
    assert planned == [(one.kind, one.after.text) for one in done]
    assert planned[-1] == (OperationKind.UPDATE, BOTH)
