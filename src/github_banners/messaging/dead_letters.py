"""
Dead letters: send records that can't be processed, list them, and replay them.

A dead letter has the bytes of the original record, and the reason in its headers. The replayed ones
are remembered as the committed offsets of a consumer group without members.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import nlargest

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from github_banners.errors import RemoteRejected, Unavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.consumer import force_close
from github_banners.messaging.events import DEAD_LETTERS, TOPIC, Producer, Record
from github_banners.messaging.kafka import broker_errors
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.record_reader import RecordReader
from github_banners.messaging.topics import fetch_partitions
from github_banners.models import Clock, utc_now

REPLAY_GROUP = "banner-renderers.replays"
"""The group whose offsets say which dead letters were replayed."""

REASON, FAILED_AT, REPLAYED = "reason", "failed_at", "replayed"
ORIGINAL_SIZE = "original_size"
"""Header with the size of the original value in bytes; set on dead letters that truncate it."""
ORIGIN = ("original_topic", "original_partition", "original_offset")
_ADDED_HEADERS = {REASON, FAILED_AT, *ORIGIN}

_MAX_REASON_CHARACTERS = 1000
_MAX_FIRST_PART_BYTES = 64 * 1024
_MAX_KEY_BYTES = 1024
_REQUEST_TIMEOUT_MS = 5000
_STEP_TIMEOUT_SECONDS = 10.0
_POLL_TIMEOUT_SECONDS = 0.5
_BATCH_SIZE = 100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A dead letter: its `record` in the dead letter topic, and the contents of its headers.

    `origin` is topic/partition/offset of the original record. `failed_at` is an ISO 8601 time.
    """

    record: Record
    reason: str
    origin: str
    failed_at: str
    is_replayed: bool


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """How many records were replayed, and how many can't be, or were refused by the broker."""

    sent: int
    refused: int


async def send_dead_letter(
    producer: Producer, record: Record, *, reason: str, failed_at: datetime
) -> None:
    """
    Send a record to the dead letter topic: value, key and headers, with headers for the reason.

    If the broker refuses the whole record, only the first part of its value is sent, and then only
    its position: a record that can't be stored whole must not block its partition.

    :raises BrokerUnavailable: it was not acknowledged
    :raises RemoteRejected: the broker will never accept it, not even the position alone
    """
    origin = zip(ORIGIN, (record.topic, record.partition, record.offset), strict=True)
    values = [
        (REASON, reason[:_MAX_REASON_CHARACTERS]),
        *origin,
        (FAILED_AT, failed_at.isoformat()),
    ]
    added = tuple((name, str(value).encode(errors="replace")) for name, value in values)
    last_error: Exception | None = None
    for version in _progressively_truncated(record):
        try:
            await producer.send(
                DEAD_LETTERS, key=version.key, value=version.value, headers=version.headers + added
            )
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - an encoder may raise anything on odd records
            last_error = error
        else:
            return
    raise RemoteRejected(f"not even the position of a record: {last_error}") from last_error


def _progressively_truncated(record: Record) -> Iterator[Record]:
    """Yield the whole record, then one with the first part of its value, then a short key only."""
    yield record
    size = (ORIGINAL_SIZE, b"%d" % len(record.value))
    first_part = record.value[:_MAX_FIRST_PART_BYTES]
    yield replace(record, value=first_part, headers=(*record.headers, size))
    key = record.key[:_MAX_KEY_BYTES] if record.key is not None else None
    yield replace(record, key=key, value=b"", headers=(size,))


async def list_dead_letters(brokers: Sequence[str], *, limit: int) -> list[DeadLetter]:
    """
    Return the newest dead letters, oldest first.

    :raises BrokerUnavailable: no broker responds, or the topic does not exist
    """
    newest: list[Record] = []
    async with _open_reader(brokers) as reader:
        next_offsets = await reader.seek_to_start()
        while records := await reader.read():
            newest = nlargest(limit, [*newest, *records], key=_sort_key)
    return [_to_dead_letter(record, next_offsets) for record in reversed(newest)]


