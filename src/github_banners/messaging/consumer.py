"""
Kafka consumer that stays in its group.

aiokafka reconnects to a broker by itself. After any other error, a new consumer is opened, which
starts at the committed offsets.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import (  # type: ignore[import-untyped]
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.structs import OffsetAndMetadata  # type: ignore[import-untyped]

from github_banners.backoff import backoff_delay
from github_banners.errors import BrokerUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.events import GROUP, TOPIC, OnRevoked, Record
from github_banners.messaging.kafka import broker_errors
from github_banners.messaging.record_reader import MAX_FETCHED_BYTES, RecordReader
from github_banners.tasks import cancel_and_wait

_log = structlog.get_logger(__name__)

_SESSION_TIMEOUT_MS = 10_000
_HEARTBEAT_INTERVAL_MS = 3000
# Longer than the session: a join is answered once all members have joined, or have timed out.
_REQUEST_TIMEOUT_MS = 12_000
_RETRY_BACKOFF_MS = 250
_METADATA_MAX_AGE_MS = 5000
_COMMIT_TIMEOUT_SECONDS = 2.0
_CLOSE_TIMEOUT_SECONDS = 2.0
_REOPEN_DELAY_SECONDS = 0.5
_MAX_REOPEN_DELAY_SECONDS = 8.0


class KafkaConsumer:
    """Reads one topic as a member of one group; opened by the first `poll`, also while no broker is up."""

    def __init__(
        self,
        brokers: Sequence[str],
        *,
        topic: str = TOPIC,
        group: str = GROUP,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._brokers = list(brokers)
        self._topic = topic
        self._group = group
        self._sleep = sleep
        self._throttle = LogThrottle(monotonic)
        self._on_revoked: OnRevoked = _ignore
        self._paused: frozenset[int] = frozenset()
        self._next_offsets: dict[int, int] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._reader: RecordReader | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._was_available: bool | None = None

    @property
    def is_available(self) -> bool:
        """True if the broker of the group is known, and responded when it was last needed."""
        return self._consumer is not None and self._consumer._coordinator.coordinator_id is not None

    @property
    def lag(self) -> int:
        """
        The number of records of its partitions that are not read, as of their last fetch.

        A partition counts from its first record on; a paused one is not fetched.
        """
        consumer = self._consumer
        if consumer is None:
            return 0
        ends = {
            partition.partition: consumer.highwater(partition)
            for partition in consumer.assignment()
        }
        return sum(
            max(0, end - self._next_offsets[number])
            for number, end in ends.items()
            if end is not None and number in self._next_offsets
        )

    def on_revoked(self, handler: OnRevoked) -> None:
        """Set the handler called before partitions are revoked; it can still commit their offsets."""
        self._on_revoked = handler

    async def poll(self, *, max_records: int, wait_seconds: float) -> list[Record]:
        """
        Return new records; empty after the wait, which takes longer while the group rebalances.

        A record that can't be decoded has a `problem`. There is no await between the reader's return
        and the caller's, see `RecordReader.read`.
        """
        try:
            reader = self._reader or await self._open()
            _check_fetcher(self._consumer)
            records = await reader.read(max_records=max_records, wait_seconds=wait_seconds)
        except Exception as error:  # noqa: BLE001 - any error may have skipped records
            await self._reopen(error)
            return []
        self._log_state_change(is_available=self.is_available)
        if records:
            self._failures = 0
            self._next_offsets |= {record.partition: record.offset + 1 for record in records}
        return records

    def pause(self, partitions: Collection[int]) -> None:
        """Pause these partitions, and resume all others."""
        self._paused = frozenset(partitions)
        self._apply_pause()

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """
        Commit the next offset to read of each partition.

        :raises BrokerUnavailable: nothing was committed: no broker responds, or another member owns
            one of the partitions
        """
        consumer = self._consumer
        if consumer is None:
            raise BrokerUnavailable("the broker: has not responded yet")
        next_offsets = {
            TopicPartition(self._topic, number): OffsetAndMetadata(offset, "")
            for number, offset in offsets.items()
        }
        if not next_offsets.keys() <= consumer.assignment():
            raise BrokerUnavailable("the broker: has assigned a partition to another member")
        with broker_errors():
            # Not `commit()`: it retries for ever, and leaves a task behind when it is cancelled.
            async with asyncio.timeout(_COMMIT_TIMEOUT_SECONDS):
                await consumer._coordinator._do_commit_offsets(consumer.assignment(), next_offsets)

    async def close(self) -> None:
        """Leave the group; takes a few seconds at most, also when no broker responds."""
        await self._close_consumer()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _open(self) -> RecordReader:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            group_id=self._group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=_SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=_HEARTBEAT_INTERVAL_MS,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            max_partition_fetch_bytes=MAX_FETCHED_BYTES,
        )
        try:
            await consumer.start()
        except BaseException:
            await force_close(consumer)
            raise
        # Not at construction: `start` would wait until the topic exists and partitions are assigned.
        consumer.subscribe(
            [self._topic], listener=_RebalanceListener(self._revoked, self._apply_pause)
        )
        self._consumer, self._reader = consumer, RecordReader(consumer, throttle=self._throttle)
        return self._reader

    async def _reopen(self, error: Exception) -> None:
        """Close after an error, and wait: longer each time, since rejoining disturbs the whole group."""
        self._log_state_change(is_available=False, reason=f"{type(error).__name__}: {error}")
        seconds = _REOPEN_DELAY_SECONDS
        if self._consumer is not None:
            self._failures += 1
            seconds = backoff_delay(
                self._failures, first=_REOPEN_DELAY_SECONDS, maximum=_MAX_REOPEN_DELAY_SECONDS
            )
            await self._revoked(self._consumer.assignment())
            await self._close_consumer()
        await self._sleep(seconds)

    async def _close_consumer(self) -> None:
        consumer, self._consumer, self._reader = self._consumer, None, None
        if consumer is None:
            return
        # In a task of its own: the caller may be cancelled meanwhile.
        closing = asyncio.create_task(force_close(consumer), name="broker.leave")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.shield(closing)

    async def _revoked(self, partitions: Collection[TopicPartition]) -> None:
        if self._reader is not None:
            self._reader.on_revoked()
        for partition in partitions:
            self._next_offsets.pop(partition.partition, None)
        if partitions:
            await self._on_revoked({partition.partition for partition in partitions})

    def _apply_pause(self) -> None:
        """Pause assigned partitions; aiokafka forgets that whenever partitions are assigned."""
        if self._consumer is None:
            return
        assigned = self._consumer.assignment()
        paused = {partition for partition in assigned if partition.partition in self._paused}
        self._consumer.pause(*paused)
        self._consumer.resume(*(assigned - paused))

    def _log_state_change(self, *, is_available: bool, reason: str = "no response") -> None:
        if is_available != self._was_available:
            self._was_available = is_available
            if is_available:
                _log.info("broker.joined", topic=self._topic, group=self._group)
            else:
                _log.warning("broker.down", topic=self._topic, group=self._group, reason=reason)


class _RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes the callbacks of aiokafka for a rebalance on to the consumer."""

    def __init__(
        self,
        on_revoked: Callable[[Collection[TopicPartition]], Awaitable[None]],
        on_assigned: Callable[[], None],
    ) -> None:
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._on_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._on_assigned()


