"""One budget for all processes, on a real PostgreSQL: never overspent, and little is remaining unused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from github_banners.database.connect import Database
from github_banners.errors import DatabaseUnavailable
from github_banners.github.credentials import Account, Credential, Priority
from github_banners.github.protocol import RateLimit, Resource
from github_banners.settings import Token
from github_banners.stats import budget
from github_banners.stats.budget import CHUNK_POINTS, LEASE, ReservedBudget

pytestmark = pytest.mark.postgres

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROCESSES = 10


class CountingGitHub:
    """Counts the points that one account spends, and reports the remaining ones."""

    def __init__(self, *, remaining: int, limit: int = 5000) -> None:
        self.limit = limit
        self.remaining = remaining
        self.refused = 0

    def spend_point(self, now: datetime) -> RateLimit:
        if self.remaining <= 0:
            self.refused += 1
        else:
            self.remaining -= 1
        return RateLimit(
            Resource.GRAPHQL, self.limit, self.remaining, now + HOUR - (now - START) % HOUR
        )


class Process:
    """One process: a budget, and its own object for the account that all share."""

    def __init__(
        self, database: Database, github: CountingGitHub, harness: "BudgetHarness"
    ) -> None:
        self.account = Account([Credential(Token("ghp_shared"))])
        self.budget = ReservedBudget(database, clock=lambda: harness.now)
        self._github = github
        self._harness = harness

    async def spend(self, priority: Priority = Priority.KNOWN_OWNER) -> bool:
        """Send one request, if the budget and GitHub's last report allow it."""
        account = self.account
        if not account.is_usable(Resource.GRAPHQL, now=self._harness.now, priority=priority):
            return False
        if not await self.budget.reserve(account, Resource.GRAPHQL, priority):
            return False
        with account.credentials[0].track_in_flight(Resource.GRAPHQL):
            await asyncio.sleep(0)
            rate_limit = self._github.spend_point(self._harness.now)
            await asyncio.sleep(0)
        account.update_rate_limit(rate_limit)
        await self.budget.observe(account, Resource.GRAPHQL, rate_limit)
        self.budget.mark_spent(account, Resource.GRAPHQL)
        return True

    async def spend_all(self, priority: Priority = Priority.KNOWN_OWNER) -> int:
        """Send requests, three at a time, until none is allowed."""

        async def work() -> int:
            spent = 0
            while await self.spend(priority):
                spent += 1
            return spent

        return sum(await asyncio.gather(*(work() for _ in range(3))))


class BudgetHarness:
    """Processes on one database, and a fake clock."""

    def __init__(self, databases: list[Database]) -> None:
        self._databases = databases
        self.now = START

    def processes(self, github: CountingGitHub, number: int = PROCESSES) -> list[Process]:
        return [Process(database, github, self) for database in self._databases[:number]]


@pytest.fixture
async def harness(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BudgetHarness]:
    # On a busy machine a slow database must not count as down: then points are spent without it.
    monkeypatch.setattr(budget, "DATABASE_TIMEOUT_SECONDS", 20.0)
    async with AsyncExitStack() as stack:
        databases = [
            await stack.enter_async_context(Database(conninfo, max_connections=2))
            for _ in range(PROCESSES)
        ]
        yield BudgetHarness(databases)


@pytest.mark.parametrize("remaining", [5, 120, 700])
async def test_reserve_in_ten_processes_never_overspends(
    harness: BudgetHarness, remaining: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "PROBE_POLLS", 400)
    github = CountingGitHub(remaining=remaining)
    processes = harness.processes(github)
    spent = await asyncio.gather(*(process.spend_all() for process in processes))
    assert github.refused == 0
    assert sum(spent) == remaining - github.remaining
    assert github.remaining <= PROCESSES * min(CHUNK_POINTS, max(1, remaining // 10))


async def test_reserve_after_first_response_of_other_process_does_not_poll(
    harness: BudgetHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_PROBE_POLL_SECONDS", 60.0)
    first, second = harness.processes(CountingGitHub(remaining=700), 2)
    assert await first.spend()
    async with asyncio.timeout(20):
        assert await second.spend()
    harness.now += HOUR + timedelta(seconds=1)
    assert await second.spend()
    async with asyncio.timeout(20):
        assert await first.spend()


@pytest.mark.parametrize("remaining", [1500, 1600])
async def test_reserve_for_background_leaves_thirty_percent(
    harness: BudgetHarness, remaining: int
) -> None:
    github = CountingGitHub(remaining=remaining)
    processes = harness.processes(github)
    await asyncio.gather(*(process.spend() for process in processes))
    await asyncio.gather(*(process.spend_all(Priority.BACKGROUND) for process in processes))
    assert github.remaining >= 1500 - PROCESSES
    assert all([await process.spend() for process in processes])


async def test_reserve_background_beside_interactive_leaves_thirty_percent(
    harness: BudgetHarness,
) -> None:
    github = CountingGitHub(remaining=1700)
    processes = harness.processes(github)
    background = [process.spend_all(Priority.BACKGROUND) for process in processes[:5]]
    interactive = [process.spend() for process in processes[5:] for _ in range(20)]
    await asyncio.gather(*background, *interactive)
    assert github.remaining >= 1500 - 5 * 20
    spent = await asyncio.gather(*(process.spend_all() for process in processes))
    assert sum(spent) >= 1400 - PROCESSES * CHUNK_POINTS
    assert github.refused == 0


async def test_reserve_points_of_killed_process_are_free_after_its_lease(
    harness: BudgetHarness,
) -> None:
    github = CountingGitHub(remaining=100)
    killed, other = harness.processes(github, 2)
    for _ in range(2):
        assert await killed.spend()
    await other.spend_all()
    remaining_during_lease = github.remaining
    assert remaining_during_lease > 0
    harness.now += 3 * LEASE
    await other.spend_all()
    assert github.remaining == 0
    assert github.refused == 0


async def test_reserve_frozen_process_does_not_spend_points_that_others_got(
    harness: BudgetHarness,
) -> None:
    github = CountingGitHub(remaining=100)
    frozen, other = harness.processes(github, 2)
    for _ in range(2):
        assert await frozen.spend()
    # It is frozen with a chunk of points until long after its lease.
    harness.now += 3 * LEASE
    await other.spend_all()
    assert github.remaining == 0
    assert not await frozen.spend()
    assert github.refused == 0


async def test_reserve_after_reset_succeeds(harness: BudgetHarness) -> None:
    github = CountingGitHub(remaining=3)
    (process,) = harness.processes(github, 1)
    await process.spend_all()
    assert github.remaining == 0
    harness.now += HOUR + timedelta(seconds=1)
    github.remaining = 4
    assert await process.spend()


async def test_reserve_without_database_refuses_background_only(
    harness: BudgetHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    github = CountingGitHub(remaining=1000, limit=1000)
    (process,) = harness.processes(github, 1)

    async def refuse(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    assert await process.spend()
    monkeypatch.setattr(Database, "run_within", refuse)
    assert not await process.spend(Priority.BACKGROUND)
    assert [await process.spend() for _ in range(200)] == [True] * 200
