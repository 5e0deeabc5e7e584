"""Times in people's lives: what is said ("last Friday"), what it means, and how a short answer gives it.

The meaning is as exact as the words, in the manner of LoCoMo: "yesterday" is a day, "last week" the week before a named
day, "last year" a year.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random

from memory_r1.data.synthetic.template import capital
from memory_r1.data.synthetic.values import Value

# own lists: those of `calendar` follow the locale
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def day_text(day: date) -> str:
    """A day as LoCoMo writes it.

    Example:
        >>> day_text(date(2023, 5, 7))
        '7 May 2023'
    """
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def month_text(day: date) -> str:
    """The month of a day, e.g. `May 2023`."""
    return f"{MONTHS[day.month - 1]} {day.year}"


def ordinal(number: int) -> str:
    """A number of a day in its month, e.g. `3rd`."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def past(rng: Random, now: date, floor: date | None = None) -> Value:
    """A time in the last weeks, not before `floor` (and today if nothing else is left)."""
    return _pick(rng, _past(now, rng), lambda start, end: end <= now and (floor is None or start >= floor), now)


def future(rng: Random, now: date) -> Value:
    """A time in the coming weeks or months."""
    return _pick(rng, _future(now, rng), lambda start, end: start > now, now)


def old(rng: Random, now: date) -> Value:
    """A time a year or more ago."""
    years = rng.randint(2, 11)
    then = now.year - years
    season = rng.choice(("summer", "spring", "autumn"))
    options = [
        (
            rng.choice(("last year", "last year", "sometime last year")),
            f"in {now.year - 1}",
            now.year - 1,
            now.year - 1,
        ),
        (f"in {then}", f"in {then}", then, then),
        (f"back in {then}", f"in {then}", then, then),
        (f"{_number(rng, years)} years ago", f"in {then}", then, then),
        ("a few years ago", f"a few years before {now.year}", now.year - 6, now.year - 2),
        (f"in the {season} of {then}", f"in the {season} of {then}", then, then),
    ]
    said, told, first, last = rng.choice(options)
    return _value(said, told, (date(first, 1, 1), date(last, 12, 31)))


def lasting(rng: Random, unit: str, low: int, high: int) -> Value:
    """A length of time, e.g. `5 years`."""
    many = rng.randint(low, high)
    noun = unit if many == 1 else f"{unit}s"
    return Value(said=f"{_number(rng, many)} {noun}", told=f"{many} {noun}")


def years_back(rng: Random, now: date) -> Value:
    """A year, said as the years that have passed since, e.g. `ten years` for 2013."""
    years = rng.randint(2, 14)
    then = now.year - years
    return Value(f"{_number(rng, years)} years", f"in {then}", str(then), period=(date(then, 1, 1), date(then, 12, 31)))


def _number(rng: Random, many: int) -> str:
    return WORDS[many] if many < len(WORDS) and rng.random() < 0.6 else str(many)


_Option = tuple[str, str, tuple[date, date]]


def _pick(rng: Random, options: Iterator[_Option], fits: Callable[[date, date], bool], now: date) -> Value:
    fitting = [option for option in options if fits(*option[2])]
    if not fitting:
        fitting = [(rng.choice(("today", "this morning")), f"on {day_text(now)}", (now, now))]
    return _value(*rng.choice(fitting))


def _value(said: str, told: str, period: tuple[date, date]) -> Value:
    answer = told.removeprefix("on ").removeprefix("in ")
    return Value(said=said, told=told, answer=capital(answer), period=period)


def _one(said: str, day: date) -> _Option:
    return said, f"on {day_text(day)}", (day, day)


def _week(day: date) -> tuple[date, date]:
    monday = day - timedelta(days=day.weekday())
    return monday, monday + timedelta(days=6)


def _saturday_before(day: date) -> date:
    return day - timedelta(days=(day.weekday() - 5) % 7 or 7)


