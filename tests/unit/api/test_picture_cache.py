"""The drawn pictures in memory."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta

import pytest

from github_banners.api.picture_cache import CachedPicture, PictureCache, to_picture_key
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, Theme
from github_banners.stats.deadline import Deadline, picture_deadline
from github_banners.stats.lookup import LookupResult
from github_banners.stats.snapshots import Freshness

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)


def answer_of(
    *,
    stars: int = 1,
    version: int = 1,
    freshness: Freshness = Freshness.FRESH,
    good_until: datetime = SOON,
) -> LookupResult:
    stats = Stats(1, 1, 0, stars, 0, {"C": 1})
    snapshot = Snapshot(Owner(1, "alice"), stats, NOW - timedelta(minutes=1), version)
    return LookupResult(snapshot, freshness, good_until)


async def draw(pictures: PictureCache, answer: LookupResult, look: BannerOptions) -> CachedPicture:
    return await pictures.draw(answer, look, deadline=picture_deadline())


@pytest.fixture
def pictures() -> PictureCache:
    return PictureCache(clock=lambda: NOW, memory_bytes=1 << 20)


async def test_a_drawing_is_found_again(pictures: PictureCache) -> None:
    kept = await draw(pictures, answer_of(), BannerOptions())
    assert kept.picture.body.startswith(b"<svg")
    assert pictures.get(to_picture_key(1, BannerOptions())) == kept
    assert (kept.version, kept.fetched_at, kept.expires_at) == (1, NOW - timedelta(minutes=1), SOON)


async def test_get_picture_drawn_by_a_wrong_clock_is_not_found_and_is_replaced() -> None:
    time = [NOW + timedelta(days=400)]
    pictures = PictureCache(clock=lambda: time[0], memory_bytes=1 << 20)
    ahead = time[0] + timedelta(minutes=5)
    await draw(pictures, answer_of(version=9, good_until=ahead), BannerOptions())
    time[0] = NOW
    assert pictures.get(to_picture_key(1, BannerOptions())) is None
    right = await draw(pictures, answer_of(stars=7), BannerOptions())
    assert pictures.get(to_picture_key(1, BannerOptions())) == right


async def test_looks_and_owners_are_kept_apart(pictures: PictureCache) -> None:
    await draw(pictures, answer_of(), BannerOptions())
    assert pictures.get(to_picture_key(1, BannerOptions(theme=Theme.DARK))) is None
    assert pictures.get(to_picture_key(2, BannerOptions())) is None


async def test_the_same_version_is_drawn_once(pictures: PictureCache) -> None:
    first = await draw(pictures, answer_of(), BannerOptions())
    later = await draw(pictures, answer_of(good_until=SOON + timedelta(minutes=1)), BannerOptions())
    assert later.picture is first.picture
    assert later.expires_at > first.expires_at


async def test_a_new_version_is_drawn_anew(pictures: PictureCache) -> None:
    first = await draw(pictures, answer_of(), BannerOptions())
    second = await draw(pictures, answer_of(stars=999, version=2), BannerOptions())
    assert second.picture.etag != first.picture.etag
    assert b"999" in second.picture.body
    assert pictures.get(to_picture_key(1, BannerOptions())) == second


async def test_what_needs_a_second_look_is_not_served_as_it_is(pictures: PictureCache) -> None:
    first = await draw(
        pictures, answer_of(freshness=Freshness.SOFT_STALE, good_until=NOW), BannerOptions()
    )
    assert pictures.get(to_picture_key(1, BannerOptions())) is None
    # Its drawing is kept all the same.
    assert (await draw(pictures, answer_of(), BannerOptions())).picture is first.picture


async def test_cached_pictures_are_not_looked_at_by_the_garbage_collector(
    pictures: PictureCache,
) -> None:
    kept = await draw(pictures, answer_of(), BannerOptions())
    snapshot = answer_of().snapshot
    tracked = [kept, kept.picture, kept.picture.body, snapshot, snapshot.owner, snapshot.stats]
    assert not any(map(gc.is_tracked, tracked))


async def test_a_dated_picture_is_never_kept(pictures: PictureCache) -> None:
    plain = await draw(pictures, answer_of(), BannerOptions())
    dated = await draw(pictures, answer_of(freshness=Freshness.HARD_STALE), BannerOptions())
    assert dated.picture.body != plain.picture.body
    assert dated.expires_at == NOW
    assert pictures.get(to_picture_key(1, BannerOptions())) == plain


async def test_memory_is_bounded_in_bytes() -> None:
    pictures = PictureCache(clock=lambda: NOW, memory_bytes=50_000)
    looks = [BannerOptions(title=f"number {number}") for number in range(20)]
    drawn: list[CachedPicture] = [await draw(pictures, answer_of(), look) for look in looks]
    kept = [
        one
        for one in map(pictures.get, (to_picture_key(1, look) for look in looks))
        if one is not None
    ]
    assert 0 < len(kept) < 20
    assert kept == drawn[-len(kept) :]
    bodies = sum(len(one.picture.body) + len(one.picture.gzipped or b"") for one in kept)
    assert 20_000 < bodies <= 50_000


async def test_an_older_drawing_that_comes_late_does_not_stay() -> None:
    late, may_end = [], asyncio.Event()

    async def slowly(snapshot: Snapshot, look: BannerOptions, deadline: Deadline) -> bytes:
        if snapshot.version == 1:
            await may_end.wait()
        return b"<svg>%d</svg>" % snapshot.version

    pictures = PictureCache(clock=lambda: NOW, memory_bytes=1 << 20, draw=slowly)
    late.append(asyncio.create_task(draw(pictures, answer_of(), BannerOptions())))
    await asyncio.sleep(0)
    newer = await draw(pictures, answer_of(version=2), BannerOptions())
    may_end.set()
    assert (await late[0]).picture.body == b"<svg>1</svg>"
    assert pictures.get(to_picture_key(1, BannerOptions())) == newer
