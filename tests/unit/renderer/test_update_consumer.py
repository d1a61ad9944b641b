"""The update consumer loses no record, blocks none, and commits none too early."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from github_banners.errors import (
    InvalidOption,
    Overloaded,
    RemoteRejected,
    RenderingFailed,
    StorageUnavailable,
    TooLarge,
    Unavailable,
)
from github_banners.messaging.events import TOPIC, OnRevoked, Record
from github_banners.messaging.mapping import RenderJob
from github_banners.renderer.schedule import (
    GIVE_UP_AFTER_SECONDS,
    MAX_CONCURRENT,
    MAX_UNFINISHED,
)
from github_banners.renderer.update_consumer import consume_forever
from github_banners.renderer.worker import Outcome, PartitionState
from tests.fake_clock import drain_loop
from tests.unit.renderer.harness import UpdateConsumerHarness, event_body, fail_with

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STORED, RETRIED, DEAD_LETTERED = Outcome.STORED, Outcome.RETRIED, Outcome.DEAD_LETTERED


async def test_update_is_stored_logged_and_committed() -> None:
    harness = UpdateConsumerHarness()
    harness.put("ada", 7, headers=(("traceparent", TRACEPARENT.encode()),))
    with capture_logs() as lines:
        async with harness.running():
            assert (harness.stored, harness.outcomes, harness.committed) == ([7], [STORED], 0)
            await harness.clock.advance(0.5)
            assert harness.committed == 1
    (line,) = [line for line in lines if line["event"] == "update.stored"]
    fields = {"banner": "ada-dark", "version": 7, "partition": 0, "offset": 0}
    assert line == fields | {"event": "update.stored", "log_level": "debug"}


async def test_update_is_handled_under_the_trace_id_of_its_header() -> None:
    from structlog.contextvars import get_contextvars  # noqa: PLC0415

    harness, ids = UpdateConsumerHarness(), []

    async def record_trace_id(update: RenderJob) -> None:
        ids.append(get_contextvars()["trace_id"])

    harness.store = record_trace_id
    harness.put("ada", 1, headers=(("traceparent", TRACEPARENT.encode()),))
    harness.put("bob", 2)
    async with harness.running():
        pass
    assert ids[0] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert len(ids[1]) == 32
    assert get_contextvars() == {}


async def test_updates_run_concurrently_but_one_per_key() -> None:
    harness, users = UpdateConsumerHarness(partitions=6), 2 * MAX_CONCURRENT
    harness.store = lambda update: harness.clock.sleep(0.1)
    for version in range(5 * users):
        harness.put(f"user{version % users}", version)
    async with harness.running():
        await harness.clock.advance(5)
        assert len(harness.stored) == 5 * users
    assert harness.max_running == MAX_CONCURRENT == 128
    by_user = [
        [version for version in harness.stored if version % users == user] for user in range(users)
    ]
    assert all(versions == sorted(versions) for versions in by_user)


async def test_records_without_a_key_run_concurrently() -> None:
    harness = UpdateConsumerHarness()
    harness.store = lambda update: harness.clock.sleep(0.1)
    for version in range(8):
        body = event_body(f"user{version}", version)
        harness.broker.append(TOPIC, key=None, value=body, headers=())
    async with harness.running():
        await harness.clock.advance(0.1)
        assert len(harness.stored) == 8


async def test_partition_with_max_unfinished_records_is_paused() -> None:
    harness, may_finish = UpdateConsumerHarness(), asyncio.Event()

    async def wait(update: RenderJob) -> None:
        await may_finish.wait()

    harness.store = wait
    for version in range(3000):
        harness.put(f"user{version}", version)
    async with harness.running() as update_consumer:
        await harness.clock.advance(5)
        assert 0.8 * MAX_UNFINISHED <= update_consumer.unfinished <= MAX_UNFINISHED
        may_finish.set()
        for _ in range(100):
            await harness.clock.advance(0.2)
            assert update_consumer.unfinished <= MAX_UNFINISHED
        assert sorted(harness.stored) == list(range(3000))


async def test_transient_failure_is_retried_with_growing_delays_and_logged_once() -> None:
    harness, attempt_times = UpdateConsumerHarness(), []

    async def fail_nine_times(update: RenderJob) -> None:
        attempt_times.append(harness.clock())
        if len(attempt_times) < 10:
            raise Unavailable("not now")

    harness.store = fail_nine_times
    harness.put("ada", 1)
    with capture_logs() as lines:
        async with harness.running():
            await harness.clock.advance(40)
            assert harness.committed == 1
    delays = [later - sooner for sooner, later in pairwise(attempt_times)]
    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5])
    assert harness.outcomes == [RETRIED] * 9 + [STORED]
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert warning["event"] == "update.failed"
    assert warning["reason"] == "Unavailable: not now"


async def test_unexpected_error_is_retried() -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(ZeroDivisionError(), only={1})
    harness.put("ada", 1)
    async with harness.running():
        await harness.clock.advance(3)
        harness.store = fail_with(Overloaded(), only=set())
        await harness.clock.advance(5)
    assert harness.stored == [1]


async def test_cancellation_inside_a_handler_is_retried() -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(asyncio.CancelledError(), only={1})
    harness.put("ada", 1)
    async with harness.running():
        await harness.clock.advance(3)
        assert harness.outcomes == [RETRIED] * len(harness.outcomes)
        harness.store = fail_with(Overloaded(), only=set())
        await harness.clock.advance(5)
    assert harness.stored == [1]


async def test_task_cancelled_before_its_start_frees_its_slot() -> None:
    harness = UpdateConsumerHarness()
    for version in range(5 * MAX_CONCURRENT):
        harness.put(f"user{version}", version)
    worker = harness.create_worker()
    records = await harness.broker.consumer().poll(max_records=5 * MAX_CONCURRENT, wait_seconds=0)
    for round_ in range(4):
        partition = PartitionState()
        for record in records[round_ * MAX_CONCURRENT : (round_ + 1) * MAX_CONCURRENT]:
            worker.submit(record, partition)
        worker.start_ready()
        for task in partition.running:
            task.cancel()
        await drain_loop()
    last = PartitionState()
    for record in records[-MAX_CONCURRENT:]:
        worker.submit(record, last)
    worker.start_ready()
    await drain_loop()
    assert len(harness.stored) == MAX_CONCURRENT


async def test_failing_record_delays_only_the_commit() -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(Unavailable(), only={3})
    for version in range(10):
        harness.put(f"user{version}", version)
    async with harness.running() as update_consumer:
        await harness.clock.advance(10)
        assert sorted(harness.stored) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert (harness.committed, update_consumer.unfinished) == (3, 1)


async def test_next_record_of_a_key_does_not_wait_for_a_retry() -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(Unavailable(), only={1})
    harness.put("ada", 1)
    harness.put("ada", 2)
    async with harness.running():
        await harness.clock.advance(0.1)
        assert harness.stored == [2]


@pytest.mark.parametrize(
    "error", [RenderingFailed("no"), RemoteRejected("422"), InvalidOption("url_path"), TooLarge()]
)
async def test_permanent_failure_is_dead_lettered_at_once(error: Exception) -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(error, only={2})
    for version in range(5):
        harness.put(f"user{version}", version)
    with capture_logs() as lines:
        async with harness.running():
            await harness.clock.advance(0.5)
            assert harness.committed == 5
    assert sorted(harness.stored) == [0, 1, 3, 4]
    assert harness.attempted.count(2) == 1
    (dead_letter,) = harness.dead_letters
    assert dead_letter.value == event_body("user2", 2)
    assert dead_letter.header("reason") == f"{type(error).__name__}: {error}"
    assert harness.outcomes.count(DEAD_LETTERED) == 1
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert (warning["event"], warning["offset"]) == ("update.dead_lettered", 2)


async def test_undecodable_record_is_dead_lettered_with_its_problem() -> None:
    harness = UpdateConsumerHarness()
    record = Record(TOPIC, 0, 9, None, b"packed", problem="a batch can't be decoded")
    worker, partition = harness.create_worker(), PartitionState()
    worker.submit(record, partition)
    worker.start_ready()
    await drain_loop()
    (dead_letter,) = harness.dead_letters
    assert dead_letter.value == b"packed"
    assert dead_letter.header("reason") == "MalformedMessage: a batch can't be decoded"
    assert (partition.offsets.committable, partition.unfinished_bytes) == (10, 0)


async def test_malformed_event_is_dead_lettered_unchanged() -> None:
    harness = UpdateConsumerHarness()
    headers = (("a", b"1"), ("a", b"\xff"))
    harness.broker.append(TOPIC, key=b"\xfe", value=b"\x00no json", headers=headers)
    harness.put("ada", 1)
    async with harness.running():
        pass
    (dead_letter,) = harness.dead_letters
    assert (dead_letter.key, dead_letter.value, dead_letter.headers[:2]) == (
        b"\xfe",
        b"\x00no json",
        headers,
    )
    assert dict(dead_letter.headers[2:]) == {
        "reason": dead_letter.header("reason").encode(),
        "original_topic": b"banner-update",
        "original_partition": b"0",
        "original_offset": b"0",
        "failed_at": b"2026-11-26T00:00:00+00:00",
    }
    assert dead_letter.header("reason").startswith("MalformedMessage: ")
    assert (harness.stored, harness.committed) == ([1], 2)


async def test_dead_letters_wait_for_the_broker_without_blocking() -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(RemoteRejected(), only=set(range(0, 60, 2)))
    for version in range(60):
        harness.put(f"user{version}", version)
    scripted = harness.broker.consumer()
    polled = await scripted.poll(max_records=100, wait_seconds=0)
    harness.broker.is_down = True
    async with harness.running(ScriptedConsumer(polled)):
        await harness.clock.advance(20)
        assert sorted(harness.stored) == list(range(1, 60, 2))
        assert harness.dead_letters == []
        assert DEAD_LETTERED not in harness.outcomes
        harness.broker.is_down = False
        await harness.clock.advance(6)
        assert len(harness.dead_letters) == 30


async def test_record_failing_alone_for_ten_minutes_is_dead_lettered() -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(StorageUnavailable(), only={0})
    harness.put("ada", 0)
    version = 0
    with capture_logs() as lines:
        async with harness.running():
            while not harness.dead_letters:
                version += 1
                harness.put(f"user{version}", version)
                await harness.clock.advance(2)
            assert GIVE_UP_AFTER_SECONDS < harness.clock() - 1000 < GIVE_UP_AFTER_SECONDS + 15
            (dead_letter,) = harness.dead_letters
            await harness.clock.advance(1)
            assert harness.committed == version + 1
    assert dead_letter.header("reason").startswith("StorageUnavailable")
    warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert warnings == ["update.failed", "update.dead_lettered"]


async def test_storage_down_dead_letters_nothing() -> None:
    harness = UpdateConsumerHarness()
    harness.put("ada", 0)
    async with harness.running():
        harness.store = fail_with(StorageUnavailable())
        for version in range(1, 30):
            harness.put(f"user{version}", version)
        await harness.clock.advance(GIVE_UP_AFTER_SECONDS + 60)
        assert (harness.stored, harness.dead_letters) == ([0], [])
        harness.store = fail_with(Overloaded(), only=set())
        await harness.clock.advance(6)
        assert sorted(harness.stored) == list(range(30))


async def test_storage_down_is_tried_once_a_second() -> None:
    harness = UpdateConsumerHarness(partitions=2)
    harness.store = fail_with(StorageUnavailable())
    for version in range(2000):
        harness.put(f"user{version}", version)
    async with harness.running() as update_consumer:
        await harness.clock.advance(0.5)
        first = len(harness.attempted)
        assert first <= MAX_CONCURRENT + 2
        await harness.clock.advance(30)
        assert 25 <= len(harness.attempted) - first <= 31
        assert harness.committed == 0
        polled = update_consumer.unfinished
        harness.put("another", 2000)
        await harness.clock.advance(30)
        # Nothing more is polled than what is needed for probes.
        assert update_consumer.unfinished == polled
        harness.store = fail_with(Overloaded(), only=set())
        await harness.clock.advance(10)
        assert sorted(harness.stored) == list(range(2001))
        assert harness.committed == 2001


async def test_single_failing_record_does_not_block_others() -> None:
    harness = UpdateConsumerHarness()
    harness.store = fail_with(StorageUnavailable(), only={0})
    harness.put("ada", 0)
    async with harness.running():
        # It is the only record, and fails so often that the storage counts as down.
        await harness.clock.advance(30)
        harness.put("bob", 1)
        await harness.clock.advance(2)
        assert harness.stored == [1]


async def test_revoked_partition_running_attempts_have_two_seconds() -> None:
    harness = UpdateConsumerHarness()

    async def slow(update: RenderJob) -> None:
        await harness.clock.sleep({0: 1.0, 1: 5.0}.get(update.version, 0.0))
        if update.version == 2:
            raise Unavailable

    harness.store = slow
    for version in range(4):
        harness.put(f"user{version}", version)
    async with harness.running() as update_consumer:
        await drain_loop()
        other = harness.broker.consumer()
        joining = asyncio.create_task(other.poll(max_records=10, wait_seconds=0))
        await harness.clock.advance(1.9)
        assert not joining.done()
        await harness.clock.advance(0.2)
        # Version 1 was cancelled, version 2 is not retried: both belong to the other member.
        assert [record.offset for record in await joining] == [1, 2, 3]
        assert (harness.committed, update_consumer.unfinished) == (1, 0)
        await harness.clock.advance(20)
        assert harness.attempted == [0, 1, 2, 3]
        await other.close()
        harness.store = fail_with(Overloaded(), only=set())
        await harness.clock.advance(1)
        assert sorted(harness.stored) == [0, 1, 2, 3, 3]


async def test_revoked_partition_waiting_records_are_not_started() -> None:
    harness = UpdateConsumerHarness()
    harness.store = lambda update: harness.clock.sleep(1)
    for version in range(200):
        harness.put(f"user{version}", version)
    async with harness.running():
        await harness.clock.advance(0.5)
        other = harness.broker.consumer()
        joining = asyncio.create_task(other.poll(max_records=200, wait_seconds=0))
        await harness.clock.advance(3)
        assert len(harness.attempted) == len(harness.stored) == MAX_CONCURRENT
        assert len(await joining) == 200 - MAX_CONCURRENT


async def test_stop_finishes_polled_records() -> None:
    harness = UpdateConsumerHarness()
    harness.store = lambda update: harness.clock.sleep(1)
    for version in range(60):
        harness.put(f"user{version}", version)
    async with harness.running():
        await harness.clock.advance(0.1)
        started_at = harness.clock()
    assert len(harness.stored) == harness.committed == 60
    assert harness.clock() - started_at < 5
    assert not harness.broker.consumer().is_available


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_stop_takes_at_most_five_seconds(how: str) -> None:
    harness = UpdateConsumerHarness()
    harness.store = lambda update: harness.clock.sleep(1 if update.version == 0 else 100)
    for version in range(3):
        harness.put(f"user{version}", version)
    scripted = harness.broker.consumer()
    task = asyncio.create_task(harness.create_update_consumer(scripted).run(harness.stop))
    await harness.clock.advance(0.1)
    if how == "stopped":
        harness.stop.set()
    else:
        task.cancel()
    await harness.clock.advance(4.9)
    assert not task.done()
    await harness.clock.advance(0.2)
    assert task.done()
    assert task.cancelled() is (how == "cancelled")
    assert (harness.stored, harness.committed, harness.running_logins) == ([0], 1, [])
    assert not scripted.is_available


async def test_broker_down_is_waited_for() -> None:
    harness = UpdateConsumerHarness()
    harness.put("ada", 1)
    async with harness.running():
        await harness.clock.advance(0.3)
        harness.broker.is_down = True
        await harness.clock.advance(10)
        assert (harness.stored, harness.committed) == ([1], 0)
        harness.put("bob", 2)
        harness.broker.is_down = False
        await harness.clock.advance(1)
        assert (harness.stored, harness.committed) == ([1, 2], 2)


async def test_bug_in_the_worker_ends_run() -> None:
    harness = UpdateConsumerHarness()
    harness.outcomes = FailingCounter()
    harness.put("ada", 1)
    running = asyncio.create_task(harness.create_update_consumer().run(harness.stop))
    await harness.clock.advance(6)
    with pytest.raises(ZeroDivisionError):
        await running
    assert harness.committed == 0


async def test_consume_forever_after_a_bug_runs_the_next_consumer() -> None:
    harness = UpdateConsumerHarness()
    harness.outcomes = FailingCounter()
    harness.put("ada", 1)
    with capture_logs() as lines:
        running = asyncio.create_task(
            consume_forever(
                harness.create_update_consumer,
                clock=harness.clock,
                sleep=harness.clock.sleep,
            )
        )
        await harness.clock.advance(20)
        assert harness.committed == 0
        harness.outcomes = []
        await harness.clock.advance(30)
        assert harness.committed == 1
        assert not running.done()
    failures = [line for line in lines if line["event"] == "updates.failed"]
    assert len(failures) == 1
    running.cancel()
    await harness.clock.advance(10)
    assert running.cancelled()


async def test_bug_during_revocation_ends_run() -> None:
    harness = UpdateConsumerHarness()
    scripted = ScriptedConsumer([Record(TOPIC, 0, 5, b"ada", event_body("ada", 1))])
    running = asyncio.create_task(harness.create_update_consumer(scripted).run(harness.stop))
    await drain_loop()
    await drain_loop()
    scripted.commit_error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await scripted.revoke({0})
    scripted.commit_error = None
    with pytest.raises(ZeroDivisionError):
        await running
    assert harness.stored == [1]


async def test_topic_created_anew_starts_over() -> None:
    harness = UpdateConsumerHarness()
    records = [Record(TOPIC, 0, n, b"k%d" % n, event_body(f"u{n}", n)) for n in range(8)]
    scripted = ScriptedConsumer(records[5:8], records[:4])
    harness.store = fail_with(Unavailable(), only={6})
    async with harness.running(scripted):
        await harness.clock.advance(10)
        assert sorted(harness.stored) == [0, 1, 2, 3, 5, 7]
        assert scripted.committed[-1] == {0: 4}
        assert 6 not in harness.attempted[harness.attempted.index(0) :]


class FailingCounter(list[Outcome]):
    """A list of outcomes that can't be appended to."""

    def append(self, outcome: Outcome) -> None:
        raise ZeroDivisionError


class ScriptedConsumer:
    """A consumer that returns the given records, batch by batch."""

    def __init__(self, *batches: Sequence[Record]) -> None:
        self.batches = list(batches)
        self.committed: list[Mapping[int, int]] = []
        self.commit_error: Exception | None = None

    def on_revoked(self, handler: OnRevoked) -> None:
        self.revoke = handler

    async def poll(self, *, max_records: int, wait_seconds: float) -> Sequence[Record]:
        await drain_loop()
        if self.batches:
            return self.batches.pop(0)
        await asyncio.Event().wait()
        return ()

    def pause(self, partitions: Collection[int]) -> None:
        pass

    async def commit(self, offsets: Mapping[int, int]) -> None:
        if self.commit_error is not None:
            raise self.commit_error
        self.committed.append(offsets)

    async def close(self) -> None:
        pass
