"""Two api processes on one PostgreSQL: no question twice, and the same numbers in both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from github_banners.api.refresh import BATCH_SIZE, Refresh
from github_banners.database import leases, users
from github_banners.database.banners import insert_banner, select_banner_with_snapshot
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database
from github_banners.errors import TooManyRequests
from github_banners.models import Snapshot, aggregate
from github_banners.options import BannerOptions
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.snapshots import Freshness, Invalidations, Ttls
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ADA = 7


class Scene:
    """Two lookups with a pool each, the GitHub that both ask, and the clock that both read."""

    def __init__(self, databases: Sequence[Database]) -> None:
        self.now = START
        self.databases = databases
        self.github = FakeGitHub(clock=lambda: self.now)
        self.github.gate.set()
        self.github.add("ada", ADA)
        self.trusts = [Invalidations(clock=lambda: self.now) for _ in databases]
        self.pauses: list[float] = []
        self.is_slow = False
        self.lookups = [
            self.new_lookup(database, trust)
            for database, trust in zip(databases, self.trusts, strict=True)
        ]

    def new_lookup(self, database: Database, trust: Invalidations) -> Lookup:
        return Lookup(
            database=database,
            github=self.github,
            batch_fetcher=self.github,
            collect_seconds=0,
            ttls=Ttls(),
            clock=lambda: self.now,
            invalidations=trust,
            sleep=self.pause,
        )

    async def pause(self, seconds: float) -> None:
        """Pass the time until what is being asked is answered and saved; a slow GitHub is told when."""
        self.pauses.append(seconds)
        if self.is_slow:
            await self.github.gate.wait()
        self.github.gate.set()
        while self.github.under_way:  # noqa: ASYNC110 - tasks that tell nobody
            await asyncio.sleep(0)
        await self.saved()

    async def saved(self) -> None:
        while saves := [task for lookup in self.lookups for task in lookup._writer._tasks.values()]:
            await asyncio.wait(saves)
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let questions and saves end in both."""
        self.github.gate.set()
        while flights := [task for lookup in self.lookups for task in lookup._in_flight.values()]:
            await asyncio.wait(flights)
            await asyncio.sleep(0)
        await self.saved()

    async def known(self, *, ago: timedelta) -> None:
        """Let both know somebody as of a while ago; the next answer will be another."""
        for number in (0, 1):
            await self.ask(number)
            await self.settle()
        assert self.github.asked == ["ada"]
        self.github.asked.clear()
        self.github.was_asked.clear()
        self.github.repositories = 4
        self.now += ago

    async def ask(self, number: int, *, seconds: float = 10) -> LookupResult:
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


def seen(answers: Sequence[LookupResult]) -> set[tuple[int, Freshness]]:
    return {(answer.snapshot.stats.total_repos, answer.freshness) for answer in answers}


OLD = {(3, Freshness.SOFT_STALE)}
NEW = {(4, Freshness.FRESH)}


@pytest.fixture
async def scene(conninfo: str) -> AsyncIterator[Scene]:
    async with Database(conninfo) as one, Database(conninfo) as other:
        scene = Scene([one, other])
        yield scene
        for lookup in scene.lookups:
            await lookup.close()


