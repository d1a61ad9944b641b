"""Windows of contributions, and adding up their parts."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.github.contributions import (
    Window,
    WindowCounts,
    build_query,
    build_year,
    is_final,
    merge_years,
    whole_year,
)
from github_banners.github.protocol import MAX_COUNT
from github_banners.models import ContributionYear, Owner
from tests.unit.github.data_samples import days_between
from tests.unit.github.samples import NOW

TODAY = NOW.date()
ADA = Owner(1, "Ada", node_id="U_1")
WINDOWS = st.builds(
    lambda year, months: Window(year, min(months), max(months)),
    st.integers(2005, 2026),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)


@given(WINDOWS)
def test_parts_of_a_window_have_each_day_once(window: Window) -> None:
    days = [day for part in window.split() for day in days_between(part.first_day, part.last_day)]
    is_month = window.first_month == window.last_month
    assert days == ([] if is_month else days_between(window.first_day, window.last_day))


@given(WINDOWS)
def test_windows_are_split_down_to_months(window: Window) -> None:
    windows, depth = [window], 0
    while any(part.split() for part in windows):
        windows = [part for parent in windows for part in parent.split() or [parent]]
        depth += 1
    assert all(part.first_month == part.last_month for part in windows)
    assert depth <= 3


def test_query_has_whole_days_and_ends_now() -> None:
    windows = [Window(2026, 1, 11), Window(2024), Window(2024, 2, 2)]
    variables = build_query(ADA, windows, now=NOW).variables
    assert variables == {
        "id": "U_1",
        "from0": "2026-01-01T00:00:00Z",
        "to0": "2026-11-22T12:00:00Z",
        "from1": "2024-01-01T00:00:00Z",
        "to1": "2024-12-31T23:59:59Z",
        "from2": "2024-02-01T00:00:00Z",
        "to2": "2024-02-29T23:59:59Z",
    }


def test_current_year_ends_with_the_current_month() -> None:
    assert whole_year(2026, today=TODAY) == Window(2026, 1, 11)
    assert whole_year(2025, today=TODAY) == Window(2025, 1, 12)


@pytest.mark.parametrize(
    ("year", "days", "fetched_at", "expected"),
    [
        (2025, 365, NOW, True),
        (2025, 364, NOW, False),
        (2024, 365, NOW, False),
        (2024, 366, NOW, True),
        (2026, 365, NOW, False),
        (2025, 365, datetime(2026, 1, 10, 23, tzinfo=UTC), False),
        (2025, 365, datetime(2026, 1, 11, tzinfo=UTC), True),
        (2024, 366, datetime(2026, 1, 1, tzinfo=UTC), True),
    ],
)
def test_year_is_final_some_days_after_its_end(
    year: int, days: int, fetched_at: datetime, expected: bool
) -> None:
    known = ContributionYear(year, days=(0,) * days)
    assert is_final(known, fetched_at=fetched_at) is expected


def test_unknown_year_is_not_final() -> None:
    assert not is_final(None, fetched_at=NOW)


def test_days_that_a_calendar_lacks_count_zero() -> None:
    parts = [
        WindowCounts({date(2026, 1, 5): 4}, 1, 2, 3, 4),
        WindowCounts({date(2026, 1, 2): 3}, 10, 20, 30, 40),
    ]
    assert build_year(2026, parts, today=TODAY) == ContributionYear(
        2026, (0, 3, 0, 0, 4), commits=11, issues=22, pull_requests=33, reviews=44
    )
    past = [WindowCounts({date(2025, 1, 2): 3}, 0, 0, 0, 0)]
    assert build_year(2025, past, today=TODAY).days == (0, 3) + (0,) * 363
    assert build_year(2026, [], today=TODAY).days == ()


def test_sums_are_bounded() -> None:
    part = WindowCounts({}, *[MAX_COUNT] * 4)
    year = build_year(2026, [part, part], today=TODAY)
    assert {year.commits, year.issues, year.pull_requests, year.reviews} == {MAX_COUNT}


def test_fetched_years_replace_known_ones() -> None:
    known = [ContributionYear(2024, (1,)), ContributionYear(2022, (1,))]
    fetched = [ContributionYear(2023, (2,)), ContributionYear(2024, (2,))]
    merged = merge_years(known, fetched)
    assert [(year.year, year.days) for year in merged.years] == [
        (2022, (1,)),
        (2023, (2,)),
        (2024, (2,)),
    ]
