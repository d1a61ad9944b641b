"""Two api processes on one PostgreSQL: no request twice, and the same numbers in both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from github_banners.api.refresh import Refresh
from github_banners.database import leases, users
from github_banners.database.banners import insert_banner, select_banner_with_snapshot
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database
from github_banners.errors import TooManyRequests
from github_banners.models import OWNERS_PER_QUERY, Snapshot, aggregate
from github_banners.options import BannerOptions
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.snapshots import Freshness, Invalidations, Ttls
from tests.integration.fake_github import FakeGitHub
from tests.time_limits import finish_within

pytestmark = pytest.mark.postgres

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ADA = 7


class TwoProcessesHarness:
    """Two lookups, each with a pool of its own, that share a fake GitHub and a fake clock."""

    def __init__(self, databases: Sequence[Database]) -> None:
        self.now = START
        self.databases = databases
        self.github = FakeGitHub(clock=lambda: self.now)
        self.github.gate.set()
        self.github.add("ada", ADA)
        self.invalidations = [Invalidations(clock=lambda: self.now) for _ in databases]
        self.pauses: list[float] = []
        self.may_continue = asyncio.Event()
        self.may_continue.set()
        self.is_slow = False
        self.lookups = [
            self.new_lookup(database, receiver)
            for database, receiver in zip(databases, self.invalidations, strict=True)
        ]

    def new_lookup(self, database: Database, receiver: Invalidations) -> Lookup:
        return Lookup(
            database=database,
            github=self.github,
            batch_fetcher=self.github,
            collect_seconds=0,
            ttls=Ttls(),
            clock=lambda: self.now,
            invalidations=receiver,
            sleep=self.pause,
        )

    async def pause(self, seconds: float) -> None:
        """Wait until running requests are finished and saved; if `is_slow`, also until `gate` is set."""
        await self.may_continue.wait()
        self.pauses.append(seconds)
        if self.is_slow:
            await self.github.gate.wait()
        self.github.gate.set()
        while self.github.in_flight:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        for lookup in self.lookups:
            await lookup.writer.drain()

    async def drain(self) -> None:
        """Wait until no fetch and no write is running in either process."""
        self.github.gate.set()
        for lookup in self.lookups:
            await lookup.drain()

    async def cache_numbers(self, *, age: timedelta) -> None:
        """Let both cache numbers of this age; GitHub will then return other ones."""
        for number in (0, 1):
            await self.find(number)
            await self.drain()
        assert self.github.requests == ["ada"]
        self.github.requests.clear()
        self.github.request_arrived.clear()
        self.github.repositories = 4
        self.now += age

    async def find(self, number: int, *, seconds: float = 10) -> LookupResult:
        deadline = Deadline(seconds, seconds)
        return await self.lookups[number].find_by_login(
            "ada", deadline=deadline, charge=lambda **_: None
        )

    async def leased_until(self) -> datetime | None:
        async with self.databases[0].transaction() as conn:
            row = await (await conn.execute("select leased_until from users")).fetchone()
        assert row is not None
        until: datetime | None = row[0]
        return until


def collect_numbers(results: Sequence[LookupResult]) -> set[tuple[int, Freshness]]:
    return {(result.snapshot.stats.total_repos, result.freshness) for result in results}


OLD = {(3, Freshness.SOFT_STALE)}
NEW = {(4, Freshness.FRESH)}


@pytest.fixture
async def harness(conninfo: str) -> AsyncIterator[TwoProcessesHarness]:
    async with Database(conninfo) as first, Database(conninfo) as second:
        harness = TwoProcessesHarness([first, second])
        yield harness
        for lookup in harness.lookups:
            await lookup.close()


async def test_find_soft_stale_in_two_processes_sends_one_request(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    harness.github.gate.clear()
    harness.is_slow = True
    results = await asyncio.gather(*(harness.find(number) for number in (0, 1) * 10))
    assert collect_numbers(results) == OLD
    await harness.drain()
    assert harness.github.requests == [f"#{ADA}"]
    assert collect_numbers([await harness.find(number) for number in (0, 1)]) == NEW
    assert harness.github.requests == [f"#{ADA}"]


async def test_find_after_refresh_in_other_process_returns_its_numbers(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    await harness.find(0)
    await harness.drain()
    result = await harness.find(1)
    assert collect_numbers([result]) == NEW
    await harness.drain()
    assert (await harness.find(0)).snapshot == result.snapshot
    assert harness.github.requests == [f"#{ADA}"]


async def test_find_hard_stale_in_two_processes_waits_for_one_request(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=DAY + MINUTE)
    harness.github.gate.clear()
    results = await asyncio.gather(*(harness.find(number) for number in (0, 1) * 10))
    assert collect_numbers(results) == NEW
    await harness.drain()
    assert harness.github.requests == [f"#{ADA}"]
    assert set(harness.pauses) == {0.2}


async def test_find_request_of_other_process_fails_sends_another(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=DAY + MINUTE)
    harness.github.gate.clear()
    harness.github.fails_next = 1
    results = await asyncio.gather(*(harness.find(number) for number in (0, 1)))
    assert collect_numbers(results) == {(3, Freshness.HARD_STALE), (4, Freshness.FRESH)}
    await harness.drain()
    assert harness.github.requests == [f"#{ADA}"] * 2
    assert await harness.leased_until() is None
    # A failure is cached for two seconds.
    harness.now += timedelta(seconds=2)
    assert collect_numbers([await harness.find(number) for number in (0, 1)]) == NEW
    assert harness.github.requests == [f"#{ADA}"] * 2


async def lease_in_third_process(harness: TwoProcessesHarness) -> None:
    async with harness.databases[0].transaction() as conn:
        lease = timedelta(seconds=15)
        leased = await leases.lease_users(conn, {ADA: harness.now}, now=harness.now, lease=lease)
        assert leased == {ADA}


async def test_find_soft_stale_fetches_when_lease_of_dead_process_expires(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    await lease_in_third_process(harness)
    for _ in range(2):
        assert collect_numbers([await harness.find(number) for number in (0, 1)]) == OLD
        await harness.drain()
    assert harness.github.requests == []
    harness.now += timedelta(seconds=15)
    await harness.find(0)
    await harness.drain()
    assert harness.github.requests == [f"#{ADA}"]
    assert collect_numbers([await harness.find(number) for number in (0, 1)]) == NEW


async def test_find_hard_stale_fetches_after_two_seconds_despite_lease(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=DAY + MINUTE)
    await lease_in_third_process(harness)
    assert collect_numbers([await harness.find(0)]) == NEW
    assert sum(harness.pauses) == pytest.approx(2)
    await harness.drain()
    assert await harness.leased_until() is None
    assert collect_numbers([await harness.find(1)]) == NEW
    assert harness.github.requests == [f"#{ADA}"]


async def test_find_hard_stale_leased_elsewhere_keeps_the_deadline(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=DAY + MINUTE)
    await lease_in_third_process(harness)
    harness.may_continue.clear()
    assert collect_numbers([await harness.find(0, seconds=0.7)]) == {(3, Freshness.HARD_STALE)}
    harness.may_continue.set()
    await harness.drain()
    assert collect_numbers([await harness.find(0)]) == NEW


async def test_find_locked_row_is_not_waited_for(harness: TwoProcessesHarness) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    async with harness.databases[1].transaction() as conn:
        await conn.execute("select from users for no key update")
        assert collect_numbers([await harness.find(0)]) == OLD
        await harness.drain()
        assert harness.databases[0].is_available
    assert harness.github.requests == []


async def test_refresh_and_find_share_the_lease(harness: TwoProcessesHarness) -> None:
    await harness.cache_numbers(age=0 * MINUTE)
    async with harness.databases[1].transaction() as conn:
        await insert_banner(
            conn, owner_id=ADA, options=BannerOptions(), names=["ada-default"], now=harness.now
        )
        await leases.schedule_users(conn, [ADA], now=harness.now, interval=HOUR)
    harness.now += HOUR
    harness.github.gate.clear()
    assert collect_numbers([await harness.find(0)]) == OLD
    await harness.github.request_arrived.wait()
    refresh = Refresh(
        database=harness.databases[1],
        github=harness.github,
        interval=HOUR,
        clock=lambda: harness.now,
    )
    assert await refresh.refresh_batch() == 0
    await harness.drain()
    assert harness.github.requests == [f"#{ADA}"]
    harness.now += HOUR
    harness.github.gate.clear()
    harness.github.request_arrived.clear()
    harness.is_slow = True
    batch = asyncio.create_task(refresh.refresh_batch())
    await harness.github.request_arrived.wait()
    assert collect_numbers([await harness.find(0)]) == {(4, Freshness.SOFT_STALE)}
    await harness.drain()
    assert await batch == 1
    assert collect_numbers([await harness.find(number) for number in (0, 1)]) == NEW
    assert len(harness.github.requests) == 2


async def test_find_owner_with_later_background_retry_is_fetched(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    async with harness.databases[1].transaction() as conn:
        await insert_banner(
            conn, owner_id=ADA, options=BannerOptions(), names=["ada-default"], now=harness.now
        )
        assert len(await leases.lease_due_users(conn, now=harness.now, limit=1, interval=HOUR)) == 1
        await leases.release_users(conn, {ADA: harness.now + MINUTE})
    await harness.find(0)
    await harness.drain()
    assert collect_numbers([await harness.find(0)]) == NEW


async def test_close_during_fetch_releases_the_lease(harness: TwoProcessesHarness) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    harness.github.gate.clear()
    await harness.find(0)
    await harness.github.request_arrived.wait()
    assert await harness.leased_until() == harness.now + timedelta(seconds=15)
    await harness.lookups[0].close()
    assert await harness.leased_until() is None


async def test_find_deleted_owner_leaves_no_lease(harness: TwoProcessesHarness) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    harness.github.owners.clear()
    harness.github.add("ada", 8)
    await harness.find(0)
    await harness.drain()
    assert harness.github.requests == [f"#{ADA}", "ada"]
    async with harness.databases[0].transaction() as conn:
        cursor = await conn.execute("select count(*) from users where leased_until is not null")
        assert await cursor.fetchone() == (0,)


async def test_find_rate_limited_client_acquires_no_lease(harness: TwoProcessesHarness) -> None:
    await harness.cache_numbers(age=11 * MINUTE)

    def refuse(*, debt: int = 0) -> None:
        raise TooManyRequests(1)

    result = await harness.lookups[0].find_by_login("ada", deadline=Deadline(5, 5), charge=refuse)
    assert collect_numbers([result]) == OLD
    assert await harness.leased_until() is None


async def test_find_during_fetch_returns_numbers_saved_elsewhere(
    harness: TwoProcessesHarness,
) -> None:
    await harness.cache_numbers(age=11 * MINUTE)
    harness.github.gate.clear()
    await harness.find(0)
    await harness.github.request_arrived.wait()
    await save(harness, repositories=9)
    harness.invalidations[0].invalidate([ADA])
    assert collect_numbers([await harness.find(0)]) == {(9, Freshness.FRESH)}


async def save(harness: TwoProcessesHarness, *, repositories: int) -> Snapshot:
    """Save numbers as a third process."""
    github = FakeGitHub(
        clock=lambda: harness.now, owners=harness.github.owners, repositories=repositories
    )
    github.gate.set()
    fetched = await github.fetch("ada")
    async with harness.databases[1].transaction() as conn:
        row = (fetched, aggregate(fetched.repositories))
        [snapshot] = await users.upsert_owners(conn, [row])
    return snapshot


async def test_change_reaches_other_process_within_two_seconds(
    harness: TwoProcessesHarness, conninfo: str
) -> None:
    real = RealTime(harness.databases, harness.github)
    harness.github.clock = real.clock
    async with real.listening(conninfo):
        results = [await real.find(number) for number in (0, 1)]
        assert collect_numbers(results) == {(3, Freshness.FRESH)}
        harness.github.repositories = 4
        refresh = Refresh(
            database=harness.databases[0], github=harness.github, interval=HOUR, clock=real.clock
        )
        await make_due(harness.databases[0], due_at=real.clock() - HOUR)
        assert await refresh.refresh_batch() == 1

        async def find_new() -> None:
            while collect_numbers([await real.find(number) for number in (0, 1)]) != NEW:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        await finish_within(find_new(), seconds=2)
        assert harness.github.requests == ["ada", f"#{ADA}"]


async def make_due(database: Database, *, due_at: datetime) -> None:
    async with database.transaction() as conn:
        await insert_banner(
            conn, owner_id=ADA, options=BannerOptions(), names=["ada-default"], now=due_at
        )


class RealTime:
    """Two lookups with the real clock that notify each other of changes."""

    def __init__(self, databases: Sequence[Database], github: FakeGitHub) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.databases = databases
        self.invalidations = [Invalidations(clock=self.clock) for _ in databases]
        self.lookups = [
            Lookup(
                database=database,
                github=github,
                batch_fetcher=github,
                ttls=Ttls(),
                clock=self.clock,
                invalidations=receiver,
                collect_seconds=0,
            )
            for database, receiver in zip(databases, self.invalidations, strict=True)
        ]

    @asynccontextmanager
    async def listening(self, conninfo: str) -> AsyncIterator[None]:
        for receiver in self.invalidations:
            receiver.is_listening = False
        tasks = [
            asyncio.create_task(
                ChangeListener(conninfo, database=database, invalidations=receiver).run()
            )
            for database, receiver in zip(self.databases, self.invalidations, strict=True)
        ]
        try:
            async with asyncio.timeout(10):
                while not all(receiver.is_listening for receiver in self.invalidations):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for lookup in self.lookups:
                await lookup.close()

    async def find(self, number: int) -> LookupResult:
        result = await self.lookups[number].find_by_login(
            "ada", deadline=Deadline(10, 10), charge=lambda **_: None
        )
        await self.lookups[number].writer.drain()
        return result


@dataclass
class Workers:
    """Two background workers, each with a connection pool of its own."""

    databases: Sequence[Database]
    github: FakeGitHub
    now: datetime = START

    async def work(self, number: int) -> int:
        """Refresh all due owners, batch by batch; return how many they were."""
        refresh = Refresh(
            database=self.databases[number],
            github=self.github,
            interval=HOUR,
            clock=lambda: self.now,
        )
        done = 0
        while refreshed := await refresh.refresh_batch():
            done += refreshed
        return done

    async def track(self, number: int) -> None:
        owner = self.github.add(f"dev-{number}", number)
        fetched = await self.github.fetch_by_id(owner)
        async with self.databases[0].transaction() as conn:
            row = (fetched, aggregate(fetched.repositories))
            await users.upsert_owners(conn, [row])
            names = [f"dev-{number}-default"]
            await insert_banner(
                conn, owner_id=number, options=BannerOptions(), names=names, now=self.now
            )
            await leases.schedule_users(conn, [number], now=self.now, interval=HOUR)


async def test_two_background_workers_fetch_each_owner_once(harness: TwoProcessesHarness) -> None:
    owners = range(101, 101 + 5 * OWNERS_PER_QUERY + 3)
    workers = Workers(harness.databases, harness.github)
    harness.github.clock = lambda: workers.now
    for number in owners:
        await workers.track(number)
    harness.github.requests.clear()
    harness.github.repositories = 4
    workers.now += HOUR
    done = await asyncio.gather(*(workers.work(number) for number in (0, 1, 0, 1)))
    assert sum(done) == len(owners)
    assert sorted(harness.github.requests) == [f"#{number}" for number in owners]
    async with harness.databases[0].transaction() as conn:
        saved = await users.select_snapshots(conn, owners)
        banner_row = await select_banner_with_snapshot(conn, "dev-101-default")
    assert {snapshot.stats.total_repos for snapshot in saved} == {4}
    assert banner_row is not None
    assert banner_row[0].version == saved[0].version
