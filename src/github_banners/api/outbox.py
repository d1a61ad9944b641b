"""
Hands on every new version of a permanent banner: PostgreSQL -> broker, or a function in its place.

There is no outbox table: a banner whose published version is behind is due. What is handed on twice
does no harm, since the version decides; what was not acknowledged is handed on again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

import structlog

from github_banners.database import queue
from github_banners.database.banners import Banner
from github_banners.database.connect import Database
from github_banners.errors import BannersError, Unavailable
from github_banners.model import Clock, Snapshot

_log = structlog.get_logger(__name__)

Publish: TypeAlias = Callable[[Banner, Snapshot], Awaitable[None]]
"""Hands one banner on; returns when it is acknowledged, raises when it is not."""

_BATCH_SIZE = 100
_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 2.0
_SETBACK = timedelta(seconds=4)


class Outbox:
    """Publishes what is due."""

    def __init__(self, *, database: Database, publish: Publish, clock: Clock) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock

    async def run(self) -> None:
        """Publish for ever; a broker or a database that is away is waited out."""
        while True:
            try:
                published = await self.publish_batch()
            except Unavailable as error:
                _log.warning("outbox.waiting", reason=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if published < _BATCH_SIZE:
                await asyncio.sleep(_IDLE_SECONDS)

    async def publish_batch(self) -> int:
        """
        Hand on one batch, in the order of ids; returns how many were taken.

        A banner that nobody can take keeps its lease, and nobody else waits for it.

        :raises Unavailable: nothing can be handed on now; what was acknowledged is noted, and the
            rest given back
        """
        async with self._database.transaction() as connection:
            due = await queue.lease_unpublished_banners(
                connection, now=self._clock(), limit=_BATCH_SIZE
            )
        acknowledged: dict[int, int] = {}
        left = dict.fromkeys((banner.id for banner, _ in due), self._clock())
        try:
            for banner, snapshot in due:
                # Last in the next round: a file that only this banner fails on holds up no others.
                left[banner.id] = self._clock() + _SETBACK
                if await self._hand_on(banner, snapshot):
                    acknowledged[banner.id] = banner.version
                del left[banner.id]
        finally:
            await self._settle(acknowledged, left)
        return len(due)

    async def _hand_on(self, banner: Banner, snapshot: Snapshot) -> bool:
        try:
            await self._publish(banner, snapshot)
        except Unavailable:
            raise
        except BannersError as error:
            _log.error("outbox.refused", banner=banner.name, reason=str(error))
            return False
        return True

    async def _settle(self, acknowledged: Mapping[int, int], left: Mapping[int, datetime]) -> None:
        if not acknowledged and not left:
            return
        async with self._database.transaction() as connection:
            await queue.mark_published(connection, acknowledged)
            await queue.release_banners(connection, left)
