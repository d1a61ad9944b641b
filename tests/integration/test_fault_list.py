"""
Failures of every SQL statement and every background task; a new one without a case fails a test.

Each statement fails in every way that a database can fail, while a background task or a request uses
it: the task goes on, other records are saved meanwhile, and the failed one is saved afterwards.
"""

import ast
import asyncio
import sys
import tempfile
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import errors

import github_banners
from github_banners import circuit_breaker
from github_banners.api import background_tasks, forgetting, outbox, retries
from github_banners.api.data_refresh import DataRefresh
from github_banners.api.gone_users import GoneUsers
from github_banners.api.measurements import Measurements
from github_banners.api.outbox import Outbox
from github_banners.api.refresh import Refresh
from github_banners.app import open_user_removal
from github_banners.database import (
    banner_versions,
    banners,
    data_leases,
    leases,
    login_holders,
    migrations,
    owner_data,
    refresh_costs,
    server_info,
    users,
)
from github_banners.database.backlogs import Backlogs
from github_banners.database.banners import Banner
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database
from github_banners.database.forgotten_users import RemovedPicture
from github_banners.database.migrations import HEAD
from github_banners.errors import BannersError, GitHubUnavailable, UnknownUser
from github_banners.github.credentials import Account, Credential, Priority
from github_banners.github.protocol import Resource
from github_banners.messaging.schemas import RemoveResponse
from github_banners.models import Contributions, ContributionYear, Owner, Snapshot, Stats
from github_banners.options import BannerOptions, DataKind, Layout
from github_banners.settings import Settings, StorageFolder, Token
from github_banners.stats import budget as budget_module
from github_banners.stats.budget import ReservedBudget
from github_banners.stats.snapshots import Invalidations
from tests.integration.database.samples import HOUR, NOON, fetched_owner
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

SOURCE = Path(github_banners.__file__).parent
BAD_OWNER = 2

Case: TypeAlias = Callable[["FaultListHarness", "Fault"], Awaitable[None]]


def lose_connection(conn: Any) -> Exception:
    conn.pgconn.finish()
    return psycopg.OperationalError("the connection is lost")


KINDS: dict[str, Callable[[Any], Exception]] = {
    "data": lambda _: errors.NumericValueOutOfRange("fault"),
    "right": lambda _: errors.InsufficientPrivilege("fault"),
    "unique": lambda _: errors.UniqueViolation("fault"),
    "table": lambda _: errors.UndefinedTable("fault"),
    "bug": lambda _: TypeError("fault"),
    "loss": lose_connection,
}


