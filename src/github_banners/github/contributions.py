"""
Contributions of one user: windows of time, queries, parsing, and adding up; pure.

GitHub counts contributions in windows of at most a year, and fails on long ones for some users. A window here
is whole months of a calendar year, so that it can be split, and no day is in two parts of it.
https://docs.github.com/en/graphql/reference/objects#contributionscollection
"""

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from github_banners.github.graphql import Query, TotalCount
from github_banners.github.owner_query import OwnerNode, build_owner_query, parse_owner_node
from github_banners.github.protocol import (
    MAX_COUNT,
    Count,
    Failure,
    FailureKind,
    GitHubResponse,
    build_decode,
)
from github_banners.models import Contributions, ContributionYear, Owner

MAX_WINDOWS = 4
"""Windows in one query; more make GitHub's time-outs likely."""

# Git's first commits are of April 2005; a commit can claim to be older.
_FIRST_YEAR = 2005
_MONTHS_OF_YEAR = 12
_MONTHS_OF_QUARTER = 3
# Contributions of the last days of a year arrive late. Banners that nobody looks at are refreshed weekly.
_LATE_ARRIVALS = timedelta(days=10)
_MAX_WEEKS = 60
_MAX_YEARS = 200

_COLLECTION_FRAGMENT = """
fragment Counts on ContributionsCollection {
  totalCommitContributions totalIssueContributions
  totalPullRequestContributions totalPullRequestReviewContributions
  contributionCalendar { weeks { contributionDays { date contributionCount } } }
}"""


