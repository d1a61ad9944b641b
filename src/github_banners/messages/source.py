"""
The taking end at Kafka: a member of a group that stays in it.

aiokafka finds a broker again by itself; whatever it can't do itself ends in a new consumer, which
begins where was committed. Decides nothing about records.
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

from github_banners.errors import BrokerUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messages.events import GROUP, TOPIC, Lost, Record
from github_banners.messages.kafka import broker_errors
from github_banners.messages.reading import RecordReader

_log = structlog.get_logger(__name__)

_SESSION_TIMEOUT_MS = 10_000
_HEARTBEAT_INTERVAL_MS = 3000
# Longer than the session: who joins waits for an answer until all others have joined, or are out.
_REQUEST_TIMEOUT_MS = 12_000
_RETRY_BACKOFF_MS = 250
_METADATA_MAX_AGE_MS = 5000
# What a held partition has fetched is thrown away, so it is not to be much.
_MOST_FETCHED_BYTES = 256 * 1024
_COMMIT_SECONDS = 2.0
_LEAVE_SECONDS = 2.0
_REOPEN_SECONDS = 0.5
_LONGEST_REOPEN_SECONDS = 8.0


class Source:
    """Takes one topic's messages for one group; opens when first asked, and waits for a broker."""

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
        self._lost: Lost = _tell_nobody
        self._held: frozenset[int] = frozenset()
        self._consumer: AIOKafkaConsumer | None = None
        self._reader: RecordReader | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._broken = 0
        self._was_available: bool | None = None

    @property
    def is_available(self) -> bool:
        """Say whether the group's broker is known and was there when it was last needed."""
        return self._consumer is not None and self._consumer._coordinator.coordinator_id is not None

    def listen(self, lost: Lost) -> None:
        """Name who is told before partitions are lost, and may still commit them then."""
        self._lost = lost

    async def take(self, *, most: int, wait_seconds: float) -> list[Record]:
        """
        Take what has come since; empty after a wait, which can be long while the group is arranged.

        A record that can't be decoded comes with its `problem`. There is no await between the
        reader's answer and the caller, as there is none in it.
        """
        try:
            reader = self._reader or await self._open()
            _check_fetcher(self._consumer)
            records = await reader.read(max_records=most, wait_seconds=wait_seconds)
        except Exception as error:  # noqa: BLE001 - after any, records may have been skipped
            await self._begin_anew(error)
            return []
        self._tell_news(is_available=self.is_available)
        if records:
            self._broken = 0
        return records

    def hold(self, partitions: Collection[int]) -> None:
        """Take nothing from these partitions, and again from all others."""
        self._held = frozenset(partitions)
        self._hold()

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """
        Keep the next offset to read of partitions.

        :raises BrokerUnavailable: nothing was kept: no broker answers, or others own a partition
        """
        consumer = self._consumer
        if consumer is None:
            raise BrokerUnavailable("the broker: has not answered yet")
        next_offsets = {
            TopicPartition(self._topic, number): OffsetAndMetadata(offset, "")
            for number, offset in offsets.items()
        }
        if not next_offsets.keys() <= consumer.assignment():
            raise BrokerUnavailable("the broker: has given a partition to another member")
        with broker_errors():
            # Not `commit()`: it tries for ever, and called off it leaves a task behind.
            async with asyncio.timeout(_COMMIT_SECONDS):
                await consumer._coordinator._do_commit_offsets(consumer.assignment(), next_offsets)

    async def close(self) -> None:
        """Leave the group; in a few seconds, also when no broker answers."""
        await self._leave()
        if self._leaving:
            await asyncio.wait(self._leaving)

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
            max_partition_fetch_bytes=_MOST_FETCHED_BYTES,
        )
        try:
            await consumer.start()
        except BaseException:
            await leave(consumer)
            raise
        # Only now: a start with a topic waits until it is there and its partitions are dealt out.
        consumer.subscribe([self._topic], listener=_Listener(self._lose, self._hold))
        self._consumer, self._reader = consumer, RecordReader(consumer, throttle=self._throttle)
        return self._reader

    async def _begin_anew(self, error: Exception) -> None:
        """Wait for the next attempt; ever longer where there was a consumer: it disturbs others."""
        self._tell_news(is_available=False, reason=f"{type(error).__name__}: {error}")
        seconds = _REOPEN_SECONDS
        if self._consumer is not None:
            seconds = min(_REOPEN_SECONDS * 2**self._broken, _LONGEST_REOPEN_SECONDS)
            self._broken += 1
            await self._lose(self._consumer.assignment())
            await self._leave()
        await self._sleep(seconds)

    async def _leave(self) -> None:
        consumer, self._consumer, self._reader = self._consumer, None, None
        if consumer is None:
            return
        # A task of its own: whoever called may be called off meanwhile.
        leaving = asyncio.create_task(leave(consumer), name="broker.leave")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        await asyncio.shield(leaving)

    async def _lose(self, partitions: Collection[TopicPartition]) -> None:
        if self._reader is not None:
            self._reader.forget()
        if partitions:
            await self._lost({partition.partition for partition in partitions})

    def _hold(self) -> None:
        """Hold what is ours; a consumer forgets it whenever partitions are dealt out."""
        if self._consumer is None:
            return
        ours = self._consumer.assignment()
        held = {partition for partition in ours if partition.partition in self._held}
        self._consumer.pause(*held)
        self._consumer.resume(*(ours - held))

    def _tell_news(self, *, is_available: bool, reason: str = "it does not answer") -> None:
        if is_available != self._was_available:
            self._was_available = is_available
            if is_available:
                _log.info("broker.joined", topic=self._topic, group=self._group)
            else:
                _log.warning("broker.away", topic=self._topic, group=self._group, reason=reason)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """What aiokafka tells when the group's partitions are dealt out anew."""

    def __init__(
        self,
        lose: Callable[[Collection[TopicPartition]], Awaitable[None]],
        hold: Callable[[], None],
    ) -> None:
        self._lose = lose
        self._hold = hold

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._lose(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._hold()


async def leave(consumer: AIOKafkaConsumer) -> None:
    """
    Leave the group and close, by force where `stop()` does not come to its end.

    It waits for a broker that hangs, and is cancelled by its own tasks when one was just waiting to
    try again; either way it leaves tasks and sockets behind, and does nothing when called again.
    """
    stopping = asyncio.create_task(consumer.stop(), name="broker.stop")
    await asyncio.wait({stopping}, timeout=_LEAVE_SECONDS)
    await _end(stopping, *_tasks_of(consumer))
    closing = asyncio.create_task(consumer._client.close(), name="broker.close")
    await _end(closing, seconds=0.5)


def _tasks_of(consumer: AIOKafkaConsumer) -> "list[asyncio.Task[Any]]":
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks = []
    if coordinator is not None:
        tasks += [coordinator._coordination_task, coordinator._heartbeat_task]
        tasks += [coordinator._commit_refresh_task]
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
    return [task for task in tasks if task is not None]


async def _end(*tasks: "asyncio.Task[Any]", seconds: float = 0.0) -> None:
    """Cancel what does not end in time, and take note of how each ended."""
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _check_fetcher(consumer: Any) -> None:
    """Raise what has ended the fetching: `getmany` would answer for ever that nothing has come."""
    fetching = consumer._fetcher.error_future
    if fetching.done():
        fetching.result()


async def _tell_nobody(partitions: Collection[int]) -> None:
    pass
