"""
The plan for a number of permanent banners: GitHub, database, Kafka, services, storage and CDN.

All rates are means, but cores and processes are those of the busiest hour.
"""

from dataclasses import dataclass
from math import ceil

from scaling.github import (
    TIERS,
    Accounts,
    Kind,
    Points,
    Refreshes,
    count_accounts,
    count_points,
    count_refreshes,
    stale_batch_size,
    tier_shares,
)
from scaling.parameters import Parameters

_SECONDS_PER_MONTH = 30 * 24 * 3600
_MILLION, _GB, _KB = 1e6, 1e9, 1e3


@dataclass(frozen=True)
class Traffic:
    """Views, and how many of them reach the CDN and the gateway; per second."""

    views: float
    cdn_requests: float
    origin_requests: float

    @property
    def cdn_hits(self) -> float:
        """The share of its requests that the CDN answers, 0 to 1."""
        return 1 - self.origin_requests / self.cdn_requests if self.cdn_requests else 0.0


@dataclass(frozen=True)
class Plan:
    """What a number of banners requires; processes and machines for the busiest hour."""

    banners: float
    owners: float
    tier_shares: tuple[float, float, float, float]
    refreshes: dict[Kind, Refreshes]
    points: dict[Kind, Points]
    accounts: Accounts
    database_gb: float
    wal_gb_per_day: float
    statements_per_second: float
    events_per_second: float
    kafka_kb_per_second: float
    partitions: int
    cores: dict[str, float]
    processes: dict[str, int]
    redraw_minutes: float
    traffic: Traffic
    stored_gb: float
    writes_per_month: float
    public_reads_per_month: float
    egress_gb_per_month: float
    dollars_per_month: dict[str, float]


def count_traffic(p: Parameters, owners: float) -> Traffic:
    """
    Return the views a second of all pictures, and what caches leave of them.

    A cache fetches a picture at the first view after `max-age`, so of v views a second it lets
    v / (1 + v * max-age) pass. A response in the CDN's cache has its age, so the pictures in camo's
    caches expire with it.
    """

    def passing(views: float) -> float:
        return views / (1 + views * p.cache_seconds)

    views = cdn = origin = 0.0
    for share, views_per_day in p.visits:
        banners = owners * share * p.banners_per_owner
        of_banner = views_per_day / p.banners_per_owner / 86400
        views += banners * of_banner
        cdn += banners * p.camo_caches * passing(of_banner / p.camo_caches)
        origin += banners * passing(of_banner)
    return Traffic(views, cdn, origin)


def count_cores(
    p: Parameters, refreshes: dict[Kind, Refreshes], *, events: float, misses: float
) -> dict[str, float]:
    """Return the cores that each service keeps busy in the busiest hour; rates are per second."""
    refreshed = sum(rates.total for rates in refreshes.values()) / 3600
    milliseconds = {
        "api and PostgreSQL": refreshed * p.refresh_cpu_ms
        + misses * p.miss_cpu_ms
        + events * p.outbox_cpu_ms,
        "renderer": events * p.renderer_cpu_ms + misses * p.renderer_miss_cpu_ms,
        "storage": events * p.storage_cpu_ms,
        "broker": events * p.broker_cpu_ms,
    }
    return {name: value * p.peak_factor / 1000 for name, value in milliseconds.items()}


def count_processes(
    p: Parameters, refreshes: dict[Kind, Refreshes], cores: dict[str, float]
) -> dict[str, int]:
    """Return the processes of each service; those of the api also wait for GitHub."""
    owners = sum(refreshes[Kind.REPOSITORIES].background) / 3600
    seconds = p.query_seconds + p.owners_per_query * p.owner_seconds
    owners_per_process = p.parallel_queries * p.owners_per_query / seconds
    others = (Kind.CONTRIBUTIONS, Kind.LANGUAGE_SIZES, Kind.REPOSITORY)
    data = sum(sum(refreshes[kind].background) for kind in others) / 3600
    data_per_process = p.parallel_data_requests / (p.query_seconds + p.contributions_seconds)
    loads = {
        "api": max(
            cores["api and PostgreSQL"], owners / owners_per_process, data / data_per_process
        ),
        "renderer": cores["renderer"],
        "storage": cores["storage"],
    }
    return {name: ceil(max(p.min_processes, load / p.target_load)) for name, load in loads.items()}


def database_bytes(p: Parameters, owners: float) -> float:
    """Return the size of the database, indexes and free space included."""
    other_data = p.language_sizes_share + p.repository_share
    return (
        p.bloat
        * owners
        * (
            p.owner_bytes
            + p.repositories_share * p.repositories_bytes
            + p.banners_per_owner * p.banner_bytes
            + p.contributions_share * p.contribution_years * p.contribution_year_bytes
            + other_data * p.other_data_bytes
        )
    )


