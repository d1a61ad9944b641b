"""Background refresh, outbox and changes, on a real PostgreSQL and GitHub's stand-in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from github_banners.api.outbox import Outbox
from github_banners.api.refresh import BATCH_SIZE, Refresh
from github_banners.database import leases, users
from github_banners.database.banners import Banner, insert_banner, select_banner_with_snapshot
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database
from github_banners.errors import GitHubUnavailable, InvalidOption, StorageUnavailable, UnknownUser
from github_banners.github.batch import BatchFetcher
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.protocol import RateLimit, Resource
from github_banners.github.transport import open_http
from github_banners.models import Owner, OwnerRepositories, Snapshot
from github_banners.options import BannerOptions
from github_banners.settings import Token
from github_banners.stats.aggregation import aggregate
from github_banners.stats.snapshots import Invalidations
from tests.acceptance.processes import Running, running
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

HOUR = timedelta(hours=1)
START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("sandbox", "--port", "0") as github:
        yield github


@pytest.fixture(autouse=True)
def no_faults(sandbox: Running) -> None:
    break_it(sandbox)


def break_it(sandbox: Running, **faults: object) -> None:
    httpx2.put(sandbox.url + "/_sandbox/faults", json=faults).raise_for_status()


def calls(sandbox: Running) -> dict[str, int]:
    counted: dict[str, int] = sandbox.get("/_sandbox/calls").json()
    return counted


@asynccontextmanager
async def batches(sandbox: Running, *tokens: str) -> AsyncIterator[BatchFetcher]:
    async with open_http(timeout=timedelta(seconds=5), api_url=sandbox.url) as http:
        github = GitHubClient(
            http,
            api_url=sandbox.url,
            accounts=create_accounts([Token(one) for one in tokens]),
            timeout=timedelta(seconds=5),
            clock=lambda: datetime.now(UTC),
        )
        yield BatchFetcher(github, clock=lambda: datetime.now(UTC))


async def owner_of(batch: BatchFetcher, login: str) -> Owner:
    return (await batch._github.fetch(login)).owner


@pytest.mark.parametrize("tokens", [("ghp_a",), ()], ids=["graphql", "rest"])
async def test_a_batch_gives_what_each_would_give_alone(
    sandbox: Running, tokens: tuple[str, ...]
) -> None:
    async with batches(sandbox, *tokens) as batch:
        logins = ["dev-1", "nell-newcomer", "umbra-labs", "big-150"]
        owners = [await owner_of(batch, login) for login in logins]
        gone = Owner(1, "gone", "U_nobody")
        together = await batch.fetch_many([*owners, gone])
        for owner, one in zip(owners, together[:-1], strict=True):
            alone = await batch._github.fetch_by_id(owner)
            assert isinstance(one, OwnerRepositories)
            assert one.owner == alone.owner
            assert {r.id: r for r in one.repositories} == {r.id: r for r in alone.repositories}
        assert isinstance(together[-1], UnknownUser)


async def test_twenty_owners_cost_one_point(sandbox: Running) -> None:
    async with batches(sandbox, "ghp_points") as batch:
        owners = [await owner_of(batch, f"dev-{n}") for n in range(1, 21)]
        before = calls(sandbox)
        assert all(isinstance(one, OwnerRepositories) for one in await batch.fetch_many(owners))
        after = calls(sandbox)
    assert after["graphql_points"] - before["graphql_points"] == 1
    assert after["rest"] == before["rest"]


async def test_who_is_too_heavy_is_asked_alone(sandbox: Running) -> None:
    async with batches(sandbox, "ghp_heavy") as batch:
        owners = [await owner_of(batch, f"dev-{n}") for n in range(1, 7)]
        break_it(sandbox, fail=["partial"], fail_rate=0.5)
        answers = await batch.fetch_many(owners)
    assert [isinstance(one, OwnerRepositories) for one in answers] == [True] * 6


@pytest.mark.parametrize("failure", ["503", "drop", "rate-limited", "401"])
async def test_github_down_fails_each_owner_by_itself(sandbox: Running, failure: str) -> None:
    async with batches(sandbox, "ghp_down") as batch:
        owners = [await owner_of(batch, f"dev-{n}") for n in range(1, 4)]
        break_it(sandbox, fail=[failure])
        answers = await batch.fetch_many(owners)
    assert all(isinstance(one, GitHubUnavailable) for one in answers)


async def test_without_a_token_the_background_leaves_room_for_people(sandbox: Running) -> None:
    async with batches(sandbox) as batch:
        owners = [Owner(0, "x")] * 5
        batch._sender._accounts[0].update_rate_limit(_room(30))
        assert all(isinstance(one, GitHubUnavailable) for one in await batch.fetch_many(owners))


def _room(remaining: int) -> RateLimit:
    return RateLimit(Resource.CORE, 60, remaining, datetime.now(UTC) + HOUR)


@dataclass
class Tracked:
    """Owners with a banner each, and a clock."""

    database: Database
    batch: BatchFetcher
    now: datetime = START

    def refresh(self) -> Refresh:
        return Refresh(
            database=self.database, github=self.batch, interval=HOUR, clock=lambda: self.now
        )

    async def track(self, login: str) -> Banner:
        portfolio = await self.batch._github.fetch(login)
        portfolio = OwnerRepositories(portfolio.owner, portfolio.repositories, self.now)
        async with self.database.transaction() as connection:
            await users.upsert_owners(connection, [(portfolio, aggregate(portfolio.repositories))])
            owner = portfolio.owner
            banner, _ = await insert_banner(
                connection,
                owner_id=owner.id,
                options=BannerOptions(),
                names=[f"{login}-default"],
                now=self.now,
            )
            await leases.schedule_users(connection, [owner.id], now=self.now, interval=HOUR)
        return banner

    async def banner(self, name: str) -> Banner:
        async with self.database.transaction() as connection:
            found = await select_banner_with_snapshot(connection, name)
        assert found is not None
        return found[0]


@pytest.fixture
async def tracked(database: Database, sandbox: Running) -> AsyncIterator[Tracked]:
    async with batches(sandbox, "ghp_tracked") as batch:
        scene = Tracked(database, batch)
        batch._clock = lambda: scene.now
        yield scene


async def test_who_is_due_is_refreshed_and_nobody_twice(tracked: Tracked, sandbox: Running) -> None:
    for n in (1, 2, 3):
        await tracked.track(f"dev-{n}")
    assert await tracked.refresh().refresh_batch() == 0
    tracked.now += HOUR
    before = calls(sandbox)
    taken = await asyncio.gather(*(tracked.refresh().refresh_batch() for _ in range(2)))
    assert sorted(taken) == [0, 3]
    assert calls(sandbox)["graphql"] - before["graphql"] == 1
    assert await tracked.refresh().refresh_batch() == 0


async def test_changed_numbers_raise_the_version_and_unchanged_ones_do_not(
    tracked: Tracked, sandbox: Running
) -> None:
    before = [await tracked.track(f"dev-{n}") for n in (11, 12)]
    change = {"login": "dev-11", "stars": 123_456}
    httpx2.post(sandbox.url + "/_sandbox/change", json=change).raise_for_status()
    tracked.now += HOUR
    assert await tracked.refresh().refresh_batch() == 2
    after = [await tracked.banner(f"dev-{n}-default") for n in (11, 12)]
    assert after[0].version > before[0].version
    assert after[1].version == before[1].version


async def test_after_a_day_without_power_everybody_is_asked_once(tracked: Tracked) -> None:
    for n in range(BATCH_SIZE + 5):
        await tracked.track(f"dev-{100 + n}")
    tracked.now += timedelta(days=1)
    refresh = tracked.refresh()
    assert [await refresh.refresh_batch() for _ in range(3)] == [BATCH_SIZE, 5, 0]


async def test_a_failed_turn_comes_back(tracked: Tracked, sandbox: Running) -> None:
    await tracked.track("dev-21")
    tracked.now += HOUR
    break_it(sandbox, fail=["503"])
    assert await tracked.refresh().refresh_batch() == 1
    assert await tracked.refresh().refresh_batch() == 0
    break_it(sandbox)
    tracked.now += timedelta(minutes=2)
    assert await tracked.refresh().refresh_batch() == 1
    assert await tracked.refresh().refresh_batch() == 0


class Enough(Exception):
    """The worker has paused often enough."""


async def test_while_github_is_away_the_pauses_grow_and_end_with_the_first_answer(
    tracked: Tracked,
) -> None:
    for n in range(22, 24):
        await tracked.track(f"dev-{n}")
    owners = [await owner_of(tracked.batch, f"dev-{n}") for n in range(22, 24)]
    github = FakeGitHub(clock=lambda: tracked.now, people={one.login: one for one in owners})
    github.gate.set()
    github.is_down = True
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        tracked.now += timedelta(minutes=1)
        github.is_down = len(pauses) < 6
        if len(pauses) == 8:
            raise Enough

    refresh = Refresh(
        database=tracked.database,
        github=github,
        interval=HOUR,
        clock=lambda: tracked.now,
        sleep=sleep,
    )
    tracked.now += HOUR
    with pytest.raises(Enough):
        await refresh._work()
    assert pauses == [4, 8, 16, 30, 30, 30, 2, 2]
    assert len(github.asked) == 7 * len(owners)


async def test_a_database_that_is_away_is_looked_for_every_two_seconds() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise Enough

    github = FakeGitHub(clock=lambda: START)
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as nowhere:
        nowhere._pool.timeout = 0.01
        refresh = Refresh(
            database=nowhere, github=github, interval=HOUR, clock=lambda: START, sleep=sleep
        )
        with pytest.raises(Enough):
            await refresh._work()
    assert pauses == [2, 2, 2]
    assert github.asked == []


async def test_one_answer_of_a_batch_is_enough_to_go_on(tracked: Tracked) -> None:
    for n in range(24, 26):
        await tracked.track(f"dev-{n}")
    owners = [await owner_of(tracked.batch, f"dev-{n}") for n in range(24, 26)]
    github = FakeGitHub(clock=lambda: tracked.now, people={one.login: one for one in owners})
    github.gate.set()
    github.fails_next = 1
    refresh = Refresh(
        database=tracked.database, github=github, interval=HOUR, clock=lambda: tracked.now
    )
    tracked.now += HOUR
    assert await refresh.refresh_batch() == 2
    assert refresh._failed_batches == 0


async def test_the_outbox_hands_on_every_version_once(tracked: Tracked) -> None:
    handed: list[tuple[str, int]] = []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        handed.append((banner.name, banner.version))

    banner = await tracked.track("dev-31")
    box = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    assert [await box.publish_batch() for _ in range(2)] == [1, 0]
    assert handed == [(banner.name, banner.version)]


async def test_what_is_not_acknowledged_is_handed_on_again(tracked: Tracked) -> None:
    down = True
    handed = []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        if down and banner.name == "dev-42-default":
            raise StorageUnavailable
        handed.append(banner.name)

    for n in (41, 42, 43):
        await tracked.track(f"dev-{n}")
    box = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    with pytest.raises(StorageUnavailable):
        await box.publish_batch()
    assert sorted(handed) == ["dev-41-default", "dev-43-default"]
    down = False
    tracked.now += timedelta(minutes=1)
    assert await box.publish_batch() == 1
    assert handed[2:] == ["dev-42-default"]


async def test_what_waits_for_a_store_is_free_again_soon_after_it_is_back(
    tracked: Tracked,
) -> None:
    down, handed = True, []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        if down:
            raise StorageUnavailable
        handed.append(banner.name)

    names = [(await tracked.track(f"dev-{n}")).name for n in (44, 45, 46)]
    box = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    with pytest.raises(StorageUnavailable):
        await box.publish_batch()
    down = False
    assert await box.publish_batch() == 0
    tracked.now += timedelta(seconds=5)
    assert await box.publish_batch() == 3
    assert handed == names


async def test_a_banner_that_nobody_can_take_holds_up_no_other(tracked: Tracked) -> None:
    handed = []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        if banner.name == "dev-47-default":
            raise InvalidOption("banner_info", "document type")
        handed.append(banner.name)

    for n in (47, 48):
        await tracked.track(f"dev-{n}")
    box = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    assert [await box.publish_batch() for _ in range(2)] == [2, 0]
    assert handed == ["dev-48-default"]


async def test_when_a_banner_was_asked_for_decides_how_often_it_is_refreshed(
    tracked: Tracked,
) -> None:
    banner = await tracked.track("dev-51")
    tracked.now += timedelta(days=3)
    refresh = tracked.refresh()
    assert await refresh.refresh_batch() == 1
    tracked.now += 2 * HOUR
    assert await refresh.refresh_batch() == 0
    await refresh.record_requests({banner.name: tracked.now})
    assert await refresh.refresh_batch() == 1


async def test_changes_of_other_processes_are_heard(conninfo: str, tracked: Tracked) -> None:
    trust = Invalidations(clock=lambda: datetime.now(UTC))
    trust.is_listening = False
    listening = asyncio.create_task(
        ChangeListener(conninfo, database=tracked.database, invalidations=trust).run()
    )
    try:
        await _until(lambda: trust.is_listening)
        seen_at = datetime.now(UTC)
        banner = await tracked.track("dev-61")
        await _until(lambda: not trust.is_unchanged(banner.owner_id, since=seen_at))
        assert trust.is_unchanged(banner.owner_id + 1, since=seen_at)
    finally:
        listening.cancel()
        await asyncio.wait({listening})
    assert not trust.is_listening


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
