"""
Caches what GitHub returned and writes it to PostgreSQL in the background, one task per owner.

Requests never wait for a write. A write that fails loses nothing: the numbers stay in the cache, and
`Lookup.ensure_persisted` writes them again when they have to be in the database.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from msgspec.structs import replace

from github_banners.database import users
from github_banners.database.batches import save_separately
from github_banners.database.connect import Database
from github_banners.database.session import Connection
from github_banners.errors import DatabaseUnavailable, UnknownUser
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, OwnerRepositories, Snapshot, Stats, to_epoch_microseconds
from github_banners.stats.aggregation import aggregate
from github_banners.stats.snapshots import SnapshotCache

_log = structlog.get_logger(__name__)

_DELETED_TTL = timedelta(minutes=5)


class BackgroundWriter:
    """Records results of GitHub in the cache at once, and in PostgreSQL soon after."""

    def __init__(self, *, database: Database, cache: SnapshotCache, clock: Clock) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock
        self._throttle = LogThrottle(time.monotonic)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def record(
        self, fetched: Sequence[tuple[OwnerRepositories, Snapshot | None]]
    ) -> list[Snapshot]:
        """Cache fetched owners, each with its last known snapshot, and save them together."""
        rows = []
        snapshots = []
        for repositories, known in fetched:
            stats = aggregate(repositories.repositories)
            snapshot = Snapshot(repositories.owner, stats, repositories.fetched_at)
            snapshot = replace(snapshot, version=_predict_version(snapshot, known))
            self._cache.put(snapshot)
            snapshots.append(snapshot)
            rows.append((repositories, stats))
        if rows:
            owner_ids = [snapshot.owner.id for snapshot in snapshots]
            self.schedule(owner_ids, self._upsert(rows))
        return snapshots

    def record_deleted(self, known: Snapshot) -> Snapshot:
        """Cache and save that GitHub no longer knows an owner; return the last numbers, so marked."""
        deleted = replace(known, is_deleted=True)
        self._cache.put(deleted)
        self._cache.cache_error(known.owner.id, UnknownUser(known.owner.login), ttl=_DELETED_TTL)
        self.schedule([known.owner.id], self._mark_deleted(known.owner.id))
        return deleted

    def schedule(self, owner_ids: Sequence[int], job: Coroutine[Any, Any, None]) -> None:
        """Run a job that writes the rows of these owners in a task of its own."""
        task = asyncio.create_task(job, name=f"save {owner_ids}")
        self._tasks |= dict.fromkeys(owner_ids, task)
        task.add_done_callback(partial(self._on_done, owner_ids))

    def is_saving(self, owner_id: int) -> bool:
        """Return whether a write of this owner's row is running."""
        return owner_id in self._tasks

    async def wait(self, owner_id: int, *, timeout_seconds: float) -> None:
        """Wait until the current write of this owner's row ends, or the time is over."""
        if owner_id in self._tasks:
            await asyncio.wait({self._tasks[owner_id]}, timeout=timeout_seconds)

    async def drain(self) -> None:
        """Wait until no write is running."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self, *, timeout_seconds: float) -> None:
        """Give running writes `timeout_seconds` to finish, then cancel them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self.drain()
        for task in self._tasks.values():
            task.cancel()

    async def _upsert(self, rows: Sequence[tuple[OwnerRepositories, Stats]]) -> None:
        saved: list[Snapshot] = []

        async def upsert(
            connection: Connection, part: Sequence[tuple[OwnerRepositories, Stats]]
        ) -> None:
            saved.extend(await users.upsert_owners(connection, part, now=self._clock()))

        # Rows that can't be stored fail alone; the others of the batch are saved.
        for (repositories, _), error in await save_separately(self._database, rows, upsert):
            self._log_failure([repositories.owner.id], error)
        for snapshot in saved:
            self._cache.put(snapshot)

    async def _mark_deleted(self, owner_id: int) -> None:
        async with self._database.transaction() as connection:
            now = self._clock()
            await users.mark_user_deleted(connection, owner_id, requested_at=now, now=now)

    def _on_done(self, owner_ids: Sequence[int], task: asyncio.Task[None]) -> None:
        for owner_id in owner_ids:
            # A later write of the same owner may have taken the place of this one.
            if self._tasks.get(owner_id) is task:
                del self._tasks[owner_id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log_failure(owner_ids, error)

    def _log_failure(self, owner_ids: Sequence[int], error: BaseException) -> None:
        if not self._throttle.allows((owner_ids[0], type(error))):
            return
        if isinstance(error, DatabaseUnavailable):
            _log.warning("background_writer.save_failed", owners=owner_ids, reason=str(error))
        else:
            _log.error("background_writer.save_broken", owners=owner_ids, exc_info=error)


def _predict_version(snapshot: Snapshot, known: Snapshot | None) -> int:
    """
    Predict the version that PostgreSQL will assign: it rises only when something visible changes.

    A picture drawn before the write has finished then carries the same version as one drawn later.
    """
    fetched_at = to_epoch_microseconds(snapshot.fetched_at)
    if known is None or known.owner.id != snapshot.owner.id or not known.version:
        return fetched_at
    is_same = (known.owner.login, known.owner.display_name, known.stats) == (
        snapshot.owner.login,
        snapshot.owner.display_name,
        snapshot.stats,
    )
    return known.version if is_same else max(known.version + 1, fetched_at)
