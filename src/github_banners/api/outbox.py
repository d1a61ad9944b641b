"""
Hands on every new version of a permanent banner: PostgreSQL -> broker, or a function in its place.

There is no outbox table: a banner whose published version is behind is due. What is handed on twice
does no harm, since the version decides; what was not acknowledged is handed on again.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from github_banners.api.neighbours import Publish
from github_banners.database import queue
from github_banners.database.banners import Banner
from github_banners.database.connect import Database
from github_banners.errors import BannersError, DatabaseUnavailable, Unavailable
from github_banners.messages.tracing import bind_trace
from github_banners.model import Clock, Snapshot

_log = structlog.get_logger(__name__)

OUTCOMES = (_HANDED_ON, _WAITING, _REFUSED) = ("handed on", "waiting", "refused")
"""What can become of a new version."""

_BATCH_SIZE = 100
_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 2.0
_SETBACK = timedelta(seconds=4)


class Outbox:
    """Publishes what is due."""

    def __init__(
        self,
        *,
        database: Database,
        publish: Publish,
        clock: Clock,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock
        self._count = count
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at once: something has changed."""
        self._woken.set()

    async def run(self) -> None:
        """Publish for ever; a broker or a database that is away is waited out."""
        is_waiting = False
        while True:
            try:
                published = await self.publish_batch()
            except Unavailable as error:
                if not is_waiting:
                    _log.warning("outbox.waiting", reason=str(error))
                is_waiting = True
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            is_waiting = is_waiting and not published
            if published < _BATCH_SIZE:
                await self._idle()

    async def _idle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._woken.wait()
        self._woken.clear()

    async def publish_batch(self) -> int:
        """
        Hand on one batch, of which what failed before is the last choice; returns how many it was.

        A banner that nobody can take keeps its lease, and nobody else waits for it.

        :raises Unavailable: nothing can be handed on now; what was acknowledged is noted, and the
            rest given back
        """
        async with self._database.transaction() as connection:
            due = await queue.lease_unpublished_banners(
                connection, now=self._clock(), limit=_BATCH_SIZE
            )
        handing = [asyncio.create_task(self._hand_on(*one), name="hand on") for one in due]
        taken = dict(zip((banner for banner, _ in due), handing, strict=True))
        try:
            if handing:
                await asyncio.wait(handing)
        except asyncio.CancelledError:
            for task in handing:
                task.cancel()
            # A lease ends by itself; that somebody wants to stop must not be lost.
            with suppress(DatabaseUnavailable):
                await self._settle(taken)
            raise
        await self._settle(taken)
        for task in handing:
            task.result()
        return len(due)

    async def _hand_on(self, banner: Banner, snapshot: Snapshot) -> str | None:
        """Hand one on under a trace of its own, and return its id; None if it was refused."""
        trace_id = bind_trace()
        try:
            await self._publish(banner, snapshot)
        except Unavailable:
            self._count(_WAITING)
            raise
        except (BannersError, ValueError) as error:
            # Numbers that no message can hold, too, are about this banner alone.
            self._count(_REFUSED)
            _log.error("outbox.refused", banner=banner.name, reason=str(error))
            return None
        self._count(_HANDED_ON)
        _log.debug("outbox.handed_on", banner=banner.name, version=banner.version)
        return trace_id

    async def _settle(self, handing: Mapping[Banner, asyncio.Task[str | None]]) -> None:
        # Last in the next round: a file that only this banner fails on holds up no others.
        later = self._clock() + _SETBACK
        acknowledged: dict[int, int] = {}
        left: dict[int, datetime] = {}
        trace_ids: list[str] = []
        for banner, task in handing.items():
            if not task.done() or task.cancelled() or task.exception() is not None:
                left[banner.id] = later
            elif (trace_id := task.result()) is not None:
                acknowledged[banner.id] = banner.version
                trace_ids.append(trace_id)
        if handing:
            _log.info("outbox.published", count=len(acknowledged), trace_ids=trace_ids)
        # One transaction each: within one, rows are locked in the order of ids.
        if acknowledged:
            async with self._database.transaction() as connection:
                await queue.mark_published(connection, acknowledged)
        if left:
            async with self._database.transaction() as connection:
                await queue.release_banners(connection, left)
