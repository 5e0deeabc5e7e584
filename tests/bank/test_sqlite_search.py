from __future__ import annotations

import math
import random

import numpy as np
import pytest

from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore, search

ANN = Scope("ann")


@pytest.fixture
def store():
    store = SqliteStore(":memory:")
    yield store
    store.close()


def texts_of(store, hits):
    records = store.fetch([hit.key for hit in hits])
    return [records[hit.key].text for hit in hits]


def test_scores_are_bm25(store, kit):
    rng = random.Random(1)
    words = [f"word{number}" for number in range(40)]
    texts = {" ".join(rng.sample(words, rng.randint(2, 12))) for _ in range(60)}
    store.commit([kit.add(ANN, text) for text in texts])
    store.commit([kit.add(Scope("bob"), f"word1 word2 {number}") for number in range(50)])
    terms = ["word1", "word2", "word3"]
    matching = [text for text in texts if set(text.split()) & set(terms)]
    mean = sum(len(text.split()) for text in matching) / len(matching)

    def expected(text):
        total = 0.0
        for term in set(text.split()) & set(terms):
            having = sum(term in text.split() for text in texts)
            total += math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
        return total * 2.2 / (1 + 1.2 * (0.25 + 0.75 * len(text.split()) / mean))

    hits = store.match(ANN, terms, 100)
    assert set(texts_of(store, hits)) == set(matching)
    for hit, text in zip(hits, texts_of(store, hits), strict=True):
        assert hit.score == pytest.approx(expected(text))


def test_common_terms_give_way_to_rare_ones_in_large_banks(store, kit, monkeypatch):
    monkeypatch.setattr(search, "_MIN_ROWS", 20)
    texts = [f"the cat sat number{number}" + (" zebra" if number % 50 == 0 else "") for number in range(200)]
    texts += [f"a cat in the rain drop{number}" for number in range(5)]
    store.commit([kit.add(ANN, text) for text in texts])
    for _ in range(2):
        found = texts_of(store, store.match(ANN, ["the", "cat", "zebra"], 30))
        assert found == [text for text in texts if "zebra" in text]
        together = texts_of(store, store.match(ANN, ["the", "cat"], 10))
        assert len(together) == 10
        assert set(texts_of(store, store.match(ANN, ["cat", "rain"], 10))) == set(texts[-5:])
    assert store.match(ANN, ["sat", "drop1"], 3)


def test_a_term_that_became_rare_is_found_again(store, kit, monkeypatch):
    monkeypatch.setattr(search, "_MIN_ROWS", 20)
    added = store.commit([kit.add(ANN, f"common thing{number}") for number in range(100)])
    store.commit([kit.add(ANN, "common rarity")])
    assert len(store.match(ANN, ["common", "rarity"], 50)) == 1
    store.commit([kit.delete(operation.after) for operation in added[:90]])
    assert len(store.match(ANN, ["common", "rarity"], 50)) == 11


def test_many_banks_are_searched_as_one(store, kit):
    changes = [kit.add(Scope("ann", run_id=f"run{number}"), f"tea in run {number}") for number in range(30)]
    changes += [kit.add(Scope("bob", run_id=f"run{number}"), f"tea in run {number}") for number in range(30)]
    store.commit(changes)
    assert len(store.match(ANN, ["tea"], 100)) == 30
    assert len(store.match(Scope(run_id="run3"), ["tea"], 100)) == 2


@pytest.mark.parametrize("count", [100, 10_000])
def test_any_number_of_terms(store, kit, count):
    store.commit([kit.add(ANN, "needle")])
    assert len(store.match(ANN, ["needle", *(f"word{number}" for number in range(count))], 5)) == 1


def test_long_texts_have_long_lengths(store, kit):
    store.commit([kit.add(ANN, "tea " + "filler " * 20_000), kit.add(ANN, "tea and cake")])
    assert texts_of(store, store.match(ANN, ["tea"], 2))[0] == "tea and cake"
    assert search._tokens(bytes([0x81, 0x80, 0x00, 0x05])) == (1 << 14) + 5


def test_a_part_of_a_scope_is_scored_as_if_there_were_no_others(store, kit, monkeypatch):
    rng = random.Random(2)
    words = [f"word{number}" for number in range(12)]
    texts = [f"{' '.join(rng.sample(words, rng.randint(2, 6)))} {number}" for number in range(90)]
    store.commit([kit.add(ANN, text) for text in texts])
    part = texts[10:60:2]
    alone = Scope("alone")
    store.commit([kit.add(alone, text) for text in part])
    keys = {record.text: key for key, record in store.fetch(store.index_batch(ANN, 0).keys.tolist()).items()}
    among = np.array(sorted(keys[text] for text in part))
    terms = ["word1", "word2", "word3"]
    expected = store.match(alone, terms, 100)
    found = store.match(ANN, terms, 100, among=among)
    assert {hit.key for hit in found} <= set(among.tolist())
    scores = dict(zip(texts_of(store, expected), [hit.score for hit in expected], strict=True))
    assert dict(zip(texts_of(store, found), [hit.score for hit in found], strict=True)) == pytest.approx(scores)
    assert store.match(ANN, terms, 100, among=among[:0]) == []
    # common in the scope, so left out there for a rarer one; in the part it counts
    monkeypatch.setattr(search, "_MIN_ROWS", 20)
    monkeypatch.setattr(search, "_SHARE_AMONG", 1.0)
    store.commit([kit.add(ANN, f"common thing{number}") for number in range(40)])
    store.commit([kit.add(ANN, "rarity")])
    keys = {record.text: key for key, record in store.fetch(store.index_batch(ANN, 0).keys.tolist()).items()}
    among = np.array(sorted(keys[f"common thing{number}"] for number in range(3)))
    assert len(store.match(ANN, ["common", "rarity"], 50)) == 1
    assert len(store.match(ANN, ["common", "rarity"], 50, among=among)) == 3
