"""
Events from producer to update consumer: each test on the broker in memory and on a real one.

A real broker is killed, restarted and paused meanwhile; no event may be revoked.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from github_banners.errors import BrokerUnavailable, RemoteRejected, StorageUnavailable, Unavailable
from github_banners.messaging import consumer as consumer_module
from github_banners.messaging.consumer import KafkaConsumer
from github_banners.messaging.dead_letters import list_dead_letters, replay_dead_letters
from github_banners.messaging.events import DEAD_LETTERS, PARTITIONS, TOPIC, Record
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.topics import ensure_topics
from github_banners.renderer.update_consumer import UpdateConsumer
from github_banners.renderer.worker import Outcome
from tests.fake_clock import drain_loop
from tests.integration.kafka_server import Broker, MockBroker, start_kafka
from tests.integration.kafka_sides import AnyConsumer, AnyProducer, AnySide, BrokerSide, MemorySide
from tests.time_limits import finish_within
from tests.unit.renderer.harness import event_body

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

TIMEOUT_SECONDS = 40
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | MockBroker]:
    with start_kafka(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let members notice rebalances and new topics at once, rather than after 3 and 5 s."""
    monkeypatch.setattr(consumer_module, "_HEARTBEAT_INTERVAL_MS", 300)
    monkeypatch.setattr(consumer_module, "_METADATA_MAX_AGE_MS", 500)


@pytest.fixture(params=["memory", "broker"])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[AnySide]:
    is_memory = request.param == "memory"
    side_ = MemorySide() if is_memory else BrokerSide(request.getfixturevalue("broker"))
    yield side_
    await side_.close()


@pytest.fixture
def full_side(side: AnySide) -> AnySide:
    """A broker with consumer groups that can be restarted."""
    if not side.has_groups or not side.can_restart:
        pytest.skip("not supported by librdkafka's mock broker")
    return side


@pytest.fixture
async def real_side(broker: Broker | MockBroker) -> AsyncIterator[BrokerSide]:
    """Apache Kafka only, for behaviour that the broker in memory does not have."""
    if not broker.is_real:
        pytest.skip("not supported by librdkafka's mock broker")
    side_ = BrokerSide(broker)
    yield side_
    await side_.close()


@pytest.fixture
def producer(side: AnySide) -> AnyProducer:
    return side.create_producer()


