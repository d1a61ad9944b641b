"""
The loop of the renderer: takes updates from the broker, and commits what was seen through.

Of a partition the lowest unfinished offset is committed, twice a second, when the partition is lost
and at the end. What becomes of a record, `attempts` sees to; what may be committed, `OffsetTracker` says.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import structlog

from github_banners.errors import BrokerUnavailable
from github_banners.messaging.events import Consumer, Producer, Record
from github_banners.models import Clock, utc_now
from github_banners.renderer.tasks import cancel_and_wait, wait_with_timeout
from github_banners.renderer.worker import (
    MAX_CONCURRENT,
    Outcome,
    PartitionState,
    UpdateHandler,
    Worker,
)

_log = structlog.get_logger(__name__)

MAX_UNFINISHED = 1000
"""Of one partition; then nothing more is taken from it."""

MAX_UNFINISHED_BYTES = 8 << 20
"""Of one partition; a thousand usual events have half a megabyte."""

_MAX_POLLED = 200
_POLL_TIMEOUT_SECONDS = 0.2
_COMMIT_INTERVAL_SECONDS = 0.5
_REVOKE_TIMEOUT_SECONDS = 2.0
_STOP_TIMEOUT_SECONDS = 5.0


class UpdateConsumer:
    """Sees every update of a source through; runs once."""

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
        )
        self._partitions: dict[int, PartitionState] = {}
        self._idle = asyncio.Event()
        self._commit_lock = asyncio.Lock()
        self._failure: asyncio.Future[None] | None = None

    @property
    def unfinished(self) -> int:
        """Count the records that were taken and are not seen through."""
        return sum(part.offsets.unfinished for part in self._partitions.values())

    async def run(self, stop: asyncio.Event) -> None:
        """
        Take and handle records until `stop` is set, or for ever; whatever the broker does.

        At the end, and when cancelled, what was taken is finished within five seconds, committed,
        and the group left. Raises only for a mistake of ours.
        """
        self._failure = asyncio.get_running_loop().create_future()
        self._consumer.on_revoked(self._on_revoked)
        loops: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._poll_forever(), name="updates.take"),
            asyncio.create_task(self._commit_forever(), name="updates.commit"),
            asyncio.create_task(stop.wait(), name="updates.stop"),
        ]
        watched: list[asyncio.Future[Any]] = [*loops, self._failure]
        try:
            ended, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                one.result()
        finally:
            await cancel_and_wait(loops)
            await self._finish()

    async def _poll_forever(self) -> None:
        while True:
            self._consumer.pause(self._partitions_to_pause())
            for record in await self._consumer.poll(
                max_records=_MAX_POLLED, wait_seconds=_POLL_TIMEOUT_SECONDS
            ):
                self._submit(record)
            self._worker.start_ready()
            # A source that has something at hand does not wait, and others have work to do.
            await asyncio.sleep(0)

    def _partitions_to_pause(self) -> set[int]:
        """Name the partitions to be held; while the storage is down, a few records are enough."""
        is_down = self._worker.is_storage_down
        limit = MAX_CONCURRENT if is_down else MAX_UNFINISHED - _MAX_POLLED
        return {
            number
            for number, part in self._partitions.items()
            if part.offsets.unfinished > limit or part.unfinished_bytes > MAX_UNFINISHED_BYTES
        }

    def _submit(self, record: Record) -> None:
        partition = self._partitions.setdefault(record.partition, PartitionState())
        if not partition.offsets.is_new(record.offset):
            # The topic was made anew, and counts from nothing again.
            self._worker.drop([partition])
            partition = self._partitions[record.partition] = PartitionState()
        self._worker.submit(record, partition)

    async def _commit_forever(self) -> None:
        while True:
            await self._sleep(_COMMIT_INTERVAL_SECONDS)
            await self._commit(dict(self._partitions))

    async def _commit(self, partitions: Mapping[int, PartitionState]) -> None:
        async with self._commit_lock:
            found = {n: part.offsets.committable for n, part in partitions.items()}
            due = {n: offset for n, offset in found.items() if offset is not None}
            if not due:
                return
            try:
                await self._consumer.commit(due)
            except BrokerUnavailable as error:
                _log.debug("updates.uncommitted", reason=str(error))
                return
        for number, offset in due.items():
            partitions[number].offsets.mark_committed(offset)

    async def _on_revoked(self, partitions: Collection[int]) -> None:
        """Give partitions back: what runs has a short time, the rest is the next owner's."""
        parts = {n: self._partitions.pop(n) for n in partitions if n in self._partitions}
        try:
            await self._cancel_and_commit(parts, timeout_seconds=_REVOKE_TIMEOUT_SECONDS)
        except Exception as error:
            self._fail(error)
            raise

    async def _finish(self) -> None:
        try:
            self._idle.clear()
            if self.unfinished:
                await wait_with_timeout(_STOP_TIMEOUT_SECONDS, self._idle.wait(), sleep=self._sleep)
            parts, self._partitions = self._partitions, {}
            await self._cancel_and_commit(parts, timeout_seconds=0.0)
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
