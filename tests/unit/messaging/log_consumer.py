"""A fake of aiokafka's consumer without a broker, which decodes a log with aiokafka's own code."""

from collections import defaultdict
from typing import Any

from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.consumer.fetcher import PartitionRecords  # type: ignore[import-untyped]
from aiokafka.errors import UnknownTopicOrPartitionError  # type: ignore[import-untyped]
from aiokafka.record.memory_records import MemoryRecords  # type: ignore[import-untyped]
from aiokafka.structs import ConsumerRecord  # type: ignore[import-untyped]

from tests.unit.messaging.record_batch_samples import Message, build_batch

TOPIC = "t"


class LogConsumer:
    """Consumes some partitions; `positions` are its offsets, `fetches` the fetch requests it got."""

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = [TopicPartition(TOPIC, number) for number in range(partitions)]
        self.positions = dict.fromkeys(self.partitions, 0)
        self.paused_partitions: set[TopicPartition] = set()
        self.fetches: list[tuple[int, int]] = []
        self.error_code = 0
        self._log: dict[TopicPartition, list[tuple[int, bytes]]] = defaultdict(
            list
        )  # with end offsets
        self._ends = dict.fromkeys(self.partitions, 0)
        self._client = self
        self.cluster = self

    def put(self, *messages: Message, partition: int = 0, codec: int = 0) -> None:
        """Append a batch like a broker."""
        topic_partition = self.partitions[partition]
        batch = build_batch(messages, codec=codec, base_offset=self._ends[topic_partition])
        self._ends[topic_partition] += len(messages)
        self._log[topic_partition].append((self._ends[topic_partition], batch))

    def put_raw(self, batch: bytes, *, count: int, partition: int = 0) -> None:
        """Append raw bytes that occupy `count` offsets."""
        topic_partition = self.partitions[partition]
        batch = self._ends[topic_partition].to_bytes(8, "big") + batch[8:]
        self._ends[topic_partition] += count
        self._log[topic_partition].append((self._ends[topic_partition], batch))

    def end(self, partition: int = 0) -> int:
        return self._ends[self.partitions[partition]]

    def assignment(self) -> set[TopicPartition]:
        return set(self.partitions)

    def paused(self) -> set[TopicPartition]:
        return self.paused_partitions

    async def position(self, partition: TopicPartition) -> int:
        return self.positions[partition]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    def leader_for_partition(self, _: TopicPartition) -> int:
        return 1

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Like aiokafka: an error discards records read before it, but moves no position."""
        fetched = {}
        for partition in partitions or self.partitions:
            if max_records <= 0 or partition in self.paused_partitions:
                continue
            records, position = self._decode(partition, max_records)
            self.positions[partition] = position
            if records:
                fetched[partition] = records
                max_records -= len(records)
        return fetched

    async def send(self, _: int, request: Any) -> Any:
        """Respond to a fetch request with the batches from an offset on."""
        ((topic, ((number, offset, _),)),) = request.topics
        self.fetches.append((number, offset))
        data = self._fetch(TopicPartition(topic, number), offset)
        response = type("Response", (), {})()
        response.topics = [(topic, [(number, self.error_code, 0, None, data)])]
        return response

    def _fetch(self, partition: TopicPartition, offset: int) -> bytes:
        """Return whole batches from the one that contains an offset, like a broker."""
        return b"".join(batch for end, batch in self._log[partition] if end > offset)

    def _decode(
        self, partition: TopicPartition, max_records: int
    ) -> tuple[list[ConsumerRecord], int]:
        start = self.positions[partition]
        decoding = PartitionRecords(
            partition,
            MemoryRecords(self._fetch(partition, start)),
            None,
            start,
            None,
            None,
            check_crcs=True,
            isolation_level=0,
        )
        records = []
        for record in decoding:
            records.append(record)
            if len(records) == max_records:
                break
        return records, decoding.next_fetch_offset


UNKNOWN_TOPIC = UnknownTopicOrPartitionError.errno
