"""The course of one session: greeting, topics with their follow-ups, small talk, goodbye."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from memory_r1.data.synthetic.dialogue import Dialogue, Draft, talk
from memory_r1.data.synthetic.director import self_contained
from memory_r1.data.synthetic.frames import Step, phrasings
from memory_r1.data.synthetic.life import Person, Storyline
from memory_r1.data.synthetic.template import choose

_SHORT = 10
"""Words under which a turn that tells nothing is mostly filled up: people seldom say the very same thing twice."""

Hook = Callable[[Storyline, Step], None]
"""Called before a step changes a storyline."""


class SessionWriter:
    """Writes one session of a dialogue."""

    def __init__(self, dialogue: Dialogue, number: int, time: datetime, before: Hook) -> None:
        self._talk = dialogue
        self._rng = dialogue.rng
        self._knobs = dialogue.knobs
        self._before = before
        self._busy: set[str] = set()
        self._told: tuple[Storyline, Step] | None = None
        """What was told last and has had no reaction."""
        self._last: Person | None = None
        self._number = number
        dialogue.begin_session(number, time)

    def write(self) -> None:
        """Write the whole session."""
        people = list(self._talk.people)
        self._rng.shuffle(people)
        first, second = people[0], people[1]
        draft = self._talk.open(first)
        kind = "opener" if self._number > 1 else "first_opener"
        self._talk.add(draft, self._talk.phrase(kind, first, second))
        self._finish(draft)
        events = max(2, self._knobs.events + self._rng.randint(-2, 2))
        planted = self._rng.randrange(events) if self._rng.random() < self._knobs.planted else -1
        greeted = False
        for place in range(events):
            owner = self._rng.choice(people)
            if not greeted:
                owner = second if self._rng.random() < 0.5 else owner
            self._topic(owner, greeting=not greeted)
            greeted = True
            if place == planted:
                self._plant()
            elif self._rng.random() < self._knobs.chitchat:
                self._chitchat()
        self._goodbye()

    def _other(self, speaker: Person) -> Person:
        if self._last is not None and self._last is not speaker:
            return self._last
        return self._rng.choice([person for person in self._talk.people if person is not speaker])

    def _finish(self, draft: Draft) -> None:
        short = not draft.facts and not draft.planted and sum(len(part.split()) for part in draft.parts) < _SHORT
        if short and draft.parts and self._talk.chance(draft.speaker, 1.1):
            self._talk.add(draft, self._talk.phrase("musing", draft.speaker, self._other(draft.speaker)))
        self._talk.close(draft)
        self._last = draft.speaker

    def _react(self, draft: Draft) -> None:
        """Answer what the other told last, if there is anything."""
        if self._told is None or self._told[0].owner is draft.speaker:
            return
        line, step = self._told
        self._told = None
        other = self._other(draft.speaker)
        pool = f"react_{step.mood}"
        self._talk.add(draft, self._talk.phrase(pool, draft.speaker, other))
        draft.mood = step.mood
        if self._talk.chance(draft.speaker, 0.8):
            self._talk.add(draft, self._talk.echo(line, draft.speaker, other))
        if self._talk.chance(draft.speaker, 0.6):
            self._talk.add(draft, self._talk.remark(line))
        if self._talk.chance(draft.speaker, 0.7):
            self._talk.add(draft, self._talk.phrase(f"reflect_{step.mood}", draft.speaker, other))
        if self._talk.chance(draft.speaker, 0.3):
            self._talk.add(draft, self._talk.phrase(f"cheer_{step.mood}", draft.speaker, other))
        draft.keep.update(word for value in line.values.values() for word in value.said.split())

    def _topic(self, owner: Person, *, greeting: bool) -> None:
        now = self._talk.time.date()
        asked = None
        if self._last is owner and self._rng.random() < 0.4:
            asked = self._talk.director.catch_up(owner, now, self._busy)
        chosen = asked or self._talk.director.next(owner, now, self._busy)
        if chosen is None:
            return
        line, step = chosen
        if self._last is owner:
            self._lead(owner, line, step if asked else None, greeting=greeting)
            greeting = False
        draft = self._talk.open(owner)
        if greeting:
            self._talk.add(draft, self._talk.phrase("greeting_back", owner, self._other(owner)))
        if asked:
            self._answer(draft, line, step, (self._talk.turns[-1].id,))
        else:
            self._react(draft)
            self._state(draft, line, step)
        self._finish(draft)
        self._follow_up(owner, line)

    def _lead(self, owner: Person, line: Storyline, step: Step | None, *, greeting: bool) -> None:
        """Let another speaker hand the word to `owner`, asking about step if one is given."""
        draft = self._talk.open(self._other(owner))
        if greeting:
            self._talk.add(draft, self._talk.phrase("greeting_back", draft.speaker, owner))
        self._react(draft)
        if step is not None:
            if self._talk.chance(draft.speaker, 0.5):
                self._talk.add(draft, self._talk.phrase("bridge", draft.speaker, owner))
            question = self._talk.render(self._talk.pick(step.asked), draft.speaker, owner, line)
        elif line.frame.probe and "start" not in line.done and self._rng.random() < 0.5:
            question = self._talk.render(self._talk.pick(line.frame.probe), draft.speaker, owner)
        else:
            question = self._talk.phrase("probe", draft.speaker, owner)
        self._talk.add(draft, question)
        self._finish(draft)

    def _state(self, draft: Draft, line: Storyline, step: Step) -> None:
        """Tell a step, perhaps with words around it, perhaps with a second one behind it."""
        owner, other = draft.speaker, self._other(draft.speaker)
        if self._talk.chance(owner):
            self._talk.add(draft, self._talk.phrase(f"intro_{step.mood}", owner, other))
        self._move(draft, line, step)
        more = None
        if self._rng.random() < self._knobs.double:
            more = self._talk.director.next(owner, self._talk.time.date(), self._busy)
        if more is not None:
            self._talk.add(draft, self._talk.phrase("and_also", owner, other))
            self._move(draft, *more)
        else:
            self._colour(draft, line, step, 0.8)

    def _move(self, draft: Draft, line: Storyline, step: Step) -> None:
        self._busy.add(line.id)
        self._before(line, step)
        self._talk.tell(draft, line, step)
        self._told = line, step

    def _answer(self, draft: Draft, line: Storyline, step: Step, context: tuple[str, ...]) -> None:
        self._busy.add(line.id)
        self._before(line, step)
        self._talk.reply(draft, line, step, context)
        self._told = line, step
        self._colour(draft, line, step, 0.7)

    def _colour(self, draft: Draft, line: Storyline, step: Step, share: float) -> None:
        """Add what holds nothing to remember: how it was, a remark, an aside."""
        other = self._other(draft.speaker)
        if self._talk.chance(draft.speaker, share):
            self._talk.add(draft, self._talk.phrase(f"elaborate_{step.mood}", draft.speaker, other))
        if step.mood != "bad" and self._talk.chance(draft.speaker, share * 0.6):
            self._talk.add(draft, self._talk.remark(line))
        if self._talk.chance(draft.speaker, share * 0.6):
            self._talk.add(draft, self._talk.phrase(f"aside_{step.mood}", draft.speaker, other))

    def _follow_up(self, owner: Person, line: Storyline) -> None:
        """Let another speaker ask on: for a detail that is told, or for something with nothing to remember."""
        now = self._talk.time.date()
        statement = self._talk.turns[-1].id
        while self._told is not None and self._rng.random() < self._knobs.details:
            step = self._talk.director.detail(self._told[0], now)
            line = self._told[0]
            if step is None:
                break
            asker = self._talk.open(self._other(owner))
            self._react(asker)
            self._talk.add(asker, self._talk.render(self._talk.pick(step.asked), asker.speaker, owner, line))
            self._finish(asker)
            context = (asker.id,) if self_contained(step) else (statement, asker.id)
            draft = self._talk.open(owner)
            if self._talk.chance(owner, 0.4):
                self._talk.add(draft, self._talk.phrase("thanks", owner, asker.speaker))
            self._answer(draft, line, step, context)
            self._finish(draft)
        if self._told is not None and self._rng.random() < 0.2:
            self._small_follow_up(owner, self._told[1].mood)

    def _small_follow_up(self, owner: Person, mood: str) -> None:
        asker = self._talk.open(self._other(owner))
        self._react(asker)
        question, answers = self._rng.choice(phrasings_of_pairs(self._talk, f"follow_{mood}"))
        self._talk.add(asker, self._talk.render(question, asker.speaker, owner))
        self._finish(asker)
        draft = self._talk.open(owner)
        draft.mood = mood
        self._talk.add(draft, self._talk.render(self._rng.choice(answers), owner, asker.speaker))
        self._finish(draft)

    def _chitchat(self) -> None:
        """A few turns about nothing."""
        lines = self._rng.choice(phrasings_of_lists(self._talk, "chat"))
        speaker = self._other(self._last or self._talk.people[0])
        for place, template in enumerate(lines):
            draft = self._talk.open(speaker)
            other = self._other(speaker)
            if place == 0:
                self._react(draft)
                if self._talk.chance(speaker, 0.4):
                    self._talk.add(draft, self._talk.phrase("bridge", speaker, other))
            self._talk.add(draft, self._talk.render(template, speaker, other))
            if place == 0 and self._rng.random() < self._knobs.captions / 2:
                draft.caption = choose(self._talk.pick(talk()["stray_caption"]), self._rng)
            self._finish(draft)
            speaker = other

    def _plant(self) -> None:
        """An instruction that tries to get itself remembered, and what the other makes of it."""
        speaker = self._other(self._last or self._talk.people[0])
        draft = self._talk.open(speaker)
        self._react(draft)
        self._talk.add(draft, self._talk.phrase("planted", speaker, self._other(speaker)))
        draft.planted = True
        self._finish(draft)
        draft = self._talk.open(self._other(speaker))
        self._talk.add(draft, self._talk.phrase("planted_reply", draft.speaker, speaker))
        self._finish(draft)

    def _goodbye(self) -> None:
        speaker = self._other(self._last or self._talk.people[0])
        draft = self._talk.open(speaker)
        self._react(draft)
        other = self._other(speaker)
        self._talk.add(draft, self._talk.phrase("goodbye", speaker, other))
        self._finish(draft)
        draft = self._talk.open(other)
        self._talk.add(draft, self._talk.phrase("goodbye_back", other, speaker))
        self._finish(draft)


def phrasings_of_lists(dialogue: Dialogue, pool: str) -> list[tuple[str, ...]]:
    """The short exchanges of a pool that the split may use."""
    joined = ["\n".join(lines) for lines in talk()[pool]]
    return [tuple(one.split("\n")) for one in phrasings(joined, dialogue.draws.split)]


def phrasings_of_pairs(dialogue: Dialogue, pool: str) -> list[tuple[str, tuple[str, ...]]]:
    """The questions of a pool with their possible answers that the split may use."""
    return [(lines[0], lines[1:]) for lines in phrasings_of_lists(dialogue, pool)]