class Fault:
    """Makes the statements of a function fail: a number of times, or always for one record."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
        self.function = function.rpartition(".")[2]
        self.make: Callable[[Any], Exception] | None = None
        self.times = 0
        self.only_for: int | None = None
        self.hits = 0
        self.hits_before = 0
        for connection in (psycopg.AsyncConnection, psycopg.Connection):
            monkeypatch.setattr(connection, "execute", self._wrap(connection.execute))

    def _wrap(self, execute: Any) -> Any:
        fault = self

        def execute_or_fail(conn: Any, query: Any, params: Any = None, **options: Any) -> Any:
            caller = sys._getframe(1).f_code.co_name
            if fault.applies_to(caller, params):
                fault.hits += 1
                assert fault.make is not None
                raise fault.make(conn)
            return execute(conn, query, params, **options)

        return execute_or_fail

    def applies_to(self, caller: str, params: Any) -> bool:
        if self.make is None or caller != self.function:
            return False
        if self.only_for is not None:
            return _holds(params, self.only_for)
        self.times -= 1
        return self.times >= 0

    @contextmanager
    def failing(
        self, make: Callable[[Any], Exception], *, times: int = 3, only_for: int | None = None
    ) -> Iterator[None]:
        self.make, self.times, self.only_for = make, times, only_for
        self.hits_before = self.hits
        yield
        self.make = None
        assert self.hits > self.hits_before, f"{self.function} was not used"


def _holds(params: Any, value: int) -> bool:
    if isinstance(params, dict):
        params = list(params.values())
    if isinstance(params, list | tuple):
        return any(_holds(param, value) for param in params)
    return type(params) is int and params == value


class FaultListHarness:
    """Three owners with a banner each, a fake GitHub, a broker, and a clock that sleeping advances."""

    def __init__(
        self, database: Database, conninfo: str, watching: psycopg.Connection[Any]
    ) -> None:
        self._watching = watching
        self.database = database
        self.conninfo = conninfo
        self.now = NOON
        self.stars = 5
        self.errors_by_owner: dict[int, Exception] = {}
        self.published: list[tuple[str, int]] = []

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, _: float) -> None:
        self.now += timedelta(minutes=3)
        await asyncio.sleep(0.005)

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[Any]:
        return [
            self.errors_by_owner.get(owner.id)
            or fetched_owner(owner.id, fetched_at=self.now, stars=self.stars)[0]
            for owner in owners
        ]

    async def publish(self, banner: Banner, snapshot: Snapshot) -> None:
        self.published.append((banner.name, banner.version))

    def refresh(self) -> Refresh:
        return Refresh(
            database=self.database,
            github=self,
            interval=HOUR,
            clock=self.clock,
            sleep=self.sleep,
        )

    def outbox(self) -> Outbox:
        return Outbox(database=self.database, publish=self.publish, clock=self.clock)

    async def track(self) -> None:
        async with self.database.transaction() as conn:
            await users.upsert_owners(conn, [fetched_owner(number) for number in (1, 2, 3)])
            for number in (1, 2, 3):
                # Without archived repositories, so that the outbox reads the owner's repositories.
                options = BannerOptions(include=())
                await banners.insert_banner(
                    conn, owner_id=number, options=options, names=[f"b-{number}"], now=NOON
                )
            await leases.schedule_users(conn, [1, 2, 3], now=NOON, interval=HOUR)

    def fetch(self, query: str) -> list[Any]:
        return self._watching.cursor().execute(query.encode()).fetchall()

    @asynccontextmanager
    async def running(self, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Run a background task as the api does, which must not end."""
        task = asyncio.create_task(retries.keep_running("task", work, sleep=self.sleep))
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def until(self, query: str, expected: Sequence[object]) -> None:
        async with asyncio.timeout(60):
            while [row[0] for row in self.fetch(query)] != list(expected):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def refreshes_others(harness: FaultListHarness, fault: Fault) -> None:
    """A record that cannot be saved fails alone, and is saved later."""
    await harness.track()
    async with harness.running(harness.refresh().run):
        for kind, make in KINDS.items():
            harness.stars += 1
            expected = [harness.stars] * 3
            with fault.failing(make, only_for=BAD_OWNER):
                if kind == "loss":
                    await _until_hit(fault)
                else:
                    await _until_hit(fault)
                    query = "select total_stars from users where id <> 2 order by id"
                    await harness.until(query, expected[:2])
                    [(bad,)] = harness.fetch("select total_stars from users where id = 2")
                    assert bad < harness.stars
            await harness.until("select total_stars from users order by id", expected)


async def _until_hit(fault: Fault) -> None:
    async with asyncio.timeout(60):
        while fault.hits == fault.hits_before:  # noqa: ASYNC110 - it is hit where it lies
            await asyncio.sleep(0.01)


async def refreshes_later(harness: FaultListHarness, fault: Fault) -> None:
    """A failure that affects all records is retried until it succeeds."""
    await harness.track()
    async with harness.running(harness.refresh().run):
        for make in KINDS.values():
            harness.stars += 1
            with fault.failing(make):
                await _until_hit(fault)
                query = "select total_stars from users order by id"
                await harness.until(query, [harness.stars] * 3)


