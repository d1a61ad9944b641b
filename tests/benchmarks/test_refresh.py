"""
Background refresh of 1,000 owners of 30 repositories each, through to PostgreSQL.

The reference of the same run is the sandbox alone, asked the same questions without our work.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from github_banners.api.refresh import BATCH_SIZE, PARALLEL_BATCHES, Refresh
from github_banners.database import queue, users
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Database
from github_banners.github import graphql
from github_banners.github.accounts import accounts_of
from github_banners.github.batch import Batch
from github_banners.github.client import GitHub
from github_banners.github.transport import open_http
from github_banners.look import Look
from github_banners.model import Owner, Portfolio
from github_banners.settings import Token
from github_banners.stats.counting import count
from tests.acceptance.processes import Running, running

pytestmark = [pytest.mark.benchmark, pytest.mark.postgres, pytest.mark.timeout(300)]

OWNERS = 1000
INTERVAL = timedelta(hours=1)


@pytest.fixture(params=[0, 0.1], ids=["0 ms", "100 ms"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running("sandbox", "--port", "0") as github:
        github.latency_seconds = request.param  # type: ignore[attr-defined]
        yield github


def set_latency(sandbox: Running, seconds: float) -> None:
    httpx2.put(sandbox.url + "/_sandbox/faults", json={"latency_seconds": seconds})


async def test_refresh(sandbox: Running, database: Database) -> None:
    latency_seconds: float = sandbox.latency_seconds  # type: ignore[attr-defined]
    now = datetime.now(UTC)
    async with open_http(timeout=timedelta(seconds=10), api_url=sandbox.url) as http:
        github = GitHub(
            http,
            api_url=sandbox.url,
            accounts=accounts_of([Token("ghp_bench")]),
            timeout=timedelta(seconds=10),
            clock=lambda: now,
        )
        batch = Batch(github, clock=lambda: now)
        owners = await _track(database, batch, now)
        set_latency(sandbox, latency_seconds)
        alone = await _ask_only(github, owners)
        now += INTERVAL
        before = sandbox.get("/_sandbox/calls").json()
        refresh = Refresh(database=database, github=batch, interval=INTERVAL, clock=lambda: now)
        start, cpu = time.perf_counter(), time.process_time()
        taken = await asyncio.gather(*(_until_done(refresh) for _ in range(PARALLEL_BATCHES)))
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        set_latency(sandbox, 0)
    after = sandbox.get("/_sandbox/calls").json()
    assert sum(taken) == OWNERS
    spent = {name: after[name] - before[name] for name in ("graphql", "rest", "graphql_points")}
    print(
        f"\nrefresh of {OWNERS} owners x 30 repositories, GitHub at {latency_seconds * 1000:.0f} ms"
    )
    print(
        f"  {OWNERS / seconds:.0f} owners/s, {cpu_seconds / OWNERS * 1e6:.0f} us CPU each, {spent}"
    )
    print(f"  asking alone {OWNERS / alone:.0f} owners/s: ratio {alone / seconds:.2f}")
    assert spent["graphql_points"] <= OWNERS * 0.1


async def _until_done(refresh: Refresh) -> int:
    total = 0
    while taken := await refresh.refresh_batch():
        total += taken
    return total


async def _ask_only(github: GitHub, owners: list[Owner]) -> float:
    """Ask the same questions with the same parallelism, and throw the answers away."""
    chunks = [owners[at : at + BATCH_SIZE] for at in range(0, OWNERS, BATCH_SIZE)]
    gate = asyncio.Semaphore(PARALLEL_BATCHES)

    async def ask(chunk: list[Owner]) -> None:
        question = graphql.ask_by_id([owner.node_id or "" for owner in chunk])
        async with gate:
            await github.sender.ask(github.sender.query(question.to_json()), lambda reply: reply)

    start = time.perf_counter()
    await asyncio.gather(*map(ask, chunks))
    return time.perf_counter() - start


async def _track(database: Database, batch: Batch, now: datetime) -> list[Owner]:
    logins = [f"dev-{n}" for n in range(1, OWNERS + 1)]
    gate = asyncio.Semaphore(8)

    async def fetch(login: str) -> Portfolio:
        async with gate:
            return await batch._github.fetch(login)

    portfolios = await asyncio.gather(*map(fetch, logins))
    for at in range(0, OWNERS, 100):
        some = portfolios[at : at + 100]
        async with database.transaction() as connection:
            counted = [(portfolio, count(portfolio.repositories)) for portfolio in some]
            await users.upsert_portfolios(connection, counted)
            for one in some:
                names = [f"{one.owner.login}-default"]
                await insert_banner(
                    connection, owner_id=one.owner.id, look=Look(), names=names, at=now
                )
            ids = [one.owner.id for one in some]
            await queue.schedule_users(connection, ids, now=now, interval=INTERVAL)
    return [portfolio.owner for portfolio in portfolios]
