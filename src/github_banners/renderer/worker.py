"""
Process each record until its banner is stored or the record is a dead letter.

`Worker.submit` queues a record and `start_ready` starts what the schedule allows; each start is one
attempt in a task of its own. A failed attempt ends in a retry after a delay, or in a dead letter.
Neither occupies one of the concurrent attempts while it waits, so neither delays other records.
The worker finishes offsets and commits nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable
from contextlib import AbstractContextManager, nullcontext
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
from github_banners.messaging.trace_context import TRACEPARENT, bind_trace
from github_banners.models import Clock
from github_banners.renderer.schedule import (
    FailureHistory,
    Schedule,
    is_permanent,
    retry_delay_seconds,
)
from github_banners.renderer.updates import parse_update
from github_banners.tasks import cancel_and_wait, wait_with_timeout

_log = structlog.get_logger(__name__)

UpdateHandler: TypeAlias = Callable[[RenderJob], Awaitable[None]]
"""Draws and stores one update; raises one of the project's errors if that fails."""

InTrace: TypeAlias = Callable[[Record], AbstractContextManager[object]]
"""Binds the trace of a record to the rest of the task; the context lasts for one attempt."""

_MAX_KEY_BYTES_IN_LOG = 64
_NOTHING_TO_END = nullcontext()


def bind_record_trace(record: Record) -> AbstractContextManager[None]:
    """Bind the trace id of a record's header, or a new one; the context records nothing."""
    bind_trace(record.header(TRACEPARENT))
    return _NOTHING_TO_END


class Outcome(StrEnum):
    """The outcome of an attempt."""

    STORED = "stored"
    RETRIED = "retried"
    DEAD_LETTERED = "dead_lettered"
    DROPPED = "dropped"


@dataclass(eq=False, slots=True)
class PartitionState:
    """An assigned partition: its offsets, the tasks that process its records, and its retries."""

    offsets: OffsetTracker = field(default_factory=OffsetTracker)
    unfinished_bytes: int = 0
    running: "set[asyncio.Task[None]]" = field(default_factory=set)
    retries: "set[asyncio.Task[None]]" = field(default_factory=set)
    is_lost: bool = False


@dataclass(eq=False, slots=True)
class _PendingRecord:
    """A record that is not finished, and its failures so far."""

    record: Record
    partition: PartitionState
    history: FailureHistory = field(default_factory=FailureHistory)

    @property
    def key(self) -> Hashable:
        return self.record.key or (self.record.partition, self.record.offset)

    @property
    def position(self) -> dict[str, int]:
        return {"partition": self.record.partition, "offset": self.record.offset}


