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
class LookupHarness:
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
async def harness(database: Database) -> AsyncIterator[LookupHarness]:
    harness = LookupHarness(database)
    yield harness
    await harness.lookup.close()


async def test_find_by_login_fresh_numbers_send_one_request(harness: LookupHarness) -> None:
    first, again = await harness.find(), await harness.find("ADA")
    assert first.snapshot == again.snapshot
    assert first.freshness is Freshness.FRESH
    assert harness.github.requests == ["ada"]


async def test_find_by_login_concurrent_calls_share_one_request(harness: LookupHarness) -> None:
    harness.github.gate.clear()
    waiting = [asyncio.create_task(harness.find()) for _ in range(50)]
    await harness.github.request_arrived.wait()
    harness.github.gate.set()
    results = await asyncio.gather(*waiting)
    assert {result.snapshot.stats.total_repos for result in results} == {3}
    assert harness.github.requests == ["ada"]


async def test_find_by_login_soft_stale_returns_at_once_and_refreshes_once(
    harness: LookupHarness,
) -> None:
    await harness.find()
    await harness.lookup.drain()
    harness.now += 11 * MINUTE
    harness.github.gate.clear()
    harness.github.repositories = 4
    stale = [await harness.find() for _ in range(5)]
    assert {(result.snapshot.stats.total_repos, result.freshness) for result in stale} == {
        (3, Freshness.SOFT_STALE)
    }
    harness.github.gate.set()
    await harness.lookup.drain()
    new = await harness.find()
    assert (new.snapshot.stats.total_repos, new.freshness) == (4, Freshness.FRESH)
    assert harness.github.requests == ["ada", "#7"]


