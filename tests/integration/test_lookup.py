"""Lookup: cache, database, GitHub, stale numbers; on a real PostgreSQL and a fake GitHub."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from github_banners.database import connect, users
from github_banners.database.connect import Database
from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    FetchPending,
    GitHubUnavailable,
    TooManyRequests,
    UnknownUser,
)
from github_banners.messaging.trace_context import bound_trace_id, trace_context
from github_banners.models import Owner, OwnerRepositories
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.snapshots import Freshness, Ttls
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass
class Scene:
    """A lookup with a fake GitHub and a fake clock."""

    database: Database
    now: datetime = START
    refuses: bool = False
    debt: int = 0

    def __post_init__(self) -> None:
        self.github = FakeGitHub(clock=lambda: self.now)
        self.github.gate.set()
        self.github.add("ada", 7)
        self.lookup = self.new_lookup()

    def new_lookup(self, *, collect_seconds: float = 0) -> Lookup:
        return Lookup(
            database=self.database,
            github=self.github,
            batch_fetcher=self.github,
            ttls=Ttls(),
            clock=lambda: self.now,
            collect_seconds=collect_seconds,
        )

    def charge(self, *, debt: int = 0) -> None:
        self.debt += debt
        if self.refuses and not debt:
            raise TooManyRequests(1)

    async def find(self, login: str = "ada", *, seconds: float = 5) -> LookupResult:
        deadline = Deadline(seconds, seconds)
        return await self.lookup.find_by_login(login, deadline=deadline, charge=self.charge)


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    scene = Scene(database)
    yield scene
    await scene.lookup.close()


async def test_find_by_login_fresh_numbers_send_one_request(scene: Scene) -> None:
    first, again = await scene.find(), await scene.find("ADA")
    assert first.snapshot == again.snapshot
    assert first.freshness is Freshness.FRESH
    assert scene.github.requests == ["ada"]


async def test_find_by_login_concurrent_calls_share_one_request(scene: Scene) -> None:
    scene.github.gate.clear()
    waiting = [asyncio.create_task(scene.find()) for _ in range(50)]
    await scene.github.request_arrived.wait()
    scene.github.gate.set()
    results = await asyncio.gather(*waiting)
    assert {result.snapshot.stats.total_repos for result in results} == {3}
    assert scene.github.requests == ["ada"]


async def test_find_by_login_soft_stale_returns_at_once_and_refreshes_once(scene: Scene) -> None:
    await scene.find()
    await scene.lookup.drain()
    scene.now += 11 * MINUTE
    scene.github.gate.clear()
    scene.github.repositories = 4
    stale = [await scene.find() for _ in range(5)]
    assert {(result.snapshot.stats.total_repos, result.freshness) for result in stale} == {
        (3, Freshness.SOFT_STALE)
    }
    scene.github.gate.set()
    await scene.lookup.drain()
    new = await scene.find()
    assert (new.snapshot.stats.total_repos, new.freshness) == (4, Freshness.FRESH)
    assert scene.github.requests == ["ada", "#7"]


async def test_batch_of_soft_stale_owners_is_not_in_the_trace_of_a_request(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.find()
    await scene.lookup.drain()
    scene.now += 11 * MINUTE
    traces: list[str] = []
    fetch_many = scene.github.fetch_many

    async def fetch_traced(
        owners: Sequence[Owner], **options: Any
    ) -> list[OwnerRepositories | BannersError]:
        traces.append(bound_trace_id())
        return await fetch_many(owners, **options)

    monkeypatch.setattr(scene.github, "fetch_many", fetch_traced)
    with trace_context():
        assert (await scene.find()).freshness is Freshness.SOFT_STALE
    await scene.lookup.drain()
    assert traces == [""]


async def test_find_by_login_many_soft_stale_owners_are_fetched_in_batches(scene: Scene) -> None:
    scene.lookup = scene.new_lookup(collect_seconds=1)
    logins = [f"dev-{number}" for number in range(100, 125)]
    for number, login in enumerate(logins, start=100):
        scene.github.add(login, number)
        await scene.find(login)
    await scene.lookup.drain()
    scene.now += 11 * MINUTE
    scene.github.repositories = 4
    await asyncio.gather(*(scene.find(login) for login in logins))
    await scene.lookup.drain()
    assert sum(scene.github.batches) == 25
    assert max(scene.github.batches) == 20
    assert len(scene.github.batches) <= 3
    results = [await scene.find(login) for login in logins]
    assert {result.snapshot.stats.total_repos for result in results} == {4}
    async with scene.database.transaction() as connection:
        saved = await users.select_snapshots(connection, list(range(100, 125)))
    assert [snapshot.stats.total_repos for snapshot in saved] == [4] * 25


async def find_three_owners(scene: Scene) -> None:
    """Find three owners, each with three repositories."""
    for number in (100, 101, 102):
        scene.github.add(f"dev-{number}", number)
        await scene.find(f"dev-{number}")
    await scene.lookup.drain()


async def refresh_three_owners(scene: Scene) -> list[int]:
    """Find the owners again when they are stale; return the saved numbers of repositories."""
    scene.now += 11 * MINUTE
    scene.github.repositories = 4
    await asyncio.gather(*(scene.find(f"dev-{number}") for number in (100, 101, 102)))
    await scene.lookup.drain()
    async with scene.database.transaction() as connection:
        saved = await users.select_snapshots(connection, [100, 101, 102])
    return [snapshot.stats.total_repos for snapshot in saved]


async def test_find_by_login_unsavable_owner_of_a_batch_fails_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = users.upsert_owners

    async def fail_for_owner(connection: Any, results: Any, **more: Any) -> Any:
        if any(fetched.owner.id == 101 for fetched, _ in results):
            raise ValueError("can't be stored")
        return await upsert(connection, results, **more)

    await find_three_owners(scene)
    monkeypatch.setattr(users, "upsert_owners", fail_for_owner)
    with capture_logs() as events:
        assert await refresh_three_owners(scene) == [4, 3, 4]
    assert [
        event["owners"] for event in events if event["event"] == "background_writer.save_broken"
    ] == [[101]]


async def test_find_by_login_unforeseen_error_in_a_batch_fails_one_owner(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_many = scene.github.fetch_many

    async def fail_for_owner(owners: Sequence[Owner], **more: Any) -> Any:
        if any(owner.id == 101 for owner in owners):
            raise ZeroDivisionError
        return await fetch_many(owners, **more)

    await find_three_owners(scene)
    monkeypatch.setattr(scene.github, "fetch_many", fail_for_owner)
    with capture_logs() as events:
        assert await refresh_three_owners(scene) == [4, 3, 4]
    failures = [event for event in events if event["event"] == "stale_refresher.owner_failed"]
    assert [event["owner"] for event in failures] == ["dev-101"]


async def test_find_by_login_hard_stale_waits_for_github(scene: Scene) -> None:
    await scene.find()
    await scene.lookup.drain()
    scene.now += DAY + MINUTE
    scene.github.repositories = 4
    result = await scene.find()
    assert (result.snapshot.stats.total_repos, result.freshness) == (4, Freshness.FRESH)


@pytest.mark.parametrize("failure", ["down", "slow", "refused"])
async def test_find_by_login_without_github_returns_hard_stale_numbers(
    scene: Scene, failure: str
) -> None:
    await scene.find()
    await scene.lookup.drain()
    scene.now += DAY + MINUTE
    scene.github.is_down = failure == "down"
    scene.refuses = failure == "refused"
    if failure == "slow":
        scene.github.gate.clear()
    result = await scene.find(seconds=0.3)
    assert (result.snapshot.fetched_at, result.freshness) == (START, Freshness.HARD_STALE)


async def test_find_by_login_unforeseen_error_returns_stale_numbers_and_is_logged_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    await scene.find()
    await scene.lookup.drain()
    scene.now += DAY + MINUTE
    monkeypatch.setattr(scene.github, "fetch_by_id", fail)
    monkeypatch.setattr(scene.github, "fetch", fail)
    with capture_logs() as events:
        for _ in range(2):
            result = await scene.find()
            assert (result.snapshot.stats.total_repos, result.freshness) == (
                3,
                Freshness.HARD_STALE,
            )
            scene.now += MINUTE
        with pytest.raises(GitHubUnavailable):
            await scene.find("nobody-known")
    keys = [event["key"] for event in events if event["event"] == "lookup.fetch_failed"]
    assert keys == [7, "nobody-known"]


async def test_find_by_login_after_timeout_does_not_wait_for_same_fetch_again(
    scene: Scene,
) -> None:
    await scene.find()
    await scene.lookup.drain()
    scene.now += DAY + MINUTE
    scene.github.gate.clear()
    await scene.find(seconds=0.25)
    async with asyncio.timeout(3):
        results = [await scene.find(seconds=30) for _ in range(3)]
    assert {result.freshness for result in results} == {Freshness.HARD_STALE}
    scene.github.gate.set()
    await scene.lookup.drain()
    assert (await scene.find()).freshness is Freshness.FRESH
    assert scene.github.requests == ["ada", "#7"]


async def test_find_by_login_stored_numbers_age_from_the_time_of_the_request(scene: Scene) -> None:
    await scene.find()
    await scene.lookup.drain()
    scene.now += 11 * MINUTE
    scene.lookup = scene.new_lookup()
    result = await scene.find()
    assert (result.snapshot.fetched_at, result.freshness) == (START, Freshness.SOFT_STALE)
    assert result.fresh_until <= scene.now
    await scene.lookup.drain()
    assert scene.github.requests == ["ada", "#7"]


async def test_find_by_login_late_first_response_serves_next_request(scene: Scene) -> None:
    scene.github.gate.clear()
    with pytest.raises(FetchPending):
        await scene.find(seconds=0.25)
    scene.github.gate.set()
    await scene.lookup.drain()
    assert (await scene.find()).snapshot.stats.total_repos == 3
    assert scene.github.requests == ["ada"]


async def test_find_by_login_unknown_user_is_cached_for_a_while(scene: Scene) -> None:
    for _ in range(3):
        with pytest.raises(UnknownUser):
            await scene.find("nobody")
    assert scene.github.requests == ["nobody"]
    scene.github.add("nobody", 9)
    scene.now += 2 * MINUTE
    assert (await scene.find("nobody")).snapshot.owner.id == 9


async def test_find_by_login_github_unavailable_is_cached_for_seconds(scene: Scene) -> None:
    scene.github.is_down = True
    for _ in range(3):
        with pytest.raises(GitHubUnavailable):
            await scene.find()
    assert scene.github.requests == ["ada"]
    scene.github.is_down = False
    scene.now += timedelta(seconds=3)
    assert (await scene.find()).snapshot.stats.total_repos == 3


async def test_find_by_login_rate_limited_client_sends_nothing(scene: Scene) -> None:
    scene.refuses = True
    with pytest.raises(TooManyRequests):
        await scene.find()
    assert scene.github.requests == []


async def test_find_by_login_renamed_owner_is_found_by_both_logins(scene: Scene) -> None:
    await scene.find()
    await scene.lookup.drain()
    scene.github.owners.clear()
    scene.github.add("ada-lovelace", 7)
    scene.now += 11 * MINUTE
    await scene.find()
    await scene.lookup.drain()
    for name in ("ada", "ada-lovelace"):
        owner = (await scene.find(name)).snapshot.owner
        assert (owner.id, owner.login) == (7, "ada-lovelace")


async def test_find_by_login_reused_login_returns_its_new_owner(scene: Scene) -> None:
    before = (await scene.find()).snapshot
    await scene.lookup.drain()
    scene.github.owners.clear()
    scene.github.add("ada-lovelace", 7)
    scene.github.add("ada", 8)
    scene.now += 11 * MINUTE
    await scene.find()
    await scene.lookup.drain()
    assert (await scene.find("ada")).snapshot.owner.id == 8
    assert (await scene.find("ada-lovelace")).snapshot.owner.id == 7
    stale = await scene.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    assert stale.snapshot.owner.login == "ada-lovelace"


async def test_find_by_login_reused_login_is_noticed_while_old_owner_stays_fresh(
    scene: Scene,
) -> None:
    before = (await scene.find()).snapshot
    await scene.lookup.drain()
    scene.github.owners.clear()
    scene.github.add("ada-lovelace", 7)
    for _ in range(3):
        scene.now += 6 * MINUTE
        await scene.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
        await scene.lookup.drain()
    assert (await scene.find("ada")).snapshot.owner.login == "ada-lovelace"
    await scene.lookup.drain()
    scene.github.add("ada", 8)
    for _ in range(3):
        scene.now += 6 * MINUTE
        await scene.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
        await scene.find("ada")
        await scene.lookup.drain()
    assert (await scene.find("ada")).snapshot.owner.id == 8


async def test_find_for_owner_deleted_user_returns_last_numbers(scene: Scene) -> None:
    before = (await scene.find()).snapshot
    await scene.lookup.drain()
    scene.github.owners.clear()
    scene.now += DAY + MINUTE
    with pytest.raises(UnknownUser):
        await scene.find()
    await scene.lookup.drain()
    for lookup in (scene.lookup, scene.new_lookup()):
        last = await lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
        assert last.freshness is Freshness.HARD_STALE
        assert last.snapshot.stats == before.stats
    requests = len(scene.github.requests)
    await scene.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    assert len(scene.github.requests) == requests


async def test_find_by_login_version_rises_only_with_changed_numbers(scene: Scene) -> None:
    first = (await scene.find()).snapshot
    await scene.lookup.drain()
    scene.now += 11 * MINUTE
    await scene.find()
    await scene.lookup.drain()
    same = (await scene.find()).snapshot
    assert (same.version, same.fetched_at) == (first.version, scene.now)
    scene.now += 11 * MINUTE
    scene.github.repositories = 9
    await scene.find()
    await scene.lookup.drain()
    assert (await scene.find()).snapshot.version > first.version


@pytest.fixture
async def nowhere(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database whose server is down."""
    monkeypatch.setattr(connect, "_POOL_TIMEOUT_SECONDS", 0.3)
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as database:
        yield database


