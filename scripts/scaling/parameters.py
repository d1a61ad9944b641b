"""
The parameters of the plan in docs/scaling.md: each has a default, a basis and a source.

Figures of this project are from docs/performance.md or docs/operations.md, or counted in the code.
Limits and prices of others name the page and the day on which it was read. Everything else is an
assumption, and is marked as one.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Basis(Enum):
    """Why a default has its value."""

    MEASURED = "measured"
    CODE = "set in the code"
    DOCUMENTED = "documented"
    ASSUMED = "assumption"


def _parameter(default: Any, text: str, basis: Basis, source: str = "") -> Any:
    return field(default=default, metadata={"text": text, "basis": basis, "source": source})


def _assumed(default: Any, text: str, reason: str = "") -> Any:
    return _parameter(default, text, Basis.ASSUMED, reason)


def _measured(default: float, text: str, source: str) -> Any:
    return _parameter(default, text, Basis.MEASURED, source)


def _code(default: float, text: str, source: str) -> Any:
    return _parameter(default, text, Basis.CODE, source)


def _documented(default: float, text: str, source: str) -> Any:
    return _parameter(default, text, Basis.DOCUMENTED, source)


# All of them were read as stored copies, whose own date is not known.
_READ = "read 2026-11-30"
# The second page also has the limit of 60 s of "CPU time", roughly the response time, in 60 s.
_GITHUB = (
    "https://docs.github.com/graphql/overview/"
    f"rate-limits-and-query-limits-for-the-graphql-api, {_READ}"
)
_GITHUB_REST = f"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api, {_READ}"
_R2 = f"https://developers.cloudflare.com/r2/pricing/, {_READ}"
# The stored copy of this page has no prices in its tables.
_S3 = (
    "S3 Standard, US East; https://aws.amazon.com/s3/pricing/ could not be read on 2026-11-30, the "
    "price is from https://devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples"
)
_BUNNY = f"Europe and North America; https://docs.bunny.net/cdn/pricing, {_READ}"
_CLOUDFRONT = f"first 10 TB, US and Europe; https://aws.amazon.com/cloudfront/pricing, {_READ}"
_EVENTS = "docs/performance.md, Events to stored banners"
_WAL = "docs/operations.md, External PostgreSQL: both server settings"
_GROWTH = "rows generated in SQL for 1,000,000 owners, PostgreSQL 15, tables of version 0003"

DEFAULT_VISITS = ((0.01, 300), (0.09, 20), (0.20, 3), (0.20, 0.2), (0.20, 0.05), (0.30, 0))


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """All inputs of the plan; units are in the names."""

    # Banners and their readers
    visits: tuple[tuple[float, float], ...] = _assumed(
        DEFAULT_VISITS, "share of owners : views a day of all banners of such an owner"
    )
    banners_per_owner: float = _assumed(1.4, "banners of an owner")
    repositories_share: float = _assumed(0.95, "owners with a banner that shows repositories")
    contributions_share: float = _assumed(0.25, "owners with a banner that shows contributions")
    language_sizes_share: float = _assumed(0.05, "owners with a banner with `count_by=bytes`")
    repository_share: float = _assumed(0.05, "owners with a banner of one repository")
    further_pages: float = _assumed(
        0.014, "further pages of 100 repositories of an owner, on average"
    )
    contribution_years: float = _assumed(8, "years in the history of contributions of an owner")
    repository_changes_per_day: float = _assumed(
        0.5, "changes of an owner's repository numbers that a banner shows"
    )
    contribution_changes_per_day: float = _assumed(
        1.5, "changes of an owner's contributions; the calendar alone moves once a day"
    )

    # GitHub
    account_points_per_hour: float = _documented(5000, "GraphQL points of an account", _GITHUB)
    account_requests_per_hour: float = _documented(
        5000, "REST requests of an account", _GITHUB_REST
    )
    background_share: float = _code(
        0.7, "share of the points that the background may use", "`github/credentials.py`"
    )
    stale_share: float = _code(
        0.9, "share up to which stale numbers are refreshed", "`github/credentials.py`"
    )
    response_seconds_per_minute: float = _code(
        45,
        "response time of an account in a minute up to which the background sends",
        f"`github/credentials.py`; GitHub's own limit is 60: {_GITHUB_REST}",
    )
    owners_per_query: float = _code(20, "owners in a query, 1 point", "`api/refresh.py`")
    parallel_queries: float = _code(3, "queries at once in an api process", "`api/refresh.py`")
    parallel_data_requests: float = _code(
        3, "other data requested at once in an api process", "`api/data_refresh.py`"
    )
    stale_wait_seconds: float = _code(
        0.5, "wait until a query for stale numbers is sent", "`stats/stale_refresher.py`"
    )
    query_seconds: float = _assumed(0.5, "response time of a query, besides its data")
    owner_seconds: float = _assumed(
        0.125, "response time for each owner of a query: 3 s for a query of 20"
    )
    contributions_seconds: float = _assumed(1.5, "response time for contributions of an owner")
    language_sizes_seconds: float = _assumed(1.5, "response time for sizes of languages")
    refresh_interval_hours: float = _code(1, "`REFRESH_INTERVAL`", "docs/configuration.md")
    soft_ttl_hours: float = _code(1 / 6, "`SOFT_TTL`", "docs/configuration.md")
    contributions_ttl_hours: float = _code(
        1, "age from which viewed contributions are fetched anew", "docs/configuration.md"
    )

    # Database
    owner_bytes: float = _measured(420, "bytes of an owner and a login, indexes included", _GROWTH)
    repositories_bytes: float = _measured(1588, "bytes of the repositories of an owner", _GROWTH)
    banner_bytes: float = _measured(377, "bytes of a banner, indexes included", _GROWTH)
    contribution_year_bytes: float = _assumed(
        1600, "bytes of a year of contributions", "366 integers of 4 bytes, a row and its key"
    )
    other_data_bytes: float = _assumed(2000, "bytes of sizes of languages or of one repository")
    bloat: float = _assumed(1.3, "factor for free space in tables and indexes")
    unchanged_wal_kb: float = _measured(1.8, "WAL of an unchanged owner", _WAL)
    changed_wal_kb: float = _measured(
        13.8, "WAL of a changed owner", f"{_WAL}: 2.4 KB on average with 1 changed in 20"
    )
    unchanged_contributions_wal_kb: float = _measured(
        3.7, "WAL of unchanged contributions; the same is assumed of other data", _WAL
    )
    changed_contributions_wal_kb: float = _measured(
        25.5, "WAL of changed contributions; the same is assumed of other data", _WAL
    )
    published_wal_kb: float = _measured(8.2, "WAL of a published banner", _WAL)
    statements_per_batch: float = _code(
        8,
        "statements to lease, save and schedule 20 owners",
        "`database/leases.py`, `database/users.py`",
    )
    statements_per_data: float = _assumed(6, "statements to refresh other data of one owner")

    # Services
    refresh_cpu_ms: float = _measured(
        1.11,
        "CPU to refresh an owner, api and PostgreSQL",
        "docs/performance.md, Background refresh: at most 2 cores / 1,807 owners/s",
    )
    miss_cpu_ms: float = _measured(
        2.89,
        "CPU of the api for a picture that is not cached, with the call to the renderer",
        "Previews, below",
    )
    outbox_cpu_ms: float = _measured(0.166, "CPU of the outbox for an event", _EVENTS)
    outbox_per_second: float = _measured(
        3680, "events that an outbox publishes in a second", _EVENTS
    )
    renderer_cpu_ms: float = _measured(0.326, "CPU of the renderer for an event", "Events, below")
    renderer_miss_cpu_ms: float = _measured(
        1.264, "CPU of the renderer for a picture that is not cached", "Previews, below"
    )
    storage_cpu_ms: float = _measured(
        0.901, "CPU of the storage for an event", "Events, below; a folder, S3 costs more"
    )
    broker_cpu_ms: float = _measured(0.058, "CPU of the broker for an event", "Events, below")
    event_bytes: float = _assumed(500, "bytes of an event in Kafka")
    partitions: float = _code(6, "partitions of `banner-update`", "`messaging/events.py`")
    peak_factor: float = _assumed(3, "busiest hour, as a multiple of the mean")
    target_load: float = _assumed(0.5, "load of a process in the busiest hour, at most")
    min_processes: float = _assumed(2, "processes of a service, so that one may fail")

    # Pictures on their way to readers
    picture_bytes: float = _measured(
        5002, "bytes of a picture; camo accepts no gzip", "docs/performance.md, Drawing: classic"
    )
    header_bytes: float = _assumed(800, "bytes of the head of a response, with TLS")
    cache_seconds: float = _code(600, "`max-age` of a picture, at most", "`api/response_cache.py`")
    camo_caches: float = _assumed(10, "caches of camo that fetch a picture on their own")

    # Prices in US dollars
    r2_gb_month: float = _documented(0.015, "R2: a GB for a month", _R2)
    r2_million_writes: float = _documented(4.50, "R2: a million PUT", _R2)
    r2_million_reads: float = _documented(0.36, "R2: a million HEAD or GET; egress is free", _R2)
    s3_gb_month: float = _assumed(0.023, "S3: a GB for a month", _S3)
    s3_million_writes: float = _assumed(5.00, "S3: a million PUT", _S3)
    s3_million_reads: float = _assumed(0.40, "S3: a million HEAD or GET", _S3)
    bunny_gb: float = _documented(0.01, "bunny.net: a GB to readers", _BUNNY)
    cloudfront_gb: float = _documented(0.085, "CloudFront: a GB, without requests", _CLOUDFRONT)
