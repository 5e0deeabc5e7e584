from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_r1.agents.dates import annotate, find_times, without_dates

# a Saturday
DAY = date(2023, 7, 15)


def meanings(text, day=DAY):
    return [found.meaning for found in find_times(text, day)]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("I went there yesterday.", "14 July 2023"),
        ("Yesterday's talk was good", "14 July 2023"),
        ("yesterday morning", "14 July 2023"),
        ("I'm free today", "15 July 2023"),
        ("tonight we dine", "15 July 2023"),
        ("this morning", "15 July 2023"),
        ("see you tomorrow", "16 July 2023"),
        ("last night was fun", "14 July 2023"),
        ("the day before yesterday", "13 July 2023"),
        ("the day after tomorrow", "17 July 2023"),
        ("last week I spoke", "the week before 15 July 2023"),
        ("this past week", "the week before 15 July 2023"),
        ("earlier this week", "the week of 15 July 2023"),
        ("next week", "the week after 15 July 2023"),
        ("the week before last", "two weeks before 15 July 2023"),
        ("last weekend", "the weekend before 15 July 2023"),
        ("this past weekend", "the weekend before 15 July 2023"),
        ("this weekend", "the weekend of 15 July 2023"),
        ("two weekends ago", "two weekends before 15 July 2023"),
        ("last month", "June 2023"),
        ("this month", "July 2023"),
        ("next month", "August 2023"),
        ("the month before last", "May 2023"),
        ("last year", "2022"),
        ("this year", "2023"),
        ("next year's festival", "2024"),
        ("last Friday", "14 July 2023, the Friday before 15 July 2023"),
        ("Last Fri I went", "14 July 2023, the Friday before 15 July 2023"),
        ("last Saturday", "8 July 2023, the Saturday before 15 July 2023"),
        ("this past Sunday", "9 July 2023, the Sunday before 15 July 2023"),
        ("next Friday", "the Friday after 15 July 2023"),
        ("We met on Friday", "14 July 2023, the Friday before 15 July 2023"),
        ("We'll meet on Friday", "21 July 2023"),
        ("I'll leave this Monday", "17 July 2023"),
        ("last May", "May 2023"),
        ("last September", "September 2022"),
        ("next June", "June 2024"),
        ("last summer", "the summer of 2022"),
        ("this summer", "the summer of 2023"),
        ("next spring", "the spring of 2024"),
        ("last winter", "the winter of 2022/2023"),
        ("last Christmas", "Christmas 2022"),
        ("next Halloween", "Halloween 2023"),
        ("two days ago", "13 July 2023"),
        ("3 days ago", "12 July 2023"),
        ("a week ago", "a week before 15 July 2023"),
        ("two weeks ago", "two weeks before 15 July 2023"),
        ("a fortnight ago", "two weeks before 15 July 2023"),
        ("18 weeks ago", "18 weeks before 15 July 2023"),
        ("three months ago", "April 2023"),
        ("a month back", "June 2023"),
        ("a year ago", "around July 2022"),
        ("ten years ago", "2013"),
        ("two decades ago", "2003"),
        ("a few days ago", "a few days before 15 July 2023"),
        ("a couple of months ago", "a couple of months before July 2023"),
        ("several years ago", "several years before 2023"),
        ("the other day", "a few days before 15 July 2023"),
        ("I'm leaving in 3 days", "18 July 2023"),
        ("We'll open in two weeks", "two weeks after 15 July 2023"),
        ("I will move in a few months", "a few months after 15 July 2023"),
        ("two years from now", "2025"),
    ],
)
def test_expressions_get_the_meaning_their_words_support(text, meaning):
    assert meanings(text) == [meaning]


@pytest.mark.parametrize(
    "text",
    [
        "I lost 5 kg in two weeks",
        "the first time in two years",
        "the last week of June",
        "my last year of school",
        "over the last week",
        "the next week was calm",
        "these days I rest",
        "half a year ago",
        "on Fridays I swim",
        "See the notes on Friday",
        "yesterday (14 July 2023)",
        "last Friday, 14 July",
        "a last-year student",
        "in 2022 I moved",
        "for four years",
        "lastweek",
    ],
)
def test_what_cannot_be_told_is_left_alone(text):
    assert meanings(text) == []


