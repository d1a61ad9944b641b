"""The broker in memory and a real one behind the same interface, so that each test is written once."""

import asyncio
from itertools import count
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from github_banners.errors import BrokerUnavailable
from github_banners.messaging.consumer import KafkaConsumer, cancel_within, internal_tasks
from github_banners.messaging.dead_letters import list_dead_letters
from github_banners.messaging.events import DEAD_LETTERS, PARTITIONS, Record
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.testing import MemoryBroker, MemoryConsumer, MemoryProducer
from github_banners.messaging.topics import ensure_topics
from tests.integration.kafka_server import Broker, MockBroker

AnyProducer: TypeAlias = KafkaProducer | MemoryProducer
AnyConsumer: TypeAlias = KafkaConsumer | MemoryConsumer
_numbers = count(1)


class MemorySide:
    """The broker in memory."""

    can_restart = True
    has_groups = True

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def close(self) -> None:
        pass

    async def create_topic(self) -> str:
        return f"updates-{next(_numbers)}"

    def create_producer(self) -> MemoryProducer:
        return self.broker.producer()

    def create_consumer(self, topic: str) -> MemoryConsumer:
        return self.broker.consumer(topic=topic, group=topic)

    async def committed(self, topic: str) -> dict[int, int]:
        return self.broker.committed(topic=topic, group=topic)

    async def dead_letters(self, topic: str) -> list[Record]:
        records = self.broker.records(DEAD_LETTERS)
        return [record for record in records if record.header("original_topic") == topic]

    async def crash_consumer(self, consumer: AnyConsumer) -> None:
        """End a consumer."""
        await consumer.close()

    async def kill_broker(self) -> None:
        self.broker.is_down = True

    async def restart_broker(self) -> None:
        self.broker.is_down = False


class BrokerSide:
    """A real broker, and the clients that a test has created."""

    def __init__(self, broker: Broker | MockBroker) -> None:
        self.broker = broker
        self.can_restart = self.has_groups = broker.is_real
        self._clients: list[KafkaProducer | KafkaConsumer] = []

    async def close(self) -> None:
        """Close all clients, also those of failed tests."""
        await asyncio.gather(*(client.close() for client in self._clients))

    async def create_topic(self) -> str:
        topic = f"updates-{next(_numbers)}"
        while self.broker.is_real:
            try:
                await ensure_topics(self.broker.addresses, topics=[topic, DEAD_LETTERS])
            except BrokerUnavailable:  # it is resuming after a pause
                await asyncio.sleep(0.2)
            else:
                break
        return topic

    def create_producer(self) -> KafkaProducer:
        producer = KafkaProducer(self.broker.addresses)
        self._clients.append(producer)
        return producer

    def create_consumer(self, topic: str) -> KafkaConsumer:
        consumer = KafkaConsumer(self.broker.addresses, topic=topic, group=topic)
        self._clients.append(consumer)
        return consumer

    async def committed(self, topic: str) -> dict[int, int]:
        """Return the committed offsets of a group without joining it."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.addresses, group_id=topic)
        await consumer.start()
        try:
            offsets = {
                number: await consumer.committed(TopicPartition(topic, number))
                for number in range(PARTITIONS)
            }
        finally:
            await consumer.stop()
        return {number: offset for number, offset in offsets.items() if offset is not None}

    async def dead_letters(self, topic: str) -> list[Record]:
        letters = await list_dead_letters(self.broker.addresses, limit=10_000)
        records = [letter.record for letter in letters]
        return [record for record in records if record.header("original_topic") == topic]

    async def crash_consumer(self, consumer: AnyConsumer) -> None:
        """End a consumer without leaving the group, which waits until its session times out."""
        assert isinstance(consumer, KafkaConsumer)
        client, consumer._consumer = consumer._consumer, None
        assert client is not None
        client._closed = True
        await cancel_within(*internal_tasks(client))
        await client._client.close()

    async def kill_broker(self) -> None:
        await asyncio.to_thread(self.process.kill)

    async def restart_broker(self) -> None:
        await asyncio.to_thread(self.process.restart)

    @property
    def process(self) -> Broker:
        """The process of Apache Kafka; librdkafka's mock has none."""
        assert isinstance(self.broker, Broker)
        return self.broker


AnySide: TypeAlias = MemorySide | BrokerSide