async def finds_deleted(harness: FaultListHarness, fault: Fault) -> None:
    await harness.track()
    async with harness.running(harness.refresh().run):
        for make in KINDS.values():
            harness.stars += 1
            harness.errors_by_owner = {1: UnknownUser("1")}
            with fault.failing(make):
                await _until_hit(fault)
                await harness.until("select id from users where gone_since is not null", [1])
            harness.errors_by_owner = {}
            async with asyncio.timeout(60):
                # Repeated, because the fast clock lets leases expire while their holders save.
                while harness.fetch("select id from users where gone_since is not null"):
                    async with harness.database.transaction() as conn:
                        await conn.execute(
                            "update users set due_at = %s where id = 1", [harness.now]
                        )
                    await asyncio.sleep(0.05)


async def releases_failed(harness: FaultListHarness, fault: Fault) -> None:
    await harness.track()
    async with harness.running(harness.refresh().run):
        for make in KINDS.values():
            harness.stars += 1
            harness.errors_by_owner = {2: GitHubUnavailable()}
            with fault.failing(make):
                await _until_hit(fault)
                harness.errors_by_owner = {}
                query = "select total_stars from users order by id"
                await harness.until(query, [harness.stars] * 3)


async def raises_remaining(harness: FaultListHarness, fault: Fault) -> None:
    await harness.track()
    async with harness.running(harness.refresh().raise_versions):
        for make in KINDS.values():
            with fault.failing(make):
                await _until_hit(fault)
                async with harness.database.transaction() as conn:
                    await conn.execute("update users set raise_banners_after = ''")
                query = "select id from users where raise_banners_after is not null"
                await harness.until(query, [])


async def publishes(harness: FaultListHarness, fault: Fault) -> None:
    await harness.track()
    async with harness.running(harness.outbox().run):
        for make in KINDS.values():
            with fault.failing(make):
                harness.now += timedelta(minutes=1)
                async with harness.database.transaction() as conn:
                    await conn.execute("update banners set version = version + 1")
                await _until_hit(fault)
                query = "select id from banners where published_version < version"
                moving = asyncio.create_task(_move_clock(harness))
                try:
                    await harness.until(query, [])
                finally:
                    moving.cancel()


async def _move_clock(harness: FaultListHarness) -> None:
    while True:
        await harness.sleep(0)


async def release_banners(harness: FaultListHarness, fault: Fault) -> None:
    refusing = [True]

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        if refusing[0] and banner.owner_id == BAD_OWNER:
            raise ValueError("refused")

    await harness.track()
    box = Outbox(database=harness.database, publish=publish, clock=harness.clock)
    moving = asyncio.create_task(_move_clock(harness))
    async with harness.running(box.run):
        for make in KINDS.values():
            refusing[0] = True
            async with harness.database.transaction() as conn:
                await conn.execute("update banners set version = version + 1")
            with fault.failing(make):
                await _until_hit(fault)
                query = "select owner_id from banners where published_version < version"
                await harness.until(query, [BAD_OWNER])
            refusing[0] = False
            await harness.until(query, [])
    moving.cancel()


async def record_requests(harness: FaultListHarness, fault: Fault) -> None:
    await harness.track()
    refresh = harness.refresh()
    for make in KINDS.values():
        harness.now += HOUR
        requested = {f"b-{number}": harness.now for number in (1, 2, 3)}
        with fault.failing(make, times=1):
            try:
                await refresh.record_requests(requested)
            except BannersError:
                await refresh.record_requests(requested)
        requested_at = harness.fetch("select last_requested_at from banners")
        assert requested_at == [(harness.now,)] * 3


