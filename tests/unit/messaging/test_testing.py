"""The broker in memory; tests/integration/test_events.py compares it with a real one."""

import pytest

from github_banners.errors import BrokerUnavailable
from github_banners.messaging.events import TOPIC
from github_banners.messaging.testing import MemoryBroker


async def poll_offsets(broker: MemoryBroker) -> list[int]:
    consumer = broker.consumer()
    records = await consumer.poll(max_records=10, wait_seconds=0)
    await consumer.close()
    return [record.offset for record in records]


async def test_outage_refuses_all_clients() -> None:
    broker = MemoryBroker()
    producer, consumer = broker.producer(), broker.consumer()
    await producer.send(TOPIC, key=b"k", value=b"v")
    assert await consumer.poll(max_records=1, wait_seconds=0)
    before = (producer.is_available, consumer.is_available)
    broker.is_down = True
    assert before == (True, True)
    assert (producer.is_available, consumer.is_available) == (False, False)
    for call in (producer.send(TOPIC, key=b"k", value=b"v"), consumer.commit({0: 1})):
        with pytest.raises(BrokerUnavailable):
            await call
    assert await poll_offsets(broker) == []


async def test_append_same_key_goes_to_the_same_partition() -> None:
    broker = MemoryBroker()
    for number in range(60):
        broker.append(TOPIC, key=b"k%d" % (number % 20), value=b"%d" % number, headers=())
    partitions = {(record.key, record.partition) for record in broker.records(TOPIC)}
    assert len(partitions) == 20
    assert len({partition for _, partition in partitions}) > 1


async def test_poll_new_member_starts_at_the_committed_offset() -> None:
    broker = MemoryBroker(partitions=1)
    for _ in range(3):
        broker.append(TOPIC, key=None, value=b"v", headers=())
    consumer = broker.consumer()
    await consumer.poll(max_records=10, wait_seconds=0)
    await consumer.commit({0: 2})
    await consumer.close()
    assert await poll_offsets(broker) == [2]
    assert broker.committed() == {0: 2}


async def test_poll_new_member_revokes_the_partitions_of_the_previous() -> None:
    broker, revoked = MemoryBroker(partitions=2), []
    first, second, third = broker.consumer(), broker.consumer(), broker.consumer()

    async def record_revoked(partitions: object) -> None:
        revoked.append(partitions)

    first.on_revoked(record_revoked)
    broker.append(TOPIC, key=b"k", value=b"v", headers=())
    assert len(await first.poll(max_records=10, wait_seconds=0)) == 1
    assert len(await second.poll(max_records=10, wait_seconds=0)) == 1
    assert revoked == [{0, 1}]
    assert await first.poll(max_records=10, wait_seconds=0) == []
    with pytest.raises(BrokerUnavailable):
        await first.commit({0: 1})
    assert len(await third.poll(max_records=10, wait_seconds=0)) == 1
    await third.close()
    await second.close()
    await second.close()
    assert len(await first.poll(max_records=10, wait_seconds=0)) == 1
    await broker.producer().close()


async def test_pause_partition_is_not_polled() -> None:
    broker = MemoryBroker(partitions=1)
    consumer = broker.consumer()
    broker.append(TOPIC, key=b"k", value=b"v", headers=())
    consumer.pause({0})
    assert await consumer.poll(max_records=10, wait_seconds=0) == []
    consumer.pause(())
    assert len(await consumer.poll(max_records=10, wait_seconds=0)) == 1