async def replay_dead_letters(
    brokers: Sequence[str],
    *,
    limit: int | None = None,
    topic: str = TOPIC,
    clock: Clock = utc_now,
) -> ReplayResult:
    """
    Send the dead letters that were not replayed yet to a topic, at most `limit` of those present now.

    Each has its original value, key and headers, and the time of the replay in the header `replayed`.

    :raises BrokerUnavailable: no broker responds; the replays until then are remembered
    """
    sent = refused = 0
    producer = KafkaProducer(brokers)
    try:
        async with _open_reader(brokers) as reader:
            while records := await reader.read(limit=None if limit is None else limit - sent):
                async with reader.committing() as done:
                    for record in records:
                        if await _replay(producer, record, topic=topic, now=clock()):
                            sent += 1
                        else:
                            refused += 1
                        done[record.partition] = record.offset + 1
    finally:
        await producer.close()
    return ReplayResult(sent=sent, refused=refused)


async def _replay(producer: KafkaProducer, record: Record, *, topic: str, now: datetime) -> bool:
    if record.problem or record.header(ORIGINAL_SIZE):
        return False
    original = tuple((name, value) for name, value in record.headers if name not in _ADDED_HEADERS)
    replayed = (REPLAYED, now.isoformat().encode())
    try:
        await producer.send(
            topic, key=record.key, value=record.value, headers=(*original, replayed)
        )
    except RemoteRejected:
        return False
    return True


class _DeadLetterReader:
    """Reads dead letters from the first not replayed one up to the end at the time of opening."""

    def __init__(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        self._consumer = consumer
        self._reader = RecordReader(consumer, throttle=LogThrottle(time.monotonic))
        self._ends = ends

    async def seek_to_start(self) -> dict[int, int]:
        """Seek to the first dead letter; return the next offset to replay of each partition."""
        with broker_errors():
            async with asyncio.timeout(_STEP_TIMEOUT_SECONDS):
                next_offsets = {
                    topic_partition.partition: await self._consumer.committed(topic_partition) or 0
                    for topic_partition in self._ends
                }
                await self._consumer.seek_to_beginning(*self._ends)
        return next_offsets

    async def read(self, *, limit: int | None = None) -> list[Record]:
        """Return the next dead letters; empty at the end."""
        size = _BATCH_SIZE if limit is None else min(limit, _BATCH_SIZE)
        with broker_errors():
            async with asyncio.timeout(_STEP_TIMEOUT_SECONDS):
                while size > 0 and await self._has_more():
                    records = await self._reader.read(
                        max_records=size, wait_seconds=_POLL_TIMEOUT_SECONDS
                    )
                    # Later ones may be dead letters of records that this replay has sent.
                    records = [r for r in records if r.offset < self._end_offset(r.partition)]
                    if records:
                        return records
        return []

    @asynccontextmanager
    async def committing(self) -> AsyncIterator[dict[int, int]]:
        """Yield a dict for the next offsets to replay; commit it at the end, also after an error."""
        done: dict[int, int] = {}
        try:
            yield done
        finally:
            if done:
                with broker_errors():
                    async with asyncio.timeout(_STEP_TIMEOUT_SECONDS):
                        await self._consumer.commit(
                            {TopicPartition(DEAD_LETTERS, n): offset for n, offset in done.items()}
                        )

    async def _has_more(self) -> bool:
        for topic_partition, end in self._ends.items():
            if await self._consumer.position(topic_partition) < end:
                return True
        return False

    def _end_offset(self, partition: int) -> int:
        return self._ends[TopicPartition(DEAD_LETTERS, partition)]


@asynccontextmanager
async def _open_reader(brokers: Sequence[str]) -> AsyncIterator[_DeadLetterReader]:
    partitions = await fetch_partitions(brokers, DEAD_LETTERS)
    topic_partitions = [TopicPartition(DEAD_LETTERS, partition) for partition in partitions]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(brokers),
        group_id=REPLAY_GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
    )
    try:
        with broker_errors():
            async with asyncio.timeout(_STEP_TIMEOUT_SECONDS):
                await consumer.start()
                # Assigned instead of subscribed: the reader joins no group, and gets all partitions.
                consumer.assign(topic_partitions)
                ends = await consumer.end_offsets(topic_partitions)
        yield _DeadLetterReader(consumer, ends)
    finally:
        await force_close(consumer)


def _sort_key(record: Record) -> tuple[int, int, int]:
    return record.timestamp_ms, record.partition, record.offset


def _to_dead_letter(record: Record, next_offsets: Mapping[int, int]) -> DeadLetter:
    topic, partition, offset = (record.header(name) for name in ORIGIN)
    return DeadLetter(
        record=record,
        reason=record.header(REASON),
        origin=f"{topic}/{partition}/{offset}",
        failed_at=record.header(FAILED_AT),
        is_replayed=record.offset < next_offsets[record.partition],
    )
