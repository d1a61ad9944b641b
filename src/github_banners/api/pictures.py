"""The drawn pictures in memory: the bytes of the newest version of each banner that was asked for."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import msgspec

from github_banners.api.delivery import Picture
from github_banners.api.neighbours import Draw, draw_here
from github_banners.drawing import draw as draw_dated
from github_banners.look import Look, canonical
from github_banners.model import EPOCH, MAX_CLOCK_SKEW, Clock
from github_banners.stats.deadline import Deadline
from github_banners.stats.freshness import Freshness
from github_banners.stats.lookup import Answer
from github_banners.stats.memory import Memory
from github_banners.stats.trust import Trust

Key: TypeAlias = tuple[int, bytes]
"""Whose banner, and which look: a digest, as a look can be larger than its picture."""

_KEPT_BYTES = 700


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A picture of one version, which needs no second look until `good_until`."""

    picture: Picture
    version: int
    fetched_at: datetime
    drawn_at: datetime
    good_until: datetime

    def with_picture(self, picture: Picture) -> "Kept":
        """Return the same with another form of the picture."""
        return msgspec.structs.replace(self, picture=picture)


def key_of(owner_id: int, look: Look) -> Key:
    """Name a picture in memory."""
    return owner_id, hashlib.blake2b(canonical(look), digest_size=16).digest()


class Pictures:
    """Draws an answer, or finds the drawing."""

    def __init__(
        self,
        *,
        clock: Clock,
        memory_bytes: int,
        draw: Draw = draw_here,
        trust: Trust | None = None,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._trust = trust or Trust(clock=clock)
        self._kept: Memory[Key, Kept] = Memory(memory_bytes, bytes_of=_kept_bytes)
        self._on_change: Callable[[], None] = lambda: None

    def watch(self, on_change: Callable[[], None]) -> None:
        """Have a function called after everything but time that can change what `get` returns."""
        self._on_change = on_change
        self._trust.on_change = on_change

    def get(self, key: Key) -> Kept | None:
        """Find a picture that may be served as it is."""
        kept = self._kept.get(key)
        now = self._clock()
        if kept is None or now >= kept.good_until or kept.drawn_at > now + MAX_CLOCK_SKEW:
            return None
        return kept if self._trust.allows(key[0], since=kept.drawn_at) else None

    async def draw(self, answer: Answer, look: Look, *, deadline: Deadline) -> Kept:
        """Draw the numbers; above the hard TTL with their date, which is never kept."""
        snapshot, now = answer.snapshot, self._clock()
        if answer.freshness is Freshness.HARD_STALE:
            is_dated = snapshot.fetched_at > EPOCH
            body = draw_dated(
                snapshot, look, as_of=snapshot.fetched_at.date() if is_dated else None
            )
            return Kept(Picture.svg(body), snapshot.version, snapshot.fetched_at, now, now)
        key = key_of(snapshot.owner.id, look)
        kept = self._kept.get(key)
        if kept is not None and kept.version == snapshot.version:
            picture = kept.picture
        else:
            picture = Picture.svg(await self._draw(snapshot, look, deadline))
            # Meanwhile a newer version may have been drawn; it stays.
            kept = self._kept.get(key)
        fresh = Kept(picture, snapshot.version, snapshot.fetched_at, now, answer.good_until)
        is_wrong = kept is not None and kept.drawn_at > now + MAX_CLOCK_SKEW
        if kept is None or is_wrong or kept.version <= snapshot.version:
            self._kept.put(key, fresh)
            self._on_change()
        return fresh


def _kept_bytes(_: Key, kept: Kept) -> int:
    return _KEPT_BYTES + kept.picture.size_bytes
