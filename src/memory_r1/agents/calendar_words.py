"""The words of the calendar, and arithmetic on days that they need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

_MONTH_NAMES = "january february march april may june july august september october november december"

MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), start=1)}
"""Number of a month, 1 to 12, by its name."""

WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mon",
            "tuesday tues tue",
            "wednesday wed",
            "thursday thurs thur thu",
            "friday fri",
            "saturday sat",
            "sunday sun",
        )
    )
    for name in names.split()
}
"""Number of a weekday, 0 (Monday) to 6, by its name or abbreviation."""

SEASONS = {"spring": (3, 5), "summer": (6, 8), "autumn": (9, 11), "fall": (9, 11), "winter": (12, 2)}
"""First and last month of a season in the northern half of the world."""

FEASTS = {
    "christmas": (12, 25),
    "xmas": (12, 25),
    "halloween": (10, 31),
    "valentine's day": (2, 14),
    "new year's eve": (12, 31),
}
"""Month and day of feasts that fall on the same date every year."""

NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30,
}  # fmt: skip
"""Numbers that are written as words."""

FUZZY = {
    "a couple of": "a couple of",
    "couple of": "a couple of",
    "a couple": "a couple of",
    "a few": "a few",
    "few": "a few",
    "several": "several",
    "some": "some",
    "many": "many",
}
"""Amounts that name no number, and how they are repeated."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A day to count from."""

    day: date

    def plus_days(self, days: int) -> date:
        """The day so many days later.

        Raises:
            OverflowError: It lies outside of the calendar's years 1 to 9999.
        """
        return self.day + timedelta(days=days)

    def plus_months(self, months: int) -> date:
        """The first day of the month so many months later.

        Raises:
            ValueError: It lies outside of the calendar's years 1 to 9999.

        Example:
            >>> Moment(date(2023, 1, 31)).plus_months(-2)
            datetime.date(2022, 11, 1)
        """
        index = self.day.year * 12 + self.day.month - 1 + months
        return date(index // 12, index % 12 + 1, 1)


def amount(word: str) -> int | str:
    """A counted amount as a number, or the words that repeat a vague one.

    Example:
        >>> amount("two"), amount("12"), amount("A few")
        (2, 12, 'a few')
    """
    known = " ".join(word.lower().split())
    if known in FUZZY:
        return FUZZY[known]
    return NUMBERS[known] if known in NUMBERS else int(known)


def day_text(day: date) -> str:
    """A day in words that no locale changes.

    Example:
        >>> day_text(date(2023, 5, 8))
        '8 May 2023'
    """
    return f"{day.day} {month_text(day)}"


def month_text(day: date) -> str:
    """The month of a day.

    Example:
        >>> month_text(date(2023, 5, 8))
        'May 2023'
    """
    return f"{list(MONTHS)[day.month - 1].capitalize()} {day.year}"
