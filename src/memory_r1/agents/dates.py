"""Works out what "yesterday", "last Friday" or "two weeks ago" mean, given when they were said.

A language model that is small enough for a laptop cannot do date arithmetic, so it is done here by rule and written
beside the words: `yesterday (7 May 2023)`. A meaning is as precise as the words: "last year" is a year, "last week" is
the week before a named day, "a few days ago" stays vague. What cannot be told is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from memory_r1.agents.calendar_words import (
    FEASTS,
    FUZZY,
    MONTHS,
    NUMBERS,
    SEASONS,
    WEEKDAYS,
    Moment,
    amount,
    day_text,
    month_text,
)
from memory_r1.agents.tense import tense_before

_COUNT = "|".join(sorted(map(re.escape, (*NUMBERS, *FUZZY)), key=len, reverse=True)) + r"|\d{1,3}"
_UNIT = r"day|night|weekend|week|fortnight|month|year|decade"
_WEEKDAY = "|".join(sorted(WEEKDAYS, key=len, reverse=True))
_FULL_WEEKDAY = "|".join(name for name in WEEKDAYS if name.endswith("day"))
_MONTH = "|".join(MONTHS)
_SEASON = "|".join(SEASONS)
_FEAST = "|".join(re.escape(name) for name in FEASTS)
_NOT_OF = r"(?!\s+of\b)"
# the date already stands behind the words, so there is nothing to add
_DATED = re.compile(rf"\s*\(|,?\s+(?:on\s+)?(?:the\s+)?(?:\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?:{_MONTH})\b", re.I)

_ANNOTATION = re.compile(r" ?\([^()]{0,80}\b\d{4}(?:/\d{4})?\)")


@dataclass(frozen=True, slots=True)
class TimeExpression:
    """Words that tell a time relative to when they were said, and what they mean."""

    start: int
    """Offset of the first character in the text."""
    end: int
    """Offset behind the last character."""
    phrase: str
    meaning: str
    """The absolute time, e.g. `7 May 2023`, `April 2023`, `the week before 9 June 2023`."""


def find_times(text: str, said: datetime | date) -> list[TimeExpression]:
    """Find the relative time expressions of a text and resolve them.

    Args:
        text: What was said.
        said: When; its own calendar day counts, whatever the time zone.

    Returns:
        Expressions that do not overlap, in order; those that cannot be resolved with certainty are left out.

    Example:
        >>> [e.meaning for e in find_times("I went last week, not yesterday.", date(2023, 6, 9))]
        ['the week before 9 June 2023', '8 June 2023']
    """
    day = date(said.year, said.month, said.day)
    found: list[TimeExpression] = []
    for pattern, resolve in _RULES:
        for match in pattern.finditer(text):
            if _DATED.match(text, match.end()):
                continue
            try:
                meaning = resolve(match, Moment(day))
            except (OverflowError, ValueError):
                continue  # beyond the calendar's first or last year
            if meaning:
                found.append(TimeExpression(match.start(), match.end(), match[0], meaning))
    found.sort(key=lambda item: (item.start, -item.end))
    kept: list[TimeExpression] = []
    for item in found:
        if not kept or item.start >= kept[-1].end:
            kept.append(item)
    return kept


def annotate(text: str, said: datetime | date | None) -> str:
    """Write the absolute time behind every relative one. Annotating twice changes nothing more.

    Args:
        text: What was said.
        said: When; None leaves the text as it is.

    Example:
        >>> annotate("I met her yesterday, and last year too.", date(2023, 5, 8))
        'I met her yesterday (7 May 2023), and last year (2022) too.'
    """
    if said is None:
        return text
    parts: list[str] = []
    done = 0
    for item in find_times(text, said):
        parts += [text[done : item.end], f" ({item.meaning})"]
        done = item.end
    return "".join([*parts, text[done:]])


def without_dates(text: str) -> str:
    """Take out what `annotate` wrote.

    Example:
        >>> without_dates("I met her yesterday (7 May 2023).")
        'I met her yesterday.'
    """
    return _ANNOTATION.sub("", text)


def _fixed_day(offset: int) -> Callable[[re.Match[str], Moment], str | None]:
    return lambda match, now: day_text(now.plus_days(offset))


def _ago(match: re.Match[str], now: Moment) -> str | None:
    unit = match["unit"].lower()
    many = amount(match["count"])
    if unit == "fortnight":
        unit, many = "week", many * 2 if isinstance(many, int) else many
    if isinstance(many, str):
        anchor = {"month": month_text(now.day), "year": str(now.day.year), "decade": str(now.day.year)}.get(unit)
        return f"{many} {unit}s before {anchor or day_text(now.day)}"
    if unit in ("day", "night"):
        return day_text(now.plus_days(-many))
    if unit in ("week", "weekend"):
        return f"{_spelled(many, unit)} before {day_text(now.day)}"
    if unit == "month":
        return month_text(now.plus_months(-many))
    if unit == "year" and many == 1:
        return f"around {month_text(now.plus_months(-12))}"
    return str(now.plus_months(-12 * many * (10 if unit == "decade" else 1)).year)


def _ahead(match: re.Match[str], now: Moment) -> str | None:
    if "from now" not in match[0].lower() and tense_before(match.string, match.start()) != "future":
        return None  # "in two weeks" is also how long something took
    unit = match["unit"].lower()
    many = amount(match["count"])
    if unit == "fortnight":
        unit, many = "week", many * 2 if isinstance(many, int) else many
    if isinstance(many, str):
        return f"{many} {unit}s after {day_text(now.day)}"
    if unit in ("day", "night"):
        return day_text(now.plus_days(many))
    if unit in ("week", "weekend"):
        return f"{_spelled(many, unit)} after {day_text(now.day)}"
    if unit == "month":
        return month_text(now.plus_months(many))
    return str(now.plus_months(12 * many * (10 if unit == "decade" else 1)).year)


def _spelled(many: int, unit: str) -> str:
    names = {number: name for name, number in reversed(NUMBERS.items())}
    return f"a {unit}" if many == 1 else f"{names.get(many, many)} {unit}s"


def _span(match: re.Match[str], now: Moment) -> str | None:
    """Week, weekend, month and year with last, this or next."""
    unit = match["unit"].lower()
    step = _step(match["which"])
    if unit == "year":
        return str(now.plus_months(12 * step).year)
    if unit == "month":
        return month_text(now.plus_months(step))
    if unit == "weekend" and step == 0:
        return _this_weekend(match, now)
    return f"the {unit} {('of', 'after', 'before')[step]} {day_text(now.day)}"


def _this_weekend(match: re.Match[str], now: Moment) -> str | None:
    weekday = now.day.weekday()
    if weekday < 5 and tense_before(match.string, match.start()) == "past":
        return f"the weekend before {day_text(now.day)}"
    return f"the weekend of {day_text(now.plus_days(5 - weekday))}"


def _before_last(match: re.Match[str], now: Moment) -> str | None:
    unit = match["unit"].lower()
    if unit == "month":
        return month_text(now.plus_months(-2))
    if unit == "year":
        return str(now.plus_months(-24).year)
    return f"two {unit}s before {day_text(now.day)}"


def _weekday(match: re.Match[str], now: Moment) -> str | None:
    name = match["weekday"].lower()
    number = WEEKDAYS[name]
    step = _step(match["which"]) if match["which"].lower() != "on" else 0
    if step == 0:
        tense = tense_before(match.string, match.start())
        if tense is None:
            return None
        step = -1 if tense == "past" else 1
        exact = True
    else:
        exact = step < 0
    full = next(word for word, value in WEEKDAYS.items() if value == number and word.endswith("day")).capitalize()
    if step < 0:
        past = now.plus_days(-((now.day.weekday() - number - 1) % 7 + 1))
        return f"{day_text(past)}, the {full} before {day_text(now.day)}"
    if exact:
        return day_text(now.plus_days((number - now.day.weekday() - 1) % 7 + 1))
    return f"the {full} after {day_text(now.day)}"  # "next Friday" may be this week's or the one after


def _month(match: re.Match[str], now: Moment) -> str | None:
    number = MONTHS[match["month"].lower()]
    year = now.day.year
    step = _step(match["which"])
    if step < 0 and number >= now.day.month:
        year -= 1
    if step > 0 and number <= now.day.month:
        year += 1
    return month_text(date(year, number, 1))


def _date(match: re.Match[str], now: Moment) -> str | None:
    """A day and month without a year: the year that the tense points to, or else the nearest such day."""
    month, day = MONTHS[match["month"].lower()], int(match["day"])
    tense = tense_before(match.string, match.start())
    return _in_nearest(now, [_day(now.day.year + step, month, day) for step in (-1, 0, 1)], tense)


def _day_of_month(match: re.Match[str], now: Moment) -> str | None:
    """A day without a month, as in "on the 17th"."""
    tense = tense_before(match.string, match.start())
    months = [now.plus_months(step) for step in (-1, 0, 1)]
    return _in_nearest(now, [_day(one.year, one.month, int(match["day"])) for one in months], tense)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _in_nearest(now: Moment, days: list[date | None], tense: str | None) -> str | None:
    wrong = {"past": 1, "future": -1}.get(tense or "", 0)
    # (day > now) - (day < now) is the side of now that a day lies on
    possible = [day for day in days if day and (not wrong or (day > now.day) - (day < now.day) != wrong)]
    return day_text(min(possible, key=lambda day: abs(day - now.day))) if possible else None


def _in_month(match: re.Match[str], now: Moment) -> str | None:
    """A month without a year, if the tense shows which one is meant."""
    number, tense = MONTHS[match["month"].lower()], tense_before(match.string, match.start())
    if tense is None or number == now.day.month:
        return None
    year = now.day.year
    if tense == "past" and number > now.day.month:
        year -= 1
    if tense == "future" and number < now.day.month:
        year += 1
    return month_text(date(year, number, 1))


def _past_weekend(match: re.Match[str], now: Moment) -> str | None:
    return f"the weekend before {day_text(now.day)}"


def _season(match: re.Match[str], now: Moment) -> str | None:
    first, last = SEASONS[match["season"].lower()]
    season = match["season"].lower()
    year = now.day.year
    step = _step(match["which"])
    if first > last:  # winter runs over the new year: name both years
        start = (year - 1 if now.day.month <= last else year) + step
        if step < 0 and now.day.month > last:
            start = year - 1
        return f"the {season} of {start}/{start + 1}"
    if step < 0 and now.day.month <= last:
        year -= 1
    if step > 0 and now.day.month >= first:
        year += 1
    return f"the {season} of {year}"


def _feast(match: re.Match[str], now: Moment) -> str | None:
    name = match["feast"].lower().replace("’", "'")
    month, day = FEASTS[name]
    step = _step(match["which"])
    this_year = date(now.day.year, month, day)
    year = now.day.year
    if step < 0 and this_year >= now.day:
        year -= 1
    if step > 0 and this_year <= now.day:
        year += 1
    return f"{match['feast']} {year}"


def _other_day(match: re.Match[str], now: Moment) -> str | None:
    return f"a few {match['unit'].lower()}s before {day_text(now.day)}"


def _step(which: str) -> int:
    return {"last": -1, "past": -1, "previous": -1, "this": 0, "next": 1, "coming": 1, "upcoming": 1}[
        which.lower().split()[-1]
    ]


def _rule(
    pattern: str, resolve: Callable[[re.Match[str], Moment], str | None]
) -> tuple[re.Pattern[str], Callable[[re.Match[str], Moment], str | None]]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])(?:['’]s(?!\w))?", re.IGNORECASE), resolve


_PAST_NEXT = r"(?P<which>(?:this\s+)?(?:past|coming|upcoming)|last|previous|next|this)"
_PART = r"morning|afternoon|evening|night"
_NO_YEAR = r"(?!,?\s+(?:of\s+)?(?:the\s+)?\d)"
# "on the 2nd floor" is no date
_ALONE = r"(?=\s*(?:[.,!?;:)]|$|(?:i|we|he|she|they|my|our|at|with|in|and|for|to|it)\b))"
_RULES = (
    _rule(rf"(?:the\s+)?day\s+before\s+yesterday(?:\s+(?:{_PART}))?", _fixed_day(-2)),
    _rule(rf"(?:the\s+)?day\s+after\s+tomorrow(?:\s+(?:{_PART}))?", _fixed_day(2)),
    _rule(rf"yesterday(?:\s+(?:{_PART}))?|last\s+(?:night|evening)", _fixed_day(-1)),
    _rule(rf"today|tonight|this\s+(?:{_PART})", _fixed_day(0)),
    _rule(rf"tomorrow(?:\s+(?:{_PART}))?", _fixed_day(1)),
    _rule(rf"(?<!half )(?P<count>{_COUNT})\s+(?P<unit>{_UNIT})s?\s+(?:ago|back)", _ago),
    _rule(rf"in\s+(?P<count>{_COUNT})\s+(?P<unit>{_UNIT})s?['’]?(?:\s+time)?{_NOT_OF}", _ahead),
    _rule(rf"(?P<count>{_COUNT})\s+(?P<unit>{_UNIT})s?\s+from\s+now", _ahead),
    _rule(r"(?:the\s+)?(?P<unit>week|weekend|month|year)\s+before\s+last", _before_last),
    _rule(rf"(?<!the ){_PAST_NEXT}\s+(?P<unit>weekend|week|month|year){_NOT_OF}", _span),
    _rule(rf"(?P<which>(?:this\s+)?(?:past|coming)|last|previous|next|this)\s+(?P<weekday>{_WEEKDAY})", _weekday),
    _rule(rf"(?P<which>on)\s+(?P<weekday>{_FULL_WEEKDAY})", _weekday),
    _rule(rf"(?P<which>last|this\s+past|this|next)\s+(?P<month>{_MONTH}){_NOT_OF}(?!\s+\d)", _month),
    _rule(rf"(?P<which>last|this\s+past|this|next)\s+(?P<season>{_SEASON}){_NOT_OF}", _season),
    _rule(rf"(?P<which>last|this\s+past|this|next)\s+(?P<feast>{_FEAST})", _feast),
    _rule(r"the\s+other\s+(?P<unit>day|night|week)", _other_day),
    _rule(r"over\s+the\s+weekend", _past_weekend),
    _rule(rf"on\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month>{_MONTH}){_NO_YEAR}", _date),
    _rule(rf"on\s+(?P<month>{_MONTH})\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?{_NO_YEAR}", _date),
    _rule(rf"on\s+the\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th){_ALONE}", _day_of_month),
    _rule(rf"in\s+(?P<month>{_MONTH}){_NO_YEAR}", _in_month),
)