async def test_batch_of_soft_stale_owners_is_not_in_the_trace_of_a_request(
    harness: LookupHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.find()
    await harness.lookup.drain()
    harness.now += 11 * MINUTE
    traces: list[str] = []
    fetch_many = harness.github.fetch_many

    async def fetch_traced(
        owners: Sequence[Owner], **options: Any
    ) -> list[OwnerRepositories | BannersError]:
        traces.append(bound_trace_id())
        return await fetch_many(owners, **options)

    monkeypatch.setattr(harness.github, "fetch_many", fetch_traced)
    with trace_context():
        assert (await harness.find()).freshness is Freshness.SOFT_STALE
    await harness.lookup.drain()
    assert traces == [""]


async def test_find_by_login_many_soft_stale_owners_are_fetched_in_batches(
    harness: LookupHarness,
) -> None:
    harness.lookup = harness.new_lookup(collect_seconds=1)
    logins = [f"dev-{number}" for number in range(100, 125)]
    for number, login in enumerate(logins, start=100):
        harness.github.add(login, number)
        await harness.find(login)
    await harness.lookup.drain()
    harness.now += 11 * MINUTE
    harness.github.repositories = 4
    await asyncio.gather(*(harness.find(login) for login in logins))
    await harness.lookup.drain()
    assert sum(harness.github.batches) == 25
    assert max(harness.github.batches) == 20
    assert len(harness.github.batches) <= 3
    results = [await harness.find(login) for login in logins]
    assert {result.snapshot.stats.total_repos for result in results} == {4}
    async with harness.database.transaction() as connection:
        saved = await users.select_snapshots(connection, list(range(100, 125)))
    assert [snapshot.stats.total_repos for snapshot in saved] == [4] * 25


async def find_three_owners(harness: LookupHarness) -> None:
    """Find three owners, each with three repositories."""
    for number in (100, 101, 102):
        harness.github.add(f"dev-{number}", number)
        await harness.find(f"dev-{number}")
    await harness.lookup.drain()


async def refresh_three_owners(harness: LookupHarness) -> list[int]:
    """Find the owners again when they are stale; return the saved numbers of repositories."""
    harness.now += 11 * MINUTE
    harness.github.repositories = 4
    await asyncio.gather(*(harness.find(f"dev-{number}") for number in (100, 101, 102)))
    await harness.lookup.drain()
    async with harness.database.transaction() as connection:
        saved = await users.select_snapshots(connection, [100, 101, 102])
    return [snapshot.stats.total_repos for snapshot in saved]


async def test_find_by_login_unsavable_owner_of_a_batch_fails_alone(
    harness: LookupHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = users.upsert_owners

    async def fail_for_owner(connection: Any, results: Any, **more: Any) -> Any:
        if any(fetched.owner.id == 101 for fetched, _ in results):
            raise ValueError("can't be stored")
        return await upsert(connection, results, **more)

    await find_three_owners(harness)
    monkeypatch.setattr(users, "upsert_owners", fail_for_owner)
    with capture_logs() as events:
        assert await refresh_three_owners(harness) == [4, 3, 4]
    assert [
        event["owners"] for event in events if event["event"] == "background_writer.save_broken"
    ] == [[101]]


async def test_find_by_login_unforeseen_error_in_a_batch_fails_one_owner(
    harness: LookupHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_many = harness.github.fetch_many

    async def fail_for_owner(owners: Sequence[Owner], **more: Any) -> Any:
        if any(owner.id == 101 for owner in owners):
            raise ZeroDivisionError
        return await fetch_many(owners, **more)

    await find_three_owners(harness)
    monkeypatch.setattr(harness.github, "fetch_many", fail_for_owner)
    with capture_logs() as events:
        assert await refresh_three_owners(harness) == [4, 3, 4]
    failures = [event for event in events if event["event"] == "stale_refresher.owner_failed"]
    assert [event["owner"] for event in failures] == ["dev-101"]


async def test_find_by_login_hard_stale_waits_for_github(harness: LookupHarness) -> None:
    await harness.find()
    await harness.lookup.drain()
    harness.now += DAY + MINUTE
    harness.github.repositories = 4
    result = await harness.find()
    assert (result.snapshot.stats.total_repos, result.freshness) == (4, Freshness.FRESH)


@pytest.mark.parametrize("failure", ["down", "slow", "refused"])
async def test_find_by_login_without_github_returns_hard_stale_numbers(
    harness: LookupHarness, failure: str
) -> None:
    await harness.find()
    await harness.lookup.drain()
    harness.now += DAY + MINUTE
    harness.github.is_down = failure == "down"
    harness.refuses = failure == "refused"
    if failure == "slow":
        harness.github.gate.clear()
    result = await harness.find(seconds=0.7)
    assert (result.snapshot.fetched_at, result.freshness) == (START, Freshness.HARD_STALE)


async def test_find_by_login_unforeseen_error_returns_stale_numbers_and_is_logged_once(
    harness: LookupHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    await harness.find()
    await harness.lookup.drain()
    harness.now += DAY + MINUTE
    monkeypatch.setattr(harness.github, "fetch_by_id", fail)
    monkeypatch.setattr(harness.github, "fetch", fail)
    with capture_logs() as events:
        for _ in range(2):
            result = await harness.find()
            assert (result.snapshot.stats.total_repos, result.freshness) == (
                3,
                Freshness.HARD_STALE,
            )
            harness.now += MINUTE
        with pytest.raises(GitHubUnavailable):
            await harness.find("nobody-known")
    keys = [event["key"] for event in events if event["event"] == "lookup.fetch_failed"]
    assert keys == [7, "nobody-known"]


async def test_find_by_login_after_timeout_does_not_wait_for_same_fetch_again(
    harness: LookupHarness,
) -> None:
    await harness.find()
    await harness.lookup.drain()
    harness.now += DAY + MINUTE
    harness.github.gate.clear()
    await harness.find(seconds=0.7)
    async with asyncio.timeout(20):
        results = [await harness.find(seconds=30) for _ in range(3)]
    assert {result.freshness for result in results} == {Freshness.HARD_STALE}
    harness.github.gate.set()
    await harness.lookup.drain()
    assert (await harness.find()).freshness is Freshness.FRESH
    assert harness.github.requests == ["ada", "#7"]


async def test_find_by_login_stored_numbers_age_from_the_time_of_the_request(
    harness: LookupHarness,
) -> None:
    await harness.find()
    await harness.lookup.drain()
    harness.now += 11 * MINUTE
    harness.lookup = harness.new_lookup()
    result = await harness.find()
    assert (result.snapshot.fetched_at, result.freshness) == (START, Freshness.SOFT_STALE)
    assert result.fresh_until <= harness.now
    await harness.lookup.drain()
    assert harness.github.requests == ["ada", "#7"]


async def test_find_by_login_late_first_response_serves_next_request(
    harness: LookupHarness,
) -> None:
    harness.github.gate.clear()
    with pytest.raises(FetchPending):
        await harness.find(seconds=0.7)
    harness.github.gate.set()
    await harness.lookup.drain()
    assert (await harness.find()).snapshot.stats.total_repos == 3
    assert harness.github.requests == ["ada"]


async def test_find_by_login_unknown_user_is_cached_for_a_while(harness: LookupHarness) -> None:
    for _ in range(3):
        with pytest.raises(UnknownUser):
            await harness.find("nobody")
    assert harness.github.requests == ["nobody"]
    harness.github.add("nobody", 9)
    harness.now += 2 * MINUTE
    assert (await harness.find("nobody")).snapshot.owner.id == 9


async def test_find_by_login_github_unavailable_is_cached_for_seconds(
    harness: LookupHarness,
) -> None:
    harness.github.is_down = True
    for _ in range(3):
        with pytest.raises(GitHubUnavailable):
            await harness.find()
    assert harness.github.requests == ["ada"]
    harness.github.is_down = False
    harness.now += timedelta(seconds=3)
    assert (await harness.find()).snapshot.stats.total_repos == 3


async def test_find_by_login_rate_limited_client_sends_nothing(harness: LookupHarness) -> None:
    harness.refuses = True
    with pytest.raises(TooManyRequests):
        await harness.find()
    assert harness.github.requests == []


async def test_find_by_login_renamed_owner_is_found_by_both_logins(harness: LookupHarness) -> None:
    await harness.find()
    await harness.lookup.drain()
    harness.github.owners.clear()
    harness.github.add("ada-lovelace", 7)
    harness.now += 11 * MINUTE
    await harness.find()
    await harness.lookup.drain()
    for name in ("ada", "ada-lovelace"):
        owner = (await harness.find(name)).snapshot.owner
        assert (owner.id, owner.login) == (7, "ada-lovelace")


async def test_find_by_login_reused_login_returns_its_new_owner(harness: LookupHarness) -> None:
    before = (await harness.find()).snapshot
    await harness.lookup.drain()
    harness.github.owners.clear()
    harness.github.add("ada-lovelace", 7)
    harness.github.add("ada", 8)
    harness.now += 11 * MINUTE
    await harness.find()
    await harness.lookup.drain()
    assert (await harness.find("ada")).snapshot.owner.id == 8
    assert (await harness.find("ada-lovelace")).snapshot.owner.id == 7
    stale = await harness.lookup.find_for_owner(
        before, deadline=Deadline(5, 5), charge=harness.charge
    )
    assert stale.snapshot.owner.login == "ada-lovelace"


async def test_find_by_login_reused_login_is_noticed_while_old_owner_stays_fresh(
    harness: LookupHarness,
) -> None:
    before = (await harness.find()).snapshot
    await harness.lookup.drain()
    harness.github.owners.clear()
    harness.github.add("ada-lovelace", 7)
    for _ in range(3):
        harness.now += 6 * MINUTE
        await harness.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=harness.charge)
        await harness.lookup.drain()
    assert (await harness.find("ada")).snapshot.owner.login == "ada-lovelace"
    await harness.lookup.drain()
    harness.github.add("ada", 8)
    for _ in range(3):
        harness.now += 6 * MINUTE
        await harness.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=harness.charge)
        await harness.find("ada")
        await harness.lookup.drain()
    assert (await harness.find("ada")).snapshot.owner.id == 8


async def test_find_for_owner_deleted_user_returns_last_numbers(harness: LookupHarness) -> None:
    before = (await harness.find()).snapshot
    await harness.lookup.drain()
    harness.github.owners.clear()
    harness.now += DAY + MINUTE
    with pytest.raises(UnknownUser):
        await harness.find()
    await harness.lookup.drain()
    for lookup in (harness.lookup, harness.new_lookup()):
        last = await lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=harness.charge)
        assert last.freshness is Freshness.HARD_STALE
        assert last.snapshot.stats == before.stats
    requests = len(harness.github.requests)
    await harness.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=harness.charge)
    assert len(harness.github.requests) == requests


