"""
Removes what is left of forgotten users: pictures in the storage, and cache entries of this process.

On each check, every process drops cache entries of users forgotten since ten minutes before its last
check, and takes over the denied logins. Pictures are removed by one process at a time, if the command
that deleted the rows has not removed them. A check starts after a notification of PostgreSQL, or a
minute after the last one in case none arrives.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime

import structlog

from github_banners.api.public_routes import BannerRoutes
from github_banners.api.retries import Failures, run_batches
from github_banners.api.user_removal import RemovePicture, remove_pictures
from github_banners.database import forgotten_users
from github_banners.database.connect import Database
from github_banners.errors import StorageUnavailable
from github_banners.messaging.schemas import RemoveResponse
from github_banners.models import MAX_CLOCK_SKEW, Clock

_log = structlog.get_logger(__name__)

BATCH_SIZE = 16
"""The number of pictures that are removed at once."""

_IDLE_SECONDS = 60.0


def drop_owners(routes: BannerRoutes, owner_ids: Collection[int]) -> None:
    """Remove what the caches behind these routes have of owners."""
    routes.banners.drop_owners(owner_ids)
    for cached in routes.pictures.drop_owners(owner_ids):
        routes.png_converter.drop(cached.picture)
    routes.cache.targets.drop_where(lambda _, entry: entry.key[0] in owner_ids)


class Forgetting:
    """
    Does in this process what remains after users were forgotten.

    `drop_owners` drops cache entries, by owner ids; `deny` is called with all denied logins.
    """

    def __init__(
        self,
        *,
        database: Database,
        remove: RemovePicture,
        drop_owners: Callable[[Collection[int]], None],
        deny: Callable[[Collection[str]], None],
        clock: Clock,
    ) -> None:
        self._database = database
        self._remove = remove
        self._drop_owners = drop_owners
        self._deny = deny
        self._clock = clock
        self._read_since = clock()
        self._dropped: set[tuple[int, datetime]] = set()
        self._woken = asyncio.Event()
        self._failures = Failures()

    def wake(self) -> None:
        """End the pause: users may have been forgotten."""
        self._woken.set()

    async def run(self) -> None:
        """Do it for ever; pause while there is nothing to do, or the database is down."""
        await run_batches(
            self.run_batch,
            event="forgetting.failed",
            failures=self._failures,
            pause_seconds=lambda removed: 0 if removed == BATCH_SIZE else _IDLE_SECONDS,
            sleep=self._sleep,
        )

    async def run_batch(self) -> int:
        """
        Read what has changed, and remove one batch of pictures; return how many were removed.

        :raises DatabaseUnavailable: the database is down
        """
        self._woken.clear()
        await self._read_changes()
        async with self._database.transaction() as connection:
            pictures = await forgotten_users.lease_removed_pictures(
                connection, now=self._clock(), limit=BATCH_SIZE
            )
        results = await remove_pictures(self._database, self._remove, pictures)
        for picture, result in zip(pictures, results, strict=True):
            if isinstance(result, BaseException):
                # An outage is one failure, whatever the number of pictures.
                is_outage = isinstance(result, StorageUnavailable)
                key = "storage" if is_outage else picture.path
                self._failures.record(key, result, event="forgetting.picture_not_removed")
        removed = sum(isinstance(result, RemoveResponse) for result in results)
        if pictures:
            _log.info("forgetting.pictures_removed", count=removed, failed=len(pictures) - removed)
        return removed

    async def _read_changes(self) -> None:
        now = self._clock()
        async with self._database.transaction() as connection:
            # Clocks of processes differ, and a transaction commits later than its time.
            forgotten = await forgotten_users.select_forgotten(
                connection, since=self._read_since - MAX_CLOCK_SKEW
            )
            await forgotten_users.delete_expired(connection, now=now)
            denied = await forgotten_users.select_denied_logins(connection)
        self._read_since = now
        self._deny(denied)
        if forgotten:
            # Also those dropped before: a request that began earlier may have cached something since.
            self._drop_owners({owner_id for owner_id, _ in forgotten})
        if new := forgotten - self._dropped:
            _log.info("forgetting.cache_entries_dropped", owners=len(new))
        self._dropped = forgotten

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
