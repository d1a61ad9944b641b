"""
Contributions of a user in a window of time, as in GitHub's `contributionsCollection`.

Whole days in UTC: those of the window's first and last moment count in full, and so does the present
one. Days after it are in the calendar, as on GitHub, and have no contributions.
https://docs.github.com/en/graphql/reference/objects#contributionscollection
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

import msgspec

from github_sandbox.contribution_generator import NO_CONTRIBUTIONS, ContributionGenerator, Counts
from github_sandbox.models import Account

_DAY = timedelta(days=1)
_LEVELS = ("FIRST_QUARTILE", "SECOND_QUARTILE", "THIRD_QUARTILE", "FOURTH_QUARTILE")
_COLORS = ("#9be9a8", "#40c463", "#30a14e", "#216e39")
_NO_COLOR = "#ebedf0"


class WindowTooLong(ValueError):
    """A window is longer than a year."""


class CalendarDay(msgspec.Struct, frozen=True, gc=False):
    """A day of the calendar; `weekday` is 0 on Sundays, `level` compares it with the other days."""

    date: date
    weekday: int
    count: int
    level: str
    color: str


class Week(msgspec.Struct, frozen=True, gc=False):
    """A week from Sunday to Saturday, or the part of it that is in the window."""

    days: Sequence[CalendarDay]

    @property
    def first_day(self) -> date:
        """The first day of the week that is in the window."""
        return self.days[0].date


class Calendar(msgspec.Struct, frozen=True, gc=False):
    """The weeks of a window."""

    total: int
    weeks: Sequence[Week]


class ContributionsCollection(msgspec.Struct, frozen=True):
    """
    The contributions between two moments.

    `counts` are those of each day, and `repositories` the repositories created on it. `years` are all
    years with contributions, newest first, whatever the window.
    """

    started_at: datetime
    ended_at: datetime
    years: Sequence[int]
    counts: Sequence[Counts]
    repositories: Sequence[int]

    @property
    def commits(self) -> int:
        """Commits in public repositories."""
        return sum(day.commits for day in self.counts)

    @property
    def issues(self) -> int:
        """Issues opened."""
        return sum(day.issues for day in self.counts)

    @property
    def pull_requests(self) -> int:
        """Pull requests opened."""
        return sum(day.pull_requests for day in self.counts)

    @property
    def reviews(self) -> int:
        """Reviews of pull requests."""
        return sum(day.reviews for day in self.counts)

    @property
    def restricted(self) -> int:
        """Contributions to private repositories, of users who show their number."""
        return sum(day.restricted for day in self.counts)

    @property
    def created_repositories(self) -> int:
        """Repositories created, without forks."""
        return sum(self.repositories)

    @property
    def totals(self) -> list[int]:
        """All contributions of each day."""
        return [
            created + day.commits + day.issues + day.pull_requests + day.reviews + day.restricted
            for day, created in zip(self.counts, self.repositories, strict=True)
        ]

    @property
    def calendar(self) -> Calendar:
        """The calendar, whose days add up to all kinds of contributions."""
        totals = self.totals
        days = _build_days(self.started_at.date(), totals)
        weeks = groupby(days, key=lambda day: day.date.toordinal() - day.weekday)
        return Calendar(sum(totals), [Week(tuple(week)) for _, week in weeks])


def collect_contributions(
    account: Account,
    generator: ContributionGenerator,
    *,
    start: datetime | None,
    end: datetime | None,
    now: datetime,
) -> ContributionsCollection:
    """
    Collect an account's contributions from `start` to `end`, by default of the year until now.

    All times are in UTC. The collection of a private profile is empty.

    :raises WindowTooLong: the window is longer than a year
    """
    start, end = _complete_window(start, end, now)
    first = start.date()
    size = max(0, (end.date() - first).days + 1)
    if account.is_private:
        return ContributionsCollection(start, end, (), (NO_CONTRIBUTIONS,) * size, (0,) * size)
    today = now.date()
    created = Counter(
        repository.created_at.date()
        for repository in account.repositories
        if not repository.is_fork and repository.created_at <= now
    )
    days = [first + _DAY * offset for offset in range(size)]
    return ContributionsCollection(
        started_at=start,
        ended_at=end,
        years=_find_years(account, generator, created, today),
        counts=_count_days(account, generator, days, today),
        repositories=[created[day] for day in days],
    )


def _complete_window(
    start: datetime | None, end: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    if start is None:
        end = end or now
        return _add_years(end, -1), end
    latest_end = _add_years(start, 1)
    if end is not None and end > latest_end:
        raise WindowTooLong
    return start, end or latest_end


def _add_years(moment: datetime, years: int) -> datetime:
    """Return the same moment of another year; 29 February becomes the 28th."""
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return moment.replace(year=moment.year + years, day=day)


def _count_days(
    account: Account, generator: ContributionGenerator, days: Sequence[date], today: date
) -> list[Counts]:
    joined = account.created_at.date()
    first_days = {year: date(year, 1, 1).toordinal() for year in {day.year for day in days}}
    years = {year: generator.year(account, year) for year in first_days}
    return [
        years[day.year][day.toordinal() - first_days[day.year]]
        if joined <= day <= today
        else NO_CONTRIBUTIONS
        for day in days
    ]


def _find_years(
    account: Account, generator: ContributionGenerator, created: Counter[date], today: date
) -> list[int]:
    """Return the years with contributions, newest first; joining GitHub is one."""
    joined = account.created_at.date()
    years = {joined.year, *(day.year for day in created)}
    years |= {year for year in range(joined.year, today.year) if generator.is_active(account, year)}
    until_today = generator.year(account, today.year)[: today.timetuple().tm_yday]
    if joined.year < today.year and any(day != NO_CONTRIBUTIONS for day in until_today):
        years.add(today.year)
    return sorted(years, reverse=True)


def _build_days(first: date, totals: Sequence[int]) -> list[CalendarDay]:
    """Give each day with contributions the quartile of its number among all such days."""
    busy = sorted(total for total in totals if total)
    days = []
    for offset, total in enumerate(totals):
        day = first + _DAY * offset
        quartile = 4 * bisect_left(busy, total) // len(busy) if total else 0
        days.append(
            CalendarDay(
                date=day,
                weekday=day.isoweekday() % 7,
                count=total,
                level=_LEVELS[quartile] if total else "NONE",
                color=_COLORS[quartile] if total else _NO_COLOR,
            )
        )
    return days
