"""A consumer of aiokafka without a broker: it decodes with aiokafka's own code what a log holds."""

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
    """Has some partitions; `positions` says where it is in each, `fetches` what was asked for."""

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = [TopicPartition(TOPIC, number) for number in range(partitions)]
        self.positions = dict.fromkeys(self.partitions, 0)
        self.held: set[TopicPartition] = set()
        self.fetches: list[tuple[int, int]] = []
        self.error_code = 0
        self._log: dict[TopicPartition, list[tuple[int, bytes]]] = defaultdict(list)  # with ends
        self._ends = dict.fromkeys(self.partitions, 0)
        self._client = self
        self.cluster = self

    def put(self, *messages: Message, partition: int = 0, codec: int = 0) -> None:
        """Append a batch, as a broker does."""
        place = self.partitions[partition]
        batch = build_batch(messages, codec=codec, base_offset=self._ends[place])
        self._ends[place] += len(messages)
        self._log[place].append((self._ends[place], batch))

    def put_raw(self, batch: bytes, *, count: int, partition: int = 0) -> None:
        """Append bytes that take so many offsets."""
        place = self.partitions[partition]
        batch = self._ends[place].to_bytes(8, "big") + batch[8:]
        self._ends[place] += count
        self._log[place].append((self._ends[place], batch))

    def end(self, partition: int = 0) -> int:
        return self._ends[self.partitions[partition]]

    def assignment(self) -> set[TopicPartition]:
        return set(self.partitions)

    def paused(self) -> set[TopicPartition]:
        return self.held

    async def position(self, partition: TopicPartition) -> int:
        return self.positions[partition]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    def leader_for_partition(self, _: TopicPartition) -> int:
        return 1

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """As aiokafka: an error loses what was read before it, but moves no position."""
        fetched = {}
        for partition in partitions or self.partitions:
            if max_records <= 0 or partition in self.held:
                continue
            records, position = self._decode(partition, max_records)
            self.positions[partition] = position
            if records:
                fetched[partition] = records
                max_records -= len(records)
        return fetched

    async def send(self, _: int, request: Any) -> Any:
        """Answer a fetch request with the bytes of the batches from an offset on."""
        ((topic, ((number, offset, _),)),) = request.topics
        self.fetches.append((number, offset))
        data = self._fetch(TopicPartition(topic, number), offset)
        answer = type("Answer", (), {})()
        answer.topics = [(topic, [(number, self.error_code, 0, None, data)])]
        return answer

    def _fetch(self, partition: TopicPartition, offset: int) -> bytes:
        """Give whole batches, from the one on that holds an offset, as a broker does."""
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
