"""The twin and a broker, with the same handles: what a case needs to be written once."""

import asyncio
from itertools import count
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from github_banners.errors import BrokerUnavailable
from github_banners.messaging.consumer import KafkaConsumer, _cancel_within, _internal_tasks
from github_banners.messaging.dead_letters import list_dead_letters
from github_banners.messaging.events import DEAD_LETTERS, PARTITIONS, Record
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.testing import MemoryBroker, MemoryConsumer, MemoryProducer
from github_banners.messaging.topics import ensure_topics
from tests.integration.kafka_server import Broker, StandIn

AnyProducer: TypeAlias = KafkaProducer | MemoryProducer
AnySource: TypeAlias = KafkaConsumer | MemoryConsumer
_numbers = count(1)


class TwinSide:
    """The twin."""

    can_end = True
    has_groups = True

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def close(self) -> None:
        pass

    async def make_topic(self) -> str:
        return f"updates-{next(_numbers)}"

    def producer(self) -> MemoryProducer:
        return self.broker.producer()

    def source(self, topic: str) -> MemoryConsumer:
        return self.broker.consumer(topic=topic, group=topic)

    async def committed(self, topic: str) -> dict[int, int]:
        return self.broker.committed(topic=topic, group=topic)

    async def dead_letters(self, topic: str) -> list[Record]:
        found = self.broker.records(DEAD_LETTERS)
        return [one for one in found if one.header("original_topic") == topic]

    async def crash(self, source: AnySource) -> None:
        """Be gone without a word."""
        await source.close()

    async def kill(self) -> None:
        self.broker.is_down = True

    async def start_again(self) -> None:
        self.broker.is_down = False


class BrokerSide:
    """A broker, and our clients of it."""

    def __init__(self, broker: Broker | StandIn) -> None:
        self.broker = broker
        self.can_end = self.has_groups = broker.is_real
        self._opened: list[KafkaProducer | KafkaConsumer] = []

    async def close(self) -> None:
        """Close what tests have opened, also those that failed."""
        await asyncio.gather(*(one.close() for one in self._opened))

    async def make_topic(self) -> str:
        topic = f"updates-{next(_numbers)}"
        while self.broker.is_real:
            try:
                await ensure_topics(self.broker.addresses, topics=[topic, DEAD_LETTERS])
            except BrokerUnavailable:  # it was made to hang, and comes to itself
                await asyncio.sleep(0.2)
            else:
                break
        return topic

    def producer(self) -> KafkaProducer:
        self._opened.append(opened := KafkaProducer(self.broker.addresses))
        return opened

    def source(self, topic: str) -> KafkaConsumer:
        self._opened.append(
            opened := KafkaConsumer(self.broker.addresses, topic=topic, group=topic)
        )
        return opened

    async def committed(self, topic: str) -> dict[int, int]:
        """Ask as somebody who is in no group."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.addresses, group_id=topic)
        await consumer.start()
        try:
            places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
            found = {place.partition: await consumer.committed(place) for place in places}
        finally:
            await consumer.stop()
        return {n: offset for n, offset in found.items() if offset is not None}

    async def dead_letters(self, topic: str) -> list[Record]:
        found = await list_dead_letters(self.broker.addresses, limit=10_000)
        return [one.record for one in found if one.record.header("original_topic") == topic]

    async def crash(self, source: AnySource) -> None:
        """Be gone without a word: the group waits until the session has ended."""
        assert isinstance(source, KafkaConsumer)
        consumer, source._consumer = source._consumer, None
        assert consumer is not None
        consumer._closed = True
        await _cancel_within(*_internal_tasks(consumer))
        await consumer._client.close()

    async def kill(self) -> None:
        await asyncio.to_thread(self.process.kill)

    async def start_again(self) -> None:
        await asyncio.to_thread(self.process.restart)

    @property
    def process(self) -> Broker:
        """Only of Apache Kafka."""
        assert isinstance(self.broker, Broker)
        return self.broker


AnySide: TypeAlias = TwinSide | BrokerSide
