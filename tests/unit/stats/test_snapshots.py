"""The cache of snapshots and failures: failures take little memory and expire."""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from github_banners.database.connect import Database
from github_banners.errors import BannersError, DatabaseUnavailable, GitHubUnavailable, UnknownUser
from github_banners.models import Owner, OwnerRepositories, Stats
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import Lookup
from github_banners.stats.snapshots import Invalidations, SnapshotCache, Ttls
from tests.fake_clock import FakeTime

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
TTLS = Ttls(timedelta(minutes=10), timedelta(hours=24), timedelta(minutes=5))
# An entry is about 600 bytes; a raised exception held 18 to 45 KB.
MAX_BYTES_PER_NAME = 1_500


class SilentDatabase:
    """A database that never responds."""

    async def run_within(
        self, work: Callable[..., Awaitable[Any]], *, timeout_seconds: float
    ) -> Any:
        raise DatabaseUnavailable


class RefusingGitHub:
    """A GitHub that refuses every name, with the frames of a whole request behind each error."""

    def __init__(self, error: Callable[[str], BannersError]) -> None:
        self._error = error

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        raise self._error(login) from ValueError(bytearray(20_000))

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        raise NotImplementedError

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        raise NotImplementedError


def no_charge(*, debt: int = 0) -> None:
    """Charge nothing."""


def raised(error: BannersError) -> BannersError:
    """An error with the traceback of a caller that caught it."""
    try:
        raise error from ValueError("cause")
    except BannersError as caught:
        return caught


async def measure_bytes_per_name(error: Callable[[str], BannersError], *, names: int) -> float:
    """Look up invented names, twice each, and return how much memory each of them leaves taken."""
    github = RefusingGitHub(error)
    lookup = Lookup(
        database=cast("Database", SilentDatabase()),
        github=github,
        batch_fetcher=github,
        ttls=TTLS,
        clock=FakeTime(NOON),
        invalidations=Invalidations(clock=FakeTime(NOON)),
    )

    async def look(name: str) -> None:
        with pytest.raises((UnknownUser, GitHubUnavailable)):
            await lookup.find_by_login(name, deadline=Deadline(60, 60), charge=no_charge)

    await look("warm-up")
    gc.collect()
    # Collections of garbage need not visit what other tests hold.
    gc.freeze()
    tracemalloc.start()
    try:
        for number in range(names):
            await look(f"nobody-{number}")
            await look(f"nobody-{number}")  # out of memory, raised once more
        await asyncio.sleep(0)
        gc.collect()
        used_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    await lookup.close()
    return used_bytes / names


@pytest.mark.parametrize("error", [UnknownUser, GitHubUnavailable], ids=["unknown", "unavailable"])
async def test_cache_error_of_unknown_logins_uses_little_memory(
    error: Callable[[str], BannersError],
) -> None:
    assert await measure_bytes_per_name(error, names=200) < MAX_BYTES_PER_NAME


def make_known(clock: FakeTime) -> SnapshotCache:
    return SnapshotCache(
        ttls=TTLS, invalidations=Invalidations(clock=clock), clock=clock, max_bytes=1 << 20
    )


def test_cached_error_returns_a_new_copy() -> None:
    known = make_known(FakeTime(NOON))
    error = raised(UnknownUser("nobody"))
    known.errors.put("nobody", error, ttl=timedelta(seconds=60))
    first, second = known.errors.get("nobody"), known.errors.get("nobody")
    assert isinstance(first, UnknownUser)
    assert first is not second
    assert first is not error
    assert (first.name, str(first)) == ("nobody", str(error))
    assert raised(first).__traceback__ is not None
    again = known.errors.get("nobody")
    assert again is not None
    assert (again.__traceback__, again.__cause__, again.__context__) == (None, None, None)


def test_cached_error_after_ttl_returns_none() -> None:
    clock = FakeTime(NOON)
    known = make_known(clock)
    known.errors.put("nobody", UnknownUser("nobody"), ttl=timedelta(seconds=60))
    clock.now += timedelta(seconds=60)
    assert known.errors.get("nobody") is None
    assert len(known.errors) == 0


def test_cache_error_evicts_expired_errors() -> None:
    clock = FakeTime(NOON)
    known = make_known(clock)
    for number in range(100):
        known.errors.put(f"old-{number}", UnknownUser("x"), ttl=timedelta(seconds=60))
    clock.now += timedelta(minutes=2)
    for number in range(50):
        known.errors.put(f"new-{number}", UnknownUser("x"), ttl=timedelta(seconds=60))
    assert len(known.errors) == 50


def test_cache_error_stays_within_memory_limit() -> None:
    known = make_known(FakeTime(NOON))
    for number in range(20_000):
        known.errors.put(f"nobody-{number}", UnknownUser("x"), ttl=timedelta(seconds=60))
    assert known.errors.used_bytes <= 4 << 20
    assert 1_000 < len(known.errors) < 10_000


def test_invalidations_forgotten_owner_counts_as_changed_until_then() -> None:
    clock = FakeTime(NOON)
    invalidations = Invalidations(clock=clock)
    before = clock.now
    clock.now += timedelta(seconds=1)
    invalidations.invalidate([1])
    clock.now += timedelta(seconds=1)
    invalidations.invalidate(range(2, 50_000))
    assert not invalidations.is_unchanged(1, since=before)
    assert not invalidations.is_unchanged(49_999, since=before)
    clock.now += timedelta(seconds=1)
    assert invalidations.is_unchanged(1, since=clock.now)
