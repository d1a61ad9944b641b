"""Records that aiokafka can't decode, that are too large, or that come from other programs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import MessageSizeTooLargeError  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from github_banners.messaging.dead_letters import (
    ORIGINAL_SIZE,
    REASON,
    list_dead_letters,
    replay_dead_letters,
    send_dead_letter,
)
from github_banners.messaging.decompression import MAX_DECOMPRESSED_BYTES
from github_banners.messaging.events import DEAD_LETTERS, PARTITIONS, Record
from github_banners.renderer.worker import Outcome
from tests.integration.kafka_server import Broker, MockBroker, start_kafka
from tests.integration.kafka_sides import BrokerSide
from tests.integration.raw_kafka import produce_raw
from tests.integration.test_events import UpdateRecorder, consuming, eventually, send
from tests.unit.messaging.record_batch_samples import CODECS, Message, build_batch
from tests.unit.renderer.harness import event_body

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

NOW = datetime(2026, 11, 26, tzinfo=UTC)
UNDECODABLE_HEADER = [(b"x-\xff\xfe", b"1")]
BOMB = b" " * (MAX_DECOMPRESSED_BYTES * 4)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | MockBroker]:
    with start_kafka(tmp_path_factory.mktemp("kafka")) as started:
        if not started.is_real:
            pytest.skip("not supported by librdkafka's mock broker")
        yield started


@pytest.fixture
async def side(broker: Broker) -> AsyncIterator[BrokerSide]:
    side_ = BrokerSide(broker)
    yield side_
    await side_.close()


async def create_topic_with_broker_defaults(side: BrokerSide, name: str) -> str:
    """Create a topic with the broker's defaults, which stores batches compressed as sent by clients."""
    admin = AIOKafkaAdminClient(bootstrap_servers=side.broker.addresses)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    finally:
        await admin.close()
    return name


async def test_header_name_not_utf8_blocks_no_partition(side: BrokerSide) -> None:
    topic, producer, recorder = await side.create_topic(), side.create_producer(), UpdateRecorder()
    await send(producer, topic, range(20))
    for partition in range(PARTITIONS):
        poison = [
            Message(event_body("odd", 1000 + partition), headers=UNDECODABLE_HEADER),
            Message(b"odd", headers=UNDECODABLE_HEADER),
            Message(event_body("next", 2000 + partition)),
        ]
        await produce_raw(side.broker.addresses, topic, build_batch(poison), partition=partition)
    await send(producer, topic, range(20, 40))
    with capture_logs() as lines:
        async with consuming(side, topic, recorder):
            await eventually(lambda: len(recorder.outcomes) == 58)
            await send(producer, topic, range(40, 60))
            await eventually(lambda: len(recorder.outcomes) == 78)
    odd = {*range(1000, 1000 + PARTITIONS), *range(2000, 2000 + PARTITIONS)}
    assert recorder.versions == {*range(60), *odd}
    assert recorder.outcomes.count(Outcome.DEAD_LETTERED) == PARTITIONS
    assert sum((await side.committed(topic)).values()) == 78
    assert {record.value for record in await side.dead_letters(topic)} == {b"odd"}
    logged = [line for line in lines if line["event"] == "records.undecodable"]
    assert {line["partition"] for line in logged} == set(range(PARTITIONS))
    assert "broker.down" not in [line["event"] for line in lines]


@pytest.mark.parametrize("codec", CODECS)
async def test_decompression_bomb_is_refused_by_our_topics(side: BrokerSide, codec: int) -> None:
    topic = await side.create_topic()
    small = build_batch([Message(event_body("ada", 1)), Message(b" " * 1000)], codec=codec)
    await produce_raw(side.broker.addresses, topic, small)
    for name in (topic, DEAD_LETTERS):
        bomb = build_batch([Message(BOMB)], codec=codec)
        with pytest.raises(MessageSizeTooLargeError):
            await produce_raw(side.broker.addresses, name, bomb)


@pytest.mark.parametrize("codec", CODECS)
async def test_decompression_bomb_in_an_older_topic_is_dead_lettered_compressed(
    side: BrokerSide, codec: int
) -> None:
    topic = await create_topic_with_broker_defaults(side, f"older-{codec}")
    producer, recorder = side.create_producer(), UpdateRecorder()
    await ensure_dead_letter_topic(side)
    await send(producer, topic, range(20))
    bomb = build_batch([Message(BOMB), Message(b"2")], codec=codec)
    await produce_raw(side.broker.addresses, topic, bomb)
    await send(producer, topic, range(20, 40))
    async with consuming(side, topic, recorder):
        await eventually(lambda: len(recorder.outcomes) == 41)
    assert recorder.versions == set(range(40))
    (letter,) = await side.dead_letters(topic)
    assert "a batch of 2 records can't be decoded" in letter.header(REASON)
    assert letter.value in bomb
    assert sum((await side.committed(topic)).values()) == 42


async def ensure_dead_letter_topic(side: BrokerSide) -> None:
    await side.create_topic()  # this also creates the dead letter topic


async def test_dead_letter_too_large_is_truncated_and_not_replayed(
    side: BrokerSide,
) -> None:
    await ensure_dead_letter_topic(side)
    producer, addresses = side.create_producer(), side.broker.addresses
    await replay_dead_letters(addresses, topic=await side.create_topic())
    value, key = b"x" * 5_000_000, b"k" * 5_000_000
    many_headers = tuple((f"name-{number}", b"v" * 100) for number in range(50_000))
    for record in (
        Record("cut", 0, 1, b"k", value),
        Record("cut", 0, 2, b"k", value, headers=many_headers),
        Record("cut", 0, 3, key, value),
        Record("cut", 0, 4, None, value[: 4 << 20]),
    ):
        await send_dead_letter(producer, record, reason="too large", failed_at=NOW)
    letters = await list_dead_letters(addresses, limit=4)
    assert [letter.origin for letter in letters] == [f"cut/0/{n}" for n in (1, 2, 3, 4)]
    records = [letter.record for letter in letters]
    assert [len(record.value) for record in records] == [65536, 0, 0, 65536]
    assert [record.header(ORIGINAL_SIZE) for record in records] == ["5000000"] * 3 + ["4194304"]
    assert [len(record.key or b"") for record in records] == [1, 1, 1024, 0]
    replay = await replay_dead_letters(addresses, topic=await side.create_topic())
    assert (replay.sent, replay.refused) == (0, 4)


async def test_foreign_dead_letters_are_listed_and_replayed(side: BrokerSide) -> None:
    await ensure_dead_letter_topic(side)
    addresses, topic = side.broker.addresses, await side.create_topic()
    await replay_dead_letters(addresses, topic=topic)
    batch = build_batch([Message(b"1", headers=UNDECODABLE_HEADER), Message(b"2")])
    await produce_raw(addresses, DEAD_LETTERS, batch, partition=3)
    async with asyncio.timeout(30):
        values = {letter.record.value for letter in await list_dead_letters(addresses, limit=1000)}
        assert values >= {b"1", b"2"}
        assert (await replay_dead_letters(addresses, topic=topic)).sent == 2
