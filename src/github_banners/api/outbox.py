"""
Publishes every new version of a permanent banner to the broker, or to a function in its place.

There is no outbox table: a banner is due if its published version is older than its version.
Delivery is at least once: a version that was not acknowledged is published again. Duplicates do no
harm, since consumers compare versions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import structlog

from github_banners.api.backends import Publish
from github_banners.api.retries import Failures
from github_banners.database import leases
from github_banners.database.banners import Banner
from github_banners.database.batches import save_separately
from github_banners.database.connect import Connection, Database, is_database_error
from github_banners.errors import DatabaseUnavailable, Unavailable, UnreadableBanner
from github_banners.messaging.trace_context import bind_trace, bound_trace_id
from github_banners.models import Clock, Snapshot
from github_banners.stats.banner_data import read_completed

T = TypeVar("T")

_log = structlog.get_logger(__name__)


_BATCH_SIZE = 100
_IDLE_SECONDS = 0.5
_UNAVAILABLE_RETRY_SECONDS = 2.0
_RETRY_DELAY = timedelta(seconds=4)
_FIRST_REFUSED_DELAY = timedelta(seconds=15)


class PublishOutcome(StrEnum):
    """Outcome of publishing a version (metric label)."""

    PUBLISHED = "published"
    WAITING = "waiting"
    REFUSED = "refused"


class Outbox:
    """
    Leases banners that are due, publishes them and records the results.

    Several processes may run one: a leased banner is skipped by the others. `count` is called with
    the `PublishOutcome` of every version.
    """

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
        self._batch_failures = Failures()

    def wake(self) -> None:
        """End the pause between batches: there may be new versions."""
        self._woken.set()

    async def run(self) -> None:
        """Publish batches for ever; wait while the broker or the database is down."""
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
        Publish one batch, previously failed banners last; return its size.

        A banner that is refused is retried with growing delays and does not hold up others.

        :raises Unavailable: the broker or the database is down; acknowledged versions are recorded,
            the leases of the others released
        """
        async with self._database.transaction() as connection:
            due = await leases.lease_unpublished_banners(
                connection,
                now=self._clock(),
                limit=_BATCH_SIZE,
                on_unreadable=self._record_unreadable,
            )
            due = await self._complete(connection, due)
        tasks = {
            banner: asyncio.create_task(self._publish_version(banner, snapshot), name="publish")
            for banner, snapshot in due
        }
        try:
            if tasks:
                await asyncio.wait(tasks.values())
        except asyncio.CancelledError:
            for task in tasks.values():
                task.cancel()
            # Leases expire by themselves; a database error must not replace the cancellation.
            with suppress(DatabaseUnavailable):
                await self._record_results(tasks)
            raise
        await self._record_results(tasks)
        for task in tasks.values():
            task.result()
        return len(due)

    def _record_unreadable(self, banner_id: int, error: UnreadableBanner) -> None:
        self._batch_failures.record(
            banner_id, error, event="outbox.unreadable", banner_id=banner_id
        )

    async def _complete(
        self, connection: Connection, due: Sequence[tuple[Banner, Snapshot]]
    ) -> list[tuple[Banner, Snapshot]]:
        """
        Return banners with all data that they show.

        A banner whose data is missing, or that can't be drawn from it, is released with a growing delay.
        The data may be newer than the banner's version, but not older, since the version was read before.
        """
        completed = []
        retry_at: dict[int, datetime] = {}
        for banner, snapshot in due:
            try:
                shown = await read_completed(connection, snapshot, banner.options, banner.needs)
            except Exception as error:
                # After an error of the driver the whole transaction has failed.
                if is_database_error(error):
                    raise
                delay = self._publish_failures.record(
                    banner.id, error, event="outbox.data_missing", banner=banner.name
                )
                retry_at[banner.id] = self._clock() + delay
            else:
                completed.append((banner, shown))
        if retry_at:
            await leases.release_banners(connection, retry_at)
        return completed

    async def _publish_version(self, banner: Banner, snapshot: Snapshot) -> str | timedelta:
        """Publish one version in a trace of its own; return the trace id, or a delay if refused."""
        bind_trace()
        try:
            await self._publish(banner, snapshot)
        except Unavailable:
            self._count(PublishOutcome.WAITING)
            raise
        except Exception as error:  # noqa: BLE001 - any other error concerns this banner alone
            self._count(PublishOutcome.REFUSED)
            return self._publish_failures.record(
                banner.id, error, event="outbox.refused", banner=banner.name
            )
        self._count(PublishOutcome.PUBLISHED)
        self._publish_failures.clear(banner.id)
        _log.debug("outbox.banner_published", banner=banner.name, version=banner.version)
        return bound_trace_id()

    async def _record_results(self, tasks: Mapping[Banner, asyncio.Task[str | timedelta]]) -> None:
        """Record acknowledged versions; release the other leases, each with a retry time."""
        # The delay puts them behind others, so that one failing banner can't hold up the queue.
        retry_at = self._clock() + _RETRY_DELAY
        acknowledged: dict[int, int] = {}
        unsent: dict[int, datetime] = {}
        trace_ids: list[str] = []
        for banner, task in tasks.items():
            if not task.done() or task.cancelled() or task.exception() is not None:
                unsent[banner.id] = retry_at
            elif isinstance(result := task.result(), timedelta):
                unsent[banner.id] = self._clock() + result
            else:
                acknowledged[banner.id] = banner.version
                trace_ids.append(result)
        if tasks:
            _log.info("outbox.published", count=len(acknowledged), trace_ids=trace_ids)
        # Separate transactions: each locks its rows in the order of ids, which prevents deadlocks.
        await self._save(acknowledged, leases.mark_published)
        await self._save(unsent, leases.release_banners)

    async def _save(
        self,
        values: Mapping[int, T],
        save: Callable[[Connection, Mapping[int, T]], Awaitable[None]],
    ) -> None:
        """Save values by banner id; a banner that can't be saved keeps its lease."""

        async def save_part(connection: Connection, part: Sequence[tuple[int, T]]) -> None:
            await save(connection, dict(part))

        for (banner_id, _), error in await save_separately(
            self._database, list(values.items()), save_part
        ):
            self._batch_failures.record(
                banner_id, error, event="outbox.save_failed", banner_id=banner_id
            )
