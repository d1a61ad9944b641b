"""Background refresh, outbox and change listener, with PostgreSQL and the fake GitHub."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from github_banners.api import refresh as refresh_module
from github_banners.api.outbox import Outbox
from github_banners.api.refresh import BATCH_SIZE, Refresh
from github_banners.database import leases, users
from github_banners.database.banners import Banner, insert_banner, select_banner_with_snapshot
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database
from github_banners.errors import GitHubUnavailable, InvalidOption, StorageUnavailable, UnknownUser
from github_banners.github.batch import BatchFetcher
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import Account, create_accounts
from github_banners.github.protocol import RateLimit, Resource
from github_banners.github.transport import open_github_http
from github_banners.models import Clock, Owner, OwnerRepositories, Snapshot, aggregate, utc_now
from github_banners.options import BannerOptions
from github_banners.settings import Token
from github_banners.stats.snapshots import Invalidations
from tests.acceptance.processes import Running, running
from tests.integration.database.servers import close_pool
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
    set_faults(sandbox)


def set_faults(sandbox: Running, **faults: object) -> None:
    httpx2.put(sandbox.url + "/_sandbox/faults", json=faults).raise_for_status()


def calls(sandbox: Running) -> dict[str, int]:
    counted: dict[str, int] = sandbox.get("/_sandbox/calls").json()
    return counted


@dataclass
class SandboxClients:
    """A client, its batch fetcher and its accounts."""

    client: GitHubClient
    batch: BatchFetcher
    accounts: list[Account]

    async def fetch_owner(self, login: str) -> Owner:
        return (await self.client.fetch(login)).owner


@asynccontextmanager
async def open_github(
    sandbox: Running, *tokens: str, batch_clock: Clock = utc_now
) -> AsyncIterator[SandboxClients]:
    async with open_github_http(timeout=timedelta(seconds=5), api_url=sandbox.url) as http:
        accounts = create_accounts([Token(token) for token in tokens])
        client = GitHubClient(
            http,
            api_url=sandbox.url,
            accounts=accounts,
            timeout=timedelta(seconds=5),
            clock=utc_now,
        )
        yield SandboxClients(client, BatchFetcher(client, clock=batch_clock), accounts)


@pytest.mark.parametrize("tokens", [("ghp_a",), ()], ids=["graphql", "rest"])
async def test_fetch_many_equals_single_fetches(sandbox: Running, tokens: tuple[str, ...]) -> None:
    async with open_github(sandbox, *tokens) as github:
        logins = ["dev-1", "nell-newcomer", "umbra-labs", "big-150"]
        owners = [await github.fetch_owner(login) for login in logins]
        deleted = Owner(1, "deleted", "U_nobody")
        results = await github.batch.fetch_many([*owners, deleted])
        for owner, result in zip(owners, results[:-1], strict=True):
            alone = await github.client.fetch_by_id(owner)
            assert isinstance(result, OwnerRepositories)
            assert result.owner == alone.owner
            assert {r.id: r for r in result.repositories} == {r.id: r for r in alone.repositories}
        assert isinstance(results[-1], UnknownUser)


async def test_fetch_many_twenty_owners_cost_one_point(sandbox: Running) -> None:
    async with open_github(sandbox, "ghp_points") as github:
        owners = [await github.fetch_owner(f"dev-{n}") for n in range(1, 21)]
        before = calls(sandbox)
        assert all(
            isinstance(result, OwnerRepositories)
            for result in await github.batch.fetch_many(owners)
        )
        after = calls(sandbox)
    assert after["graphql_points"] - before["graphql_points"] == 1
    assert after["rest"] == before["rest"]


async def test_fetch_many_partial_failures_fetches_owners_alone(sandbox: Running) -> None:
    async with open_github(sandbox, "ghp_heavy") as github:
        owners = [await github.fetch_owner(f"dev-{n}") for n in range(1, 7)]
        set_faults(sandbox, fail=["partial"], fail_rate=0.5)
        results = await github.batch.fetch_many(owners)
    assert [isinstance(result, OwnerRepositories) for result in results] == [True] * 6


@pytest.mark.parametrize("failure", ["503", "drop", "rate-limited", "401"])
async def test_fetch_many_github_down_returns_error_per_owner(
    sandbox: Running, failure: str
) -> None:
    async with open_github(sandbox, "ghp_down") as github:
        owners = [await github.fetch_owner(f"dev-{n}") for n in range(1, 4)]
        set_faults(sandbox, fail=[failure])
        results = await github.batch.fetch_many(owners)
    assert [type(result) for result in results] == [GitHubUnavailable] * 3


async def test_fetch_many_without_token_keeps_reserve(sandbox: Running) -> None:
    async with open_github(sandbox) as github:
        owners = [Owner(0, "x")] * 5
        github.accounts[0].update_rate_limit(_rate_limit(30))
        results = await github.batch.fetch_many(owners)
    assert [type(result) for result in results] == [GitHubUnavailable] * 5


def _rate_limit(remaining: int) -> RateLimit:
    return RateLimit(Resource.CORE, 60, remaining, datetime.now(UTC) + HOUR)


@dataclass
class Tracked:
    """Owners with one banner each, and a fake clock."""

    database: Database
    github: SandboxClients = field(init=False)
    now: datetime = START

    def refresh(self) -> Refresh:
        return Refresh(
            database=self.database, github=self.github.batch, interval=HOUR, clock=lambda: self.now
        )

    async def track(self, login: str) -> Banner:
        owner_repositories = await self.github.client.fetch(login)
        owner_repositories = OwnerRepositories(
            owner_repositories.owner, owner_repositories.repositories, self.now
        )
        async with self.database.transaction() as connection:
            await users.upsert_owners(
                connection, [(owner_repositories, aggregate(owner_repositories.repositories))]
            )
            owner = owner_repositories.owner
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
            row = await select_banner_with_snapshot(connection, name)
        assert row is not None
        return row[0]


@pytest.fixture
async def tracked(database: Database, sandbox: Running) -> AsyncIterator[Tracked]:
    tracked = Tracked(database)
    async with open_github(sandbox, "ghp_tracked", batch_clock=lambda: tracked.now) as github:
        tracked.github = github
        yield tracked


async def test_refresh_batch_due_owners_are_refreshed_once(
    tracked: Tracked, sandbox: Running
) -> None:
    for n in (1, 2, 3):
        await tracked.track(f"dev-{n}")
    assert await tracked.refresh().refresh_batch() == 0
    tracked.now += HOUR
    before = calls(sandbox)
    counts = await asyncio.gather(*(tracked.refresh().refresh_batch() for _ in range(2)))
    assert sorted(counts) == [0, 3]
    assert calls(sandbox)["graphql"] - before["graphql"] == 1
    assert await tracked.refresh().refresh_batch() == 0


async def test_refresh_batch_changed_numbers_raise_the_version(
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


async def test_refresh_batch_after_a_day_refreshes_each_owner_once(tracked: Tracked) -> None:
    for n in range(BATCH_SIZE + 5):
        await tracked.track(f"dev-{100 + n}")
    tracked.now += timedelta(days=1)
    refresh = tracked.refresh()
    assert [await refresh.refresh_batch() for _ in range(3)] == [BATCH_SIZE, 5, 0]


async def test_refresh_batch_failed_owner_is_retried(tracked: Tracked, sandbox: Running) -> None:
    await tracked.track("dev-21")
    tracked.now += HOUR
    set_faults(sandbox, fail=["503"])
    assert await tracked.refresh().refresh_batch() == 1
    assert await tracked.refresh().refresh_batch() == 0
    set_faults(sandbox)
    tracked.now += timedelta(minutes=2)
    assert await tracked.refresh().refresh_batch() == 1
    assert await tracked.refresh().refresh_batch() == 0


class StopRefresh(Exception):
    """Raised by a fake sleep to end the refresh."""


@pytest.fixture
def single_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh_module, "PARALLEL_BATCHES", 1)


async def record_pauses(
    database: Database,
    github: FakeGitHub,
    *,
    count: int,
    on_pause: Callable[[int], None] = lambda number: None,
) -> list[float]:
    """Run a refresh until it has paused `count` times; `on_pause` gets the number of each pause."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        on_pause(len(pauses))
        if len(pauses) == count:
            raise StopRefresh

    refresh = Refresh(
        database=database, github=github, interval=HOUR, clock=github.clock, sleep=sleep
    )
    with pytest.RaisesGroup(StopRefresh):
        await refresh.run()
    return pauses