async def measures_backlogs(harness: FaultListHarness, fault: Fault) -> None:
    await harness.track()
    measurements = Measurements(
        database=harness.database, accounts=[], clock=harness.clock, sleep=harness.sleep
    )
    async with harness.running(measurements.run), asyncio.timeout(60):
        for make in KINDS.values():
            with fault.failing(make, times=1):
                await _until_hit(fault)
            measurements.backlogs = Backlogs()
            while measurements.backlogs.unpublished_banners != 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def hears_changes(harness: FaultListHarness, fault: Fault) -> None:
    trust = Invalidations(clock=lambda: datetime.now(UTC))
    listening = ChangeListener(
        harness.conninfo, database=harness.database, invalidations=trust, sleep=harness.sleep
    )
    async with harness.running(listening.run), asyncio.timeout(60):
        for make in KINDS.values():
            with fault.failing(make, times=1):
                harness.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'banners-changes'"
                )
                await _until_hit(fault)
            while not trust.is_listening:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def migrates(harness: FaultListHarness, fault: Fault) -> None:
    """After a first successful attempt, later failures are retried."""
    with psycopg.connect(harness.conninfo, autocommit=True) as conn:
        conn.cursor().execute("drop schema public cascade; create schema public")
    for make in KINDS.values():
        attempted, ready = asyncio.Event(), asyncio.Event()
        attempted.set()
        with psycopg.connect(harness.conninfo, autocommit=True) as conn:
            conn.cursor().execute("drop schema public cascade; create schema public")
        migrating = asyncio.create_task(
            background_tasks.migrate_until_ready(harness.conninfo, attempted=attempted, ready=ready)
        )
        try:
            with fault.failing(make, times=1):
                async with asyncio.timeout(60):
                    await ready.wait()
        finally:
            migrating.cancel()
            await asyncio.wait({migrating})


async def goes_back(harness: FaultListHarness, fault: Fault) -> None:
    """`migrate --back-to` fails with one error, and succeeds when it is repeated."""
    for make in KINDS.values():
        with (
            fault.failing(make, times=1),
            pytest.raises((BannersError, psycopg.Error, TypeError)),
        ):
            await migrations.go_back(harness.conninfo, HEAD)
        await migrations.go_back(harness.conninfo, HEAD)


async def inspects(harness: FaultListHarness, fault: Fault) -> None:
    """`check` reports the error, or the service retries; both as a BannersError."""
    condition = await server_info.fetch_server_info(harness.conninfo)
    for make in KINDS.values():
        with fault.failing(make, times=1):
            calls = (
                lambda: server_info.fetch_server_info(harness.conninfo),
                lambda: server_info.try_writing(harness.conninfo, condition),
                lambda: server_info.count_rows_ahead(harness.conninfo, condition, now=NOON),
                lambda: refresh_costs.fetch_refresh_costs(
                    harness.conninfo, schema=condition.schema, now=NOON
                ),
            )
            for call in calls:
                try:
                    await call()
                except (BannersError, TypeError):
                    continue
    assert (await server_info.fetch_server_info(harness.conninfo)).problem is None


async def refreshes_data(harness: FaultListHarness, fault: Fault) -> None:
    """Data that can't be fetched or saved is retried until it succeeds."""
    await harness.track()
    async with harness.database.transaction() as conn:
        for number in (1, 2, 3):
            options = BannerOptions(layout=Layout.ACTIVITY)
            await banners.insert_banner(
                conn,
                owner_id=number,
                options=options,
                names=[f"a-{number}"],
                needs=[DataKind.CONTRIBUTIONS],
                now=NOON,
            )
        await data_leases.schedule_data(conn, [1, 2, 3], now=NOON, interval=HOUR)
    github = FakeGitHub(clock=harness.clock)
    github.gate.set()
    refresh = DataRefresh(
        database=harness.database,
        github=github,
        interval=HOUR,
        clock=harness.clock,
        sleep=harness.sleep,
    )
    if fault.function == "release_data":
        github.fails_next = 1_000
    async with harness.running(refresh.run):
        for make in KINDS.values():
            harness.stars += 1
            year = ContributionYear(2026, (1, 2), commits=harness.stars)
            github.contributions = {number: Contributions((year,)) for number in (1, 2, 3)}
            with fault.failing(make):
                async with harness.database.transaction() as conn:
                    await conn.execute("update owner_data set due_at = %s", [harness.now])
                await _until_hit(fault)
                github.fails_next = 0
                # Repeated, because the fast clock makes data due while it is being saved.
                await harness.until(
                    "select commits from contribution_years order by owner_id", [harness.stars] * 3
                )
            if fault.function == "release_data":
                github.fails_next = 1_000


