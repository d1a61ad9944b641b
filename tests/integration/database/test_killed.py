"""A server is killed while a background refresh saves: all of a batch is written, or nothing."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from github_banners.api.refresh import Refresh
from github_banners.database import leases, users
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Connection, Database
from github_banners.database.migrations import migrate
from github_banners.errors import BannersError, DatabaseUnavailable
from github_banners.models import Owner, OwnerRepositories, Repository, Stats, aggregate
from github_banners.options import BannerOptions
from tests.integration.database.samples import HOUR, NOON
from tests.integration.database.servers import ManagedServer

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc"),
]

OWNERS = range(1, 8)
LEASE = timedelta(minutes=2)
# Statements of a save of changed numbers; after the last one only the commit is missing.
STATEMENTS = 10


class GrowingOwners:
    """Fake GitHub: every owner has a given number of repositories, some of them new each time."""

    def __init__(self) -> None:
        self.now = NOON
        self.repositories = 3
        self.on_fetch: Callable[[], None] = lambda: None

    def clock(self) -> datetime:
        return self.now

    def owner_repositories(self, number: int) -> OwnerRepositories:
        first = self.repositories
        ids = range(number * 100 + first, number * 100 + first * 2)
        repositories = tuple(
            Repository(repository_id, f"r{repository_id}", stars=first, language="Go")
            for repository_id in ids
        )
        return OwnerRepositories(
            Owner(number, f"dev-{number}", f"U_{number}"), repositories, self.now
        )

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        results: list[OwnerRepositories | BannersError] = [
            self.owner_repositories(owner.id) for owner in owners
        ]
        self.on_fetch()
        return results


class KillingConnection:
    """A connection that kills its server after a number of statements."""

    def __init__(self, conn: Connection, server: ManagedServer, *, after: int) -> None:
        self._conn = conn
        self._server = server
        self._left = after

    async def execute(self, *query: Any) -> Any:
        cursor = await self._conn.execute(*query)
        self._left -= 1
        if not self._left:
            self._server.kill()
        return cursor


class KillingDatabase(Database):
    """A database whose third transaction, that of the save, has a `KillingConnection`."""

    def __init__(self, server: ManagedServer, *, after: int) -> None:
        super().__init__(server.conninfo)
        self._server = server
        self._after = after
        self._transactions = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self._transactions += 1
        async with super().transaction() as conn:
            is_save = self._transactions == 3
            yield KillingConnection(conn, self._server, after=self._after) if is_save else conn


@pytest.fixture(scope="module")
def server_dir(reachable_dir: Path) -> Path:
    return reachable_dir / "killed"


@pytest.fixture
async def server(server_dir: Path) -> AsyncIterator[ManagedServer]:
    server = ManagedServer(server_dir)
    server.start()
    with psycopg.connect(server.conninfo) as conn:
        conn.execute("drop schema public cascade")
        conn.execute("create schema public")
    await migrate(server.conninfo)
    yield server
    server.close()


@pytest.fixture
async def github(server: ManagedServer) -> GrowingOwners:
    """Save all owners with a banner; all are due, and GitHub has other numbers now."""
    github = GrowingOwners()
    fetched = [github.owner_repositories(number) for number in OWNERS]
    async with Database(server.conninfo) as database, database.transaction() as conn:
        await users.upsert_owners(
            conn, [(owner, aggregate(owner.repositories)) for owner in fetched]
        )
        for number in OWNERS:
            names = [f"dev-{number}-default"]
            await insert_banner(
                conn, owner_id=number, options=BannerOptions(), names=names, now=NOON
            )
        await leases.schedule_users(conn, OWNERS, now=NOON, interval=HOUR)
    github.now += HOUR
    github.repositories = 5
    return github


def refresh_with(database: Database, github: GrowingOwners) -> Refresh:
    return Refresh(database=database, github=github, interval=HOUR, clock=github.clock)


def stored_totals(server: ManagedServer) -> set[tuple[int, int, bool, bool, bool]]:
    """Return the distinct totals, row counts and invariants of all owners."""
    query = """
        select total_repos,
            (select count(*) from repositories where owner_id = users.id),
            total_stars = (select sum(stars) from repositories where owner_id = users.id),
            users.version = banners.version,
            users.fetched_at = banners.updated_at
        from users join banners on banners.owner_id = users.id
    """
    with psycopg.connect(server.conninfo) as conn:
        rows = conn.execute(query).fetchall()
    assert len(rows) == len(OWNERS)
    return set(rows)


OLD = {(3, 3, True, True, True)}
NEW = {(5, 5, True, True, True)}


async def refresh_and_check(server: ManagedServer, github: GrowingOwners) -> None:
    """Refresh all owners after the leases of the dead process have expired."""
    github.now += LEASE
    async with Database(server.conninfo) as database:
        refresh = refresh_with(database, github)
        assert [await refresh.refresh_batch() for _ in range(2)] == [len(OWNERS), 0]
    assert stored_totals(server) == NEW


async def test_refresh_server_killed_during_fetch_keeps_old_data(
    server: ManagedServer, github: GrowingOwners
) -> None:
    async with Database(server.conninfo) as database:
        github.on_fetch = server.kill
        with pytest.raises(DatabaseUnavailable):
            await refresh_with(database, github).refresh_batch()
    github.on_fetch = lambda: None
    server.start()
    assert stored_totals(server) == OLD
    await refresh_and_check(server, github)


@pytest.mark.parametrize("after", range(1, STATEMENTS + 1))
async def test_refresh_server_killed_during_save_keeps_old_data(
    server: ManagedServer, github: GrowingOwners, after: int
) -> None:
    async with KillingDatabase(server, after=after) as database:
        with pytest.raises(DatabaseUnavailable):
            await refresh_with(database, github).refresh_batch()
    server.start()
    assert stored_totals(server) == OLD
    await refresh_and_check(server, github)


async def test_refresh_save_executes_expected_statements(
    server: ManagedServer, github: GrowingOwners
) -> None:
    async with KillingDatabase(server, after=STATEMENTS + 1) as database:
        assert await refresh_with(database, github).refresh_batch() == len(OWNERS)
    assert stored_totals(server) == NEW
