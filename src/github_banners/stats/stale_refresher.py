"""
Refreshes owners whose old numbers were served: twenty in one question, since nobody waits.

They are collected for half a second. Asked one by one, each would cost a point of the hour.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from github_banners.errors import BannersError, GitHubUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, OwnerRepositories, Snapshot
from github_banners.stats.fetch import BatchOwnerFetcher
from github_banners.stats.fetch_leases import FetchLeases, LeaseResult

_log = structlog.get_logger(__name__)

BATCH_SIZE = 20
COLLECT_SECONDS = 0.5
_PARALLEL_BATCHES = 3
_MAX_WAITING = 1000


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """
    What came of one owner: GitHub's answer, or none where another process has asked or is asking.

    PostgreSQL was asked for the `turn` at `read_at`.
    """

    known: Snapshot
    lease: LeaseResult
    read_at: datetime
    outcome: OwnerRepositories | BannersError | None


class StaleRefresher:
    """
    Collects owners; `finish` is given what came of a batch, and returns a snapshot or an error each.

    `collect_seconds` is how long the first one of a batch waits for others.
    """

    def __init__(
        self,
        github: BatchOwnerFetcher,
        *,
        leases: FetchLeases,
        on_batch: Callable[[Sequence[RefreshResult]], Sequence[Snapshot | BannersError]],
        clock: Clock,
        collect_seconds: float = COLLECT_SECONDS,
    ) -> None:
        self._github = github
        self._clock = clock
        self._throttle = LogThrottle(time.monotonic)
        self._leases = leases
        self._on_batch = on_batch
        self._collect_seconds = collect_seconds
        self._waiting: dict[int, tuple[Snapshot, asyncio.Future[Snapshot]]] = {}
        self._worker: asyncio.Task[None] | None = None
        self._batches: set[asyncio.Task[None]] = set()
        self._is_full = asyncio.Event()
        self._slots = asyncio.Semaphore(_PARALLEL_BATCHES)

    async def refresh(self, known: Snapshot) -> Snapshot:
        """
        Have an owner asked about with the next batch.

        :raises GitHubUnavailable: it can't be asked now, or too many are waiting
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise GitHubUnavailable("too many refreshes are waiting")
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting[known.owner.id] = known, future
        if len(self._waiting) >= BATCH_SIZE:
            self._is_full.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._collect(), name="collect stale owners")
        try:
            return await future
        finally:
            # Called off before its batch began.
            if (known, future) == self._waiting.get(known.owner.id):
                del self._waiting[known.owner.id]

    async def close(self) -> None:
        """End what is under way."""
        tasks = {*self._batches, *([self._worker] if self._worker is not None else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _collect(self) -> None:
        while self._waiting:
            await self._slots.acquire()
            if len(self._waiting) < BATCH_SIZE:
                self._is_full.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._collect_seconds):
                        await self._is_full.wait()
            ids = list(self._waiting)[:BATCH_SIZE]
            batch = [self._waiting.pop(owner_id) for owner_id in ids]
            task = asyncio.create_task(self._run_batch(batch), name="refresh stale owners")
            self._batches.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._slots.release()

    async def _run_batch(self, batch: Sequence[tuple[Snapshot, asyncio.Future[Snapshot]]]) -> None:
        results: Sequence[Snapshot | BannersError] = [GitHubUnavailable() for _ in batch]
        try:
            results = await self._fetch_batch([known for known, _ in batch])
        except Exception as error:  # noqa: BLE001 - it concerns this batch alone
            if self._throttle.allows(type(error).__name__):
                _log.exception("stale.batch_failed", owners=len(batch))
        finally:
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, BannersError):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _fetch_batch(
        self, snapshots: Sequence[Snapshot]
    ) -> Sequence[Snapshot | BannersError]:
        looked_at = self._clock()
        turns = await self._leases.acquire_many(snapshots)
        ours = [snapshot for snapshot in snapshots if turns[snapshot.owner.id].should_fetch]
        answers: Sequence[OwnerRepositories | BannersError] = [GitHubUnavailable() for _ in ours]
        try:
            answers = await self._github.fetch_many(
                [snapshot.owner for snapshot in ours],
                previous={snapshot.owner.id: snapshot.stats for snapshot in ours},
            )
        finally:
            # Whatever happens, the turns are given back.
            by_id = dict(zip([snapshot.owner.id for snapshot in ours], answers, strict=True))
            results = self._on_batch(
                [
                    RefreshResult(
                        snapshot, turns[snapshot.owner.id], looked_at, by_id.get(snapshot.owner.id)
                    )
                    for snapshot in snapshots
                ]
            )
        return results