async def test_find_by_login_without_database_returns_numbers_of_github(nowhere: Database) -> None:
    scene = Scene(nowhere)
    result = await scene.find()
    await scene.lookup.drain()
    assert (await scene.find()).snapshot == result.snapshot
    scene.github.is_down = True
    with pytest.raises(GitHubUnavailable):
        await scene.find("grace")
    with pytest.raises(DatabaseUnavailable):
        await scene.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 5))
    await scene.lookup.close()


async def test_find_by_login_without_database_refreshes_hard_stale_owner(nowhere: Database) -> None:
    scene = Scene(nowhere)
    await scene.find()
    await scene.lookup.drain()
    scene.now += DAY + MINUTE
    scene.github.repositories = 4
    result = await scene.find()
    assert (result.snapshot.stats.total_repos, result.freshness) == (4, Freshness.FRESH)
    assert scene.github.requests == ["ada", "#7"]
    await scene.lookup.close()


async def test_ensure_persisted_missing_row_is_saved(scene: Scene) -> None:
    result = await scene.find()
    await scene.lookup.drain()
    async with scene.database.transaction() as connection:
        await connection.execute("delete from users")
    await scene.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 5))
    async with scene.database.transaction() as connection:
        saved = await users.select_snapshot(connection, "ada")
    assert saved == replace(result.snapshot, version=saved.version if saved else 0)


