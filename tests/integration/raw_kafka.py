"""A Kafka client that sends raw record batches."""

import asyncio
from collections.abc import Sequence

from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]
from aiokafka.errors import NotLeaderForPartitionError, for_code  # type: ignore[import-untyped]
from aiokafka.protocol.produce import ProduceRequest  # type: ignore[import-untyped]


async def produce_raw(
    addresses: Sequence[str], topic: str, batch: bytes, *, partition: int = 0
) -> None:
    """
    Send a batch, and wait until the broker has accepted it.

    :raises KafkaError: the broker refuses it
    """
    client = AIOKafkaClient(bootstrap_servers=list(addresses))
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = ProduceRequest(None, -1, 5000, [(topic, [(partition, batch)])])
        while True:
            response = await client.send(node, request)
            ((_, ((_, error_code, *_),)),) = response.topics
            if error_code != NotLeaderForPartitionError.errno:
                break
            await asyncio.sleep(0.1)  # the topic has just been created
        if error_code:
            raise for_code(error_code)(topic)
    finally:
        await client.close()
