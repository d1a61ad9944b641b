"""
Refreshes owners whose stale numbers were served, up to twenty in one GraphQL request.

Owners are collected for half a second, since no request waits for them. Fetched one by one, each would cost
a point of the hourly rate limit.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import datetime
from typing import TypeAlias

import structlog

from github_banners.errors import BannersError, GitHubUnavailable, UnknownUser
from github_banners.log_throttle import LogThrottle
from github_banners.models import (
    OWNERS_PER_QUERY,
    PARALLEL_QUERIES,
    Clock,
    OwnerRepositories,
    Snapshot,
)
from github_banners.stats.fetch import BatchOwnerFetcher
from github_banners.stats.fetch_leases import FetchLeases, LeaseResult
from github_banners.stats.snapshots import BackgroundWriter, SnapshotCache
from github_banners.tasks import cancel_and_wait

_log = structlog.get_logger(__name__)

COLLECT_SECONDS = 0.5
_MAX_WAITING = 1000

_Results: TypeAlias = Sequence[Snapshot | BannersError]


class StaleRefresher:
    """Collects stale owners; `collect_seconds` is how long the first of a batch waits for others."""

    def __init__(
        self,
        github: BatchOwnerFetcher,
        *,
        cache: SnapshotCache,
        writer: BackgroundWriter,
        leases: FetchLeases,
        clock: Clock,
        collect_seconds: float = COLLECT_SECONDS,
    ) -> None:
        self._github = github
        self._cache = cache
        self._writer = writer
        self._leases = leases
        self._clock = clock
        self._collect_seconds = collect_seconds
        self._throttle = LogThrottle(time.monotonic)
        self._waiting: dict[int, tuple[Snapshot, asyncio.Future[Snapshot]]] = {}
        self._collector: asyncio.Task[None] | None = None
        self._batches: set[asyncio.Task[None]] = set()
        self._is_full = asyncio.Event()
        self._slots = asyncio.Semaphore(PARALLEL_QUERIES)

    async def refresh(self, known: Snapshot) -> Snapshot:
        """
        Fetch an owner with the next batch; return the numbers known then.

        :raises GitHubUnavailable: GitHub can't be reached, or too many owners are waiting
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise GitHubUnavailable("too many refreshes are waiting")
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting[known.owner.id] = known, future
        if len(self._waiting) >= OWNERS_PER_QUERY:
            self._is_full.set()
        if self._collector is None or self._collector.done():
            # Without the context of this request: its trace would include the batches of all others.
            self._collector = asyncio.create_task(
                self._collect(), name="collect stale owners", context=Context()
            )
        try:
            return await future
        finally:
            # A refresh that is cancelled before its batch began leaves the queue.
            if (known, future) == self._waiting.get(known.owner.id):
                del self._waiting[known.owner.id]

    async def close(self) -> None:
        """Cancel all batches."""
        collectors = [self._collector] if self._collector is not None else []
        await cancel_and_wait([*self._batches, *collectors])

    async def _collect(self) -> None:
        while self._waiting:
            await self._slots.acquire()
            if len(self._waiting) < OWNERS_PER_QUERY:
                self._is_full.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._collect_seconds):
                        await self._is_full.wait()
            owner_ids = list(self._waiting)[:OWNERS_PER_QUERY]
            batch = [self._waiting.pop(owner_id) for owner_id in owner_ids]
            task = asyncio.create_task(self._run_batch(batch), name="refresh stale owners")
            self._batches.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._slots.release()

    async def _run_batch(self, batch: Sequence[tuple[Snapshot, asyncio.Future[Snapshot]]]) -> None:
        results: _Results = [GitHubUnavailable() for _ in batch]
        try:
            results = await self._fetch_batch([known for known, _ in batch])
        except Exception as error:  # noqa: BLE001 - an unforeseen error fails this batch alone
            if self._throttle.allows(type(error).__name__):
                owners = [known.owner.login for known, _ in batch]
                _log.exception("stale_refresher.batch_failed", owners=owners)
        finally:
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, BannersError):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _fetch_batch(self, snapshots: Sequence[Snapshot]) -> _Results:
        read_at = self._clock()
        leases = await self._leases.acquire_many(snapshots)
        leased = [snapshot for snapshot in snapshots if leases[snapshot.owner.id].should_fetch]
        outcomes: Sequence[OwnerRepositories | BannersError]
        outcomes = [GitHubUnavailable() for _ in leased]
        try:
            outcomes = await self._fetch(leased)
        finally:
            # Also after a cancellation: leases that are not released block other processes.
            owner_ids = [snapshot.owner.id for snapshot in leased]
            outcome_by_id = dict(zip(owner_ids, outcomes, strict=True))
            results = self._record(snapshots, outcome_by_id, leases, read_at=read_at)
            for snapshot in snapshots:
                self._leases.release(snapshot.owner.id, leases[snapshot.owner.id])
        return results

    async def _fetch(
        self, snapshots: Sequence[Snapshot]
    ) -> Sequence[OwnerRepositories | BannersError]:
        """Fetch owners in one batch; after an unforeseen error each alone, so that only one fails."""
        try:
            return await self._github.fetch_many(
                [known.owner for known in snapshots],
                previous={known.owner.id: known.stats for known in snapshots},
            )
        except Exception as error:  # noqa: BLE001 - no data may fail the other owners
            if len(snapshots) == 1:
                owner = snapshots[0].owner
                if self._throttle.allows((owner.id, type(error))):
                    _log.exception("stale_refresher.owner_failed", owner=owner.login)
                return [GitHubUnavailable()]
        return [result for known in snapshots for result in await self._fetch([known])]

    def _record(
        self,
        snapshots: Sequence[Snapshot],
        outcomes: Mapping[int, OwnerRepositories | BannersError],
        leases: Mapping[int, LeaseResult],
        *,
        read_at: datetime,
    ) -> _Results:
        """Cache and save the outcomes of a batch; without one another process fetches the owner."""
        fetched = []
        results: dict[int, Snapshot | BannersError] = {}
        for known in snapshots:
            owner_id, newer = known.owner.id, leases[known.owner.id].newer_snapshot
            match outcomes.get(owner_id):
                case OwnerRepositories() as repositories:
                    fetched.append((repositories, known))
                case UnknownUser():
                    results[owner_id] = self._writer.record_deleted(known)
                case BannersError() as error:
                    results[owner_id] = error
                case None if newer is not None:
                    results[owner_id] = self._cache.put(newer, validated_at=read_at)
                case None:
                    results[owner_id] = known
        for snapshot, (_, known) in zip(self._writer.record(fetched), fetched, strict=True):
            results[known.owner.id] = snapshot
        return [results[known.owner.id] for known in snapshots]
