"""Made-up facts and questions about them: the same for every system, drawn from a seed.

Words follow a Zipf-like law, as in real text: a few names and nouns are everywhere, most are rare. That matters for
full-text search, whose cost is the length of the lists of its words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, product

BLOCK = 1000


def _words(text: str) -> list[str]:
    return text.split()


_VERBS = _words(
    "bought sold found lost repaired painted borrowed lent cleaned moved photographed ordered returned collected hid "
    "packed built designed tested described forgot praised criticised studied copied restored carried broke traded won"
)
_ADJECTIVES = _words(
    "old new grey blue heavy light wooden broken tiny expensive cheap rare favourite spare borrowed antique silver "
    "handmade dusty elegant bright noisy soft plain famous second first last strange round"
)
_MONTHS = _words("January February March April May June July August September October November December")
_ENDINGS = (
    "",
    " with a friend",
    " because it was on sale",
    " after work",
    " for the holidays",
    " and was happy about it",
    " to surprise the family",
    " during the long weekend",
)
_SYLLABLES = [a + b for a, b in product("bdfgklmnprstvz", ("a", "e", "i", "o", "u", "an", "el", "or", "is"))]


@lru_cache(maxsize=1)
def _pools() -> tuple[tuple[list[str], list[float]], ...]:
    """Names, nouns and places with their cumulative weights."""
    rng = random.Random("pools")
    words: dict[str, None] = {}
    while len(words) < 22_500:
        words["".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3, 3, 4))))] = None
    made = list(words)
    names, places, nouns = [w.title() for w in made[:500]], [w.title() for w in made[500:2500]], made[2500:]
    return tuple((pool, _zipf(len(pool))) for pool in (names, nouns, places))


def _zipf(count: int) -> list[float]:
    """Cumulative weights of words by rank; the offset keeps the commonest from being everywhere."""
    return list(accumulate(1 / (rank + 20) for rank in range(count)))


@lru_cache(maxsize=2)
def _block(number: int, seed: int) -> list[tuple[str, ...]]:
    rng = random.Random(f"{seed}/{number}")
    names, nouns, places = (rng.choices(pool, cum_weights=weights, k=BLOCK) for pool, weights in _pools())
    others = (
        rng.choices(_VERBS, k=BLOCK),
        rng.choices(_ADJECTIVES, k=BLOCK),
        [f"{rng.randrange(1, 29)} {rng.choice(_MONTHS)} {rng.randrange(2012, 2027)}" for _ in range(BLOCK)],
        rng.choices(_ENDINGS, k=BLOCK),
    )
    return list(zip(names, nouns, places, *others, strict=True))


def facts(start: int, count: int, seed: int = 0) -> Iterator[str]:
    """Facts number `start` to `start + count`; all different but for about one pair in a million."""
    for place in range(start, start + count):
        name, noun, where, verb, adjective, day, ending = _block(place // BLOCK, seed)[place % BLOCK]
        yield f"{name} {verb} the {adjective} {noun} in {where} on {day}{ending}."


def queries(count: int, of: int, seed: int = 0) -> list[str]:
    """Questions about facts drawn from the first `of`."""
    rng = random.Random(f"queries/{seed}/{of}")
    asked = []
    for number in range(count):
        if number % 10 == 0:
            start = rng.randrange(max(1, of // BLOCK)) * BLOCK
        name, noun, where, verb, adjective, day, _ = _block(start // BLOCK, 0)[rng.randrange(min(of, BLOCK))]
        asked.append(
            rng.choice(
                (
                    f"What did {name} do with the {adjective} {noun} in {where}?",
                    f"When was it that {name} {verb} the {noun}?",
                    f"Where was {name} on {day} with the {noun}?",
                    f"Who {verb} a {adjective} {noun} in {where}?",
                )
            )
        )
    return asked