def test_the_weekend_of_a_weekday_depends_on_the_tense():
    monday = date(2023, 7, 17)
    assert meanings("We camped this weekend", monday) == ["the weekend before 17 July 2023"]
    assert meanings("We'll camp this weekend", monday) == ["the weekend of 22 July 2023"]


def test_month_and_year_turn_over():
    assert meanings("last month", date(2023, 1, 31)) == ["December 2022"]
    assert meanings("next month", date(2023, 12, 1)) == ["January 2024"]
    assert meanings("tomorrow", date(2024, 2, 28)) == ["29 February 2024"]
    assert meanings("last winter", date(2023, 12, 24)) == ["the winter of 2022/2023"]
    assert meanings("this winter", date(2024, 1, 5)) == ["the winter of 2023/2024"]
    assert meanings("next winter", date(2024, 1, 5)) == ["the winter of 2024/2025"]


def test_beyond_the_calendar_is_left_alone():
    assert meanings("yesterday", date(1, 1, 1)) == []
    assert meanings("999 years ago", date(500, 1, 1)) == []
    assert meanings("tomorrow", date(9999, 12, 31)) == []


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("On the 2nd of May I signed up.", "2 May 2023"),
        ("We left on December 5th.", "5 December 2022"),
        ("It opens on 20 April.", "20 April 2024"),
        ("On the 17th I was camping.", "17 May 2023"),
        ("We'll meet on the 17th.", "17 June 2023"),
        ("I'm going to Austin in November!", "November 2023"),
        ("We were there in August.", "August 2022"),
        ("Over the weekend we ran.", "the weekend before 9 June 2023"),
        ("On 31 February (sic) we met.", None),
        ("We met on the 2nd floor.", None),
        ("I left on 5 May 2019.", None),
        ("On May 5, 2019 I left.", None),
        ("In May 2019 I left.", None),
        ("Rain in November.", None),
    ],
)
def test_days_and_months_without_a_year(text, meaning):
    assert meanings(text, date(2023, 6, 9)) == ([meaning] if meaning else [])


def test_annotations_stand_behind_the_words():
    text = "Last week's race and yesterday: both were fun, said on 9 June."
    assert annotate(text, date(2023, 6, 9)) == (
        "Last week's (the week before 9 June 2023) race and yesterday (8 June 2023): both were fun, "
        "said on 9 June (9 June 2023)."
    )


def test_a_full_stop_stays_behind_the_annotation():
    assert (
        annotate("I ran last Saturday.", DAY) == "I ran last Saturday (8 July 2023, the Saturday before 15 July 2023)."
    )


def test_without_a_time_nothing_is_annotated():
    assert annotate("yesterday", None) == "yesterday"


def test_the_turns_own_calendar_day_counts():
    assert annotate("today", datetime(2023, 5, 8, 23, 59, tzinfo=UTC)) == "today (8 May 2023)"


@given(
    st.dates(),
    st.lists(
        st.sampled_from(
            [
                *(
                    "I went",
                    "yesterday",
                    "last",
                    "next",
                    "this",
                    "Friday",
                    "week",
                    "weekend",
                    "in",
                    "two",
                    "days",
                    "ago",
                ),
                *(
                    "month",
                    "summer",
                    "Christmas",
                    "May",
                    "on",
                    "a",
                    "few",
                    "I'll",
                    ".",
                    "(",
                    "2023)",
                    "the",
                    "'s",
                    "other",
                ),
            ]
        )
    ).map(" ".join),
)
def test_annotating_twice_changes_nothing_and_adds_only(day, text):
    once = annotate(text, day)
    assert annotate(once, day) == once
    found = find_times(text, day)
    assert all(text[item.start : item.end] == item.phrase for item in found)
    assert all(first.end <= second.start for first, second in pairwise(found))
    assert len(once) == len(text) + sum(len(item.meaning) + 3 for item in found)


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 1, 1)), st.integers(0, 6))
def test_a_past_weekday_is_the_nearest_one_before_today(day, number):
    name = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"][number]
    expected = next(past for back in range(1, 8) if (past := day - timedelta(days=back)).weekday() == number)
    (found,) = find_times(f"I went last {name}", day)
    assert found.meaning.startswith(f"{expected.day} {expected:%B} {expected.year}, the {name} before ")


def test_without_dates_undoes_annotating():
    text = "We met last Friday, last winter and a few days ago (really)."
    assert without_dates(annotate(text, DAY)) == text