async def test_soft_stale_numbers_cost_one_question_between_them(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    scene.github.gate.clear()
    scene.is_slow = True
    answers = await asyncio.gather(*(scene.ask(number) for number in (0, 1) * 10))
    assert seen(answers) == OLD
    await scene.settle()
    assert scene.github.asked == [f"#{ADA}"]
    assert seen([await scene.ask(number) for number in (0, 1)]) == NEW
    assert scene.github.asked == [f"#{ADA}"]


async def test_what_one_has_learnt_the_other_shows_at_its_next_request(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    await scene.ask(0)
    await scene.settle()
    answer = await scene.ask(1)
    assert seen([answer]) == NEW
    await scene.settle()
    assert (await scene.ask(0)).snapshot == answer.snapshot
    assert scene.github.asked == [f"#{ADA}"]


async def test_hard_stale_numbers_cost_one_question_and_both_wait_for_it(scene: Scene) -> None:
    await scene.known(ago=DAY + MINUTE)
    scene.github.gate.clear()
    answers = await asyncio.gather(*(scene.ask(number) for number in (0, 1) * 10))
    assert seen(answers) == NEW
    await scene.settle()
    assert scene.github.asked == [f"#{ADA}"]
    assert set(scene.pauses) == {0.2}


async def test_when_the_question_of_one_fails_the_other_asks(scene: Scene) -> None:
    await scene.known(ago=DAY + MINUTE)
    scene.github.gate.clear()
    scene.github.fails_next = 1
    answers = await asyncio.gather(*(scene.ask(number) for number in (0, 1)))
    assert seen(answers) == {(3, Freshness.HARD_STALE), (4, Freshness.FRESH)}
    await scene.settle()
    assert scene.github.asked == [f"#{ADA}"] * 2
    assert await scene.leased_until() is None
    # A failure is remembered so long.
    scene.now += timedelta(seconds=2)
    assert seen([await scene.ask(number) for number in (0, 1)]) == NEW
    assert scene.github.asked == [f"#{ADA}"] * 2


async def lease_as_a_third_process(scene: Scene) -> None:
    async with scene.databases[0].transaction() as conn:
        assert await leases.lease_users(conn, {ADA: scene.now}, now=scene.now) == {ADA}


async def test_the_turn_of_a_process_that_died_comes_back(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    await lease_as_a_third_process(scene)
    for _ in range(2):
        assert seen([await scene.ask(number) for number in (0, 1)]) == OLD
        await scene.settle()
    assert scene.github.asked == []
    scene.now += timedelta(seconds=15)
    await scene.ask(0)
    await scene.settle()
    assert scene.github.asked == [f"#{ADA}"]
    assert seen([await scene.ask(number) for number in (0, 1)]) == NEW


async def test_who_waits_for_a_process_that_died_asks_after_two_seconds(scene: Scene) -> None:
    await scene.known(ago=DAY + MINUTE)
    await lease_as_a_third_process(scene)
    assert seen([await scene.ask(0)]) == NEW
    assert sum(scene.pauses) == pytest.approx(2)
    await scene.settle()
    assert await scene.leased_until() is None
    assert seen([await scene.ask(1)]) == NEW
    assert scene.github.asked == [f"#{ADA}"]


async def test_who_waits_keeps_the_deadline(scene: Scene) -> None:
    await scene.known(ago=DAY + MINUTE)
    await lease_as_a_third_process(scene)
    going_on = asyncio.Event()

    async def pause(seconds: float) -> None:
        await going_on.wait()

    scene.lookups[0]._leases._sleep = pause
    assert seen([await scene.ask(0, seconds=0.25)]) == {(3, Freshness.HARD_STALE)}
    going_on.set()
    await scene.settle()
    assert seen([await scene.ask(0)]) == NEW


async def test_a_row_that_is_locked_is_not_waited_for(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    async with scene.databases[1].transaction() as conn:
        await conn.execute("select from users for no key update")
        assert seen([await scene.ask(0)]) == OLD
        await scene.settle()
        assert scene.databases[0].is_available
    assert scene.github.asked == []


async def test_the_background_and_who_waits_share_the_turn(scene: Scene) -> None:
    await scene.known(ago=0 * MINUTE)
    async with scene.databases[1].transaction() as conn:
        await insert_banner(
            conn, owner_id=ADA, options=BannerOptions(), names=["ada-default"], now=scene.now
        )
        await leases.schedule_users(conn, [ADA], now=scene.now, interval=HOUR)
    scene.now += HOUR
    scene.github.gate.clear()
    assert seen([await scene.ask(0)]) == OLD
    await scene.github.was_asked.wait()
    refresh = Refresh(
        database=scene.databases[1],
        github=scene.github,
        interval=HOUR,
        clock=lambda: scene.now,
    )
    assert await refresh.refresh_batch() == 0
    await scene.settle()
    assert scene.github.asked == [f"#{ADA}"]
    scene.now += HOUR
    scene.github.gate.clear()
    scene.github.was_asked.clear()
    scene.is_slow = True
    batch = asyncio.create_task(refresh.refresh_batch())
    await scene.github.was_asked.wait()
    assert seen([await scene.ask(0)]) == {(4, Freshness.SOFT_STALE)}
    await scene.settle()
    assert await batch == 1
    assert seen([await scene.ask(number) for number in (0, 1)]) == NEW
    assert len(scene.github.asked) == 2


async def test_a_pause_of_the_background_holds_up_nobody_who_asks(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    async with scene.databases[1].transaction() as conn:
        await insert_banner(
            conn, owner_id=ADA, options=BannerOptions(), names=["ada-default"], now=scene.now
        )
        assert len(await leases.lease_due_users(conn, now=scene.now)) == 1
        await leases.release_users(conn, {ADA: scene.now + MINUTE})
    await scene.ask(0)
    await scene.settle()
    assert seen([await scene.ask(0)]) == NEW


async def test_who_stops_while_asking_gives_the_turn_back(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    scene.github.gate.clear()
    await scene.ask(0)
    await scene.github.was_asked.wait()
    assert await scene.leased_until() == scene.now + timedelta(seconds=15)
    await scene.lookups[0].close()
    assert await scene.leased_until() is None


async def test_who_is_found_gone_or_replaced_keeps_no_turn(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    scene.github.people.clear()
    scene.github.add("ada", 8)
    await scene.ask(0)
    await scene.settle()
    assert scene.github.asked == [f"#{ADA}", "ada"]
    async with scene.databases[0].transaction() as conn:
        cursor = await conn.execute("select count(*) from users where leased_until is not null")
        assert await cursor.fetchone() == (0,)


async def test_who_has_used_up_their_share_takes_no_turn(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)

    def refuse(*, debt: int = 0) -> None:
        raise TooManyRequests(1)

    answer = await scene.lookups[0].find_by_login("ada", deadline=Deadline(5, 5), charge=refuse)
    assert seen([answer]) == OLD
    assert await scene.leased_until() is None


async def test_while_one_asks_it_hears_what_the_other_has_saved(scene: Scene) -> None:
    await scene.known(ago=11 * MINUTE)
    scene.github.gate.clear()
    await scene.ask(0)
    await scene.github.was_asked.wait()
    await save(scene, repositories=9)
    scene.trusts[0].invalidate([ADA])
    assert seen([await scene.ask(0)]) == {(9, Freshness.FRESH)}


async def save(scene: Scene, *, repositories: int) -> Snapshot:
    """Save an answer as a third process."""
    paper = FakeGitHub(
        clock=lambda: scene.now, people=scene.github.people, repositories=repositories
    )
    paper.gate.set()
    portfolio = await paper.fetch("ada")
    async with scene.databases[1].transaction() as conn:
        answer = (portfolio, aggregate(portfolio.repositories))
        [snapshot] = await users.upsert_owners(conn, [answer])
    return snapshot


async def test_a_change_is_seen_by_the_other_within_two_seconds(
    scene: Scene, conninfo: str
) -> None:
    real = RealTime(scene.databases, scene.github)
    scene.github.clock = real.clock
    async with real.hearing(conninfo):
        answers = [await real.ask(number) for number in (0, 1)]
        assert seen(answers) == {(3, Freshness.FRESH)}
        scene.github.repositories = 4
        refresh = Refresh(
            database=scene.databases[0], github=scene.github, interval=HOUR, clock=real.clock
        )
        await make_due(scene.databases[0], at=real.clock() - HOUR)
        assert await refresh.refresh_batch() == 1
        async with asyncio.timeout(2):
            while seen([await real.ask(number) for number in (0, 1)]) != NEW:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert scene.github.asked == ["ada", f"#{ADA}"]


async def make_due(database: Database, *, at: datetime) -> None:
    async with database.transaction() as conn:
        await insert_banner(
            conn, owner_id=ADA, options=BannerOptions(), names=["ada-default"], now=at
        )


class RealTime:
    """Two lookups that hear each other, by the real clock."""

    def __init__(self, databases: Sequence[Database], github: FakeGitHub) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.databases = databases
        self.trusts = [Invalidations(clock=self.clock) for _ in databases]
        self.lookups = [
            Lookup(
                database=database,
                github=github,
                batch_fetcher=github,
                ttls=Ttls(),
                clock=self.clock,
                invalidations=trust,
                collect_seconds=0,
            )
            for database, trust in zip(databases, self.trusts, strict=True)
        ]

    @asynccontextmanager
    async def hearing(self, conninfo: str) -> AsyncIterator[None]:
        for trust in self.trusts:
            trust.is_listening = False
        tasks = [
            asyncio.create_task(
                ChangeListener(conninfo, database=database, invalidations=trust).run()
            )
            for database, trust in zip(self.databases, self.trusts, strict=True)
        ]
        try:
            async with asyncio.timeout(10):
                while not all(trust.is_listening for trust in self.trusts):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for lookup in self.lookups:
                await lookup.close()

    async def ask(self, number: int) -> LookupResult:
        answer = await self.lookups[number].find_by_login(
            "ada", deadline=Deadline(10, 10), charge=lambda **_: None
        )
        if tasks := self.lookups[number]._writer._tasks:
            await asyncio.wait(tasks.values())
        return answer


@dataclass
class Workers:
    """Two background workers, each with a pool of its own."""

    databases: Sequence[Database]
    github: FakeGitHub
    now: datetime = START

    async def work(self, number: int) -> int:
        """Refresh whoever is due, batch by batch; returns how many they were."""
        refresh = Refresh(
            database=self.databases[number],
            github=self.github,
            interval=HOUR,
            clock=lambda: self.now,
        )
        done = 0
        while taken := await refresh.refresh_batch():
            done += taken
        return done

    async def track(self, number: int) -> None:
        owner = self.github.add(f"dev-{number}", number)
        portfolio = await self.github.fetch_by_id(owner)
        async with self.databases[0].transaction() as conn:
            answer = (portfolio, aggregate(portfolio.repositories))
            await users.upsert_owners(conn, [answer])
            names = [f"dev-{number}-default"]
            await insert_banner(
                conn, owner_id=number, options=BannerOptions(), names=names, now=self.now
            )
            await leases.schedule_users(conn, [number], now=self.now, interval=HOUR)


async def test_two_background_workers_ask_about_each_owner_once(scene: Scene) -> None:
    owners = range(101, 101 + 5 * BATCH_SIZE + 3)
    workers = Workers(scene.databases, scene.github)
    scene.github.clock = lambda: workers.now
    for number in owners:
        await workers.track(number)
    scene.github.asked.clear()
    scene.github.repositories = 4
    workers.now += HOUR
    done = await asyncio.gather(*(workers.work(number) for number in (0, 1, 0, 1)))
    assert sum(done) == len(owners)
    assert sorted(scene.github.asked) == [f"#{number}" for number in owners]
    async with scene.databases[0].transaction() as conn:
        kept = await users.select_snapshots(conn, owners)
        found = await select_banner_with_snapshot(conn, "dev-101-default")
    assert {snapshot.stats.total_repos for snapshot in kept} == {4}
    assert found is not None
    assert found[0].version == kept[0].version