async def test_find_by_login_version_rises_only_with_changed_numbers(
    harness: LookupHarness,
) -> None:
    first = (await harness.find()).snapshot
    await harness.lookup.drain()
    harness.now += 11 * MINUTE
    await harness.find()
    await harness.lookup.drain()
    same = (await harness.find()).snapshot
    assert (same.version, same.fetched_at) == (first.version, harness.now)
    harness.now += 11 * MINUTE
    harness.github.repositories = 9
    await harness.find()
    await harness.lookup.drain()
    assert (await harness.find()).snapshot.version > first.version


@pytest.fixture
async def nowhere(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database whose server is down."""
    monkeypatch.setattr(connect, "_POOL_TIMEOUT_SECONDS", 0.3)
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as database:
        yield database


async def test_find_by_login_without_database_returns_numbers_of_github(nowhere: Database) -> None:
    harness = LookupHarness(nowhere)
    result = await harness.find()
    await harness.lookup.drain()
    assert (await harness.find()).snapshot == result.snapshot
    harness.github.is_down = True
    with pytest.raises(GitHubUnavailable):
        await harness.find("grace")
    with pytest.raises(DatabaseUnavailable):
        await harness.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 5))
    await harness.lookup.close()


async def test_find_by_login_without_database_refreshes_hard_stale_owner(nowhere: Database) -> None:
    harness = LookupHarness(nowhere)
    await harness.find()
    await harness.lookup.drain()
    harness.now += DAY + MINUTE
    harness.github.repositories = 4
    result = await harness.find()
    assert (result.snapshot.stats.total_repos, result.freshness) == (4, Freshness.FRESH)
    assert harness.github.requests == ["ada", "#7"]
    await harness.lookup.close()


async def test_ensure_persisted_missing_row_is_saved(harness: LookupHarness) -> None:
    result = await harness.find()
    await harness.lookup.drain()
    async with harness.database.transaction() as connection:
        await connection.execute("delete from users")
    await harness.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 5))
    async with harness.database.transaction() as connection:
        saved = await users.select_snapshot(connection, "ada")
    assert saved == replace(result.snapshot, version=saved.version if saved else 0)


async def test_ensure_persisted_slow_github_stops_at_the_deadline(harness: LookupHarness) -> None:
    result = await harness.find()
    await harness.lookup.drain()
    async with harness.database.transaction() as connection:
        await connection.execute("delete from users")
    harness.github.gate.clear()
    with pytest.raises(FetchPending):
        await harness.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 0.05))
    harness.github.gate.set()
    await harness.lookup.drain()
    await harness.lookup.ensure_persisted(result.snapshot, deadline=Deadline(5, 5))
    assert harness.github.requests == ["ada", "#7"]


async def test_find_by_login_charges_every_page(harness: LookupHarness) -> None:
    for repositories, debt in ((100, 0), (101, 1), (2_345, 23)):
        harness.github.add(f"owner-{repositories}", repositories)
        harness.github.repositories, harness.debt = repositories, 0
        await harness.find(f"owner-{repositories}")
        assert harness.debt == debt


async def test_find_for_owner_without_request_is_not_charged(harness: LookupHarness) -> None:
    harness.github.repositories = 2_345
    before = (await harness.find()).snapshot
    await harness.lookup.drain()
    assert harness.debt == 23
    harness.now += DAY + MINUTE
    other = harness.new_lookup()
    await other.find_for_owner(before, deadline=Deadline(5, 5), charge=harness.charge)
    await other.close()
    assert harness.debt == 46
    # Newer numbers are in PostgreSQL by now.
    await harness.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=harness.charge)
    await harness.lookup.drain()
    assert harness.debt == 46
    harness.github.owners.clear()
    harness.now += DAY + MINUTE
    await harness.lookup.find_for_owner(before, deadline=Deadline(5, 5), charge=harness.charge)
    await harness.lookup.drain()
    assert harness.debt == 46
