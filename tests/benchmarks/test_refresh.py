"""
Background refresh of owners of 30 repositories each, none of whom has changed, through to PostgreSQL.

GitHub is a process that sends prepared responses, recorded from the sandbox: the sandbox itself, which
executes each query, would be the limit. The reference is the same process, sent the same queries
without our work, in the same round.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import msgspec
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
from github_banners.github.transport import open_github_http
from github_banners.models import Owner, OwnerRepositories, aggregate
from github_banners.options import BannerOptions
from github_banners.settings import Token
from tests.acceptance.breakable_backends import BreakableSandbox
from tests.acceptance.processes import running
from tests.benchmarks import recorded_github
from tests.benchmarks.report import Budget, Report, Row, Title
from tests.benchmarks.sizes import sized

pytestmark = [pytest.mark.benchmark, pytest.mark.postgres, pytest.mark.timeout(300)]

OWNERS = sized(short=30, medium=500, full=1000)
ROUNDS = sized(short=1, medium=3, full=5)
INTERVAL = timedelta(hours=1)
TIMEOUT = timedelta(seconds=10)
LATENCIES = {0.0: (1500, "300 to 500/s"), 0.1: (400, "44/s")}
"""Seconds that a call to GitHub takes; the budget, and what the Go program reached."""


class Round(NamedTuple):
    """Owners per second of a refresh and of the bare queries; bytes of WAL for one owner."""

    per_second: float
    queries_per_second: float
    wal_bytes: float


async def test_refresh_of_unchanged_owners(
    github: BreakableSandbox, database: Database, conninfo: str, tmp_path: Path, report: Report
) -> None:
    now, recording_path = datetime.now(UTC), tmp_path / "recording.json"

    def build_client(http: httpx2.AsyncClient, url: str) -> GitHubClient:
        return GitHubClient(
            http,
            api_url=url,
            accounts=create_accounts([Token("ghp_refresh")]),
            timeout=TIMEOUT,
            clock=lambda: now,
        )

    def build_refresh(client: GitHubClient) -> Refresh:
        batch = BatchFetcher(client, clock=lambda: now)
        return Refresh(database=database, github=batch, interval=INTERVAL, clock=lambda: now)

    async with open_github_http(timeout=TIMEOUT, api_url=github.url) as http:
        client = build_client(http, github.url)
        owners = await track(database, client, now)
        node_ids = [owner.node_id or "" for owner in owners]
        recording = await recorded_github.record(client.sender, node_ids, batch_size=BATCH_SIZE)
        recording_path.write_bytes(msgspec.json.encode(recording))
        now += INTERVAL
        points = read_points(github)
        await refresh_everyone(build_refresh(build_client(http, github.url)))
        points_per_owner = (read_points(github) - points) / OWNERS

    rounds: dict[float, list[Round]] = {latency: [] for latency in LATENCIES}
    for latency_seconds, measured in rounds.items():
        with running(
            str(recording_path), str(latency_seconds), module=recorded_github.MODULE
        ) as recorded:
            async with open_github_http(timeout=TIMEOUT, api_url=recorded.url) as http:
                # The first round is not measured: in it the responses are prepared.
                for _ in range(1 + ROUNDS):
                    now += INTERVAL
                    # A new account: an account pauses after 45 s of response time in a minute.
                    client = build_client(http, recorded.url)
                    refresh = build_refresh(build_client(http, recorded.url))
                    measured.append(await measure_round(client, refresh, owners, conninfo))
                del measured[0]
    report.add(
        Title.REFRESH,
        *(row for latency in LATENCIES for row in build_rate_rows(latency, rounds[latency])),
        *build_cost_rows(points_per_owner, rounds[0]),
        text=(
            f"{OWNERS:,} owners of 30 repositories, whose numbers have not changed, are requested "
            f"in batches of {BATCH_SIZE}, {PARALLEL_BATCHES} at once, and saved in PostgreSQL. In "
            "GitHub's place is a process that sends prepared responses, recorded from the sandbox "
            "before: the sandbox executes each query and would be the limit. Each round has a new "
            "account, because within a minute an account is paced by the time that GitHub spends "
            "on it. Points are those that the sandbox charges for the same refresh. Bytes of WAL "
            "are the difference of `pg_current_wal_lsn()` over a round that begins with a "
            "checkpoint, so whole pages are in them."
        ),
    )


async def measure_round(
    client: GitHubClient, refresh: Refresh, owners: list[Owner], conninfo: str
) -> Round:
    """Refresh every owner once."""
    query_seconds = await seconds_of_queries(client, owners)
    wal_bytes = begin_wal(conninfo)
    started = time.perf_counter()
    await refresh_everyone(refresh)
    seconds = time.perf_counter() - started
    return Round(
        per_second=OWNERS / seconds,
        queries_per_second=OWNERS / query_seconds,
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


def build_cost_rows(points_per_owner: float, rounds: list[Round]) -> list[Row]:
    return [
        Row(
            what="points of GitHub's rate limit for an owner",
            unit="",
            values=[points_per_owner],
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


def read_points(sandbox: BreakableSandbox) -> int:
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


async def refresh_everyone(refresh: Refresh) -> None:
    """Refresh every owner once, with as many batches at once as the service has."""
    refreshed = await asyncio.gather(*(refresh_due(refresh) for _ in range(PARALLEL_BATCHES)))
    assert sum(refreshed) == OWNERS


async def refresh_due(refresh: Refresh) -> int:
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

    all_fetched = await asyncio.gather(*(fetch(f"dev-{number + 1}") for number in range(OWNERS)))
    for first in range(0, OWNERS, 100):
        batch = all_fetched[first : first + 100]
        async with database.transaction() as connection:
            counted = [(fetched, aggregate(fetched.repositories)) for fetched in batch]
            await users.upsert_owners(connection, counted)
            for fetched in batch:
                names = [f"{fetched.owner.login}-default"]
                await insert_banner(
                    connection,
                    owner_id=fetched.owner.id,
                    options=BannerOptions(),
                    names=names,
                    now=now,
                )
            ids = [fetched.owner.id for fetched in batch]
            await leases.schedule_users(connection, ids, now=now, interval=INTERVAL)
    return [fetched.owner for fetched in all_fetched]