def _past(now: date, rng: Random) -> Iterator[_Option]:
    def ago(days: int) -> date:
        return now - timedelta(days=days)

    today = day_text(now)
    yield _one(rng.choice(("yesterday", "yesterday", "last night", "yesterday afternoon")), ago(1))
    yield _one(rng.choice(("today", "this morning", "earlier today")), now)
    few = rng.randint(2, 5)
    yield _one(f"{_number(rng, few)} days ago", ago(few))
    if rng.random() < 0.3:
        yield _one("the day before yesterday", ago(2))
    yield rng.choice(("a few days ago", "the other day")), f"a few days before {today}", (ago(6), ago(2))
    for back in rng.sample(range(1, 8), 2):
        name = WEEKDAYS[ago(back).weekday()]
        yield f"last {name}", f"on the {name} before {today}", (ago(back), ago(back))
    monday, sunday = _week(ago(7))
    yield rng.choice(("last week", "last week", "sometime last week")), f"the week before {today}", (monday, sunday)
    saturday = _saturday_before(now)
    weekend = rng.choice(("last weekend", "last weekend", "over the weekend", "this past weekend"))
    if now.weekday() < 5:
        yield weekend, f"the weekend before {today}", (saturday, saturday + timedelta(days=1))
        two = saturday - timedelta(days=7)
        yield "two weekends ago", f"two weekends before {today}", (two, two + timedelta(days=1))
    weeks = rng.randint(2, 3)
    yield f"{WORDS[weeks]} weeks ago", f"{WORDS[weeks]} weeks before {today}", _week(ago(7 * weeks))
    if now.weekday() > 1:
        yield "earlier this week", f"the week of {today}", (_week(now)[0], ago(1))
    if now.day > 12:
        yield "earlier this month", f"in {month_text(now)}", (now.replace(day=1), ago(1))
    before = now.replace(day=1) - timedelta(days=1)
    yield "last month", f"in {month_text(before)}", (before.replace(day=1), before)
    if now.day > 4:
        exact = now.replace(day=rng.randint(1, now.day - 2))
        yield _one(rng.choice((f"on the {ordinal(exact.day)}", _spoken_day(rng, exact))), exact)
    exact = ago(rng.randint(8, 25))
    yield _one(_spoken_day(rng, exact), exact)


def _spoken_day(rng: Random, day: date) -> str:
    name, number = MONTHS[day.month - 1], ordinal(day.day)
    return f"on {rng.choice((f'{name} {number}', f'{day.day} {name}', f'the {number} of {name}'))}"


def _future(now: date, rng: Random) -> Iterator[_Option]:
    def ahead(days: int) -> date:
        return now + timedelta(days=days)

    today = day_text(now)
    yield _one(rng.choice(("tomorrow", "tomorrow", "tomorrow evening")), ahead(1))
    few = rng.randint(2, 6)
    yield _one(f"in {_number(rng, few)} days", ahead(few))
    monday, sunday = _week(ahead(7))
    yield "next week", f"the week after {today}", (monday, sunday)
    weeks = rng.randint(2, 4)
    first, last = _week(ahead(7 * weeks))
    yield f"in {WORDS[weeks]} weeks", f"{WORDS[weeks]} weeks after {today}", (first, last)
    if now.weekday() < 4:
        saturday = ahead(5 - now.weekday())
        yield "this weekend", f"the weekend of {day_text(saturday)}", (saturday, saturday + timedelta(days=1))
    day = ahead(rng.randint(1, 7))
    name = WEEKDAYS[day.weekday()]
    yield f"this coming {name}", f"on the {name} after {today}", (day, day)
    for months in (1, rng.randint(2, 5)):
        index = now.year * 12 + now.month - 1 + months
        begin = date(index // 12, index % 12 + 1, 1)
        end = begin.replace(day=monthrange(begin.year, begin.month)[1])
        name = MONTHS[begin.month - 1]
        yield "next month" if months == 1 else f"in {name}", f"in {month_text(begin)}", (begin, end)
    exact = ahead(rng.randint(9, 60))
    yield _one(_spoken_day(rng, exact), exact)