@dataclass
class UpdateRecorder:
    """Records the handled updates in order; `fail` may raise for an update."""

    events: list[tuple[str, int]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    fail: Callable[[RenderJob], Awaitable[None]] | None = None

    async def handle(self, update: RenderJob) -> None:
        if self.fail is not None:
            await self.fail(update)
        await asyncio.sleep(0)
        self.events.append((update.snapshot.owner.login, update.version))

    @property
    def versions(self) -> set[int]:
        return {version for _, version in self.events}


async def send(producer: AnyProducer, topic: str, versions: range, *, users: int = 20) -> None:
    """Send versions, each until it is acknowledged."""

    async def send_until_acknowledged(version: int) -> None:
        user = f"user{version % users}"
        while True:
            try:
                body = event_body(user, version)
                return await producer.send(topic, key=user.encode(), value=body, headers=())
            except BrokerUnavailable:
                await asyncio.sleep(0.2)

    await asyncio.gather(*map(send_until_acknowledged, versions))


async def eventually(condition: Callable[[], bool], *, seconds: float = TIMEOUT_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - other tasks and processes change it
            await asyncio.sleep(0.02)


async def poll_records(consumer: AnyConsumer, number: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(records) < number:
            records += await consumer.poll(max_records=100, wait_seconds=0.2)
    return records


@asynccontextmanager
async def consuming(
    side: AnySide, topic: str, recorder: UpdateRecorder, *, consumer: AnyConsumer | None = None
) -> AsyncIterator[UpdateConsumer]:
    """Run an update consumer, and stop it in the end."""
    producer, stop = side.create_producer(), asyncio.Event()
    update_consumer = UpdateConsumer(
        consumer=consumer or side.create_consumer(topic),
        producer=producer,
        handle=recorder.handle,
        on_outcome=recorder.outcomes.append,
    )
    running = asyncio.create_task(update_consumer.run(stop))
    try:
        yield update_consumer
    finally:
        stop.set()
        await running


async def test_lag_counts_the_records_that_were_not_read(
    side: AnySide, producer: AnyProducer
) -> None:
    topic = await side.create_topic()
    consumer = side.create_consumer(topic)
    assert consumer.lag == 0
    await send(producer, topic, range(10), users=1)
    records: list[Record] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not records:
            records = await consumer.poll(max_records=3, wait_seconds=0.2)
    assert consumer.lag == 10 - len(records) > 0
    await poll_records(consumer, 10 - len(records))
    assert consumer.lag == 0


async def test_update_consumer_handles_records_in_the_order_of_their_keys(
    side: AnySide, producer: AnyProducer
) -> None:
    topic, recorder = await side.create_topic(), UpdateRecorder()
    await send(producer, topic, range(500))
    async with consuming(side, topic, recorder):
        await eventually(lambda: len(recorder.events) == 500)
    versions_by_user = defaultdict(list)
    for user, version in recorder.events:
        versions_by_user[user].append(version)
    assert all(versions == sorted(versions) for versions in versions_by_user.values())
    assert recorder.versions == set(range(500))
    assert sum((await side.committed(topic)).values()) == 500


async def test_update_consumer_restarted_skips_committed_records(
    side: AnySide, producer: AnyProducer
) -> None:
    topic, first, second = await side.create_topic(), UpdateRecorder(), UpdateRecorder()
    await send(producer, topic, range(50))
    async with consuming(side, topic, first):
        await eventually(lambda: len(first.events) == 50)
    await send(producer, topic, range(50, 60))
    async with consuming(side, topic, second):
        await eventually(lambda: len(second.events) == 10)
    assert second.versions == set(range(50, 60))


async def test_update_consumer_malformed_records_are_dead_lettered_unchanged(
    side: AnySide, producer: AnyProducer
) -> None:
    topic, recorder = await side.create_topic(), UpdateRecorder()
    headers = (("traceparent", TRACEPARENT.encode()), ("x", b"\xff"))
    await send(producer, topic, range(20))
    await producer.send(topic, key=b"user1", value=b'{"poison": \xff', headers=headers)
    await producer.send(topic, key=b"user2", value=b"x" * 900_000, headers=())
    await send(producer, topic, range(20, 40))
    with capture_logs() as lines:
        async with consuming(side, topic, recorder):
            await eventually(lambda: len(recorder.outcomes) == 42)
    assert recorder.versions == set(range(40))
    letter, large = sorted(await side.dead_letters(topic), key=lambda record: len(record.value))
    assert large.value == b"x" * 900_000
    assert (letter.key, letter.value) == (b"user1", b'{"poison": \xff')
    assert letter.headers[:2] == headers
    assert letter.header("reason").startswith("MalformedMessage")
    assert int(letter.header("original_offset")) >= 0
    assert letter.header("failed_at").startswith("20")
    assert recorder.outcomes.count(Outcome.DEAD_LETTERED) == 2
    assert sum((await side.committed(topic)).values()) == 42
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "update.dead_lettered"
    ] * 2


async def test_update_consumer_storage_down_is_waited_for(
    side: AnySide, producer: AnyProducer
) -> None:
    topic, recorder = await side.create_topic(), UpdateRecorder()
    attempt_times: list[float] = []

    async def fail(update: RenderJob) -> None:
        attempt_times.append(time.monotonic())
        raise StorageUnavailable

    recorder.fail = fail
    await send(producer, topic, range(300))
    async with consuming(side, topic, recorder):
        await eventually(lambda: len(attempt_times) >= 19)
        # After the attempts that had started, one a second.
        assert attempt_times[-1] - attempt_times[0] > 0.9
        assert not any((await side.committed(topic)).values())
        recorder.fail = None
        await eventually(lambda: len(recorder.events) == 300)
    assert recorder.versions == set(range(300))
    assert sum((await side.committed(topic)).values()) == 300
    assert Outcome.DEAD_LETTERED not in recorder.outcomes


async def test_update_consumer_failing_record_delays_only_the_commit(
    side: AnySide, producer: AnyProducer
) -> None:
    topic, recorder, fails = await side.create_topic(), UpdateRecorder(), asyncio.Event()
    fails.set()

    async def fail_version_7(update: RenderJob) -> None:
        if update.version == 7 and fails.is_set():
            raise Unavailable

    recorder.fail = fail_version_7
    await send(producer, topic, range(8))
    await send(producer, topic, range(8, 100), users=1)
    async with consuming(side, topic, recorder) as update_consumer:
        await eventually(lambda: len(recorder.events) == 99)
        assert update_consumer.unfinished == 1
        await asyncio.sleep(1)
        assert sum((await side.committed(topic)).values()) < 100
        fails.clear()
        await eventually(lambda: len(recorder.events) == 100)
    assert sum((await side.committed(topic)).values()) == 100


async def test_update_consumer_broker_down_at_start_is_waited_for(full_side: AnySide) -> None:
    topic, recorder = await full_side.create_topic(), UpdateRecorder()
    await full_side.kill_broker()
    producer = full_side.create_producer()
    with pytest.raises(BrokerUnavailable):
        await producer.send(topic, key=b"k", value=b"v", headers=())
    was_available = producer.is_available
    async with consuming(full_side, topic, recorder):
        await asyncio.sleep(0.5)
        await full_side.restart_broker()
        await send(producer, topic, range(20))
        assert (was_available, producer.is_available) == (False, True)
        await eventually(lambda: len(recorder.events) >= 20)
    assert recorder.versions == set(range(20))


async def test_update_consumer_broker_killed_loses_nothing(
    full_side: AnySide, producer: AnyProducer
) -> None:
    topic, recorder = await full_side.create_topic(), UpdateRecorder()
    async with consuming(full_side, topic, recorder):
        await send(producer, topic, range(100))
        sending = asyncio.create_task(send(producer, topic, range(100, 2000)))
        await eventually(lambda: len(recorder.events) > 150)
        await full_side.kill_broker()
        late = asyncio.create_task(send(producer, topic, range(2000, 2100)))
        await asyncio.sleep(0.5)
        await full_side.restart_broker()
        received = eventually(lambda: len(recorder.versions) == 2100)
        await finish_within(asyncio.gather(sending, late, received), seconds=10)
        # Records may be handled before the group's coordinator is back, which commits need. A message
        # without an acknowledgement was sent twice, and is there twice.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while sum((await full_side.committed(topic)).values()) < 2100:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_update_consumer_second_member_joins_and_leaves(
    full_side: AnySide, producer: AnyProducer
) -> None:
    topic, first, second = await full_side.create_topic(), UpdateRecorder(), UpdateRecorder()
    async with consuming(full_side, topic, first):
        await send(producer, topic, range(100))
        await eventually(lambda: len(first.versions) == 100)
        async with consuming(full_side, topic, second):
            version = 100
            while not second.events:
                await send(producer, topic, range(version, version + 20))
                version += 20
                await asyncio.sleep(0.1)
        await send(producer, topic, range(version, version + 100))
        everything = set(range(version + 100))
        await eventually(lambda: first.versions | second.versions == everything)
        assert version + 99 in first.versions
    assert sum((await full_side.committed(topic)).values()) == version + 100


async def test_update_consumer_crashed_member_records_are_handled_again(
    full_side: AnySide, producer: AnyProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "_SESSION_TIMEOUT_MS", 2000)
    topic, recorder = await full_side.create_topic(), UpdateRecorder()
    consumer = full_side.create_consumer(topic)
    await send(producer, topic, range(30))
    assert len(await poll_records(consumer, 30)) == 30
    await full_side.crash_consumer(consumer)
    async with consuming(full_side, topic, recorder):
        await eventually(lambda: len(recorder.versions) == 30)
    assert recorder.versions == set(range(30))


async def test_clients_broker_hanging_fail_within_seconds(real_side: BrokerSide) -> None:
    topic, producer = await real_side.create_topic(), real_side.create_producer()
    consumer = real_side.create_consumer(topic)
    await producer.send(topic, key=b"k", value=b"1")
    await poll_records(consumer, 1)
    real_side.process.pause()
    try:
        with pytest.raises(BrokerUnavailable):
            await finish_within(producer.send(topic, key=b"k", value=b"2"), seconds=6)
        # Refused before it waits for anything.
        sending = asyncio.create_task(producer.send(topic, key=b"k", value=b"3"))
        await drain_loop()
        assert isinstance(sending.exception(), BrokerUnavailable)
        with pytest.raises(BrokerUnavailable):
            await consumer.commit({0: 1})
        await finish_within(asyncio.gather(producer.close(), consumer.close()), seconds=6)
    finally:
        real_side.process.resume()


async def test_send_a_hundred_messages_are_batched(
    real_side: BrokerSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, producer = await real_side.create_topic(), real_side.create_producer()
    await producer.send(topic, key=b"k", value=b"v")
    requests: list[str] = []
    send_request = AIOKafkaClient.send

    async def record(self: object, node: int, request: object, **options: object) -> object:
        requests.append(type(request).__name__)
        return await send_request(self, node, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", record)
    keys = [b"%d" % n for n in range(100)]
    await asyncio.gather(*(producer.send(topic, key=key, value=b"v" * 500) for key in keys))
    assert 0 < len([name for name in requests if name.startswith("Produce")]) <= PARTITIONS


async def test_send_too_large_message_is_refused_alone(real_side: BrokerSide) -> None:
    topic, producer = await real_side.create_topic(), real_side.create_producer()
    for size in (2_000_000, 5_000_000):
        with pytest.raises(RemoteRejected):
            await producer.send(topic, key=b"k", value=b"v" * size)
    await producer.send(topic, key=b"k", value=b"v")
    await producer.send(DEAD_LETTERS, key=b"k", value=b"v" * 2_000_000)
    assert producer.is_available


async def test_poll_broken_client_is_replaced(
    real_side: BrokerSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked: list[int] = []
    topic, producer = await real_side.create_topic(), real_side.create_producer()
    consumer = real_side.create_consumer(topic)

    async def commit_and_record(partitions: Collection[int]) -> None:
        revoked.extend(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))

    consumer.on_revoked(commit_and_record)
    await send(producer, topic, range(10))
    assert len(await poll_records(consumer, 10)) == 10
    assert consumer.is_available

    async def raise_error(*_: object, **__: object) -> None:
        raise KafkaError("it is broken")

    with capture_logs() as lines, monkeypatch.context() as broken:
        broken.setattr(AIOKafkaConsumer, "getmany", raise_error)
        assert await consumer.poll(max_records=10, wait_seconds=0.1) == []
    assert sorted(revoked) == list(range(PARTITIONS))
    assert [line["event"] for line in lines] == ["broker.down"]
    assert len(await poll_records(consumer, 10)) == 10


async def test_commit_partition_not_assigned_is_refused(real_side: BrokerSide) -> None:
    consumer = real_side.create_consumer(await real_side.create_topic())
    await consumer.poll(max_records=1, wait_seconds=1)
    with pytest.raises(BrokerUnavailable):
        await consumer.commit({PARTITIONS: 1})


async def test_pause_lasts_through_a_rebalance(real_side: BrokerSide) -> None:
    topic, producer = await real_side.create_topic(), real_side.create_producer()
    consumer, other = real_side.create_consumer(topic), real_side.create_consumer(topic)
    consumer.pause(range(PARTITIONS))
    await send(producer, topic, range(50))
    for _ in range(5):
        assert await consumer.poll(max_records=100, wait_seconds=0.2) == []
    joining = asyncio.create_task(other.poll(max_records=1, wait_seconds=1))
    while not joining.done():
        # The rebalance assigns partitions first_topic, and they stay paused.
        assert await consumer.poll(max_records=100, wait_seconds=0.2) == []
    await other.close()
    consumer.pause([])
    positions: set[tuple[int, int]] = set()
    while len(positions) < 50:
        positions |= {
            (record.partition, record.offset) for record in await poll_records(consumer, 1)
        }


async def test_ensure_topics_existing_topics_are_kept(real_side: BrokerSide) -> None:
    assert set(await ensure_topics(real_side.broker.addresses)) <= {TOPIC, DEAD_LETTERS}
    assert await ensure_topics(real_side.broker.addresses) == []


async def test_poll_topic_created_later_is_found(real_side: BrokerSide) -> None:
    producer, consumer = real_side.create_producer(), real_side.create_consumer("side_-later")
    assert await consumer.poll(max_records=10, wait_seconds=0.1) == []
    with pytest.raises(BrokerUnavailable):
        await producer.send("side_-later", key=b"k", value=b"v")
    await ensure_topics(real_side.broker.addresses, topics=["side_-later"])
    await send(producer, "side_-later", range(1))
    assert await poll_records(consumer, 1)


async def test_dead_letters_are_listed_and_replayed_once(real_side: BrokerSide) -> None:
    recorder = UpdateRecorder()
    topic, first_topic, other_topic = [await real_side.create_topic() for _ in range(3)]
    addresses, producer = real_side.broker.addresses, real_side.create_producer()
    await replay_dead_letters(addresses, topic=other_topic)
    for number in range(5):
        headers = (("n", b"%d" % number),)
        await producer.send(topic, key=b"k", value=b"bad %d" % number, headers=headers)
    async with consuming(real_side, topic, recorder):
        await eventually(lambda: len(recorder.outcomes) >= 5)
    letters = await list_dead_letters(addresses, limit=5)
    assert [letter.record.value for letter in letters] == [b"bad %d" % n for n in range(5)]
    assert not any(letter.is_replayed for letter in letters)
    assert letters[0].origin.startswith(f"{topic}/")
    first = await replay_dead_letters(addresses, topic=first_topic, limit=2)
    rest = await replay_dead_letters(addresses, topic=first_topic)
    nothing = await replay_dead_letters(addresses, topic=first_topic)
    assert (first.sent, rest.sent, nothing.sent) == (2, 3, 0)
    assert all(letter.is_replayed for letter in await list_dead_letters(addresses, limit=5))
    consumer = real_side.create_consumer(first_topic)
    records = await poll_records(consumer, 5)
    assert [record.value for record in records] == [b"bad %d" % n for n in range(5)]
    assert [record.headers[0] for record in records] == [("n", b"%d" % n) for n in range(5)]
    assert [[name for name, _ in record.headers] for record in records] == [["n", "replayed"]] * 5


async def test_clients_without_a_broker_are_unavailable(tmp_path: Path) -> None:
    unreachable = ["127.0.0.1:1"]
    producer, consumer = KafkaProducer(unreachable), KafkaConsumer(unreachable)
    for call in (
        ensure_topics(unreachable),
        list_dead_letters(unreachable, limit=1),
        replay_dead_letters(unreachable),
        producer.send(TOPIC, key=None, value=b""),
        consumer.commit({0: 1}),
    ):
        with pytest.raises(BrokerUnavailable):
            await call
    assert await consumer.poll(max_records=1, wait_seconds=0.1) == []
    assert not consumer.is_available
    await producer.close()
    await consumer.close()