@pytest.mark.usefixtures("single_worker")
async def test_run_github_down_pauses_grow_until_first_success(tracked: Tracked) -> None:
    for n in range(22, 24):
        await tracked.track(f"dev-{n}")
    owners = [await tracked.github.fetch_owner(f"dev-{n}") for n in range(22, 24)]
    github = FakeGitHub(clock=lambda: tracked.now, owners={owner.login: owner for owner in owners})
    github.gate.set()
    github.is_down = True

    def advance(number: int) -> None:
        tracked.now += timedelta(minutes=1)
        github.is_down = number < 6

    tracked.now += HOUR
    pauses = await record_pauses(tracked.database, github, count=8, on_pause=advance)
    assert pauses == [4, 8, 16, 30, 30, 30, 2, 2]
    assert len(github.requests) == 7 * len(owners)


@pytest.mark.usefixtures("single_worker")
async def test_run_database_down_retries_every_two_seconds() -> None:
    github = FakeGitHub(clock=lambda: START)
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as database:
        await close_pool(database)
        assert await record_pauses(database, github, count=3) == [2, 2, 2]
    assert github.requests == []


@pytest.mark.usefixtures("single_worker")
async def test_run_batch_with_one_success_does_not_lengthen_pauses(tracked: Tracked) -> None:
    for n in range(24, 26):
        await tracked.track(f"dev-{n}")
    owners = [await tracked.github.fetch_owner(f"dev-{n}") for n in range(24, 26)]
    github = FakeGitHub(clock=lambda: tracked.now, owners={owner.login: owner for owner in owners})
    github.gate.set()
    github.fails_next = 1
    tracked.now += HOUR
    assert await record_pauses(tracked.database, github, count=1) == [2]
    assert len(github.requests) == 2