class Worker:
    """
    Processes records, and finishes their offsets.

    `on_outcome` is called after each attempt and `on_finished` after each record. `on_bug` gets an
    unexpected error of the worker itself, after which a record would stay unfinished for ever.
    `clock` returns monotonic seconds, `now` the time of day.
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
        in_trace: InTrace = bind_record_trace,
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
        self._in_trace = in_trace
        self._throttle = LogThrottle(clock)
        self._schedule: Schedule[_PendingRecord] = Schedule(clock)
        self._storage_health = self._schedule.storage_health

    @property
    def is_storage_down(self) -> bool:
        """True while only one attempt a second is made, since the storage is down."""
        return self._storage_health.is_down

    def submit(self, record: Record, partition: PartitionState) -> None:
        """Queue a record; `start_ready` starts it."""
        partition.offsets.begin(record.offset)
        partition.unfinished_bytes += len(record.value)
        pending = _PendingRecord(record, partition)
        self._schedule.put(pending.key, pending)

    def start_ready(self) -> None:
        """Start all attempts that are allowed now; call it regularly, to probe a storage that is down."""
        while (pending := self._schedule.start_next()) is not None:
            task = self._spawn(pending.partition.running, self._attempt(pending))
            # Not at the end of the coroutine: a task that is cancelled at once never enters it.
            task.add_done_callback(partial(self._on_attempt_done, pending.key))

    async def cancel(
        self, partitions: Collection[PartitionState], *, timeout_seconds: float
    ) -> None:
        """Drop these partitions; cancel attempts that do not end by themselves in time."""
        self.drop(partitions)
        if running := [task for partition in partitions for task in partition.running]:
            await wait_with_timeout(timeout_seconds, asyncio.wait(running), sleep=self._sleep)
        await cancel_and_wait(
            [task for part in partitions for task in (*part.running, *part.retries)]
        )

    def drop(self, partitions: Collection[PartitionState]) -> None:
        """Start and retry nothing more of these partitions; running attempts continue."""
        for partition in partitions:
            partition.is_lost = True
            for task in partition.retries:
                task.cancel()
        self._schedule.drop(lambda pending: pending.partition.is_lost)

    async def _attempt(self, pending: _PendingRecord) -> None:
        try:
            with self._in_trace(pending.record):
                if pending.record.problem:
                    raise MalformedMessage(pending.record.problem)  # noqa: TRY301 - like others
                update = parse_update(pending.record.value, now=self._now())
                await self._handle(update)
        except (Exception, asyncio.CancelledError) as error:
            # Only something inside may have been cancelled, which is a failure like any other.
            if _is_task_cancelled():
                raise
            self._handle_failure(pending, error)
        else:
            self._storage_health.record_success()
            self._complete(pending, Outcome.STORED)
            _log.debug(
                "update.stored", banner=update.path, version=update.version, **pending.position
            )

    def _on_attempt_done(self, key: Hashable, _: "asyncio.Task[None]") -> None:
        self._schedule.release(key)
        self.start_ready()

    def _handle_failure(self, pending: _PendingRecord, error: BaseException) -> None:
        """Start the dead letter or the retry of a record; a lost partition has no retries."""
        if isinstance(error, StorageUnavailable):
            self._storage_health.record_failure()
        is_given_up = pending.history.record_failure(
            now=self._clock(), last_success_at=self._storage_health.last_success_at
        )
        if is_given_up or is_permanent(error):
            self._spawn(pending.partition.running, self._dead_letter(pending, error))
        elif not pending.partition.is_lost:
            self._warn("update.failed", error, pending)
            self._on_outcome(Outcome.RETRIED)
            self._spawn(pending.partition.retries, self._retry_later(pending))

    async def _retry_later(self, pending: _PendingRecord) -> None:
        await self._sleep(retry_delay_seconds(pending.history.failures, random=self._random))
        self._schedule.put(pending.key, pending)
        self.start_ready()

    async def _dead_letter(self, pending: _PendingRecord, error: BaseException) -> None:
        """Send a dead letter, for as long as the broker is down; drop the record if it is rejected."""
        reason, failed_at, failures = _describe(error), self._now(), 0
        while True:
            try:
                await send_dead_letter(
                    self._producer, pending.record, reason=reason, failed_at=failed_at
                )
            except RemoteRejected as rejection:
                _log.error(
                    "update.dropped", reason=reason, rejection=str(rejection), **pending.position
                )
                self._complete(pending, Outcome.DROPPED)
                return
            except Unavailable as broker_error:
                self._warn("update.not_dead_lettered", broker_error, pending)
            else:
                self._complete(pending, Outcome.DEAD_LETTERED)
                self._warn("update.dead_lettered", error, pending)
                return
            failures += 1
            await self._sleep(retry_delay_seconds(failures, random=self._random))

    def _complete(self, pending: _PendingRecord, outcome: Outcome) -> None:
        self._on_outcome(outcome)
        pending.partition.offsets.finish(pending.record.offset)
        pending.partition.unfinished_bytes -= len(pending.record.value)
        self._on_finished()

    def _warn(self, event: str, error: BaseException, pending: _PendingRecord) -> None:
        """Log a failure once per key and error type, then once an hour; an outage once for all keys."""
        raw_key = pending.record.key
        if self._throttle.allows(
            (event, type(error), None if isinstance(error, Unavailable) else raw_key)
        ):
            key = (raw_key or b"")[:_MAX_KEY_BYTES_IN_LOG].decode(errors="replace")
            _log.warning(event, reason=_describe(error), key=key, **pending.position)

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


def _is_task_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
