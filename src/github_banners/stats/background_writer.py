"""
Saves what GitHub has said without anybody waiting, one task per owner.

What can't be saved is not lost: it lies in memory, and is saved when it must be. Decides nothing.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from github_banners.database import users
from github_banners.database.batches import save_separately
from github_banners.database.connect import Database
from github_banners.database.session import Connection
from github_banners.errors import DatabaseUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, OwnerRepositories, Snapshot, Stats

_log = structlog.get_logger(__name__)


class BackgroundWriter:
    """Saves; `note` is told what stands in PostgreSQL then."""

    def __init__(
        self, *, database: Database, clock: Clock, on_saved: Callable[[Snapshot], object]
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_saved = on_saved
        self._throttle = LogThrottle(time.monotonic)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def is_saving(self, owner_id: int) -> bool:
        """Tell whether something about an owner is being saved."""
        return owner_id in self._tasks

    def save(self, results: Sequence[tuple[OwnerRepositories, Stats]]) -> None:
        """Save answers together; those that can't be saved fail alone."""
        self.schedule([portfolio.owner.id for portfolio, _ in results], self._upsert(results))

    def mark_deleted(self, owner_id: int) -> None:
        """Save that GitHub no longer knows an owner."""
        self.schedule([owner_id], self._mark_deleted(owner_id))

    def schedule(self, owner_ids: Sequence[int], job: Coroutine[Any, Any, None]) -> None:
        """Do something to owners' rows in a task of its own."""
        task = asyncio.create_task(job, name=f"save {owner_ids}")
        self._tasks |= dict.fromkeys(owner_ids, task)
        task.add_done_callback(partial(self._on_done, owner_ids))

    async def wait(self, owner_id: int, *, timeout_seconds: float) -> None:
        """Wait for what is being saved about an owner, so long and no longer."""
        if owner_id in self._tasks:
            await asyncio.wait({self._tasks[owner_id]}, timeout=timeout_seconds)

    async def close(self, *, timeout_seconds: float) -> None:
        """Give what is being saved `seconds` to finish."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks.values()), timeout=timeout_seconds)
            for task in late:
                task.cancel()

    async def _upsert(self, results: Sequence[tuple[OwnerRepositories, Stats]]) -> None:
        saved: list[Snapshot] = []

        async def upsert(
            connection: Connection, part: Sequence[tuple[OwnerRepositories, Stats]]
        ) -> None:
            saved.extend(await users.upsert_owners(connection, part, now=self._clock()))

        for (portfolio, _), error in await save_separately(self._database, results, upsert):
            self._log([portfolio.owner.id], error)
        for snapshot in saved:
            self._on_saved(snapshot)

    async def _mark_deleted(self, owner_id: int) -> None:
        async with self._database.transaction() as connection:
            now = self._clock()
            await users.mark_user_deleted(connection, owner_id, requested_at=now, now=now)

    def _on_done(self, owner_ids: Sequence[int], task: asyncio.Task[None]) -> None:
        for owner_id in owner_ids:
            if self._tasks.get(owner_id) is task:
                del self._tasks[owner_id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log(owner_ids, error)

    def _log(self, owner_ids: Sequence[int], error: BaseException) -> None:
        if not self._throttle.allows((owner_ids[0], type(error))):
            return
        if isinstance(error, DatabaseUnavailable):
            _log.warning("saving.failed", owners=owner_ids, reason=str(error))
        else:
            _log.error("saving.broken", owners=owner_ids, exc_info=error)