async def test_publish_batch_publishes_every_version_once(tracked: Tracked) -> None:
    published: list[tuple[str, int]] = []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        published.append((banner.name, banner.version))

    banner = await tracked.track("dev-31")
    outbox = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    assert [await outbox.publish_batch() for _ in range(2)] == [1, 0]
    assert published == [(banner.name, banner.version)]


async def test_publish_batch_unacknowledged_banner_is_published_again(tracked: Tracked) -> None:
    down = True
    published = []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        if down and banner.name == "dev-42-default":
            raise StorageUnavailable
        published.append(banner.name)

    for n in (41, 42, 43):
        await tracked.track(f"dev-{n}")
    outbox = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    with pytest.raises(StorageUnavailable):
        await outbox.publish_batch()
    assert sorted(published) == ["dev-41-default", "dev-43-default"]
    down = False
    tracked.now += timedelta(minutes=1)
    assert await outbox.publish_batch() == 1
    assert published[2:] == ["dev-42-default"]


async def test_publish_batch_storage_up_again_retries_after_delay(
    tracked: Tracked,
) -> None:
    down, published = True, []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        if down:
            raise StorageUnavailable
        published.append(banner.name)

    names = [(await tracked.track(f"dev-{n}")).name for n in (44, 45, 46)]
    outbox = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    with pytest.raises(StorageUnavailable):
        await outbox.publish_batch()
    down = False
    assert await outbox.publish_batch() == 0
    tracked.now += timedelta(seconds=5)
    assert await outbox.publish_batch() == 3
    assert published == names


async def test_publish_batch_rejected_banner_does_not_block_others(tracked: Tracked) -> None:
    published = []

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        if banner.name == "dev-47-default":
            raise InvalidOption("banner_info", "document type")
        published.append(banner.name)

    for n in (47, 48):
        await tracked.track(f"dev-{n}")
    outbox = Outbox(database=tracked.database, publish=publish, clock=lambda: tracked.now)
    assert [await outbox.publish_batch() for _ in range(2)] == [2, 0]
    assert published == ["dev-48-default"]


async def test_record_requests_reschedules_owner(
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


async def test_change_listener_invalidates_changed_owners(conninfo: str, tracked: Tracked) -> None:
    invalidations = Invalidations(clock=lambda: datetime.now(UTC))
    invalidations.is_listening = False
    listening = asyncio.create_task(
        ChangeListener(conninfo, database=tracked.database, invalidations=invalidations).run()
    )
    try:
        await _until(lambda: invalidations.is_listening)
        seen_at = datetime.now(UTC)
        banner = await tracked.track("dev-61")
        await _until(lambda: not invalidations.is_unchanged(banner.owner_id, since=seen_at))
        assert invalidations.is_unchanged(banner.owner_id + 1, since=seen_at)
    finally:
        listening.cancel()
        await asyncio.wait({listening})
    assert not invalidations.is_listening


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
