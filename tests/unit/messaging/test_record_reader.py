"""A record that can't be decoded hides no other record, in its partition or another."""

from typing import Any

import pytest
from aiokafka.errors import KafkaError, LeaderNotAvailableError  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from github_banners.log_throttle import LogThrottle
from github_banners.messaging.decompression import MAX_DECOMPRESSED_BYTES
from github_banners.messaging.events import Record
from github_banners.messaging.record_reader import RecordReader
from tests.unit.messaging.log_consumer import UNKNOWN_TOPIC, LogConsumer
from tests.unit.messaging.record_batch_samples import GZIP, Message, build_batch

UNDECODABLE = Message(b"odd", headers=[(b"\xff", b"1")])


def make_reader(consumer: LogConsumer) -> RecordReader:
    return RecordReader(consumer, throttle=LogThrottle(lambda: 0.0))


async def read_all(
    reader: RecordReader, consumer: LogConsumer, *, max_records: int = 200
) -> list[Record]:
    records: list[Record] = []
    for _ in range(100):
        records += await reader.read(max_records=max_records, wait_seconds=0)
        if all(
            position == consumer.end(partition.partition)
            for partition, position in consumer.positions.items()
        ):
            return records
    raise AssertionError(f"no progress at {consumer.positions}")


@pytest.mark.parametrize("max_records", [1, 2, 200])
async def test_read_returns_each_record_once_in_order(
    max_records: int,
) -> None:
    consumer = LogConsumer(3)
    for number in range(30):
        consumer.put(Message(b"%d" % number), partition=number % 3)
        if number in {4, 5, 9, 20}:
            consumer.put(UNDECODABLE, Message(b"behind"), partition=number % 3)
    records = await read_all(make_reader(consumer), consumer, max_records=max_records)
    assert len(records) == 38
    for partition in range(3):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(consumer.end(partition)))
    assert sum(record.value == b"odd" for record in records) == 4
    assert not any(record.problem for record in records)


async def test_read_returns_at_most_max_records() -> None:
    consumer = LogConsumer(2)
    for number in range(20):
        consumer.put(Message(b"%d" % number), UNDECODABLE, Message(b"x"), partition=number % 2)
    reader = make_reader(consumer)
    for _ in range(50):
        assert len(await reader.read(max_records=4, wait_seconds=0)) <= 4
    assert sum(consumer.positions.values()) == 60


async def test_read_undecodable_records_are_logged_once_an_hour() -> None:
    consumer = LogConsumer(2)
    for _ in range(5):
        consumer.put(Message(b"1"), partition=1)
        consumer.put(UNDECODABLE, partition=1)
    with capture_logs() as lines:
        await read_all(make_reader(consumer), consumer)
    logged = [(line["event"], line["log_level"], line["partition"]) for line in lines]
    assert logged == [("records.undecodable", "warning", 1)]
    assert lines[0]["reason"].startswith("UnicodeDecodeError")


async def test_read_decompression_bomb_returns_its_compressed_bytes() -> None:
    consumer = LogConsumer()
    consumer.put(Message(b"1"))
    bomb = build_batch([Message(b" " * (MAX_DECOMPRESSED_BYTES + 1)), Message(b"x")], codec=GZIP)
    consumer.put_raw(bomb, count=2)
    consumer.put(Message(b"4"))
    records = await read_all(make_reader(consumer), consumer)
    assert [record.offset for record in records] == [0, 2, 3]
    assert records[1].problem.startswith("a batch of 2 records can't be decoded")
    assert records[1].value in bomb


async def test_read_damaged_batch_is_passed() -> None:
    consumer = LogConsumer()
    damaged = bytearray(build_batch([Message(b"1"), Message(b"2")]))
    damaged[-3] ^= 0xFF
    consumer.put_raw(bytes(damaged), count=2)
    consumer.put(Message(b"3"))
    records = await read_all(make_reader(consumer), consumer)
    assert [(record.offset, bool(record.problem)) for record in records] == [(1, True), (2, False)]
    assert "checksum" in records[0].problem
    assert consumer.positions[consumer.partitions[0]] == 3


async def test_read_paused_partition_is_not_fetched() -> None:
    consumer = LogConsumer(2)
    consumer.put(UNDECODABLE, partition=0)
    consumer.put(Message(b"1"), partition=1)
    reader = make_reader(consumer)
    assert await reader.read(max_records=9, wait_seconds=0) == []
    consumer.paused_partitions = {consumer.partitions[0]}
    records = [
        record for _ in range(5) for record in await reader.read(max_records=9, wait_seconds=0)
    ]
    assert [record.value for record in records] == [b"1"]
    consumer.paused_partitions = set()
    assert [record.value for record in await read_all(reader, consumer)] == [b"odd"]


async def test_read_partition_revoked_meanwhile_returns_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = LogConsumer()
    consumer.put(UNDECODABLE)
    reader = make_reader(consumer)
    await reader.read(max_records=9, wait_seconds=0)
    fetch = consumer.send

    async def revoke(node: int, request: object) -> object:
        reader.on_revoked()
        return await fetch(node, request)

    monkeypatch.setattr(consumer, "send", revoke)
    assert await reader.read(max_records=9, wait_seconds=0) == []
    assert consumer.positions[consumer.partitions[0]] == 0


async def test_read_broker_error_is_raised() -> None:
    consumer = LogConsumer()
    consumer.put(UNDECODABLE)
    reader = make_reader(consumer)
    await reader.read(max_records=9, wait_seconds=0)
    consumer.error_code = UNKNOWN_TOPIC
    with pytest.raises(KafkaError):
        await reader.read(max_records=9, wait_seconds=0)


async def test_read_group_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = LogConsumer()
    consumer.put(Message(b"1"), Message(b"2"))
    fetch = consumer.getmany

    async def break_second(*partitions: Any, timeout_ms: int, max_records: int) -> Any:
        if partitions:
            raise KafkaError("the group is broken")
        return await fetch(timeout_ms=timeout_ms, max_records=max_records)

    monkeypatch.setattr(consumer, "getmany", break_second)
    with pytest.raises(KafkaError):
        await make_reader(consumer).read(max_records=9, wait_seconds=0)


async def test_read_no_leader_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = LogConsumer()
    consumer.put(UNDECODABLE)
    reader = make_reader(consumer)
    await reader.read(max_records=9, wait_seconds=0)
    monkeypatch.setattr(consumer, "leader_for_partition", lambda _: -1)
    with pytest.raises(LeaderNotAvailableError):
        await reader.read(max_records=9, wait_seconds=0)
