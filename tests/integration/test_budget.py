"""One budget for all processes, on a real PostgreSQL: nothing is overspent, and little is left unused."""

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
    """Counts what one account spends, and tells what is left."""

    def __init__(self, *, left: int, limit: int = 5000) -> None:
        self.limit = limit
        self.left = left
        self.refused = 0

    def take(self, now: datetime) -> RateLimit:
        if self.left <= 0:
            self.refused += 1
        else:
            self.left -= 1
        return RateLimit(Resource.GRAPHQL, self.limit, self.left, now + HOUR - (now - START) % HOUR)


class Process:
    """One process: an account of its own making, with the token of all, and a budget."""

    def __init__(self, database: Database, github: CountingGitHub, scene: "Scene") -> None:
        self.account = Account([Credential(Token("ghp_shared"))])
        self.budget = ReservedBudget(database, clock=lambda: scene.now)
        self._github = github
        self._scene = scene

    async def spend(self, priority: Priority = Priority.KNOWN) -> bool:
        """Send one request, if the budget and GitHub's own last word allow it."""
        account = self.account
        if not account.is_usable(Resource.GRAPHQL, now=self._scene.now, priority=priority):
            return False
        if not await self.budget.reserve(account, Resource.GRAPHQL, priority):
            return False
        with account.credentials[0].track_in_flight(Resource.GRAPHQL):
            await asyncio.sleep(0)
            room = self._github.take(self._scene.now)
            await asyncio.sleep(0)
        account.update_rate_limit(room)
        await self.budget.observe(account, Resource.GRAPHQL, room)
        self.budget.mark_spent(account, Resource.GRAPHQL)
        return True

    async def spend_all(self, priority: Priority = Priority.KNOWN) -> int:
        """Send requests, three at a time, until none is allowed."""

        async def work() -> int:
            spent = 0
            while await self.spend(priority):
                spent += 1
            return spent

        return sum(await asyncio.gather(*(work() for _ in range(3))))


class Scene:
    """Processes on one database, and their clock."""

    def __init__(self, databases: list[Database]) -> None:
        self._databases = databases
        self.now = START

    def processes(self, github: CountingGitHub, number: int = PROCESSES) -> list[Process]:
        return [Process(database, github, self) for database in self._databases[:number]]


@pytest.fixture
async def scene(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    # A busy machine must not look like a database that is down, without which points are lent.
    monkeypatch.setattr(budget, "DATABASE_TIMEOUT_SECONDS", 20.0)
    async with AsyncExitStack() as stack:
        databases = [
            await stack.enter_async_context(Database(conninfo, max_connections=2))
            for _ in range(PROCESSES)
        ]
        yield Scene(databases)


@pytest.mark.parametrize("left", [5, 120, 700])
async def test_reserve_ten_processes_on_one_account_never_overspend(
    scene: Scene, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "PROBE_POLLS", 400)
    github = CountingGitHub(left=left)
    processes = scene.processes(github)
    spent = await asyncio.gather(*(process.spend_all() for process in processes))
    assert github.refused == 0
    assert sum(spent) == left - github.left
    assert github.left <= PROCESSES * min(CHUNK_POINTS, max(1, left // 10))


async def test_reserve_after_first_response_of_another_process_does_not_poll(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_PROBE_POLL_SECONDS", 60.0)
    first, second = scene.processes(CountingGitHub(left=700), 2)
    assert await first.spend()
    async with asyncio.timeout(20):
        assert await second.spend()
    scene.now += HOUR + timedelta(seconds=1)
    assert await second.spend()
    async with asyncio.timeout(20):
        assert await first.spend()


@pytest.mark.parametrize("left", [1500, 1600])
async def test_reserve_background_leaves_thirty_percent(scene: Scene, left: int) -> None:
    github = CountingGitHub(left=left)
    processes = scene.processes(github)
    await asyncio.gather(*(process.spend() for process in processes))
    await asyncio.gather(*(process.spend_all(Priority.BACKGROUND) for process in processes))
    assert github.left >= 1500 - PROCESSES
    assert all([await process.spend() for process in processes])


async def test_reserve_background_and_interactive_together_leave_thirty_percent_to_people(
    scene: Scene,
) -> None:
    github = CountingGitHub(left=1700)
    processes = scene.processes(github)
    background = [process.spend_all(Priority.BACKGROUND) for process in processes[:5]]
    people = [process.spend() for process in processes[5:] for _ in range(20)]
    await asyncio.gather(*background, *people)
    assert github.left >= 1500 - 5 * 20
    spent = await asyncio.gather(*(process.spend_all() for process in processes))
    assert sum(spent) >= 1400 - PROCESSES * CHUNK_POINTS
    assert github.refused == 0


async def test_reserve_killed_process_gives_back_when_its_lease_ends(scene: Scene) -> None:
    github = CountingGitHub(left=100)
    killed, survivor = scene.processes(github, 2)
    for _ in range(2):
        assert await killed.spend()
    await survivor.spend_all()
    held = github.left
    assert held > 0
    scene.now += 3 * LEASE
    await survivor.spend_all()
    assert github.left == 0
    assert github.refused == 0


async def test_reserve_after_the_reset_is_full_again(scene: Scene) -> None:
    github = CountingGitHub(left=3)
    (process,) = scene.processes(github, 1)
    await process.spend_all()
    assert github.left == 0
    scene.now += HOUR + timedelta(seconds=1)
    github.left = 4
    assert await process.spend()


async def test_reserve_database_down_background_stops_and_people_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    github = CountingGitHub(left=1000, limit=1000)
    (process,) = scene.processes(github, 1)

    async def refuse(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    assert await process.spend()
    monkeypatch.setattr(Database, "run_within", refuse)
    assert not await process.spend(Priority.BACKGROUND)
    assert [await process.spend() for _ in range(200)] == [True] * 200
