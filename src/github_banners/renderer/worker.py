"""
Each record until it is seen through: its banner is stored, or it lies among the dead letters.

Up to 128 are at work at once, two batches for the storage, those of one key one after another. Who
waits to be tried again, or for the broker to take a dead letter, is not at work and holds up nobody. Decides nothing:
`retries` says when to try again, `lines` who is next. Knows no source and commits nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, TypeAlias

import structlog

from github_banners.errors import MalformedMessage, RemoteRejected, StorageUnavailable, Unavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.dead_letters import send_dead_letter
from github_banners.messaging.events import Producer, Record
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.offsets import OffsetTracker
from github_banners.messaging.schemas import MAX_BATCH_BANNERS
from github_banners.messaging.tracing import TRACEPARENT, bind_trace
from github_banners.models import Clock
from github_banners.renderer.batching import MAX_CALLS
from github_banners.renderer.keyed_queue import KeyedQueue
from github_banners.renderer.retries import (
    FailureHistory,
    StorageHealth,
    delay_seconds,
    is_permanent,
)
from github_banners.renderer.tasks import cancel_and_wait, wait_with_timeout
from github_banners.renderer.updates import parse_update

_log = structlog.get_logger(__name__)

UpdateHandler: TypeAlias = Callable[[RenderJob], Awaitable[None]]
"""Draws and stores one update; raises what `retries` can tell apart."""

MAX_CONCURRENT = MAX_CALLS * MAX_BATCH_BANNERS
"""Enough for as many full batches as are in flight."""

_MAX_SHOWN_KEY_BYTES = 64


class Outcome(StrEnum):
    """What has become of an attempt."""

    STORED = "stored"
    RETRIED = "retried"
    DEAD_LETTERED = "dead_lettered"
    DROPPED = "dropped"


@dataclass(eq=False, slots=True)
class PartitionState:
    """A partition from its assignment to its loss: its offsets, and the tasks of its records."""

    offsets: OffsetTracker = field(default_factory=OffsetTracker)
    unfinished_bytes: int = 0
    working: "set[asyncio.Task[None]]" = field(default_factory=set)
    waiting: "set[asyncio.Task[None]]" = field(default_factory=set)
    is_lost: bool = False


@dataclass(eq=False, slots=True)
class _Job:
    """A record that is to be seen through."""

    record: Record
    partition: PartitionState
    history: FailureHistory = field(default_factory=FailureHistory)

    @property
    def key(self) -> Hashable:
        return self.record.key or (self.record.partition, self.record.offset)


class Worker:
    """
    Tries records until they are seen through, and finishes their offsets.

    `finished` is called after each. `broken` is told of a mistake of ours: its record stays
    unfinished, and would for ever.
    """

    def __init__(
        self,
        *,
        handle: UpdateHandler,
        producer: Producer,
        on_outcome: Callable[[Outcome], None],
        on_finished: Callable[[], None],
        on_bug: Callable[[BaseException], None],
        clock: Callable[[], float],
        now: Clock,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._handle = handle
        self._producer = producer
        self._on_outcome = on_outcome
        self._on_finished = on_finished
        self._on_bug = on_bug
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._random = random
        self._throttle = LogThrottle(clock)
        self._storage_health = StorageHealth(clock)
        self._queue: KeyedQueue[_Job] = KeyedQueue()
        self._running = 0

    @property
    def is_storage_down(self) -> bool:
        """Say whether all wait for the storage, but for one attempt a second."""
        return self._storage_health.is_down

    def submit(self, record: Record, partition: PartitionState) -> None:
        """Take a record in hand; `start_ready` begins with it."""
        partition.offsets.begin(record.offset)
        partition.unfinished_bytes += len(record.value)
        job = _Job(record, partition)
        self._queue.put(job.key, job)

    def start_ready(self) -> None:
        """Begin as much as may be; call it now and then, for a storage that may be asked again."""
        while (
            self._running < MAX_CONCURRENT
            and self._queue.has_ready
            and self._storage_health.allow_request()
        ):
            job = self._queue.pop()
            self._running += 1
            task = self._spawn(job.partition.working, self._attempt(job))
            # Not at the end of the task itself: one that is cancelled at once never begins.
            task.add_done_callback(partial(self._on_done, job.key))

    async def cancel(
        self, partitions: Collection[PartitionState], *, timeout_seconds: float
    ) -> None:
        """Begin nothing of these parts any more; what is at work has so long to end by itself."""
        self.drop(partitions)
        if working := [task for part in partitions for task in part.working]:
            await wait_with_timeout(timeout_seconds, asyncio.wait(working), sleep=self._sleep)
        await cancel_and_wait(
            [task for part in partitions for task in (*part.working, *part.waiting)]
        )

    def drop(self, partitions: Collection[PartitionState]) -> None:
        """Begin nothing of these parts any more; what is at work goes on."""
        for part in partitions:
            part.is_lost = True
            for task in part.waiting:
                task.cancel()
        self._queue.drop(lambda work: work.partition.is_lost)

    def _on_done(self, key: Hashable, _: "asyncio.Task[None]") -> None:
        self._running -= 1
        self._queue.release(key)
        self.start_ready()

    async def _attempt(self, job: _Job) -> None:
        bind_trace(job.record.header(TRACEPARENT))
        try:
            if job.record.problem:
                raise MalformedMessage(job.record.problem)  # noqa: TRY301 - judged as the others
            update = parse_update(job.record.value, now=self._now())
            await self._handle(update)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            self._handle_failure(job, error)
        else:
            self._storage_health.record_success()
            self._complete(job, Outcome.STORED)
            stored = {"banner": update.path, "version": update.version}
            _log.debug("update.stored", **stored, **_position(job.record))

    def _handle_failure(self, job: _Job, error: BaseException) -> None:
        if isinstance(error, StorageUnavailable):
            self._storage_health.record_failure()
        is_given_up = job.history.record_failure(
            now=self._clock(), last_success_at=self._storage_health.last_success_at
        )
        if is_given_up or is_permanent(error):
            self._spawn(job.partition.working, self._dead_letter(job, error))
        elif not job.partition.is_lost:
            self._retry(job, error)

    def _retry(self, job: _Job, error: BaseException) -> None:
        self._warn("update.failed", error, job.record)
        self._on_outcome(Outcome.RETRIED)
        self._spawn(job.partition.waiting, self._retry_later(job))

    async def _retry_later(self, job: _Job) -> None:
        await self._sleep(delay_seconds(job.history.failures, random=self._random))
        self._queue.put(job.key, job)
        self.start_ready()

    async def _dead_letter(self, job: _Job, error: BaseException) -> None:
        """Put a record among the dead letters, however long that takes; drop what can't lie there."""
        reason, failed_at, failures = _describe(error), self._now(), 0
        while True:
            try:
                await send_dead_letter(
                    self._producer, job.record, reason=reason, failed_at=failed_at
                )
            except Unavailable as refused:
                self._warn("update.not_dead_lettered", refused, job.record)
            except RemoteRejected as refused:
                _log.error(
                    "update.dropped", reason=reason, why=str(refused), **_position(job.record)
                )
                self._complete(job, Outcome.DROPPED)
                return
            else:
                break
            failures += 1
            await self._sleep(delay_seconds(failures, random=self._random))
        self._complete(job, Outcome.DEAD_LETTERED)
        self._warn("update.dead_lettered", error, job.record)

    def _warn(self, event: str, error: BaseException, record: Record) -> None:
        """Log a failure once for its key and kind, then once an hour; what is down concerns no key."""
        key = None if isinstance(error, Unavailable) else record.key
        if self._throttle.allows((event, type(error), key)):
            _log.warning(
                event, reason=_describe(error), key=_to_text(record.key), **_position(record)
            )

    def _complete(self, job: _Job, outcome: Outcome) -> None:
        self._on_outcome(outcome)
        job.partition.offsets.finish(job.record.offset)
        job.partition.unfinished_bytes -= len(job.record.value)
        self._on_finished()

    def _spawn(
        self, tasks: "set[asyncio.Task[None]]", coroutine: Coroutine[Any, Any, None]
    ) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine, name="updates.work")
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._report_bug)
        return task

    def _report_bug(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_bug(error)


def _is_cancelled() -> bool:
    """Say whether somebody wants this task to end; else something in it was cancelled, and failed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _to_text(key: bytes | None) -> str:
    return (key or b"")[:_MAX_SHOWN_KEY_BYTES].decode(errors="replace")


def _position(record: Record) -> dict[str, int]:
    return {"partition": record.partition, "offset": record.offset}
