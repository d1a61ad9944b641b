"""The drawn pictures in memory: the bytes of the newest version of each banner that was asked for."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import msgspec

from github_banners.api.backends import Draw, draw_locally
from github_banners.api.banner_responses import Picture
from github_banners.drawing import draw as draw_dated
from github_banners.models import EPOCH, MAX_CLOCK_SKEW, Clock
from github_banners.options import BannerOptions, to_canonical_json
from github_banners.stats.deadline import Deadline
from github_banners.stats.lookup import LookupResult
from github_banners.stats.lru import ByteBoundedLru
from github_banners.stats.snapshots import Freshness, Invalidations

PictureKey: TypeAlias = tuple[int, bytes]
"""Whose banner, and which look: a digest, as a look can be larger than its picture."""

_ENTRY_OVERHEAD_BYTES = 700


class CachedPicture(msgspec.Struct, frozen=True, gc=False):
    """A picture of one version, which needs no second look until `good_until`."""

    picture: Picture
    version: int
    fetched_at: datetime
    drawn_at: datetime
    expires_at: datetime

    def with_picture(self, picture: Picture) -> "CachedPicture":
        """Return the same with another form of the picture."""
        return msgspec.structs.replace(self, picture=picture)


def to_picture_key(owner_id: int, look: BannerOptions) -> PictureKey:
    """Name a picture in memory."""
    return owner_id, hashlib.blake2b(to_canonical_json(look), digest_size=16).digest()


class PictureCache:
    """Draws an answer, or finds the drawing."""

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
        """Have a function called after everything but time that can change what `get` returns."""
        self._on_change = on_change
        self._invalidations.on_change = on_change

    def get(self, key: PictureKey) -> CachedPicture | None:
        """Find a picture that may be served as it is."""
        kept = self._cached.get(key)
        now = self._clock()
        if kept is None or now >= kept.expires_at or kept.drawn_at > now + MAX_CLOCK_SKEW:
            return None
        return kept if self._invalidations.is_unchanged(key[0], since=kept.drawn_at) else None

    async def draw(
        self, result: LookupResult, look: BannerOptions, *, deadline: Deadline
    ) -> CachedPicture:
        """Draw the numbers; above the hard TTL with their date, which is never kept."""
        snapshot, now = result.snapshot, self._clock()
        if result.freshness is Freshness.HARD_STALE:
            is_dated = snapshot.fetched_at > EPOCH
            body = draw_dated(
                snapshot, look, as_of=snapshot.fetched_at.date() if is_dated else None
            )
            return CachedPicture(Picture.svg(body), snapshot.version, snapshot.fetched_at, now, now)
        key = to_picture_key(snapshot.owner.id, look)
        kept = self._cached.get(key)
        if kept is not None and kept.version == snapshot.version:
            picture = kept.picture
        else:
            picture = Picture.svg(await self._draw(snapshot, look, deadline))
            # Meanwhile a newer version may have been drawn; it stays.
            kept = self._cached.get(key)
        fresh = CachedPicture(
            picture, snapshot.version, snapshot.fetched_at, now, result.fresh_until
        )
        is_wrong = kept is not None and kept.drawn_at > now + MAX_CLOCK_SKEW
        if kept is None or is_wrong or kept.version <= snapshot.version:
            self._cached.put(key, fresh)
            self._on_change()
        return fresh


def _entry_bytes(_: PictureKey, cached: CachedPicture) -> int:
    return _ENTRY_OVERHEAD_BYTES + cached.picture.size_bytes