async def removes_gone(harness: FaultListHarness, fault: Fault) -> None:
    """A user whose rows can't be deleted is tried again, and holds up no other."""
    await harness.track()
    gone_users = GoneUsers(
        database=harness.database,
        github=harness,
        remove_after=timedelta(days=90),
        interval=HOUR,
        clock=harness.clock,
        sleep=harness.sleep,
    )
    harness.errors_by_owner = {1: UnknownUser("1")}
    async with harness.running(gone_users.run):
        for make in KINDS.values():
            harness.now += HOUR
            async with harness.database.transaction() as conn:
                await users.upsert_owners(
                    conn, [fetched_owner(1, fetched_at=harness.now)], now=harness.now
                )
            with fault.failing(make):
                async with harness.database.transaction() as conn:
                    await conn.execute(
                        "update users set gone_since = %s where id = 1",
                        [harness.now - timedelta(days=91)],
                    )
                await _until_hit(fault)
                await harness.until("select id from users order by id", [2, 3])


async def forgets(harness: FaultListHarness, fault: Fault) -> None:
    """Pictures are removed in the end, and what was forgotten or denied is taken over."""
    removed: list[str] = []
    dropped: set[int] = set()
    denied: list[str] = []

    async def remove(picture: RemovedPicture) -> RemoveResponse:
        removed.append(picture.path)
        return RemoveResponse(url=picture.path)

    def deny(logins: Collection[str]) -> None:
        denied[:] = logins

    work = forgetting.Forgetting(
        database=harness.database,
        remove=remove,
        drop_owners=dropped.update,
        deny=deny,
        clock=harness.clock,
    )
    moving = asyncio.create_task(_move_clock(harness))
    async with harness.running(work.run), asyncio.timeout(60):
        for number, make in enumerate(KINDS.values()):
            with fault.failing(make, times=1):
                async with harness.database.transaction() as conn:
                    await conn.execute(
                        "insert into removed_pictures values (%s, 1, %s)",
                        [f"b-{number}", harness.now],
                    )
                    await conn.execute(
                        "insert into forgotten_users values (%s, %s, 1)", [number, harness.now]
                    )
                    await conn.execute(
                        "insert into denied_logins values (%s, %s)", [f"user-{number}", harness.now]
                    )
                await _until_hit(fault)
                await harness.until("select storage_path from removed_pictures", [])
            while number not in dropped or f"user-{number}" not in denied:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert f"b-{number}" in removed
    moving.cancel()


async def runs_forget(harness: FaultListHarness, fault: Fault) -> None:
    """The commands fail with one error, and do all of it when they are repeated."""
    settings = Settings()
    with tempfile.TemporaryDirectory() as folder:
        location = StorageFolder(Path(folder))

        async def work() -> list[object]:
            user = await open_user_removal.find_user(harness.conninfo, "user-1")
            await open_user_removal.remove_user(
                settings, user, conninfo=harness.conninfo, location=location, deny=True
            )
            await open_user_removal.allow_login(harness.conninfo, "user-1")
            return harness.fetch("select id from users where id = 1")

        for make in KINDS.values():
            await harness.track()
            with fault.failing(make, times=1):
                with pytest.raises((BannersError, psycopg.Error, TypeError)):
                    await work()
                assert await work() == []
            async with harness.database.transaction() as conn:
                await conn.execute("delete from forgotten_users")


async def serves_requests(harness: FaultListHarness, fault: Fault) -> None:
    """Only the request fails, and the next one succeeds."""
    await harness.track()

    async def work(conn: Any) -> int:
        await users.select_snapshot(conn, "user-1")
        await banners.select_banner_with_snapshot(conn, "b-1")
        await leases.lease_users(conn, {1: harness.now}, now=harness.now, lease=HOUR)
        await leases.release_user(conn, 1, leased_until=harness.now)
        await owner_data.select_repository_need(conn, 1, "linux")
        await login_holders.insert_identity(
            conn, Owner(int(harness.now.timestamp()), "new"), now=harness.now
        )
        harness.now += HOUR
        name = f"n-{harness.now:%d%H}"
        options = BannerOptions(title=name)
        await banners.insert_banner(
            conn, owner_id=1, options=options, names=[name], now=harness.now
        )
        return await banners.count_banners(conn, 1, limit=100)

    for make in KINDS.values():
        with fault.failing(make, times=1), pytest.raises((BannersError, psycopg.Error, TypeError)):
            await harness.database.run_within(work, timeout_seconds=5)
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await harness.database.run_within(work, timeout_seconds=5)
                    break
                except BannersError:
                    await asyncio.sleep(0.1)


