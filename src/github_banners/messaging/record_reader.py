"""
Read a consumer's records, including those that aiokafka can't decode.

After a decoding error in aiokafka, each partition that may have caused it is fetched once by itself
and parsed leniently, so that one invalid record neither hides others nor ends the consumer.
"""

import asyncio
from collections.abc import Collection
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    ConsumerStoppedError,
    CorruptRecordException,
    IllegalOperation,
    KafkaError,
    LeaderNotAvailableError,
    UnsupportedCodecError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest  # type: ignore[import-untyped]

from github_banners.log_throttle import LogThrottle
from github_banners.messaging.decompression import limit_decompression
from github_banners.messaging.events import Record
from github_banners.messaging.kafka import to_record
from github_banners.messaging.record_batches import read_batches

_log = structlog.get_logger(__name__)

_STEP_TIMEOUT_SECONDS = 10.0
_MAX_SHOWN_CHARACTERS = 300
MAX_FETCHED_BYTES = 256 * 1024
"""Most bytes fetched of a partition at once; few, since they are discarded when it is paused."""

_READ_UNCOMMITTED = 0


class RecordReader:
    """Reads the partitions assigned to a consumer; one reader per consumer."""

    def __init__(self, consumer: AIOKafkaConsumer, *, throttle: LogThrottle) -> None:
        limit_decompression()
        self._consumer = consumer
        self._throttle = throttle
        self._undecodable: dict[TopicPartition, str] = {}  # with the reason
        self._revocations = 0

    def on_revoked(self) -> None:
        """Discard fetches in flight: their partitions may belong to another member."""
        self._revocations += 1
        self._undecodable.clear()

    async def read(self, *, max_records: int, wait_seconds: float) -> list[Record]:
        """
        Return new records, in order within each partition; empty after the wait.

        There is no await between aiokafka's return and the caller's: a partition could be revoked
        while its records wait there, and after its next assignment a commit would skip unfinished ones.

        :raises KafkaError: from the broker, the group or the fetcher; records may have been skipped
        """
        if self._undecodable:
            partition, reason = self._undecodable.popitem()
            return await self._read_leniently(partition, reason, max_records=max_records)
        try:
            # At most one record, so that an error can't discard records of another partition.
            fetched = await self._consumer.getmany(
                timeout_ms=int(wait_seconds * 1000), max_records=1
            )
        except Exception as error:
            if not _is_decoding_error(error):
                raise
            self._mark_undecodable(self._consumer.assignment(), error)
            return []
        records = _to_records(fetched)
        for partition in [*fetched, *(self._consumer.assignment() - fetched.keys())]:
            if not records or len(records) >= max_records:
                break
            records += await self._read_buffered(partition, max_records=max_records - len(records))
        return records

    async def _read_buffered(self, partition: TopicPartition, *, max_records: int) -> list[Record]:
        """Return the records of a partition that are fetched already, without yielding to other tasks."""
        try:
            fetched = await self._consumer.getmany(partition, timeout_ms=0, max_records=max_records)
        except Exception as error:
            if not _is_decoding_error(error):
                raise
            # The position has not moved, so nothing was skipped.
            self._mark_undecodable([partition], error)
            return []
        return _to_records(fetched)

    def _mark_undecodable(self, partitions: Collection[TopicPartition], error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:_MAX_SHOWN_CHARACTERS]
        self._undecodable |= dict.fromkeys(partitions, reason)

    async def _read_leniently(
        self, partition: TopicPartition, reason: str, *, max_records: int
    ) -> list[Record]:
        """Fetch a partition by itself, and seek behind the records that could be parsed."""
        if partition not in self._consumer.assignment() - self._consumer.paused():
            return []
        revocations = self._revocations
        async with asyncio.timeout(_STEP_TIMEOUT_SECONDS):
            offset = await self._consumer.position(partition)
            data = await self._fetch(partition, offset)
        if revocations != self._revocations:
            return []
        result = read_batches(
            data,
            topic=partition.topic,
            partition=partition.partition,
            offset=offset,
            max_records=max_records,
        )
        if result.next_offset > offset:
            self._consumer.seek(partition, result.next_offset)
            if self._throttle.allows(partition):
                _log.warning(
                    "records.undecodable",
                    topic=partition.topic,
                    partition=partition.partition,
                    offset=offset,
                    reason=reason,
                )
        return result.records

    async def _fetch(self, partition: TopicPartition, offset: int) -> bytes:
        """Fetch the bytes of the next batches of a partition; empty at its end."""
        client = self._consumer._client
        node = client.cluster.leader_for_partition(partition)
        if node is None or node == -1:
            raise LeaderNotAvailableError(str(partition))
        max_wait_ms = min_bytes = 0
        request = FetchRequest(
            max_wait_ms,
            min_bytes,
            MAX_FETCHED_BYTES,
            _READ_UNCOMMITTED,
            [(partition.topic, [(partition.partition, offset, MAX_FETCHED_BYTES)])],
        )
        response = await client.send(node, request)
        ((_, ((_, error_code, _, *fields),)),) = response.topics
        if error_code:
            raise for_code(error_code)(str(partition))
        return bytes(fields[-1] or b"")


def _is_decoding_error(error: Exception) -> bool:
    """Return True for errors of decoding: aiokafka may raise anything there, but no other KafkaError."""
    if isinstance(error, CorruptRecordException | UnsupportedCodecError):
        return True
    return not isinstance(error, KafkaError | ConsumerStoppedError | IllegalOperation)


def _to_records(fetched: dict[TopicPartition, list[Any]]) -> list[Record]:
    return [to_record(message) for messages in fetched.values() for message in messages]
