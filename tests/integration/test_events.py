"""
Events from one end to the other: each case on the twin and on a broker.

On a real broker it is killed, restarted and made to hang; what is promised is that nothing is lost.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from github_banners.errors import BrokerUnavailable, RemoteRejected, StorageUnavailable, Unavailable
from github_banners.messaging.consumer import KafkaConsumer
from github_banners.messaging.dead_letters import list_dead_letters, replay_dead_letters
from github_banners.messaging.events import DEAD_LETTERS, PARTITIONS, TOPIC, Record
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.topics import ensure_topics
from github_banners.renderer.update_consumer import UpdateConsumer
from github_banners.renderer.worker import Outcome
from tests.integration.kafka_server import Broker, StandIn, a_broker
from tests.integration.kafka_sides import AnyProducer, AnySide, AnySource, BrokerSide, TwinSide
from tests.unit.renderer.harness import event_body

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

PATIENCE_SECONDS = 40
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | StandIn]:
    with a_broker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture(params=["twin", "broker"])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[AnySide]:
    is_twin = request.param == "twin"
    made = TwinSide() if is_twin else BrokerSide(request.getfixturevalue("broker"))
    yield made
    await made.close()


@pytest.fixture
def strong_side(side: AnySide) -> AnySide:
    """One that has groups and can end."""
    if not side.has_groups or not side.can_end:
        pytest.skip("librdkafka's stand-in can't")
    return side


@pytest.fixture
async def real_side(broker: Broker | StandIn) -> AsyncIterator[BrokerSide]:
    """Apache Kafka alone, for what the twin does not play."""
    if not broker.is_real:
        pytest.skip("librdkafka's stand-in can't")
    made = BrokerSide(broker)
    yield made
    await made.close()


@pytest.fixture
def producer(side: AnySide) -> AnyProducer:
    return side.producer()


@dataclass
class Seen:
    """What was handled, in its order, by whom; `fail` may refuse."""

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
    """Send versions, each as often as it takes."""

    async def insist(version: int) -> None:
        user = f"user{version % users}"
        while True:
            try:
                body = event_body(user, version)
                return await producer.send(topic, key=user.encode(), value=body, headers=())
            except BrokerUnavailable:
                await asyncio.sleep(0.2)

    await asyncio.gather(*map(insist, versions))


async def eventually(is_so: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 - it is in other hands
            await asyncio.sleep(0.02)


async def taken_from(source: AnySource, number: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(records) < number:
            records += await source.poll(max_records=100, wait_seconds=0.2)
    return records


@asynccontextmanager
async def consuming(
    side: AnySide, topic: str, seen: Seen, *, source: AnySource | None = None
) -> AsyncIterator[UpdateConsumer]:
    """A renderer that runs, and is stopped in the end."""
    producer, stop = side.producer(), asyncio.Event()
    consumption = UpdateConsumer(
        consumer=source or side.source(topic),
        producer=producer,
        handle=seen.handle,
        on_outcome=seen.outcomes.append,
    )
    running = asyncio.create_task(consumption.run(stop))
    try:
        yield consumption
    finally:
        stop.set()
        await running


async def test_all_come_in_the_order_of_their_keys(side: AnySide, producer: AnyProducer) -> None:
    topic, seen = await side.make_topic(), Seen()
    await send(producer, topic, range(500))
    async with consuming(side, topic, seen):
        await eventually(lambda: len(seen.events) == 500)
    by_key = defaultdict(list)
    for user, version in seen.events:
        by_key[user].append(version)
    assert all(versions == sorted(versions) for versions in by_key.values())
    assert seen.versions == set(range(500))
    assert sum((await side.committed(topic)).values()) == 500


async def test_what_was_committed_does_not_come_again(side: AnySide, producer: AnyProducer) -> None:
    topic, first, second = await side.make_topic(), Seen(), Seen()
    await send(producer, topic, range(50))
    async with consuming(side, topic, first):
        await eventually(lambda: len(first.events) == 50)
    await send(producer, topic, range(50, 60))
    async with consuming(side, topic, second):
        await eventually(lambda: len(second.events) == 10)
    assert second.versions == set(range(50, 60))


async def test_poison_goes_aside_as_it_came(side: AnySide, producer: AnyProducer) -> None:
    topic, seen = await side.make_topic(), Seen()
    headers = (("traceparent", TRACEPARENT.encode()), ("x", b"\xff"))
    await send(producer, topic, range(20))
    await producer.send(topic, key=b"user1", value=b'{"poison": \xff', headers=headers)
    await producer.send(topic, key=b"user2", value=b"x" * 900_000, headers=())
    await send(producer, topic, range(20, 40))
    with capture_logs() as lines:
        async with consuming(side, topic, seen):
            await eventually(lambda: len(seen.outcomes) == 42)
    assert seen.versions == set(range(40))
    letter, large = sorted(await side.dead_letters(topic), key=lambda one: len(one.value))
    assert large.value == b"x" * 900_000
    assert (letter.key, letter.value) == (b"user1", b'{"poison": \xff')
    assert letter.headers[:2] == headers
    assert letter.header("reason").startswith("MalformedMessage")
    assert int(letter.header("original_offset")) >= 0
    assert letter.header("failed_at").startswith("20")
    assert seen.outcomes.count(Outcome.DEAD_LETTERED) == 2
    assert sum((await side.committed(topic)).values()) == 42
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "update.dead_lettered"
    ] * 2


async def test_a_storage_that_is_down_is_waited_for(side: AnySide, producer: AnyProducer) -> None:
    topic, seen = await side.make_topic(), Seen()
    attempts: list[float] = []

    async def refuse(update: RenderJob) -> None:
        attempts.append(time.monotonic())
        raise StorageUnavailable

    seen.fail = refuse
    await send(producer, topic, range(300))
    async with consuming(side, topic, seen):
        await eventually(lambda: len(attempts) >= 19)
        # After those who were on their way, one a second.
        assert attempts[-1] - attempts[0] > 0.9
        assert not any((await side.committed(topic)).values())
        seen.fail = None
        await eventually(lambda: len(seen.events) == 300)
    assert seen.versions == set(range(300))
    assert sum((await side.committed(topic)).values()) == 300
    assert Outcome.DEAD_LETTERED not in seen.outcomes


async def test_one_that_fails_holds_up_no_other_and_nothing_is_committed_past_it(
    side: AnySide, producer: AnyProducer
) -> None:
    topic, seen, fails = await side.make_topic(), Seen(), asyncio.Event()
    fails.set()

    async def refuse_one(update: RenderJob) -> None:
        if update.version == 7 and fails.is_set():
            raise Unavailable

    seen.fail = refuse_one
    await send(producer, topic, range(8))
    await send(producer, topic, range(8, 100), users=1)
    async with consuming(side, topic, seen) as consumption:
        await eventually(lambda: len(seen.events) == 99)
        assert consumption.unfinished == 1
        await asyncio.sleep(1)
        assert sum((await side.committed(topic)).values()) < 100
        fails.clear()
        await eventually(lambda: len(seen.events) == 100)
    assert sum((await side.committed(topic)).values()) == 100


async def test_a_broker_that_is_down_at_the_start_is_waited_for(strong_side: AnySide) -> None:
    topic, seen = await strong_side.make_topic(), Seen()
    await strong_side.kill()
    producer = strong_side.producer()
    with pytest.raises(BrokerUnavailable):
        await producer.send(topic, key=b"k", value=b"v", headers=())
    was_available = producer.is_available
    async with consuming(strong_side, topic, seen):
        await asyncio.sleep(0.5)
        await strong_side.start_again()
        await send(producer, topic, range(20))
        assert (was_available, producer.is_available) == (False, True)
        await eventually(lambda: len(seen.events) >= 20)
    assert seen.versions == set(range(20))


async def test_nothing_is_lost_when_the_broker_dies_and_comes_back(
    strong_side: AnySide, producer: AnyProducer
) -> None:
    topic, seen = await strong_side.make_topic(), Seen()
    async with consuming(strong_side, topic, seen):
        await send(producer, topic, range(100))
        sending = asyncio.create_task(send(producer, topic, range(100, 2000)))
        await eventually(lambda: len(seen.events) > 150)
        await strong_side.kill()
        late = asyncio.create_task(send(producer, topic, range(2000, 2100)))
        await asyncio.sleep(0.5)
        await strong_side.start_again()
        began = time.monotonic()
        await asyncio.gather(sending, late)
        await eventually(lambda: len(seen.versions) == 2100)
        assert time.monotonic() - began < 10
    # What was sent twice, because no acknowledgement came, lies there twice.
    assert sum((await strong_side.committed(topic)).values()) >= 2100


async def test_a_second_member_comes_and_goes(strong_side: AnySide, producer: AnyProducer) -> None:
    topic, first, second = await strong_side.make_topic(), Seen(), Seen()
    async with consuming(strong_side, topic, first):
        await send(producer, topic, range(100))
        await eventually(lambda: len(first.versions) == 100)
        async with consuming(strong_side, topic, second):
            version = 100
            while not second.events:
                await send(producer, topic, range(version, version + 20))
                version += 20
                await asyncio.sleep(0.1)
        await send(producer, topic, range(version, version + 100))
        everything = set(range(version + 100))
        await eventually(lambda: first.versions | second.versions == everything)
        assert version + 99 in first.versions
    assert sum((await strong_side.committed(topic)).values()) == version + 100


async def test_what_a_member_had_in_hand_when_it_died_comes_again(
    strong_side: AnySide, producer: AnyProducer
) -> None:
    topic, seen = await strong_side.make_topic(), Seen()
    source = strong_side.source(topic)
    await send(producer, topic, range(30))
    assert len(await taken_from(source, 30)) == 30
    await strong_side.crash(source)
    async with consuming(strong_side, topic, seen):
        await eventually(lambda: len(seen.events) == 30)
    assert seen.versions == set(range(30))


async def test_a_broker_that_hangs_is_told_within_seconds(real_side: BrokerSide) -> None:
    topic, producer = await real_side.make_topic(), real_side.producer()
    source = real_side.source(topic)
    await producer.send(topic, key=b"k", value=b"1")
    await taken_from(source, 1)
    real_side.process.pause()
    try:
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await producer.send(topic, key=b"k", value=b"2")
        assert time.monotonic() - began < 6
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await producer.send(topic, key=b"k", value=b"3")
        assert time.monotonic() - began < 0.1
        with pytest.raises(BrokerUnavailable):
            await source.commit({0: 1})
        began = time.monotonic()
        await asyncio.gather(producer.close(), source.close())
        assert time.monotonic() - began < 6
    finally:
        real_side.process.resume()


async def test_a_hundred_at_once_are_sent_together(real_side: BrokerSide) -> None:
    topic, producer = await real_side.make_topic(), real_side.producer()
    await producer.send(topic, key=b"k", value=b"v")
    began = time.monotonic()
    keys = [b"%d" % n for n in range(100)]
    await asyncio.gather(*(producer.send(topic, key=key, value=b"v" * 500) for key in keys))
    assert time.monotonic() - began < 0.5


async def test_what_is_too_large_is_refused_and_disturbs_nobody(real_side: BrokerSide) -> None:
    topic, producer = await real_side.make_topic(), real_side.producer()
    for size in (2_000_000, 5_000_000):
        with pytest.raises(RemoteRejected):
            await producer.send(topic, key=b"k", value=b"v" * size)
    await producer.send(topic, key=b"k", value=b"v")
    await producer.send(DEAD_LETTERS, key=b"k", value=b"v" * 2_000_000)
    assert producer.is_available


async def test_a_consumer_that_breaks_is_replaced(
    real_side: BrokerSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[int] = []
    topic, producer = await real_side.make_topic(), real_side.producer()
    source = real_side.source(topic)

    async def lose(partitions: Collection[int]) -> None:
        lost.extend(partitions)
        await source.commit(dict.fromkeys(partitions, 0))

    source.on_revoked(lose)
    await send(producer, topic, range(10))
    assert len(await taken_from(source, 10)) == 10
    assert source.is_available

    async def stumble(**_: object) -> None:
        raise KafkaError("it is broken")

    monkeypatch.setattr(source._consumer, "getmany", stumble)
    with capture_logs() as lines:
        assert await source.poll(max_records=10, wait_seconds=0.1) == []
    assert sorted(lost) == list(range(PARTITIONS))
    assert [line["event"] for line in lines] == ["broker.down"]
    assert len(await taken_from(source, 10)) == 10


async def test_who_no_longer_has_a_partition_can_not_commit_it(real_side: BrokerSide) -> None:
    source = real_side.source(await real_side.make_topic())
    await source.poll(max_records=1, wait_seconds=1)
    with pytest.raises(BrokerUnavailable):
        await source.commit({PARTITIONS: 1})


async def test_what_is_held_is_not_taken_whoever_else_comes(real_side: BrokerSide) -> None:
    topic, producer = await real_side.make_topic(), real_side.producer()
    source, other = real_side.source(topic), real_side.source(topic)
    source.pause(range(PARTITIONS))
    await send(producer, topic, range(50))
    for _ in range(5):
        assert await source.poll(max_records=100, wait_seconds=0.2) == []
    joining = asyncio.create_task(other.poll(max_records=1, wait_seconds=1))
    while not joining.done():
        # Partitions are dealt out anew, and stay held.
        assert await source.poll(max_records=100, wait_seconds=0.2) == []
    await other.close()
    source.pause([])
    found: set[tuple[int, int]] = set()
    while len(found) < 50:
        found |= {(one.partition, one.offset) for one in await taken_from(source, 1)}


async def test_topics_are_made_once(real_side: BrokerSide) -> None:
    assert set(await ensure_topics(real_side.broker.addresses)) <= {TOPIC, DEAD_LETTERS}
    assert await ensure_topics(real_side.broker.addresses) == []


async def test_a_topic_that_is_missing_is_found_when_it_is_made(real_side: BrokerSide) -> None:
    producer, source = real_side.producer(), real_side.source("made-later")
    assert await source.poll(max_records=10, wait_seconds=0.1) == []
    with pytest.raises(BrokerUnavailable):
        await producer.send("made-later", key=b"k", value=b"v")
    await ensure_topics(real_side.broker.addresses, topics=["made-later"])
    await send(producer, "made-later", range(1))
    assert await taken_from(source, 1)


async def test_dead_letters_are_listed_and_sent_once_more(real_side: BrokerSide) -> None:
    seen = Seen()
    topic, again, elsewhere = [await real_side.make_topic() for _ in range(3)]
    addresses, producer = real_side.broker.addresses, real_side.producer()
    await replay_dead_letters(addresses, topic=elsewhere)
    for number in range(5):
        headers = (("n", b"%d" % number),)
        await producer.send(topic, key=b"k", value=b"bad %d" % number, headers=headers)
    async with consuming(real_side, topic, seen):
        await eventually(lambda: len(seen.outcomes) >= 5)
    letters = await list_dead_letters(addresses, limit=5)
    assert [one.record.value for one in letters] == [b"bad %d" % n for n in range(5)]
    assert not any(one.is_replayed for one in letters)
    assert letters[0].origin.startswith(f"{topic}/")
    first = await replay_dead_letters(addresses, topic=again, limit=2)
    rest = await replay_dead_letters(addresses, topic=again)
    nothing = await replay_dead_letters(addresses, topic=again)
    assert (first.sent, rest.sent, nothing.sent) == (2, 3, 0)
    assert all(one.is_replayed for one in await list_dead_letters(addresses, limit=5))
    source = real_side.source(again)
    records = await taken_from(source, 5)
    assert [one.value for one in records] == [b"bad %d" % n for n in range(5)]
    assert [one.headers[0] for one in records] == [("n", b"%d" % n) for n in range(5)]
    assert [[name for name, _ in one.headers] for one in records] == [["n", "replayed"]] * 5


async def test_nobody_there(tmp_path: Path) -> None:
    nowhere = ["127.0.0.1:1"]
    producer, source = KafkaProducer(nowhere), KafkaConsumer(nowhere)
    for calling in (
        ensure_topics(nowhere),
        list_dead_letters(nowhere, limit=1),
        replay_dead_letters(nowhere),
        producer.send(TOPIC, key=None, value=b""),
        source.commit({0: 1}),
    ):
        with pytest.raises(BrokerUnavailable):
            await calling
    assert await source.poll(max_records=1, wait_seconds=0.1) == []
    assert not source.is_available
    await producer.close()
    await source.close()
