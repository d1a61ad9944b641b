"""
Consume updates from the broker, and commit the offsets of finished ones.

Three loops run until the consumer stops: one polls records and passes them to the worker, one commits
twice a second, one waits for the signal to stop. Of each partition the lowest unfinished offset is
committed, also when the partition is revoked and at the end, so no unfinished update is ever lost.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import structlog

from github_banners.backoff import restart_after_errors
from github_banners.errors import BrokerUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.events import Consumer, Producer, Record
from github_banners.models import Clock, utc_now
from github_banners.renderer.schedule import MAX_POLLED, should_pause
from github_banners.renderer.worker import (
    InTrace,
    Outcome,
    PartitionState,
    UpdateHandler,
    Worker,
    bind_record_trace,
)
from github_banners.tasks import cancel_and_wait, wait_with_timeout

_log = structlog.get_logger(__name__)

_POLL_TIMEOUT_SECONDS = 0.2
_COMMIT_INTERVAL_SECONDS = 0.5
_REVOKE_TIMEOUT_SECONDS = 2.0
_STOP_TIMEOUT_SECONDS = 5.0


async def consume_forever(
    create: Callable[[], "UpdateConsumer"],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run update consumers; after a bug that ends one, log it and run the next after a delay."""
    throttle = LogThrottle(clock)

    async def run_once() -> None:
        await create().run(asyncio.Event())

    def log(error: Exception) -> None:
        if throttle.allows((type(error), str(error))):
            _log.error("updates.failed", exc_info=error)

    await restart_after_errors(run_once, on_error=log, clock=clock, sleep=sleep)


class UpdateConsumer:
    """Processes every update of a consumer's topic; runs once."""

    def __init__(
        self,
        *,
        consumer: Consumer,
        producer: Producer,
        handle: UpdateHandler,
        on_outcome: Callable[[Outcome], None],
        clock: Callable[[], float] = time.monotonic,
        now: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
        in_trace: InTrace = bind_record_trace,
    ) -> None:
        self._consumer = consumer
        self._sleep = sleep
        self._worker = Worker(
            handle=handle,
            producer=producer,
            on_outcome=on_outcome,
            on_finished=self._check_idle,
            on_bug=self._fail,
            clock=clock,
            now=now,
            sleep=sleep,
            random=random,
            in_trace=in_trace,
        )
        self._partitions: dict[int, PartitionState] = {}
        self._idle = asyncio.Event()
        self._commit_lock = asyncio.Lock()
        self._failure: asyncio.Future[None] | None = None

    @property
    def unfinished(self) -> int:
        """The number of records that were polled and are not finished."""
        return sum(partition.offsets.unfinished for partition in self._partitions.values())

    async def run(self, stop: asyncio.Event) -> None:
        """
        Poll and process records until `stop` is set; an unavailable broker does not end it.

        At the end, and when cancelled, finish what was polled within five seconds, commit it and
        leave the group. Raises only on a bug in this package.
        """
        self._failure = asyncio.get_running_loop().create_future()
        self._consumer.on_revoked(self._on_revoked)
        loops: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._poll_forever(), name="updates.poll"),
            asyncio.create_task(self._commit_forever(), name="updates.commit"),
            asyncio.create_task(stop.wait(), name="updates.stop"),
        ]
        watched: list[asyncio.Future[Any]] = [*loops, self._failure]
        try:
            ended, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for future in ended:
                future.result()
        finally:
            await cancel_and_wait(loops)
            await self._finish()

    async def _poll_forever(self) -> None:
        while True:
            is_storage_down = self._worker.is_storage_down
            self._consumer.pause(
                {
                    number
                    for number, partition in self._partitions.items()
                    if should_pause(
                        partition.offsets.unfinished,
                        partition.unfinished_bytes,
                        is_storage_down=is_storage_down,
                    )
                }
            )
            for record in await self._consumer.poll(
                max_records=MAX_POLLED, wait_seconds=_POLL_TIMEOUT_SECONDS
            ):
                self._submit(record)
            self._worker.start_ready()
            # A consumer with records at hand returns without waiting; let the other tasks run.
            await asyncio.sleep(0)

    def _submit(self, record: Record) -> None:
        partition = self._partitions.setdefault(record.partition, PartitionState())
        if not partition.offsets.is_new(record.offset):
            # The topic was deleted and created again: its offsets start over.
            self._worker.drop([partition])
            partition = self._partitions[record.partition] = PartitionState()
        self._worker.submit(record, partition)

    async def _commit_forever(self) -> None:
        while True:
            await self._sleep(_COMMIT_INTERVAL_SECONDS)
            await self._commit(dict(self._partitions))

    async def _commit(self, partitions: Mapping[int, PartitionState]) -> None:
        # One commit at a time: an older one that overtakes a newer one would move offsets back.
        async with self._commit_lock:
            due = {
                number: offset
                for number, partition in partitions.items()
                if (offset := partition.offsets.committable) is not None
            }
            if not due:
                return
            try:
                await self._consumer.commit(due)
            except BrokerUnavailable as error:
                _log.debug("updates.uncommitted", reason=str(error))
                return
        for number, offset in due.items():
            partitions[number].offsets.mark_committed(offset)

    async def _on_revoked(self, numbers: Collection[int]) -> None:
        """Let running attempts end within two seconds, and leave the rest to the next owner."""
        revoked = {n: self._partitions.pop(n) for n in numbers if n in self._partitions}
        try:
            await self._cancel_and_commit(revoked, timeout_seconds=_REVOKE_TIMEOUT_SECONDS)
        except Exception as error:
            self._fail(error)
            raise

    async def _finish(self) -> None:
        try:
            self._idle.clear()
            if self.unfinished:
                await wait_with_timeout(_STOP_TIMEOUT_SECONDS, self._idle.wait(), sleep=self._sleep)
            partitions, self._partitions = self._partitions, {}
            await self._cancel_and_commit(partitions, timeout_seconds=0.0)
        finally:
            await self._consumer.close()

    async def _cancel_and_commit(
        self, partitions: Mapping[int, PartitionState], *, timeout_seconds: float
    ) -> None:
        await self._worker.cancel(partitions.values(), timeout_seconds=timeout_seconds)
        await self._commit(partitions)
        self._check_idle()

    def _check_idle(self) -> None:
        if not self.unfinished:
            self._idle.set()

    def _fail(self, error: BaseException) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)