async def reserves_points(harness: FaultListHarness, fault: Fault) -> None:
    """Without the table of budgets nothing is reserved, and no request fails."""
    account = Account([Credential(Token("ghp_fault"))])
    for make in KINDS.values():
        budget = ReservedBudget(harness.database, clock=harness.clock)
        with fault.failing(make, times=1), suppress(TypeError):
            await budget.reserve(account, Resource.GRAPHQL, Priority.UNKNOWN_LOGIN)
        async with asyncio.timeout(60):
            while not await budget.reserve(account, Resource.GRAPHQL, Priority.UNKNOWN_LOGIN):
                await harness.sleep(0)


STATEMENTS: dict[str, Case] = {
    "account_budgets.delete_expired_leases": reserves_points,
    "account_budgets.select_leases": reserves_points,
    "account_budgets.update_budget": reserves_points,
    "account_budgets.upsert_lease": reserves_points,
    "backlogs.select_backlogs": measures_backlogs,
    "banners._insert": serves_requests,
    "banners._select_by_options": serves_requests,
    "banners._mark_due": serves_requests,
    "banners.count_banners": serves_requests,
    "banners.select_banner_with_snapshot": serves_requests,
    "banners.touch_banners": record_requests,
    "forgotten_users._delete_other_rows": removes_gone,
    "forgotten_users.count_removed_pictures": runs_forget,
    "forgotten_users.count_user_rows": runs_forget,
    "forgotten_users.delete_denied_login": runs_forget,
    "forgotten_users.delete_expired": forgets,
    "forgotten_users.delete_removed_pictures": forgets,
    "forgotten_users.delete_user_rows": removes_gone,
    "forgotten_users.insert_denied_logins": runs_forget,
    "forgotten_users.lease_gone_users": removes_gone,
    "forgotten_users.lease_removed_pictures": forgets,
    "forgotten_users.notify_forgotten": removes_gone,
    "forgotten_users.select_denied_logins": forgets,
    "forgotten_users.select_forgotten": forgets,
    "forgotten_users.select_removed_pictures": runs_forget,
    "forgotten_users.select_user": runs_forget,
    "change_listener._listen": hears_changes,
    "change_listener._notify": hears_changes,
    "server_info._fetch_server_info": migrates,
    "server_info._check_tables": inspects,
    "server_info._select_schema_for_new_tables": migrates,
    "server_info._select_tables": migrates,
    "server_info.count_rows_ahead": inspects,
    "server_info.try_writing": inspects,
    "migrations._upgrade": migrates,
    "migrations.go_back": goes_back,
    "login_holders.insert_identity": serves_requests,
    "login_holders.upsert_logins": refreshes_others,
    "leases.lease_due_users": refreshes_later,
    "leases.lease_unpublished_banners": publishes,
    "leases.lease_users": serves_requests,
    "leases.mark_published": publishes,
    "leases.release_banners": release_banners,
    "leases.release_user": serves_requests,
    "leases.release_users": releases_failed,
    "leases.schedule_users": refreshes_others,
    "owner_data._confirm": refreshes_data,
    "owner_data._select_years": refreshes_data,
    "owner_data._upsert_years": refreshes_data,
    "data_leases.lease_due_data": refreshes_data,
    "data_leases.release_data": refreshes_data,
    "owner_data.save_data": refreshes_data,
    "data_leases.schedule_data": refreshes_data,
    "owner_data.select_data": refreshes_data,
    "owner_data.select_repository_need": serves_requests,
    "refresh_costs.fetch_refresh_costs": inspects,
    "repositories.replace_repositories": refreshes_others,
    "repositories.select_repositories": publishes,
    "session.find_schema": migrates,
    "connect.transaction": refreshes_later,
    "users._lock_users": refreshes_others,
    "users._upsert_users": refreshes_others,
    "users.notify_changed": refreshes_later,
    "users.mark_user_deleted": finds_deleted,
    "users.select_snapshot": serves_requests,
    "users.select_snapshots": refreshes_others,
    "banner_versions.repair_banner_versions": refreshes_others,
    "banner_versions.raise_banner_versions": refreshes_others,
    "banner_versions.raise_remaining_banners": raises_remaining,
}
"""Every function that executes SQL -> the check that runs while it fails."""