async def force_close(consumer: AIOKafkaConsumer) -> None:
    """
    Leave the group and close, by force if `stop()` does not end.

    `stop()` waits for a broker that hangs, and is cancelled by its own tasks if one is waiting for a
    retry. Either way it leaves tasks and sockets behind, and does nothing when it is called again.
    """
    stopping = asyncio.create_task(consumer.stop(), name="broker.stop")
    await asyncio.wait({stopping}, timeout=_CLOSE_TIMEOUT_SECONDS)
    await cancel_within(stopping, *internal_tasks(consumer))
    closing = asyncio.create_task(consumer._client.close(), name="broker.close")
    await cancel_within(closing, timeout_seconds=0.5)


def internal_tasks(consumer: AIOKafkaConsumer) -> "list[asyncio.Task[Any]]":
    """Return the tasks that a consumer of aiokafka has started."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks = []
    if coordinator is not None:
        tasks += [coordinator._coordination_task, coordinator._heartbeat_task]
        tasks += [coordinator._commit_refresh_task]
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
    return [task for task in tasks if task is not None]


async def cancel_within(*tasks: "asyncio.Task[Any]", timeout_seconds: float = 0.0) -> None:
    """Cancel the tasks that do not end in time, and retrieve the results of all."""
    await asyncio.wait(tasks, timeout=timeout_seconds)
    await cancel_and_wait(tasks)


def _check_fetcher(consumer: Any) -> None:
    """Raise the error that has ended the fetcher, after which `getmany` would return nothing for ever."""
    error_future = consumer._fetcher.error_future
    if error_future.done():
        error_future.result()


async def _ignore(partitions: Collection[int]) -> None:
    pass
