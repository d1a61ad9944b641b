"""What is the twin's own; what it shares with a broker, tests/integration/test_events.py says."""

import pytest

from github_banners.errors import BrokerUnavailable
from github_banners.messaging.events import TOPIC
from github_banners.messaging.testing import MemoryBroker


async def take(broker: MemoryBroker) -> list[int]:
    source = broker.consumer()
    found = [record.offset for record in await source.poll(max_records=10, wait_seconds=0)]
    await source.close()
    return found


async def test_an_outage_is_for_all() -> None:
    broker = MemoryBroker()
    producer, source = broker.producer(), broker.consumer()
    await producer.send(TOPIC, key=b"k", value=b"v")
    assert await source.poll(max_records=1, wait_seconds=0)
    before = (producer.is_available, source.is_available)
    broker.is_down = True
    assert before == (True, True)
    assert (producer.is_available, source.is_available) == (False, False)
    for calling in (producer.send(TOPIC, key=b"k", value=b"v"), source.commit({0: 1})):
        with pytest.raises(BrokerUnavailable):
            await calling
    assert await take(broker) == []


async def test_keys_stay_in_their_partition() -> None:
    broker = MemoryBroker()
    for number in range(60):
        broker.append(TOPIC, key=b"k%d" % (number % 20), value=b"%d" % number, headers=())
    places = {(record.key, record.partition) for record in broker.records(TOPIC)}
    assert len(places) == 20
    assert len({partition for _, partition in places}) > 1


async def test_what_is_committed_is_where_the_next_begins() -> None:
    broker = MemoryBroker(partitions=1)
    for _ in range(3):
        broker.append(TOPIC, key=None, value=b"v", headers=())
    source = broker.consumer()
    await source.poll(max_records=10, wait_seconds=0)
    await source.commit({0: 2})
    await source.close()
    assert await take(broker) == [2]
    assert broker.committed() == {0: 2}


async def test_who_came_last_has_everything_and_tells_who_had_it() -> None:
    broker, told = MemoryBroker(partitions=2), []
    first, second, third = broker.consumer(), broker.consumer(), broker.consumer()

    async def lost(partitions: object) -> None:
        told.append(partitions)

    first.on_revoked(lost)
    broker.append(TOPIC, key=b"k", value=b"v", headers=())
    assert len(await first.poll(max_records=10, wait_seconds=0)) == 1
    assert len(await second.poll(max_records=10, wait_seconds=0)) == 1
    assert told == [{0, 1}]
    assert await first.poll(max_records=10, wait_seconds=0) == []
    with pytest.raises(BrokerUnavailable):
        await first.commit({0: 1})
    assert len(await third.poll(max_records=10, wait_seconds=0)) == 1
    await third.close()
    await second.close()
    await second.close()
    assert len(await first.poll(max_records=10, wait_seconds=0)) == 1
    await broker.producer().close()


async def test_what_is_held_is_left() -> None:
    broker = MemoryBroker(partitions=1)
    source = broker.consumer()
    broker.append(TOPIC, key=b"k", value=b"v", headers=())
    source.pause({0})
    assert await source.poll(max_records=10, wait_seconds=0) == []
    source.pause(())
    assert len(await source.poll(max_records=10, wait_seconds=0)) == 1
