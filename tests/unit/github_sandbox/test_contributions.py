"""Generated contributions, and the windows and calendars that are made of them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_sandbox.contributions import (
    CalendarDay,
    ContributionsCollection,
    WindowTooLong,
    collect_contributions,
)
from github_sandbox.generator import AccountGenerator
from github_sandbox.models import Account

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GENERATOR = AccountGenerator(seed=1)
DEVELOPERS = [f"dev-{number}" for number in range(1, 41)]


def account(login: str, *, generator: AccountGenerator = GENERATOR) -> Account:
    account = generator.account(generator.find_id(login) or 0)
    assert account is not None
    return account


def collect(
    login: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    now: datetime = NOW,
    generator: AccountGenerator = GENERATOR,
) -> ContributionsCollection:
    owner = account(login, generator=generator)
    return collect_contributions(owner, generator.contributions, start=start, end=end, now=now)


def year(login: str, number: int, *, now: datetime = NOW) -> ContributionsCollection:
    start = datetime(number, 1, 1, tzinfo=UTC)
    return collect(login, start, datetime(number, 12, 31, 23, 59, 59, tzinfo=UTC), now=now)


def days(collection: ContributionsCollection) -> list[CalendarDay]:
    return [day for week in collection.calendar.weeks for day in week.days]


def counts_by_day(collection: ContributionsCollection) -> dict[date, int]:
    return {day.date: day.count for day in days(collection)}


def longest_run(counts: Sequence[int], *, zeros: bool) -> int:
    longest = run = 0
    for count in counts:
        run = run + 1 if (count == 0) is zeros else 0
        longest = max(longest, run)
    return longest


def totals(collection: ContributionsCollection) -> tuple[int, ...]:
    return (
        collection.commits,
        collection.issues,
        collection.pull_requests,
        collection.reviews,
        collection.restricted,
        collection.created_repositories,
    )


def test_days_depend_on_seed_and_account_only() -> None:
    again = AccountGenerator(seed=1)
    assert year("dev-1", 2025) == collect(
        "dev-1",
        datetime(2025, 1, 1, tzinfo=UTC),
        datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC),
        generator=again,
    )
    others = [
        counts_by_day(year("dev-2", 2025)),
        counts_by_day(
            collect(
                "dev-1", end=datetime(2025, 12, 31, tzinfo=UTC), generator=AccountGenerator(seed=2)
            )
        ),
    ]
    assert counts_by_day(year("dev-1", 2025)) not in others


@given(
    first=st.dates(date(2017, 1, 1), date(2025, 12, 31)),
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=4),
)
def test_windows_add_up_to_the_years_they_cover(first: date, lengths: list[int]) -> None:
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    merged: dict[date, int] = {}
    for length in lengths:
        end = start + DAY * length
        merged |= counts_by_day(collect("dev-3", start, end - timedelta(seconds=1)))
        start = end
    by_year: dict[date, int] = {}
    for number in range(first.year, start.year + 1):
        by_year |= counts_by_day(year("dev-3", number))
    assert merged == {day: by_year[day] for day in merged}
    assert len(merged) == sum(lengths)


@pytest.mark.parametrize("login", ["mia-maintains", "vera-veteran", *DEVELOPERS[:5]])
def test_totals_by_kind_add_up_to_the_calendar(login: str) -> None:
    collection = collect(login)
    assert sum(totals(collection)) == collection.calendar.total > 0
    assert collection.calendar.total == sum(counts_by_day(collection).values())
    half = collection.started_at + timedelta(days=180)
    before = collect(login, collection.started_at, half - DAY)
    after = collect(login, half, collection.ended_at)
    assert totals(collection) == tuple(map(sum, zip(totals(before), totals(after), strict=True)))


def test_created_repositories_are_those_of_the_account() -> None:
    owner = account("dev-1")
    created = sum(year("dev-1", number).created_repositories for number in range(2015, 2027))
    assert created == sum(not repository.is_fork for repository in owner.repositories)


def test_passing_time_adds_days_and_leaves_the_others() -> None:
    before = counts_by_day(year("mia-maintains", 2026))
    after = counts_by_day(year("mia-maintains", 2026, now=NOW + 10 * DAY))
    assert list(before) == list(after)
    assert len(before) == 365
    changed = {day for day in before if before[day] != after[day]}
    assert changed
    assert min(changed) > NOW.date()
    assert max(changed) <= (NOW + 10 * DAY).date()
    assert not any(count for day, count in before.items() if day > NOW.date())


def test_nothing_happens_before_an_account_is_created() -> None:
    created = account("dev-1").created_at
    counts = counts_by_day(year("dev-1", created.year))
    assert not any(count for day, count in counts.items() if day < created.date())
    assert any(counts.values())
    assert year("dev-1", created.year - 1).calendar.total == 0
    assert collect("dev-1").years[-1] == created.year


def test_working_days_are_busier_than_weekends() -> None:
    cells = [day for login in DEVELOPERS for day in days(collect(login))]
    weekend = [day.count for day in cells if day.weekday in {0, 6}]
    working = [day.count for day in cells if day.weekday not in {0, 6}]
    assert sum(working) / len(working) > 3 * sum(weekend) / len(weekend) > 0


def test_calendars_have_holidays_streaks_bursts_and_pauses() -> None:
    calendars = [list(counts_by_day(collect(login)).values()) for login in DEVELOPERS]
    assert sum(longest_run(counts, zeros=True) >= 7 for counts in calendars) > 20
    assert sum(longest_run(counts, zeros=False) >= 12 for counts in calendars) > 20
    assert sum(max(counts) > 8 * sum(counts) / len(counts) for counts in calendars) > 20
    all_years = [
        year(login, number).commits for login in DEVELOPERS for number in range(2021, 2026)
    ]
    assert 5 < all_years.count(0) < 50


def test_accounts_grow_over_their_first_years() -> None:
    first = [year(login, account(login).created_at.year + 1).commits for login in DEVELOPERS]
    fifth = [year(login, account(login).created_at.year + 5).commits for login in DEVELOPERS]
    assert sum(fifth) > 1.3 * sum(first)


def test_maintainer_is_active_on_every_recent_day_but_few() -> None:
    counts = list(counts_by_day(collect("mia-maintains", NOW - 364 * DAY, NOW)).values())
    assert longest_run(counts[::-1][:14], zeros=False) >= 10
    later = collect("mia-maintains", NOW, NOW + 365 * DAY, now=NOW + 365 * DAY)
    assert longest_run(list(counts_by_day(later).values()), zeros=True) <= 4
    assert longest_run(counts, zeros=True) <= 4
    assert 0 in counts


def test_veteran_has_contributions_since_2008() -> None:
    years = collect("vera-veteran").years
    assert list(years) == sorted(years, reverse=True)
    assert (years[0], years[-1]) == (2026, 2008)
    assert all(year("vera-veteran", number).calendar.total for number in years)
    assert not any(year("vera-veteran", number).calendar.total for number in (2007, 2027))


@pytest.mark.parametrize("login", DEVELOPERS[:10])
def test_years_are_those_with_contributions_and_that_of_joining(login: str) -> None:
    joined = account(login).created_at.year
    expected = {number for number in range(2008, 2027) if year(login, number).calendar.total}
    assert set(collect(login).years) == expected | {joined}


def test_private_profile_is_empty() -> None:
    owner, collection = account("priya-private"), collect("priya-private")
    assert (owner.followers, owner.following) == (0, 0)
    assert (collection.years, totals(collection)) == ((), (0,) * 6)
    assert [day.count for day in days(collection)] == [0] * 366


def test_new_account_has_no_contributions_but_joined() -> None:
    collection = collect("nell-newcomer")
    assert collection.calendar.total == 0
    assert list(collection.years) == [account("nell-newcomer").created_at.year]


def window(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    collection = collect("dev-1", start, end)
    return collection.started_at, collection.ended_at


def test_missing_ends_of_a_window_are_a_year_apart() -> None:
    start = datetime(2024, 2, 29, 8, tzinfo=UTC)
    assert window(None, None) == (NOW.replace(year=2025), NOW)
    assert window(start, None) == (start, datetime(2025, 2, 28, 8, tzinfo=UTC))
    assert window(None, start) == (datetime(2023, 2, 28, 8, tzinfo=UTC), start)


def test_window_has_at_most_a_year() -> None:
    start = datetime(2023, 1, 1, tzinfo=UTC)
    end = datetime(2024, 1, 1, tzinfo=UTC)
    assert len(collect("dev-1", start, end).counts) == 366
    with pytest.raises(WindowTooLong):
        collect("dev-1", start, end + timedelta(seconds=1))
    assert len(year("dev-1", 2024).counts) == 366
    assert days(collect("dev-1", end, start)) == []


def test_weeks_begin_on_sundays_and_end_with_the_window() -> None:
    # 1 January 2025 was a Wednesday, 31 December 2025 as well.
    weeks = year("dev-1", 2025).calendar.weeks
    assert len(weeks) == 53
    assert [len(week.days) for week in (weeks[0], weeks[1], weeks[-1])] == [4, 7, 4]
    assert [day.weekday for day in weeks[0].days] == [3, 4, 5, 6]
    assert (weeks[0].first_day, weeks[1].first_day) == (date(2025, 1, 1), date(2025, 1, 5))
    cells = days(year("dev-1", 2025))
    assert all(later.date - earlier.date == DAY for earlier, later in pairwise(cells))


def levels(collection: ContributionsCollection) -> Iterator[tuple[int, str, str]]:
    return ((day.count, day.level, day.color) for day in days(collection))


def test_levels_are_quartiles_of_the_days_with_contributions() -> None:
    days = sorted(levels(collect("mia-maintains")))
    order = ["NONE", *(f"{name}_QUARTILE" for name in ("FIRST", "SECOND", "THIRD", "FOURTH"))]
    assert [order.index(level) for _, level, _ in days] == sorted(
        order.index(level) for _, level, _ in days
    )
    assert {level for count, level, _ in days if count == 0} == {"NONE"}
    busy = [level for count, level, _ in days if count]
    assert all(busy.count(level) > len(busy) / 10 for level in order[1:])
    assert len({color for _, _, color in days}) == 5


def test_inactive_account_and_organization_have_none() -> None:
    idle = msgspec.structs.replace(account("dev-1"), activity=0.0, repositories=())
    umbra = msgspec.structs.replace(account("umbra-labs"), repositories=())
    for owner in (idle, umbra):
        collection = collect_contributions(
            owner, GENERATOR.contributions, start=None, end=None, now=NOW
        )
        assert collection.calendar.total == 0
