"""
What refreshes cost at GitHub: refreshes an hour by kind of data and tier, points, accounts.

An owner's views are a Poisson process. Its refresh tier follows from the time since the last view, and a
view of numbers older than their TTL causes a refresh of its own. Rates are per owner and hour, until
`count_refreshes` multiplies them by the number of owners.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil, exp

from scaling.parameters import Parameters

TIERS = (1, 6, 24, 168)
"""Multiples of REFRESH_INTERVAL, see `REFRESH_TIER` in database/leases.py."""

_TIER_DAYS = (1, 7, 30)


class Kind(Enum):
    """The kinds of data in docs/configuration.md; followers come with the repositories."""

    REPOSITORIES = "repositories"
    CONTRIBUTIONS = "contributions of this year"
    LANGUAGE_SIZES = "sizes of languages"
    REPOSITORY = "one repository"


@dataclass(frozen=True)
class Refreshes:
    """Refreshes an hour: those of the background by tier, and those that views cause."""

    background: tuple[float, float, float, float]
    requested: float
    changed: float
    """How many of all find other data than before."""

    @property
    def total(self) -> float:
        """All refreshes an hour."""
        return sum(self.background) + self.requested

    def times(self, factor: float) -> "Refreshes":
        """Multiply the rates."""
        first, second, third, fourth = (rate * factor for rate in self.background)
        return Refreshes(
            (first, second, third, fourth), self.requested * factor, self.changed * factor
        )


@dataclass(frozen=True)
class Points:
    """GraphQL points and REST requests of a kind an hour, and GitHub's seconds for both kinds of refresh."""

    background: tuple[float, float, float, float]
    requested: float
    rest_requests: float
    response_seconds: float

    @property
    def total(self) -> float:
        """All GraphQL points an hour."""
        return sum(self.background) + self.requested


@dataclass(frozen=True)
class Accounts:
    """GitHub accounts that each limit requires; fractions, so that the limits can be compared."""

    background_points: float
    all_points: float
    rest_requests: float
    response_time: float

    def by_limit(self) -> dict[str, float]:
        """Return the accounts that each limit requires, by its name."""
        return {
            "response time": self.response_time,
            "GraphQL points": self.all_points,
            "GraphQL points of the background": self.background_points,
            "REST requests": self.rest_requests,
        }

    @property
    def needed(self) -> int:
        """The accounts that meet all limits."""
        return ceil(max(self.by_limit().values()))

    @property
    def bottleneck(self) -> str:
        """The limit that requires most accounts."""
        limits = self.by_limit()
        return max(limits, key=lambda name: limits[name])


def tier_shares(views_per_day: float) -> tuple[float, float, float, float]:
    """Return the share of time, 0 to 1, that an owner with these views spends in each tier."""
    day, week, month = (exp(-views_per_day * days) for days in _TIER_DAYS)
    return 1 - day, day - week, week - month, month


def refresh_rates(
    views_per_day: float, *, period_hours: Sequence[float], ttl_hours: float, changes_per_day: float
) -> Refreshes:
    """
    Return the refreshes an hour of an owner; `period_hours` is the time between them in each tier.

    A refresh ends the wait for the next one, whatever caused it. In the first tier the first view after
    the TTL comes before the background with probability 1 - exp(-views * (period - TTL)).
    In the others views are too rare to delay the background.
    """
    views = views_per_day / 24
    shares = tier_shares(views_per_day)
    window = max(0.0, period_hours[0] - ttl_hours)
    undisturbed = exp(-views * window)
    cycle = period_hours[0] - window + ((1 - undisturbed) / views if views else window)
    per_tier = [undisturbed / cycle, *(1 / hours for hours in period_hours[1:])]
    views_in_tier = [
        (1 - undisturbed) / cycle,
        *(views * max(0.0, 1 - ttl_hours / hours) for hours in period_hours[1:]),
    ]
    rates = [sum(pair) for pair in zip(per_tier, views_in_tier, strict=True)]
    first, second, third, fourth = (s * rate for s, rate in zip(shares, per_tier, strict=True))
    return Refreshes(
        background=(first, second, third, fourth),
        requested=sum(s * rate for s, rate in zip(shares, views_in_tier, strict=True)),
        changed=sum(
            share * rate * (1 - exp(-changes_per_day / 24 / rate))
            for share, rate in zip(shares, rates, strict=True)
        ),
    )


