"""The front of the generator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from memory_r1.data.conversation import Conversation, Question, Session
from memory_r1.data.synthetic.dialogue import Dialogue
from memory_r1.data.synthetic.director import Director, Knobs
from memory_r1.data.synthetic.gold import GoldAnswer, SyntheticConversation
from memory_r1.data.synthetic.life import Person, turn_order
from memory_r1.data.synthetic.questions import Examiner
from memory_r1.data.synthetic.session import SessionWriter
from memory_r1.data.synthetic.style import STYLES
from memory_r1.data.synthetic.vocabulary import Draws, Split
from memory_r1.errors import InvalidInputError

MAX_SPEAKERS = 4
_QUESTIONS_A_SESSION = 4


def generate(
    seed: int,
    *,
    sessions: int = 8,
    speakers: int = 2,
    split: Split = "train",
    knobs: Knobs | None = None,
) -> SyntheticConversation:
    """Make up a conversation of many sessions, with everything that is to be learned from it.

    The same arguments give the same conversation on every machine.

    Args:
        seed: Any integer.
        sessions: How many sittings, 1 or more, some days or weeks apart.
        speakers: How many people talk, 2 to 4.
        split: Whose values and phrasings to use; names, places, titles and a part of the phrasings of one split never
            occur in another.
        knobs: How hard and how long; None: the defaults of `Knobs`.

    Raises:
        InvalidInputError: A number is out of range, or there is no such split.

    Example:
        >>> made = generate(7, sessions=2)
        >>> len(made.conversation.sessions), made.conversation.id
        (2, 'synthetic-train-7')
    """
    if sessions < 1:
        raise InvalidInputError(f"{sessions} sessions are too few.", hint="Ask for one session or more.")
    if not 2 <= speakers <= MAX_SPEAKERS:
        raise InvalidInputError(f"{speakers} speakers are not possible.", hint=f"Ask for 2 to {MAX_SPEAKERS}.")
    knobs = knobs or Knobs()
    rng = Random(f"{split}/{seed}")
    draws = Draws(rng, split)
    start = datetime(rng.randint(2020, 2024), rng.randint(1, 12), rng.randint(1, 28), tzinfo=UTC)
    people = [
        Person(name.said, name.gender) for name in (draws.draw("@name", {}, start.date()) for _ in range(speakers))
    ]
    director = Director(rng, people, knobs)
    dialogue = Dialogue(rng, draws, director, [(person, rng.choice(STYLES)) for person in people], knobs, split)
    examiner = Examiner(rng, people, director.lines, dialogue.turns)
    day = start
    for number in range(1, sessions + 1):
        time = day.replace(hour=rng.randint(7, 22), minute=rng.randint(0, 59))
        SessionWriter(
            dialogue, number, time, lambda line, step: examiner.before(line, step, knobs.past_questions)
        ).write()
        day += timedelta(days=rng.choice((2, 3, 4, 5, 6, 8, 9, 11, 13, 16, 19, 24, 30)))
    name = f"synthetic-{split}-{seed}"
    questions, answers = _questions(name, dialogue, examiner, knobs.questions or _QUESTIONS_A_SESSION * sessions)
    conversation = Conversation(name, tuple(person.name for person in people), _sessions(dialogue), questions)
    return SyntheticConversation(conversation, tuple(dialogue.gold), answers, seed, split)


def _sessions(dialogue: Dialogue) -> tuple[Session, ...]:
    numbers = dict.fromkeys(turn_order(turn.id)[0] for turn in dialogue.turns)
    grouped = [tuple(turn for turn in dialogue.turns if turn_order(turn.id)[0] == number) for number in numbers]
    return tuple(
        Session(f"session_{number}", turns[0].time, turns) for number, turns in zip(numbers, grouped, strict=True)
    )


def _questions(
    name: str, dialogue: Dialogue, examiner: Examiner, limit: int
) -> tuple[tuple[Question, ...], tuple[GoldAnswer, ...]]:
    times = {turn.id: turn.time for turn in dialogue.turns}
    questions, answers = [], []
    for place, one in enumerate(examiner.questions(limit)):
        time = times[one.as_of] if one.as_of else None
        questions.append(Question(f"{name}#{place}", one.text, one.answer, one.category, one.evidence, time))
        answers.append(GoldAnswer(f"{name}#{place}", one.memories, one.as_of, one.bait, one.bait_turns))
    return tuple(questions), tuple(answers)
