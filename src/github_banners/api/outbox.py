"""
Hands on every new version of a permanent banner: PostgreSQL -> broker, or a function in its place.

There is no outbox table: a banner whose published version is behind is due. What is handed on twice
does no harm, since the version decides; what was not acknowledged is handed on again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from github_banners.api.backends import Publish
from github_banners.api.background import Failures
from github_banners.database import leases
from github_banners.database.banners import Banner
from github_banners.database.batches import save_separately
from github_banners.database.connect import Connection, Database
from github_banners.errors import DatabaseUnavailable, Unavailable
from github_banners.messaging.tracing import bind_trace
from github_banners.models import Clock, Snapshot

T = TypeVar("T")

_log = structlog.get_logger(__name__)

PUBLISH_OUTCOMES = (_PUBLISHED, _WAITING, _REFUSED) = ("handed on", "waiting", "refused")
"""What can become of a new version."""

_BATCH_SIZE = 100
_IDLE_SECONDS = 0.5
_UNAVAILABLE_RETRY_SECONDS = 2.0
_RETRY_DELAY = timedelta(seconds=4)
_FIRST_REFUSED_DELAY = timedelta(seconds=15)
_FIRST_PAUSE = timedelta(seconds=1)
_MAX_PAUSE = timedelta(minutes=1)


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
        self._publish_failures = Failures(
            first_delay=_FIRST_REFUSED_DELAY, max_delay=leases.MAX_PUBLISH_DELAY
        )
        self._batch_failures = Failures(first_delay=_FIRST_PAUSE, max_delay=_MAX_PAUSE)

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
                await asyncio.sleep(_UNAVAILABLE_RETRY_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001 - no data may end a task
                pause = self._batch_failures.record("outbox", error, event="outbox.failed")
                await asyncio.sleep(pause.total_seconds())
                continue
            self._batch_failures.clear("outbox")
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

        A banner that nobody can take is retried less and less, and no other waits for it.

        :raises Unavailable: nothing can be handed on now; what was acknowledged is noted, and the
            rest given back
        """
        async with self._database.transaction() as connection:
            due = await leases.lease_unpublished_banners(
                connection, now=self._clock(), limit=_BATCH_SIZE
            )
        handing = [asyncio.create_task(self._publish_one(*one), name="hand on") for one in due]
        taken = dict(zip((banner for banner, _ in due), handing, strict=True))
        try:
            if handing:
                await asyncio.wait(handing)
        except asyncio.CancelledError:
            for task in handing:
                task.cancel()
            # A lease ends by itself; that somebody wants to stop must not be lost.
            with suppress(DatabaseUnavailable):
                await self._record_results(taken)
            raise
        await self._record_results(taken)
        for task in handing:
            task.result()
        return len(due)

    async def _publish_one(self, banner: Banner, snapshot: Snapshot) -> str | timedelta:
        """Hand one on under a trace of its own, and return its id; a delay if it was refused."""
        trace_id = bind_trace()
        try:
            await self._publish(banner, snapshot)
        except Unavailable:
            self._count(_WAITING)
            raise
        except Exception as error:  # noqa: BLE001 - what it can't be handed on for is about it alone
            self._count(_REFUSED)
            return self._publish_failures.record(
                banner.id, error, event="outbox.refused", banner=banner.name
            )
        self._count(_PUBLISHED)
        self._publish_failures.clear(banner.id)
        _log.debug("outbox.handed_on", banner=banner.name, version=banner.version)
        return trace_id

    async def _record_results(self, tasks: Mapping[Banner, asyncio.Task[str | timedelta]]) -> None:
        # Last in the next round: a file that only this banner fails on holds up no others.
        later = self._clock() + _RETRY_DELAY
        acknowledged: dict[int, int] = {}
        left: dict[int, datetime] = {}
        trace_ids: list[str] = []
        for banner, task in tasks.items():
            if not task.done() or task.cancelled() or task.exception() is not None:
                left[banner.id] = later
            elif isinstance(result := task.result(), timedelta):
                left[banner.id] = self._clock() + result
            else:
                acknowledged[banner.id] = banner.version
                trace_ids.append(result)
        if tasks:
            _log.info("outbox.published", count=len(acknowledged), trace_ids=trace_ids)
        # One transaction each: within one, rows are locked in the order of ids.
        await self._save(acknowledged, leases.mark_published)
        await self._save(left, leases.release_banners)

    async def _save(
        self,
        values: Mapping[int, T],
        save: Callable[[Connection, Mapping[int, T]], Awaitable[None]],
    ) -> None:
        """Save what became of banners, by their ids; one that can't be saved keeps its lease."""

        async def save_part(connection: Connection, part: Sequence[tuple[int, T]]) -> None:
            await save(connection, dict(part))

        for (banner_id, _), error in await save_separately(
            self._database, list(values.items()), save_part
        ):
            self._batch_failures.record(
                banner_id, error, event="outbox.not_saved", banner_id=banner_id
            )
