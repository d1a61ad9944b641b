"""
In-memory cache of drawn pictures: the newest version of each requested banner.

A picture is served from it until its numbers must be validated again, or until its owner is
invalidated by a change in the database.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import msgspec

from github_banners.api.backends import Draw, draw_locally
from github_banners.api.banner_responses import Picture
from github_banners.cache.lru import ByteBoundedLru
from github_banners.drawing import draw
from github_banners.models import EPOCH, MAX_CLOCK_SKEW, Clock
from github_banners.options import BannerOptions, options_digest
from github_banners.stats.deadline import Deadline
from github_banners.stats.lookup import LookupResult
from github_banners.stats.snapshots import Freshness, Invalidations

PictureKey: TypeAlias = tuple[int, bytes]
"""Owner id and digest of the options; a digest because options can be larger than the picture."""

_ENTRY_OVERHEAD_BYTES = 700


class CachedPicture(msgspec.Struct, frozen=True, gc=False):
    """A picture of one version; it is served without validation until `expires_at`."""

    picture: Picture
    version: int
    fetched_at: datetime
    drawn_at: datetime
    expires_at: datetime

    def with_picture(self, picture: Picture) -> "CachedPicture":
        """Return a copy with the picture in another format."""
        return msgspec.structs.replace(self, picture=picture)


def to_picture_key(owner_id: int, look: BannerOptions) -> PictureKey:
    """Build the cache key of a banner's picture."""
    return owner_id, options_digest(look)


class PictureCache:
    """Draws pictures and caches them, within `memory_bytes`."""

    def __init__(
        self,
        *,
        clock: Clock,
        memory_bytes: int,
        draw: Draw = draw_locally,
        invalidations: Invalidations | None = None,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._invalidations = invalidations or Invalidations(clock=clock)
        self._cached: ByteBoundedLru[PictureKey, CachedPicture] = ByteBoundedLru(
            memory_bytes, entry_bytes=_entry_bytes
        )
        self._on_change: Callable[[], None] = lambda: None

    def watch(self, on_change: Callable[[], None]) -> None:
        """Set a callback for every event, except the passing of time, that may change `get`."""
        self._on_change = on_change
        self._invalidations.on_change = on_change

    def get(self, key: PictureKey) -> CachedPicture | None:
        """Return a picture that may be served without validation, or None."""
        cached = self._cached.get(key)
        now = self._clock()
        # A picture from the future means that the clock was set back.
        if cached is None or now >= cached.expires_at or cached.drawn_at > now + MAX_CLOCK_SKEW:
            return None
        return cached if self._invalidations.is_unchanged(key[0], since=cached.drawn_at) else None

    async def draw(
        self, result: LookupResult, look: BannerOptions, *, deadline: Deadline
    ) -> CachedPicture:
        """
        Draw a snapshot, unless this version is cached, and cache the picture.

        Numbers older than the hard TTL are drawn with their date; such a picture is not cached.
        """
        snapshot, now = result.snapshot, self._clock()
        if result.freshness is Freshness.HARD_STALE:
            is_dated = snapshot.fetched_at > EPOCH
            body = draw(snapshot, look, as_of=snapshot.fetched_at.date() if is_dated else None)
            return CachedPicture(Picture.svg(body), snapshot.version, snapshot.fetched_at, now, now)
        key = to_picture_key(snapshot.owner.id, look)
        cached = self._cached.get(key)
        if cached is not None and cached.version == snapshot.version:
            picture = cached.picture
        else:
            picture = Picture.svg(await self._draw(snapshot, look, deadline))
            # While this one was drawn, another request may have cached a newer version.
            cached = self._cached.get(key)
        fresh = CachedPicture(
            picture, snapshot.version, snapshot.fetched_at, now, result.fresh_until
        )
        is_from_future = cached is not None and cached.drawn_at > now + MAX_CLOCK_SKEW
        if cached is None or is_from_future or cached.version <= snapshot.version:
            self._cached.put(key, fresh)
            self._on_change()
        return fresh


def _entry_bytes(_: PictureKey, cached: CachedPicture) -> int:
    return _ENTRY_OVERHEAD_BYTES + cached.picture.size_bytes