def wal_kb_per_hour(p: Parameters, refreshes: dict[Kind, Refreshes], *, events: float) -> float:
    """Return the WAL that PostgreSQL writes in an hour, in KB; `events` are those of an hour."""
    wal_kb = events * p.published_wal_kb
    for kind, rates in refreshes.items():
        is_owner = kind is Kind.REPOSITORIES
        changed = p.changed_wal_kb if is_owner else p.changed_contributions_wal_kb
        unchanged = p.unchanged_wal_kb if is_owner else p.unchanged_contributions_wal_kb
        wal_kb += rates.changed * changed + (rates.total - rates.changed) * unchanged
    return wal_kb


def statements_per_second(
    p: Parameters, refreshes: dict[Kind, Refreshes], *, processes: int, events: float
) -> float:
    """Return the statements of refreshes and of the outbox, on average."""
    owners = refreshes[Kind.REPOSITORIES]
    batch = stale_batch_size(p, requested_per_hour=owners.requested, processes=processes)
    batches = sum(owners.background) / p.owners_per_query + owners.requested / batch
    others = sum(rates.total for kind, rates in refreshes.items() if kind is not Kind.REPOSITORIES)
    # The outbox takes up to 100 banners with three statements.
    outbox = 3 * events / 100
    return (batches * p.statements_per_batch + others * p.statements_per_data) / 3600 + outbox


def dollars_per_month(
    p: Parameters, *, stored_gb: float, writes: float, egress_gb: float
) -> dict[str, float]:
    """Return the price of stored files and of their updates, each a HEAD and a PUT, and of the CDN."""
    millions = writes / _MILLION
    return {
        "R2": stored_gb * p.r2_gb_month + millions * (p.r2_million_writes + p.r2_million_reads),
        "S3": stored_gb * p.s3_gb_month + millions * (p.s3_million_writes + p.s3_million_reads),
        "bunny.net": egress_gb * p.bunny_gb,
        "CloudFront": egress_gb * p.cloudfront_gb,
    }


def plan(p: Parameters, banners: float) -> Plan:
    """Compute what a number of permanent banners requires."""
    owners = banners / p.banners_per_owner
    refreshes = count_refreshes(p, owners)
    # Each banner that shows changed data is published.
    events = (
        refreshes[Kind.REPOSITORIES].changed * p.banners_per_owner
        + sum(refreshes[kind].changed for kind in Kind if kind is not Kind.REPOSITORIES)
    ) / 3600
    traffic = count_traffic(p, owners)
    cores = count_cores(p, refreshes, events=events, misses=traffic.origin_requests)
    processes = count_processes(p, refreshes, cores)
    points = count_points(p, refreshes, processes=processes["api"])
    shares = [tier_shares(views) for _, views in p.visits]
    first, second, third, fourth = (
        sum(share * of_tier[tier] for (share, _), of_tier in zip(p.visits, shares, strict=True))
        for tier in range(len(TIERS))
    )
    redraws_per_second = min(
        processes["api"] * p.outbox_per_second,
        processes["renderer"] * 1000 / p.renderer_cpu_ms,
        processes["storage"] * 1000 / p.storage_cpu_ms,
    )
    stored_gb = banners * p.picture_bytes / _GB
    writes = events * _SECONDS_PER_MONTH
    egress = traffic.cdn_requests * _SECONDS_PER_MONTH * (p.picture_bytes + p.header_bytes) / _GB
    return Plan(
        banners=banners,
        owners=owners,
        tier_shares=(first, second, third, fourth),
        refreshes=refreshes,
        points=points,
        accounts=count_accounts(p, list(points.values())),
        database_gb=database_bytes(p, owners) / _GB,
        wal_gb_per_day=wal_kb_per_hour(p, refreshes, events=events * 3600) * 24 * _KB / _GB,
        statements_per_second=statements_per_second(
            p, refreshes, processes=processes["api"], events=events
        ),
        events_per_second=events,
        kafka_kb_per_second=events * p.event_bytes / _KB,
        partitions=max(int(p.partitions), processes["renderer"]),
        cores=cores,
        processes=processes,
        redraw_minutes=banners / redraws_per_second / 60,
        traffic=traffic,
        stored_gb=stored_gb,
        writes_per_month=writes,
        public_reads_per_month=traffic.origin_requests * _SECONDS_PER_MONTH,
        egress_gb_per_month=egress,
        dollars_per_month=dollars_per_month(
            p, stored_gb=stored_gb, writes=writes, egress_gb=egress
        ),
    )
