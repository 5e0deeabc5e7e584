from dataclasses import replace
from datetime import UTC, datetime

import pytest

from memory_r1.agents.joining import joined
from memory_r1.agents.results import Ruling
from memory_r1.bank.operation import OperationKind
from memory_r1.bench.operations.rates import causes, stream_samples
from memory_r1.bench.operations.story import Story
from memory_r1.bench.operations.stream import Stream
from memory_r1.data.conversation import Conversation, Question, Session, Turn
from memory_r1.data.synthetic.gold import GoldAnswer, GoldFact, GoldOperation, GoldTurn, SyntheticConversation

HOME = "Ann moved to Lisbon on 1 May 2023 and lives in a flat there."
WHY = "Ann moved to Lisbon to be near the sea."
DOG = "Bob adopted a beagle named Pepper on 2 May 2023."
AGAIN = "Ann lives in Lisbon."
MOVED = "Ann moved to Porto on 3 June 2023 and lives in a houseboat now."
MOVED_MEMORY = "Ann lives in a houseboat in Porto; she moved there on 3 June 2023. Before that she lived in Lisbon."
CHESS = "Bob took up chess on 4 June 2023 and does it twice a week."
NO_CHESS = "Bob gave up chess because it got boring."

TOLD = (
    # session, speaker, topic, fact, gold operation, memory, its text afterwards
    (1, "Ann", "home.start", HOME, "ADD", "M1", HOME),
    (1, "Ann", "home.why", WHY, "UPDATE", "M1", f"{HOME} She moved to be near the sea."),
    (1, "Bob", "pet.start", DOG, "ADD", "M2", DOG),
    (1, "Ann", "home.again", AGAIN, "NOOP", "M1", None),
    (2, "Ann", "home.change", MOVED, "UPDATE", "M1", MOVED_MEMORY),
    (2, "Bob", "hobby.start", CHESS, "ADD", "M3", CHESS),
    (3, "Bob", "hobby.quit", NO_CHESS, "DELETE", "M3", None),
)
LAST = len(TOLD) - 1

ASKED = (
    # text, answer, category, gold memories, right after which turn
    ("Where does Ann live now?", "Porto", "knowledge-update", ("M1",), None),
    ("In which city does Ann live?", "Lisbon", "knowledge-update", ("M1",), "D1:4"),
    ("What is Bob's beagle called?", "Pepper", "single-hop", ("M2",), None),
    ("Who does Ann play chess with?", None, "adversarial", (), None),
)


def tell():
    sessions, turns = {}, []
    for place, (number, speaker, topic, text, kind, memory, after) in enumerate(TOLD, start=1):
        time = datetime(2023, 6, number, tzinfo=UTC)
        turn = f"D{number}:{len(sessions.setdefault(number, [])) + 1}"
        sessions[number].append(Turn(turn, speaker, text, time))
        fact = GoldFact(f"F{place}", text, speaker, turn, topic=topic)
        turns.append(GoldTurn(turn, (fact,), (GoldOperation(fact.id, OperationKind(kind), memory, after),)))
    talk = tuple(Session(f"s{number}", said[0].time, tuple(said)) for number, said in sessions.items())
    questions = [Question(f"q{place}", *one[:3]) for place, one in enumerate(ASKED)]
    answers = tuple(GoldAnswer(f"q{place}", *one[3:]) for place, one in enumerate(ASKED))
    conversation = Conversation("toy", ("Ann", "Bob"), talk, tuple(questions))
    return SyntheticConversation(conversation, tuple(turns), answers, 0, "test")


@pytest.fixture
def story():
    """Ann moves twice, Bob has a dog, takes chess up and gives it up: seven facts in three sessions."""
    return Story(tell(), "fact")


@pytest.fixture
def walk(story):
    """Lets a manager rule as told, a ruling a fact: `ADD`, `NOOP`, or (kind, memory, text)."""

    def go(*rulings):
        stream = Stream(story, frozenset(range(len(TOLD))), None)
        for ruling in rulings:
            problem = stream.problem()
            problem = replace(problem, candidates=tuple(entry.id for entry in stream.bank))
            kind, name, text = (ruling, None, None) if isinstance(ruling, str) else (*ruling, None)[:3]
            if kind == "UPDATE" and text is None:
                old = next(entry.text for entry in stream.bank if entry.id == name)
                text = joined(old, problem.facts[0].text)
            target = None if name is None else problem.candidates.index(name)
            text = text or (problem.facts[0].text if kind == "ADD" else None)
            stream.take(problem, Ruling(OperationKind(kind), target=target, text=text))
        return stream

    return go


@pytest.fixture
def rates():
    """The rates of a stream after its last fact, or an earlier one: mean and n by name; and why facts are lost."""

    def found(stream, place=None):
        place = len(stream.decided) - 1 if place is None else place
        samples = stream_samples(stream, place)
        means = {
            name: (sum(one.value for one in values) / len(values), len(values)) for name, values in samples.items()
        }
        return means, dict(causes(stream, place))

    return found
