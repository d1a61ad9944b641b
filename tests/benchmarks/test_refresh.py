"""
Background refresh of owners of 30 repositories each, none of whom has changed, through to PostgreSQL.

The reference is the sandbox alone, sent the same queries without our work, in the same round.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import httpx2
import psycopg
import pytest

from github_banners.api.refresh import BATCH_SIZE, PARALLEL_BATCHES, Refresh
from github_banners.database import leases, users
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Database
from github_banners.github import graphql
from github_banners.github.batch import BatchFetcher
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.transport import open_http
from github_banners.models import Owner, OwnerRepositories, aggregate
from github_banners.options import BannerOptions
from github_banners.settings import Token
from tests.acceptance.breakable_backends import GitHub as Sandbox
from tests.benchmarks.report import Budget, Report, Row, Title
from tests.benchmarks.sizes import sized

pytestmark = [pytest.mark.benchmark, pytest.mark.postgres, pytest.mark.timeout(300)]

OWNERS = sized(short=30, medium=500, full=1000)
ROUNDS = sized(short=1, medium=3, full=5)
INTERVAL = timedelta(hours=1)
LATENCIES = {0.0: (1500, "300 to 500/s"), 0.1: (400, "44/s")}
"""Seconds that a call to GitHub takes; the budget, and what the Go program reached."""


class Round(NamedTuple):
    """Owners per second of a refresh and of the bare queries; points and bytes of one owner."""

    per_second: float
    queries_per_second: float
    points: float
    wal_bytes: float


async def test_refresh_of_unchanged_owners(
    github: Sandbox, database: Database, conninfo: str, report: Report
) -> None:
    sandbox, now = github, datetime.now(UTC)
    rounds: dict[float, list[Round]] = {latency: [] for latency in LATENCIES}
    async with open_http(timeout=timedelta(seconds=10), api_url=github.url) as http:
        client = GitHubClient(
            http,
            api_url=sandbox.url,
            accounts=create_accounts([Token("ghp_refresh")]),
            timeout=timedelta(seconds=10),
            clock=lambda: now,
        )
        owners = await track(database, client, now)
        batch = BatchFetcher(client, clock=lambda: now)
        refresh = Refresh(database=database, github=batch, interval=INTERVAL, clock=lambda: now)
        for latency_seconds, measured in rounds.items():
            for _ in range(ROUNDS):
                now += INTERVAL
                with sandbox.slow(latency_seconds):
                    measured.append(await measure_round(sandbox, client, refresh, owners, conninfo))
    report.add(
        Title.REFRESH,
        *(row for latency in LATENCIES for row in build_rate_rows(latency, rounds[latency])),
        *build_cost_rows(rounds[0]),
        text=(
            f"{OWNERS:,} owners of 30 repositories, whose numbers have not changed, are requested "
            f"from the sandbox in batches of {BATCH_SIZE}, {PARALLEL_BATCHES} at once, and saved "
            "in PostgreSQL. Bytes of WAL are the difference of `pg_current_wal_lsn()` over a round "
            "that begins with a checkpoint, so whole pages are in them."
        ),
    )


async def measure_round(
    sandbox: Sandbox, client: GitHubClient, refresh: Refresh, owners: list[Owner], conninfo: str
) -> Round:
    """Refresh every owner once."""
    query_seconds = await seconds_of_queries(client, owners)
    points, wal_bytes = read_points(sandbox), begin_wal(conninfo)
    started = time.perf_counter()
    refreshed = await asyncio.gather(*(refresh_all(refresh) for _ in range(PARALLEL_BATCHES)))
    seconds = time.perf_counter() - started
    assert sum(refreshed) == OWNERS
    return Round(
        per_second=OWNERS / seconds,
        queries_per_second=OWNERS / query_seconds,
        points=(read_points(sandbox) - points) / OWNERS,
        wal_bytes=(read_wal(conninfo) - wal_bytes) / OWNERS,
    )


def build_rate_rows(latency_seconds: float, rounds: list[Round]) -> list[Row]:
    budget, published = LATENCIES[latency_seconds]
    return [
        Row(
            what=f"owners, GitHub at {latency_seconds * 1e3:.0f} ms a call",
            unit="/s",
            values=[measured.per_second for measured in rounds],
            reference="the queries alone",
            reference_values=[measured.queries_per_second for measured in rounds],
            budget=Budget(budget, "at least"),
            published=published,
        )
    ]


def build_cost_rows(rounds: list[Round]) -> list[Row]:
    return [
        Row(
            what="points of GitHub's rate limit for an owner",
            unit="",
            values=[measured.points for measured in rounds],
            reference="one query for each",
            reference_values=[1],
            budget=Budget(0.1, "at most"),
            published="2 REST calls",
        ),
        Row(
            what="WAL of an unchanged owner",
            unit="KB",
            values=[measured.wal_bytes / 1e3 for measured in rounds],
            budget=Budget(3, "at most"),
        ),
    ]


def read_points(sandbox: Sandbox) -> int:
    points: int = httpx2.get(f"{sandbox.url}/_sandbox/calls").json()["graphql_points"]
    return points


def begin_wal(conninfo: str) -> int:
    """Begin a checkpoint's time, and return the position in the WAL."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("checkpoint")
    return read_wal(conninfo)


def read_wal(conninfo: str) -> int:
    """Return the position in the WAL, in bytes."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("select pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(row[0])


async def refresh_all(refresh: Refresh) -> int:
    """Refresh until nobody is due; returns how many were."""
    total = 0
    while refreshed := await refresh.refresh_batch():
        total += refreshed
    return total


async def seconds_of_queries(client: GitHubClient, owners: list[Owner]) -> float:
    """Send the same queries with the same parallelism, and throw the responses away."""
    batches = [owners[first : first + BATCH_SIZE] for first in range(0, OWNERS, BATCH_SIZE)]
    gate = asyncio.Semaphore(PARALLEL_BATCHES)

    async def send(batch: list[Owner]) -> None:
        query = graphql.build_id_query([owner.node_id or "" for owner in batch])
        async with gate:
            await client.sender.send_with_failover(
                client.sender.graphql_request(query.to_json()), lambda reply: reply
            )

    started = time.perf_counter()
    await asyncio.gather(*map(send, batches))
    return time.perf_counter() - started


async def track(database: Database, client: GitHubClient, now: datetime) -> list[Owner]:
    """Fetch and save owners, each with a banner."""
    gate = asyncio.Semaphore(8)

    async def fetch(login: str) -> OwnerRepositories:
        async with gate:
            return await client.fetch(login)

    portfolios = await asyncio.gather(*(fetch(f"dev-{number + 1}") for number in range(OWNERS)))
    for first in range(0, OWNERS, 100):
        batch = portfolios[first : first + 100]
        async with database.transaction() as connection:
            counted = [(portfolio, aggregate(portfolio.repositories)) for portfolio in batch]
            await users.upsert_owners(connection, counted)
            for portfolio in batch:
                names = [f"{portfolio.owner.login}-default"]
                await insert_banner(
                    connection,
                    owner_id=portfolio.owner.id,
                    options=BannerOptions(),
                    names=names,
                    now=now,
                )
            ids = [portfolio.owner.id for portfolio in batch]
            await leases.schedule_users(connection, ids, now=now, interval=INTERVAL)
    return [portfolio.owner for portfolio in portfolios]
