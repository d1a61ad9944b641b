from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.models import Contributions, ContributionYear
from github_banners.stats.contribution_summary import (
    SHOWN_DAYS,
    current_streak,
    longest_streak,
    summarize,
    summarize_contributions,
)

TODAY = date(2026, 11, 30)
ONE_DAY = timedelta(days=1)


def _years(counts: dict[date, int]) -> list[ContributionYear]:
    """Build the rows of all years between the first and the last day."""
    years = range(min(counts).year, max(counts).year + 1)
    return [
        ContributionYear(
            year,
            tuple(
                counts.get(date(year, 1, 1) + ONE_DAY * number, 0)
                for number in range(366 if year % 4 == 0 else 365)
            ),
        )
        for year in years
    ]


@pytest.mark.parametrize(
    ("counts", "current", "longest"),
    [
        ([], 0, 0),
        ([0], 0, 0),
        ([5], 1, 1),
        ([1, 1, 0], 2, 2),  # today is not over
        ([1, 1, 0, 0], 0, 2),
        ([1, 0, 1], 1, 1),
        ([1, 1, 1, 0, 1, 2], 2, 3),
        ([0, 0, 0], 0, 0),
    ],
)
def test_streaks_of_short_calendars(counts: list[int], current: int, longest: int) -> None:
    assert (current_streak(counts), longest_streak(counts)) == (current, longest)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([1, 1, 0, 0], 2), ([1, 1, 0, 0, 0], 0), ([1, 1, 0, 1], 1), ([1, 1, 1, 0], 3), ([0, 0], 0)],
)
def test_current_streak_two_unfinished_days_do_not_end_it(counts: list[int], expected: int) -> None:
    assert current_streak(counts, unfinished_days=2) == expected


@pytest.mark.parametrize(("hour", "expected"), [(0, 1), (11, 1), (12, 0), (23, 0)])
def test_summarize_yesterday_ends_a_streak_when_it_is_over_everywhere(
    hour: int, expected: int
) -> None:
    contributions = Contributions(tuple(_years({TODAY - 2 * ONE_DAY: 1})))
    now = datetime(TODAY.year, TODAY.month, TODAY.day, hour, 59, 59, tzinfo=UTC)
    summary = summarize(contributions, now=now)
    assert summary.activity is not None
    assert (summary.activity.last_day, summary.activity.current_streak) == (TODAY, expected)


@given(st.lists(st.integers(0, 2), max_size=60))
def test_streaks_equal_those_of_a_walk_over_the_days(counts: list[int]) -> None:
    walked, run = 0, 0
    for count in counts:
        run = run + 1 if count else 0
        walked = max(walked, run)
    ended = counts[:-1] if counts and not counts[-1] else counts
    trailing = 0
    while trailing < len(ended) and ended[-1 - trailing]:
        trailing += 1
    assert (current_streak(counts), longest_streak(counts)) == (trailing, walked)


def test_streak_runs_over_new_year() -> None:
    days = {date(2025, 12, 30) + ONE_DAY * number: 1 for number in range(5)}
    activity = summarize_contributions(_years(days), today=date(2026, 1, 4))
    assert (activity.current_streak, activity.longest_streak) == (5, 5)


def test_days_after_today_do_not_count() -> None:
    counts = {TODAY: 3, TODAY + ONE_DAY: 7, TODAY + 5 * ONE_DAY: 9}
    activity = summarize_contributions(_years(counts), today=TODAY)
    assert activity.contributions == activity.last_year == activity.best_count == 3
    assert (activity.days[-1], activity.last_day, activity.best_day) == (3, TODAY, TODAY)


def test_last_year_ends_today_and_starts_on_the_same_day_of_last_year() -> None:
    counts = {date(2025, 11, 29): 100, date(2025, 11, 30): 4, date(2026, 3, 14): 38, TODAY: 1}
    activity = summarize_contributions(_years(counts), today=TODAY)
    assert (activity.last_year, activity.contributions) == (43, 143)
    assert (activity.best_day, activity.best_count) == (date(2026, 3, 14), 38)


def test_last_year_of_29_february_starts_on_the_28th() -> None:
    first = date(2023, 2, 28)
    counts = {first + ONE_DAY * number: 1 for number in range(367)}
    activity = summarize_contributions(_years(counts), today=date(2024, 2, 29))
    assert activity.last_year == 367


def test_best_day_of_equal_ones_is_the_latest() -> None:
    counts = {date(2026, 3, 1): 5, date(2026, 6, 1): 5}
    assert summarize_contributions(_years(counts), today=TODAY).best_day == date(2026, 6, 1)


def test_totals_cover_all_years() -> None:
    years = [
        ContributionYear(2024, (1,), commits=3, issues=4, pull_requests=5, reviews=6),
        ContributionYear(2026, (2,), commits=30, issues=40, pull_requests=50, reviews=60),
    ]
    activity = summarize_contributions(years, today=TODAY)
    assert (activity.commits, activity.issues) == (33, 44)
    assert (activity.pull_requests, activity.reviews, activity.contributions) == (55, 66, 3)


def test_owner_without_years_has_an_empty_calendar() -> None:
    activity = summarize_contributions([], today=TODAY)
    assert activity.days == (0,) * SHOWN_DAYS
    assert (activity.contributions, activity.best_day) == (0, None)


@given(
    st.dictionaries(
        st.dates(date(2019, 1, 1), date(2027, 12, 31)), st.integers(0, 50), min_size=1, max_size=40
    ),
    st.dates(date(2021, 1, 1), date(2026, 12, 31)),
)
def test_summary_equals_counts_by_hand(counts: dict[date, int], today: date) -> None:
    activity = summarize_contributions(_years(counts), today=today)
    past = {day: count for day, count in counts.items() if day <= today}
    assert activity.contributions == sum(past.values())
    assert len(activity.days) == SHOWN_DAYS
    expected = [past.get(today - ONE_DAY * ago, 0) for ago in reversed(range(SHOWN_DAYS))]
    assert list(activity.days) == expected
    assert activity.last_year <= sum(expected)
