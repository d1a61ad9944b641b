"""The in-memory cache of drawn pictures."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta

import pytest

from github_banners.api.pictures import CachedPicture, PictureCache, RenderRequest, to_picture_key
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, Theme
from github_banners.stats.fetch import Deadline, picture_deadline
from github_banners.stats.lookup import LookupResult
from github_banners.stats.snapshots import Freshness
from tests.fake_clock import FakeTime

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(minutes=5), NOW + timedelta(minutes=9)


def lookup_result(
    *,
    stars: int = 1,
    version: int = 1,
    freshness: Freshness = Freshness.FRESH,
    fresh_until: datetime = SOON,
) -> LookupResult:
    stats = Stats(1, 1, 0, stars, 0, {"C": 1})
    snapshot = Snapshot(Owner(1, "alice"), stats, NOW - timedelta(minutes=1), version)
    return LookupResult(snapshot, freshness, fresh_until, refresh_at=LATER)


async def draw(
    pictures: PictureCache, result: LookupResult, options: BannerOptions
) -> CachedPicture:
    return await pictures.get_or_draw(RenderRequest(result, options), deadline=picture_deadline())


@pytest.fixture
def pictures() -> PictureCache:
    return PictureCache(clock=lambda: NOW, memory_bytes=1 << 20)


async def test_get_drawn_picture_is_returned(pictures: PictureCache) -> None:
    cached = await draw(pictures, lookup_result(), BannerOptions())
    assert cached.picture.body.startswith(b"<svg")
    assert pictures.get(to_picture_key(1, BannerOptions())) == cached
    assert (cached.version, cached.refresh_at, cached.expires_at) == (1, LATER, SOON)


async def test_get_picture_from_the_future_is_ignored_and_replaced() -> None:
    time = FakeTime(NOW + timedelta(days=400))
    pictures = PictureCache(clock=time, memory_bytes=1 << 20)
    ahead = time.now + timedelta(minutes=5)
    await draw(pictures, lookup_result(version=9, fresh_until=ahead), BannerOptions())
    time.now = NOW
    assert pictures.get(to_picture_key(1, BannerOptions())) is None
    right = await draw(pictures, lookup_result(stars=7), BannerOptions())
    assert pictures.get(to_picture_key(1, BannerOptions())) == right


async def test_get_other_options_or_owner_returns_none(pictures: PictureCache) -> None:
    await draw(pictures, lookup_result(), BannerOptions())
    assert pictures.get(to_picture_key(1, BannerOptions(theme=Theme.DARK))) is None
    assert pictures.get(to_picture_key(2, BannerOptions())) is None


async def test_draw_same_version_reuses_picture(pictures: PictureCache) -> None:
    first = await draw(pictures, lookup_result(), BannerOptions())
    later = await draw(
        pictures, lookup_result(fresh_until=SOON + timedelta(minutes=1)), BannerOptions()
    )
    assert later.picture is first.picture
    assert later.expires_at > first.expires_at


async def test_draw_new_version_replaces_picture(pictures: PictureCache) -> None:
    first = await draw(pictures, lookup_result(), BannerOptions())
    second = await draw(pictures, lookup_result(stars=999, version=2), BannerOptions())
    assert second.picture.etag != first.picture.etag
    assert b"999" in second.picture.body
    assert pictures.get(to_picture_key(1, BannerOptions())) == second


async def test_get_expired_picture_returns_none_but_drawing_is_reused(
    pictures: PictureCache,
) -> None:
    first = await draw(
        pictures, lookup_result(freshness=Freshness.SOFT_STALE, fresh_until=NOW), BannerOptions()
    )
    assert pictures.get(to_picture_key(1, BannerOptions())) is None
    # The drawing itself is still cached.
    assert (await draw(pictures, lookup_result(), BannerOptions())).picture is first.picture


async def test_cached_pictures_are_not_tracked_by_the_garbage_collector(
    pictures: PictureCache,
) -> None:
    cached = await draw(pictures, lookup_result(), BannerOptions())
    snapshot = lookup_result().snapshot
    tracked = [
        cached,
        cached.picture,
        cached.picture.body,
        snapshot,
        snapshot.owner,
        snapshot.stats,
    ]
    assert not any(map(gc.is_tracked, tracked))


async def test_draw_hard_stale_picture_is_not_cached(pictures: PictureCache) -> None:
    plain = await draw(pictures, lookup_result(), BannerOptions())
    dated = await draw(pictures, lookup_result(freshness=Freshness.HARD_STALE), BannerOptions())
    assert dated.picture.body != plain.picture.body
    assert dated.expires_at == NOW
    assert pictures.get(to_picture_key(1, BannerOptions())) == plain


async def test_cache_memory_is_bounded_in_bytes() -> None:
    pictures = PictureCache(clock=lambda: NOW, memory_bytes=50_000)
    variants = [BannerOptions(title=f"number {number}") for number in range(20)]
    drawn: list[CachedPicture] = [
        await draw(pictures, lookup_result(), options) for options in variants
    ]
    cached = [
        picture
        for picture in map(pictures.get, (to_picture_key(1, options) for options in variants))
        if picture is not None
    ]
    assert 0 < len(cached) < 20
    assert cached == drawn[-len(cached) :]
    bodies = sum(len(entry.picture.body) + len(entry.picture.gzipped or b"") for entry in cached)
    assert 20_000 < bodies <= 50_000


async def test_draw_older_version_finishing_late_is_not_cached() -> None:
    may_finish = asyncio.Event()

    async def slowly(snapshot: Snapshot, options: BannerOptions, deadline: Deadline) -> bytes:
        if snapshot.version == 1:
            await may_finish.wait()
        return b"<svg>%d</svg>" % snapshot.version

    pictures = PictureCache(clock=lambda: NOW, memory_bytes=1 << 20, draw=slowly)
    older = asyncio.create_task(draw(pictures, lookup_result(), BannerOptions()))
    await asyncio.sleep(0)
    newer = await draw(pictures, lookup_result(version=2), BannerOptions())
    may_finish.set()
    assert (await older).picture.body == b"<svg>1</svg>"
    assert pictures.get(to_picture_key(1, BannerOptions())) == newer
