from datetime import UTC, datetime

import pytest

from memory_r1.bench.vectors import KeptEmbedder, VectorFile
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.testing import HashEmbedder

SUBJECTS = ("boat", "fence", "violin", "garden", "kettle", "bicycle", "lantern", "carpet")


def talk(name, speakers=("Ann", "Bob"), *, turns=8, says="I painted the {what} {colour}."):
    """A conversation in which everyone says something about a thing, and a question about each of the first four."""
    said, asked = [], []
    for number in range(turns):
        speaker, what = speakers[number % len(speakers)], SUBJECTS[number % len(SUBJECTS)]
        time = datetime(2023, 5, 1 + number % 28, tzinfo=UTC)
        text = says.format(what=what, colour=f"{name}{number}")
        said.append(Turn(f"D1:{number}", speaker, text, time))
        if number < 4:
            gold = f"{name}{number}"
            asked.append(
                Question(
                    f"{name}#{number}", f"How did {speaker} paint the {what}?", gold, "single-hop", (f"D1:{number}",)
                )
            )
    return Conversation(name, tuple(speakers), (Session("s1", said[0].time, tuple(said)),), tuple(asked))


@pytest.fixture
def make_talk():
    return talk


@pytest.fixture
def embedder(tmp_path):
    file = VectorFile(tmp_path / "vectors.sqlite")
    yield KeptEmbedder(HashEmbedder(64), file)
    file.close()
