"""A server that is killed while the background saves: all of a batch is written, or nothing."""

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
from github_banners.models import Owner, OwnerRepositories, Repository, Stats
from github_banners.options import BannerOptions
from github_banners.stats.aggregation import aggregate
from tests.integration.database.samples import HOUR, NOON
from tests.integration.database.servers import OwnServer

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc"),
]

OWNERS = range(1, 8)
LEASE = timedelta(minutes=2)
# What a save of changed numbers executes, so that the last one is killed right before the commit.
STATEMENTS = 10


class Answers:
    """A GitHub where everybody has as many repositories as it is told, some of them new each time."""

    def __init__(self) -> None:
        self.now = NOON
        self.repositories = 3
        self.when_asked: Callable[[], None] = lambda: None

    def clock(self) -> datetime:
        return self.now

    def portfolio(self, number: int) -> OwnerRepositories:
        first = self.repositories
        ids = range(number * 100 + first, number * 100 + first * 2)
        found = tuple(Repository(one, f"r{one}", stars=first, language="Go") for one in ids)
        return OwnerRepositories(Owner(number, f"dev-{number}", f"U_{number}"), found, self.now)

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        answers: list[OwnerRepositories | BannersError] = [
            self.portfolio(owner.id) for owner in owners
        ]
        self.when_asked()
        return answers


class KillingConnection:
    """A connection that kills its server after so many statements."""

    def __init__(self, conn: Connection, server: OwnServer, *, after: int) -> None:
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

    def __init__(self, server: OwnServer, *, after: int) -> None:
        super().__init__(server.conninfo)
        self._server = server
        self._after = after
        self._begun = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self._begun += 1
        async with super().transaction() as conn:
            is_save = self._begun == 3
            yield KillingConnection(conn, self._server, after=self._after) if is_save else conn


@pytest.fixture(scope="module")
def server_dir(reachable_dir: Path) -> Path:
    return reachable_dir / "killed"


@pytest.fixture
async def server(server_dir: Path) -> AsyncIterator[OwnServer]:
    own = OwnServer(server_dir)
    own.start()
    with psycopg.connect(own.conninfo) as conn:
        conn.execute("drop schema public cascade")
        conn.execute("create schema public")
    await migrate(own.conninfo)
    yield own
    own.close()


@pytest.fixture
async def github(server: OwnServer) -> Answers:
    """Everybody is kept with a banner, and due; GitHub has other numbers by now."""
    github = Answers()
    answers = [github.portfolio(number) for number in OWNERS]
    async with Database(server.conninfo) as database, database.transaction() as conn:
        await users.upsert_owners(conn, [(one, aggregate(one.repositories)) for one in answers])
        for number in OWNERS:
            names = [f"dev-{number}-default"]
            await insert_banner(
                conn, owner_id=number, options=BannerOptions(), names=names, now=NOON
            )
        await leases.schedule_users(conn, OWNERS, now=NOON, interval=HOUR)
    github.now += HOUR
    github.repositories = 5
    return github


def refresh_with(database: Database, github: Answers) -> Refresh:
    return Refresh(database=database, github=github, interval=HOUR, clock=github.clock)


def kept(server: OwnServer) -> set[tuple[int, int, bool, bool, bool]]:
    """Read totals, rows counted, and what must be true of each owner."""
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


async def refresh_again(server: OwnServer, github: Answers) -> None:
    """Refresh when the dead process's leases have ended: everybody at once."""
    github.now += LEASE
    async with Database(server.conninfo) as database:
        refresh = refresh_with(database, github)
        assert [await refresh.refresh_batch() for _ in range(2)] == [len(OWNERS), 0]
    assert kept(server) == NEW


async def test_killed_while_github_is_asked(server: OwnServer, github: Answers) -> None:
    async with Database(server.conninfo) as database:
        github.when_asked = server.kill
        with pytest.raises(DatabaseUnavailable):
            await refresh_with(database, github).refresh_batch()
    github.when_asked = lambda: None
    server.start()
    assert kept(server) == OLD
    await refresh_again(server, github)


@pytest.mark.parametrize("after", range(1, STATEMENTS + 1))
async def test_killed_while_a_batch_is_saved(
    server: OwnServer, github: Answers, after: int
) -> None:
    async with KillingDatabase(server, after=after) as database:
        with pytest.raises(DatabaseUnavailable):
            await refresh_with(database, github).refresh_batch()
    server.start()
    assert kept(server) == OLD
    await refresh_again(server, github)


async def test_no_statement_of_a_save_is_left_out(server: OwnServer, github: Answers) -> None:
    async with KillingDatabase(server, after=STATEMENTS + 1) as database:
        assert await refresh_with(database, github).refresh_batch() == len(OWNERS)
    assert kept(server) == NEW
