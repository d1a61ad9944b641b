"""What is remembered of owners: failures take little memory and expire."""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from github_banners.database.connect import Database
from github_banners.errors import BannersError, DatabaseUnavailable, GitHubUnavailable, UnknownUser
from github_banners.model import Owner, Portfolio, Stats
from github_banners.stats.deadline import Deadline
from github_banners.stats.freshness import Ttls
from github_banners.stats.known import Known
from github_banners.stats.lookup import Lookup
from github_banners.stats.trust import Trust

TTLS = Ttls(timedelta(minutes=10), timedelta(hours=24), timedelta(minutes=5))
# An entry is about 600 bytes; a raised exception held 18 to 45 KB.
MAX_BYTES_PER_NAME = 1_500


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class AwayDatabase:
    """A database that never answers."""

    async def ask(self, work: Callable[..., Awaitable[Any]], *, within_seconds: float) -> Any:
        raise DatabaseUnavailable


class RefusingGitHub:
    """A GitHub that refuses every name, with the frames of a whole request behind each error."""

    def __init__(self, error: Callable[[str], BannersError]) -> None:
        self._error = error

    async def fetch(self, login: str, *, is_known: bool = False) -> Portfolio:
        raise self._error(login) from ValueError(bytearray(20_000))

    async def fetch_again(self, owner: Owner, *, previous: Stats | None = None) -> Portfolio:
        raise NotImplementedError

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[Portfolio | BannersError]:
        raise NotImplementedError


def no_charge(*, owed: int = 0) -> None:
    """Charge nothing."""


def raised(error: BannersError) -> BannersError:
    """An error as somebody caught it."""
    try:
        raise error from ValueError("cause")
    except BannersError as caught:
        return caught


async def measure_bytes_per_name(error: Callable[[str], BannersError], *, names: int) -> float:
    """Look up invented names, twice each, and return how much memory each of them leaves taken."""
    github = RefusingGitHub(error)
    lookup = Lookup(
        database=cast("Database", AwayDatabase()),
        github=github,
        batch=github,
        ttls=TTLS,
        clock=Clock(),
        trust=Trust(clock=Clock()),
    )

    async def look(name: str) -> None:
        with pytest.raises((UnknownUser, GitHubUnavailable)):
            await lookup.by_login(name, deadline=Deadline(60, 60), charge=no_charge)

    await look("warm-up")
    gc.collect()
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
    await lookup.close()
    return used_bytes / names


@pytest.mark.parametrize("error", [UnknownUser, GitHubUnavailable], ids=["unknown", "unavailable"])
async def test_memory_of_invented_names_is_small(error: Callable[[str], BannersError]) -> None:
    assert await measure_bytes_per_name(error, names=2_000) < MAX_BYTES_PER_NAME


def make_known(clock: Clock) -> Known:
    return Known(ttls=TTLS, trust=Trust(clock=clock), clock=clock, limit_bytes=1 << 20)


def test_refusal_is_a_fresh_copy_each_time() -> None:
    known = make_known(Clock())
    error = raised(UnknownUser("nobody"))
    known.refuse("nobody", error, during=timedelta(seconds=60))
    first, second = known.refusal("nobody"), known.refusal("nobody")
    assert isinstance(first, UnknownUser)
    assert first is not second
    assert first is not error
    assert (first.name, str(first)) == ("nobody", str(error))
    assert raised(first).__traceback__ is not None
    again = known.refusal("nobody")
    assert again is not None
    assert (again.__traceback__, again.__cause__, again.__context__) == (None, None, None)


def test_refusal_expires() -> None:
    clock = Clock()
    known = make_known(clock)
    known.refuse("nobody", UnknownUser("nobody"), during=timedelta(seconds=60))
    clock.now += timedelta(seconds=60)
    assert known.refusal("nobody") is None
    assert len(known._refusals) == 0


def test_expired_refusals_make_room_for_new_ones() -> None:
    clock = Clock()
    known = make_known(clock)
    for number in range(100):
        known.refuse(f"old-{number}", UnknownUser("x"), during=timedelta(seconds=60))
    clock.now += timedelta(minutes=2)
    for number in range(50):
        known.refuse(f"new-{number}", UnknownUser("x"), during=timedelta(seconds=60))
    assert len(known._refusals) == 50


def test_refusals_are_bounded() -> None:
    known = make_known(Clock())
    for number in range(20_000):
        known.refuse(f"nobody-{number}", UnknownUser("x"), during=timedelta(seconds=60))
    assert known._refusals.used_bytes <= 4 << 20
    assert 1_000 < len(known._refusals) < 10_000