async def test_ensure_persisted_slow_github_stops_at_the_deadline(scene: Scene) -> None:
    result = await scene.find()
    await scene.lookup.drain()
    async with scene.database.transaction() as connection:
        await connection.execute("delete from users")
    scene.github.gate.clear()
    with pytest.raises(FetchPending):
        await scene.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 0.05))
    scene.github.gate.set()
    await scene.lookup.drain()
    await scene.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 5))
    assert scene.github.requests == ["ada", "#7"]


async def test_find_by_login_charges_every_page(scene: Scene) -> None:
    for repositories, debt in ((100, 0), (101, 1), (2_345, 23)):
        scene.github.add(f"owner-{repositories}", repositories)
        scene.github.repositories, scene.debt = repositories, 0
        await scene.find(f"owner-{repositories}")
        assert scene.debt == debt


async def test_find_for_owner_without_request_is_not_charged(scene: Scene) -> None:
    scene.github.repositories = 2_345
    before = (await scene.find()).snapshot
    await scene.lookup.drain()
    assert scene.debt == 23
    scene.now += DAY + MINUTE
    other = scene.new_lookup()
    await other.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    await other.close()
    assert scene.debt == 46
    # Newer numbers are in PostgreSQL by now.
    await scene.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    await scene.lookup.drain()
    assert scene.debt == 46
    scene.github.owners.clear()
    scene.now += DAY + MINUTE
    await scene.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    await scene.lookup.drain()
    assert scene.debt == 46