TASKS: dict[str, set[str]] = {
    "refresh": {"refreshes_others", "refreshes_later", "finds_deleted", "releases_failed"},
    "data refresh": {"refreshes_data"},
    "versions": {"raises_remaining"},
    "outbox": {"publishes", "release_banners"},
    "changes": {"hears_changes"},
    "forgotten users": {"forgets"},
    "gone users": {"removes_gone"},
    "requests": {"record_requests"},
    "measurements": {"measures_backlogs"},
    "token owners": {"test_keep_running_after_any_error_restarts_the_task"},
}
"""Every background task -> the cases that make it fail."""


def functions_that_execute() -> set[str]:
    """Return the innermost functions of the database package that execute SQL."""
    names = set()
    for path in [*(SOURCE / "database").glob("*.py"), SOURCE / "database/migrations/__init__.py"]:
        module = path.parent.name if path.stem == "__init__" else path.stem
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and any(
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in {"execute", "executemany", "copy"}
                for call in ast.walk(node)
            ):
                names.add(f"{module}.{node.name}")
    return names


def names_of_background_tasks() -> set[str]:
    """Return the names of the api's background tasks."""
    tree = ast.parse((SOURCE / "api/background_work.py").read_text())
    [work] = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "work"
    ]
    assert isinstance(work, ast.Dict)
    return {str(key.value) for key in work.keys if isinstance(key, ast.Constant)}


def test_every_statement_has_a_fault_case() -> None:
    assert functions_that_execute() == STATEMENTS.keys()


def test_every_background_task_has_a_fault_case() -> None:
    assert names_of_background_tasks() == TASKS.keys()
    assert {name for names in TASKS.values() for name in names} <= globals().keys()


@pytest.mark.parametrize(("function", "case"), STATEMENTS.items(), ids=STATEMENTS)
async def test_failing_statement_ends_no_background_task(
    function: str,
    case: Case,
    database: Database,
    conninfo: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "_UNAVAILABLE_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(outbox, "_IDLE_SECONDS", 0.01)
    monkeypatch.setattr(background_tasks, "_MIGRATE_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(forgetting, "_IDLE_SECONDS", 0.01)
    delays = retries.Failures.__init__.__kwdefaults__
    assert delays is not None
    monkeypatch.setitem(delays, "first_delay", timedelta(seconds=0.01))
    monkeypatch.setitem(delays, "max_delay", timedelta(seconds=0.02))
    monkeypatch.setattr(circuit_breaker, "PROBE_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(budget_module, "_PROBE_POLL_SECONDS", 0.001)
    monkeypatch.setattr(banner_versions, "MAX_RAISED_BANNERS", 1)
    with psycopg.connect(conninfo, autocommit=True) as watching:
        await case(FaultListHarness(database, conninfo, watching), Fault(monkeypatch, function))


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
async def test_keep_running_after_any_error_restarts_the_task(
    make: Callable[[Any], Exception], conninfo: str
) -> None:
    slept: list[float] = []
    done = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def work() -> None:
        if len(slept) < 8:
            async with await psycopg.AsyncConnection.connect(conninfo) as conn:
                raise make(conn)
        done.set()

    await retries.keep_running("token owners", work, sleep=sleep)
    assert done.is_set()
    assert slept == [1, 2, 4, 8, 16, 32, 60, 60]