def mean_refresh_rates(
    p: Parameters, *, min_period_hours: float, ttl_hours: float, changes_per_day: float
) -> Refreshes:
    """Return the refreshes an hour of an average owner whose banner shows a kind of data."""
    periods = [max(min_period_hours, tier * p.refresh_interval_hours) for tier in TIERS]
    by_visits = [
        refresh_rates(
            views, period_hours=periods, ttl_hours=ttl_hours, changes_per_day=changes_per_day
        ).times(share)
        for share, views in p.visits
    ]
    first, second, third, fourth = (
        sum(rates.background[tier] for rates in by_visits) for tier in range(len(TIERS))
    )
    return Refreshes(
        (first, second, third, fourth),
        sum(rates.requested for rates in by_visits),
        sum(rates.changed for rates in by_visits),
    )


def count_refreshes(p: Parameters, owners: float) -> dict[Kind, Refreshes]:
    """Return the refreshes an hour of all owners, by kind of data."""
    interval, soft_ttl = p.refresh_interval_hours, p.soft_ttl_hours
    of_repositories = mean_refresh_rates(
        p,
        min_period_hours=interval,
        ttl_hours=soft_ttl,
        changes_per_day=p.repository_changes_per_day,
    )
    of_contributions = mean_refresh_rates(
        p,
        min_period_hours=24,
        ttl_hours=p.contributions_ttl_hours,
        changes_per_day=p.contribution_changes_per_day,
    )
    of_sizes = mean_refresh_rates(
        p, min_period_hours=24, ttl_hours=24, changes_per_day=p.repository_changes_per_day
    )
    repositories = of_repositories.times(owners * p.repositories_share)
    # Other owners are refreshed in the last tier, to notice a new name.
    *tiers, last = repositories.background
    last += owners * (1 - p.repositories_share) / (TIERS[-1] * interval)
    return {
        Kind.REPOSITORIES: Refreshes(
            (tiers[0], tiers[1], tiers[2], last), repositories.requested, repositories.changed
        ),
        Kind.CONTRIBUTIONS: of_contributions.times(owners * p.contributions_share),
        Kind.LANGUAGE_SIZES: of_sizes.times(owners * p.language_sizes_share),
        Kind.REPOSITORY: of_repositories.times(owners * p.repository_share),
    }


def stale_batch_size(p: Parameters, *, requested_per_hour: float, processes: int) -> float:
    """Return how many owners a query for stale numbers has on average."""
    arriving = requested_per_hour / 3600 / processes * p.stale_wait_seconds
    return min(p.owners_per_query, 1 + arriving)


def count_points(
    p: Parameters, refreshes: dict[Kind, Refreshes], *, processes: int
) -> dict[Kind, Points]:
    """Return what the refreshes cost at GitHub an hour, with some api processes."""
    stale = stale_batch_size(
        p, requested_per_hour=refreshes[Kind.REPOSITORIES].requested, processes=processes
    )
    pages = 1 + p.further_pages
    # Kind -> points of a refresh by the background and by a view, REST requests of either.
    prices = {
        Kind.REPOSITORIES: (
            1 / p.owners_per_query + p.further_pages,
            1 / stale + p.further_pages,
            0,
        ),
        Kind.CONTRIBUTIONS: (1, 1, 0),
        Kind.LANGUAGE_SIZES: (pages, pages, 0),
        Kind.REPOSITORY: (0, 0, 1),
    }
    points = {}
    for kind, (by_background, by_view, requests) in prices.items():
        rates = refreshes[kind]
        first, second, third, fourth = (rate * by_background for rate in rates.background)
        queries = first + second + third + fourth + rates.requested * by_view
        points[kind] = Points(
            background=(first, second, third, fourth),
            requested=rates.requested * by_view,
            rest_requests=rates.total * requests,
            response_seconds=queries * p.query_seconds + rates.total * _seconds_of_data(p, kind),
        )
    return points


def _seconds_of_data(p: Parameters, kind: Kind) -> float:
    """Return GitHub's time for the data of one owner, without that for the query."""
    return {
        Kind.REPOSITORIES: p.owner_seconds,
        Kind.CONTRIBUTIONS: p.contributions_seconds,
        Kind.LANGUAGE_SIZES: p.language_sizes_seconds,
        # GitHub counts REST requests apart.
        Kind.REPOSITORY: 0,
    }[kind]


def count_accounts(p: Parameters, points: Sequence[Points]) -> Accounts:
    """Return the accounts that the points, REST requests and GitHub's response time of an hour require."""
    background = sum(sum(kind_points.background) for kind_points in points)
    total = sum(kind_points.total for kind_points in points)
    requests = sum(kind_points.rest_requests for kind_points in points)
    seconds_per_minute = sum(kind_points.response_seconds for kind_points in points) / 60
    return Accounts(
        background_points=background / (p.account_points_per_hour * p.background_share),
        all_points=total / (p.account_points_per_hour * p.stale_share),
        rest_requests=requests / (p.account_requests_per_hour * p.background_share),
        response_time=seconds_per_minute / p.response_seconds_per_minute,
    )