@dataclass(frozen=True, slots=True)
class Window:
    """Months of one calendar year, the last one included; the current month lasts until now."""

    year: int
    first_month: int = 1
    last_month: int = _MONTHS_OF_YEAR

    @property
    def first_day(self) -> date:
        """The first day of the first month."""
        return date(self.year, self.first_month, 1)

    @property
    def last_day(self) -> date:
        """The last day of the last month."""
        _, length = calendar.monthrange(self.year, self.last_month)
        return date(self.year, self.last_month, length)

    def split(self) -> list["Window"]:
        """Return the halves of the window, the months of a quarter, nothing for a month."""
        months = range(self.first_month, self.last_month + 1)
        if len(months) == 1:
            return []
        if len(months) <= _MONTHS_OF_QUARTER:
            return [Window(self.year, month, month) for month in months]
        middle = months[len(months) // 2]
        return [
            Window(self.year, self.first_month, middle - 1),
            Window(self.year, middle, self.last_month),
        ]


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Contributions of a window; `days` has GitHub's calendar cells within the window."""

    days: dict[date, int]
    commits: int
    issues: int
    pull_requests: int
    reviews: int


@dataclass(frozen=True, slots=True)
class ContributionPage:
    """
    The response to one query: counts by window, in the order of the query.

    `years` are those in which GitHub reports contributions. `looks_private` if the profile would be private
    in case all contributions are 0. For an organisation, all counts are 0.
    """

    is_organisation: bool
    years: tuple[int, ...]
    looks_private: bool
    counts: tuple[WindowCounts, ...]


class _Day(msgspec.Struct, rename="camel"):
    date: date
    contribution_count: Count


class _Week(msgspec.Struct, rename="camel"):
    contribution_days: Annotated[tuple[_Day, ...], Meta(max_length=7)]


class _Calendar(msgspec.Struct):
    weeks: Annotated[tuple[_Week, ...], Meta(max_length=_MAX_WEEKS)]


class _Collection(msgspec.Struct, rename="camel"):
    total_commit_contributions: Count
    total_issue_contributions: Count
    total_pull_request_contributions: Count
    total_pull_request_review_contributions: Count
    contribution_calendar: _Calendar
    contribution_years: Annotated[tuple[int, ...], Meta(max_length=_MAX_YEARS)] = ()

    def to_counts(self, window: Window, *, today: date) -> WindowCounts:
        last_day = min(window.last_day, today)
        cells = (day for week in self.contribution_calendar.weeks for day in week.contribution_days)
        return WindowCounts(
            days={
                cell.date: cell.contribution_count
                for cell in cells
                if window.first_day <= cell.date <= last_day
            },
            commits=self.total_commit_contributions,
            issues=self.total_issue_contributions,
            pull_requests=self.total_pull_request_contributions,
            reviews=self.total_pull_request_review_contributions,
        )


class _ContributionOwner(OwnerNode):
    typename: str = msgspec.field(name="__typename")
    followers: TotalCount | None = None
    following: TotalCount | None = None
    originals: TotalCount | None = None
    w0: _Collection | None = None
    w1: _Collection | None = None
    w2: _Collection | None = None
    w3: _Collection | None = None

    @property
    def looks_private(self) -> bool:
        """
        Return whether the profile would be private in case all contributions are 0.

        This is an inference, since GitHub does not report it. Of a private profile, followers and followed
        users count 0 as well. Then either no year has contributions, or there are original repositories,
        whose creation would be a contribution.
        """
        counts = (self.followers, self.following)
        if any(count is not None and count.total_count for count in counts):
            return False
        has_years = self.w0 is not None and bool(self.w0.contribution_years)
        has_originals = self.originals is not None and self.originals.total_count > 0
        return not has_years or has_originals


_decode_owner = build_decode(msgspec.json.Decoder(_ContributionOwner | None))


def whole_year(year: int, *, today: date) -> Window:
    """Return the window of a year; the current one ends with the current month."""
    return Window(year, last_month=today.month if year == today.year else _MONTHS_OF_YEAR)


def is_final(known: ContributionYear | None, *, fetched_at: datetime) -> bool:
    """Return whether a year needs no other request: it was complete, and nothing arrived late any more."""
    if known is None or known.year >= fetched_at.year:
        return False
    year_end = datetime(known.year + 1, 1, 1, tzinfo=UTC)
    is_complete = len(known.days) >= (year_end.date() - date(known.year, 1, 1)).days
    return is_complete and fetched_at >= year_end + _LATE_ARRIVALS


def build_query(owner: Owner, windows: Sequence[Window], *, now: datetime) -> Query:
    """Build a query for at most `MAX_WINDOWS` windows; it always costs one point."""
    fields, variables = [], {}
    for index, window in enumerate(windows):
        end = datetime(*(window.last_day.timetuple()[:3]), 23, 59, 59, tzinfo=UTC)
        variables[f"from{index}"] = ("DateTime!", f"{window.first_day}T00:00:00Z")
        variables[f"to{index}"] = ("DateTime!", f"{min(end, now):%Y-%m-%dT%H:%M:%SZ}")
        years = " contributionYears" if index == 0 else ""
        arguments = f"from: $from{index}, to: $to{index}"
        fields.append(
            f"      w{index}: contributionsCollection({arguments}) {{ ...Counts{years} }}"
        )
    selection = "\n".join(
        [
            "    ... on User {",
            "      followers { totalCount } following { totalCount }",
            "      originals: repositories(",
            "        ownerAffiliations: [OWNER], privacy: PUBLIC, isFork: false",
            "      ) { totalCount }",
            *fields,
            "    }",
        ]
    )
    return build_owner_query(owner, selection, fragments=_COLLECTION_FRAGMENT, **variables)


def parse_page(
    response: GitHubResponse, windows: Sequence[Window], *, owner_id: int, now: datetime
) -> ContributionPage | Failure:
    """Parse the response to `build_query`; a response that lacks a window fails as a whole."""
    owner = parse_owner_node(response, _decode_owner, now=now, owner_id=owner_id)
    if isinstance(owner, Failure):
        return owner
    if owner.typename == "Organization":
        nothing = WindowCounts({}, 0, 0, 0, 0)
        return ContributionPage(True, (), False, (nothing,) * len(windows))
    collections = (owner.w0, owner.w1, owner.w2, owner.w3)[: len(windows)]
    counts = tuple(
        collection.to_counts(window, today=now.date())
        for window, collection in zip(windows, collections, strict=True)
        if collection is not None
    )
    if owner.w0 is None or len(counts) < len(windows):
        return Failure(FailureKind.UNREADABLE, "a response without contributions")
    years = {year for year in owner.w0.contribution_years if _FIRST_YEAR <= year <= now.year}
    return ContributionPage(False, tuple(sorted(years)), owner.looks_private, counts)


def build_year(year: int, parts: Iterable[WindowCounts], *, today: date) -> ContributionYear:
    """Add up the parts of a year; a day that the calendars lack counts 0."""
    parts = list(parts)
    days = {day: count for part in parts for day, count in part.days.items()}
    # The days of the current year end where GitHub's calendar ends.
    last_day = date(year, 12, 31) if year < today.year else max(days, default=None)
    length = last_day.timetuple().tm_yday if last_day is not None else 0
    first_day = date(year, 1, 1)
    return ContributionYear(
        year,
        days=tuple(days.get(first_day + timedelta(days=index), 0) for index in range(length)),
        commits=min(sum(part.commits for part in parts), MAX_COUNT),
        issues=min(sum(part.issues for part in parts), MAX_COUNT),
        pull_requests=min(sum(part.pull_requests for part in parts), MAX_COUNT),
        reviews=min(sum(part.reviews for part in parts), MAX_COUNT),
    )


def merge_years(
    known: Iterable[ContributionYear], fetched: Iterable[ContributionYear]
) -> Contributions:
    """Return all years, oldest first; a fetched one replaces the known one."""
    by_year = {year.year: year for year in (*known, *fetched)}
    return Contributions(tuple(by_year[year] for year in sorted(by_year)))
