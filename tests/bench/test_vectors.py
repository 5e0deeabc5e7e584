import sqlite3

import numpy as np
import pytest

from memory_r1.bench.vectors import KeptEmbedder, VectorFile
from memory_r1.errors import ModelError, StoreError
from memory_r1.testing import HashEmbedder


class Counting(HashEmbedder):
    """Counts what it is asked for."""

    def __init__(self, dimension=16, name=None):
        super().__init__(dimension)
        self.asked = []
        self._called = name

    @property
    def name(self):
        return self._called or super().name

    def embed(self, texts):
        self.asked += texts
        return super().embed(texts)


@pytest.fixture
def file(tmp_path):
    made = VectorFile(tmp_path / "cache" / "vectors.sqlite")
    yield made
    made.close()


def test_a_text_is_embedded_once_and_for_all(file, tmp_path):
    inner = Counting()
    embedder = KeptEmbedder(inner, file)
    first = embedder.embed(["a cat", "a dog", "a cat", "lone \ud800"])
    assert np.array_equal(first, HashEmbedder(16).embed(["a cat", "a dog", "a cat", "lone \ud800"]))
    assert inner.asked == ["a cat", "a dog", "lone \ud800"]
    again = VectorFile(tmp_path / "cache" / "vectors.sqlite")
    try:
        other = Counting()
        assert np.array_equal(KeptEmbedder(other, again).embed(["a dog", "a cat"]), first[[1, 0]])
        assert other.asked == []
    finally:
        again.close()
    assert embedder.embed([]).shape == (0, 16)
    assert embedder.computed == 3


def test_embedders_do_not_share_vectors(file):
    KeptEmbedder(Counting(16), file).embed(["a cat"])
    for other in (Counting(8), Counting(16, name="another")):
        embedder = KeptEmbedder(other, file)
        assert embedder.missing(["a cat"]) == ["a cat"]
        embedder.embed(["a cat"])
        assert other.asked == ["a cat"]


def test_filling_tells_how_far_it_is_and_keeps_what_it_has(file):
    class Dies(Counting):
        def embed(self, texts):
            if len(self.asked) >= 512:
                raise ModelError("gone")
            return super().embed(texts)

    texts = [f"text {number}" for number in range(700)]
    embedder, done = KeptEmbedder(Dies(), file), []
    assert embedder.missing([*texts, "text 3"]) == texts
    with pytest.raises(ModelError, match="gone"):
        embedder.fill(texts, done.append)
    assert done == [256, 256]
    rest = KeptEmbedder(Counting(), file)
    assert rest.missing(texts) == texts[512:]
    rest.fill(rest.missing(texts), done.append)
    assert done == [256, 256, 188]
    assert rest.missing(texts) == []


def test_time_in_the_embedder_is_counted(file):
    embedder = KeptEmbedder(Counting(), file)
    embedder.embed(["a cat"])
    first = embedder.seconds
    embedder.embed(["a cat"])
    assert 0 < first < embedder.seconds


def test_a_foreign_file_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, and long enough to be seen as something else than an empty file" * 20)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE things (name)")
    connection.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(StoreError, match="no cache of vectors"):
            VectorFile(path)
        assert path.read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        VectorFile(tmp_path / "file" / "vectors.sqlite")
