"""The loop: nothing is lost, nothing is held up, and nothing is committed before its time."""

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
from github_banners.renderer.worker import Outcome, PartitionState
from tests.unit.renderer.staged import Stage, event_body, refuse_with, settle

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STORED, RETRIED, DEAD_LETTERED = Outcome.STORED, Outcome.RETRIED, Outcome.DEAD_LETTERED


async def test_an_update_is_stored_said_and_committed() -> None:
    stage = Stage()
    stage.put("ada", 7, headers=(("traceparent", TRACEPARENT.encode()),))
    with capture_logs() as lines:
        async with stage.running():
            assert (stage.stored, stage.outcomes, stage.committed) == ([7], [STORED], 0)
            await stage.time.pass_(0.5)
            assert stage.committed == 1
    (line,) = [line for line in lines if line["event"] == "update.stored"]
    said = {"banner": "ada-dark", "version": 7, "partition": 0, "offset": 0}
    assert line == said | {"event": "update.stored", "log_level": "debug"}


async def test_each_is_handled_under_the_id_of_its_header() -> None:
    from structlog.contextvars import get_contextvars  # noqa: PLC0415

    stage, ids = Stage(), []

    async def look(update: RenderJob) -> None:
        ids.append(get_contextvars()["trace_id"])

    stage.answer = look
    stage.put("ada", 1, headers=(("traceparent", TRACEPARENT.encode()),))
    stage.put("bob", 2)
    async with stage.running():
        pass
    assert ids[0] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert len(ids[1]) == 32
    assert get_contextvars() == {}


async def test_two_batches_at_once_and_one_of_a_key() -> None:
    stage, users = Stage(partitions=6), 2 * MAX_CONCURRENT
    stage.answer = lambda update: stage.time.sleep(0.1)
    for version in range(5 * users):
        stage.put(f"user{version % users}", version)
    async with stage.running():
        await stage.time.pass_(5)
        assert len(stage.stored) == 5 * users
    assert stage.most_at_work == MAX_CONCURRENT == 128
    by_user = [[one for one in stage.stored if one % users == user] for user in range(users)]
    assert all(versions == sorted(versions) for versions in by_user)


async def test_records_without_a_key_wait_for_nobody() -> None:
    stage = Stage()
    stage.answer = lambda update: stage.time.sleep(0.1)
    for version in range(8):
        body = event_body(f"user{version}", version)
        stage.broker.append(TOPIC, key=None, value=body, headers=())
    async with stage.running():
        await stage.time.pass_(0.1)
        assert len(stage.stored) == 8


async def test_a_partition_with_a_thousand_unfinished_is_held() -> None:
    stage, gate = Stage(), asyncio.Event()

    async def wait(update: RenderJob) -> None:
        await gate.wait()

    stage.answer = wait
    for version in range(3000):
        stage.put(f"user{version}", version)
    async with stage.running() as consumption:
        await stage.time.pass_(5)
        assert 0.8 * MAX_UNFINISHED <= consumption.unfinished <= MAX_UNFINISHED
        gate.set()
        for _ in range(100):
            await stage.time.pass_(0.2)
            assert consumption.unfinished <= MAX_UNFINISHED
        assert sorted(stage.stored) == list(range(3000))


async def test_a_passing_failure_is_tried_again_ever_later_and_told_once() -> None:
    stage, moments = Stage(), []

    async def fail_nine_times(update: RenderJob) -> None:
        moments.append(stage.time())
        if len(moments) < 10:
            raise Unavailable("not now")

    stage.answer = fail_nine_times
    stage.put("ada", 1)
    with capture_logs() as lines:
        async with stage.running():
            await stage.time.pass_(40)
            assert stage.committed == 1
    waits = [later - sooner for sooner, later in pairwise(moments)]
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5])
    assert stage.outcomes == [RETRIED] * 9 + [STORED]
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert warning["event"] == "update.failed"
    assert warning["reason"] == "Unavailable: not now"


async def test_what_nobody_expected_is_tried_again() -> None:
    stage = Stage()
    stage.answer = refuse_with(ZeroDivisionError(), only={1})
    stage.put("ada", 1)
    async with stage.running():
        await stage.time.pass_(3)
        stage.answer = refuse_with(Overloaded(), only=set())
        await stage.time.pass_(5)
    assert stage.stored == [1]


async def test_what_was_cancelled_inside_has_failed_like_any_other() -> None:
    stage = Stage()
    stage.answer = refuse_with(asyncio.CancelledError(), only={1})
    stage.put("ada", 1)
    async with stage.running():
        await stage.time.pass_(3)
        assert stage.outcomes == [RETRIED] * len(stage.outcomes)
        stage.answer = refuse_with(Overloaded(), only=set())
        await stage.time.pass_(5)
    assert stage.stored == [1]


async def test_what_is_called_off_before_it_began_leaves_its_place() -> None:
    stage = Stage()
    for version in range(5 * MAX_CONCURRENT):
        stage.put(f"user{version}", version)
    attempts = stage.consumption()._worker
    records = await stage.broker.consumer().poll(max_records=5 * MAX_CONCURRENT, wait_seconds=0)
    for round_ in range(4):
        part = PartitionState()
        for record in records[round_ * MAX_CONCURRENT : (round_ + 1) * MAX_CONCURRENT]:
            attempts.submit(record, part)
        attempts.start_ready()
        for task in part.running:
            task.cancel()
        await settle()
    last = PartitionState()
    for record in records[-MAX_CONCURRENT:]:
        attempts.submit(record, last)
    attempts.start_ready()
    await settle()
    assert len(stage.stored) == MAX_CONCURRENT


async def test_one_that_fails_holds_back_the_commit_and_nothing_else() -> None:
    stage = Stage()
    stage.answer = refuse_with(Unavailable(), only={3})
    for version in range(10):
        stage.put(f"user{version}", version)
    async with stage.running() as consumption:
        await stage.time.pass_(10)
        assert sorted(stage.stored) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert (stage.committed, consumption.unfinished) == (3, 1)


async def test_the_next_of_a_key_does_not_wait_for_a_retry() -> None:
    stage = Stage()
    stage.answer = refuse_with(Unavailable(), only={1})
    stage.put("ada", 1)
    stage.put("ada", 2)
    async with stage.running():
        await stage.time.pass_(0.1)
        assert stage.stored == [2]


@pytest.mark.parametrize(
    "error", [RenderingFailed("no"), RemoteRejected("422"), InvalidOption("url_path"), TooLarge()]
)
async def test_what_never_works_is_given_up_at_once(error: Exception) -> None:
    stage = Stage()
    stage.answer = refuse_with(error, only={2})
    for version in range(5):
        stage.put(f"user{version}", version)
    with capture_logs() as lines:
        async with stage.running():
            await stage.time.pass_(0.5)
            assert stage.committed == 5
    assert sorted(stage.stored) == [0, 1, 3, 4]
    assert stage.tried.count(2) == 1
    (letter,) = stage.dead_letters
    assert letter.value == event_body("user2", 2)
    assert letter.header("reason") == f"{type(error).__name__}: {error}"
    assert stage.outcomes.count(DEAD_LETTERED) == 1
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert (warning["event"], warning["offset"]) == ("update.dead_lettered", 2)


async def test_record_that_could_not_be_decoded_goes_to_the_dead_letters_with_its_problem() -> None:
    stage = Stage()
    record = Record(TOPIC, 0, 9, None, b"packed", problem="a batch can't be decoded")
    attempts, part = stage.consumption()._worker, PartitionState()
    attempts.submit(record, part)
    attempts.start_ready()
    await settle()
    (letter,) = stage.dead_letters
    assert letter.value == b"packed"
    assert letter.header("reason") == "MalformedMessage: a batch can't be decoded"
    assert (part.offsets.committable, part.unfinished_bytes) == (10, 0)


async def test_what_can_not_be_read_is_kept_as_it_came() -> None:
    stage = Stage()
    headers = (("a", b"1"), ("a", b"\xff"))
    stage.broker.append(TOPIC, key=b"\xfe", value=b"\x00no json", headers=headers)
    stage.put("ada", 1)
    async with stage.running():
        pass
    (letter,) = stage.dead_letters
    assert (letter.key, letter.value, letter.headers[:2]) == (b"\xfe", b"\x00no json", headers)
    assert dict(letter.headers[2:]) == {
        "reason": letter.header("reason").encode(),
        "original_topic": b"banner-update",
        "original_partition": b"0",
        "original_offset": b"0",
        "failed_at": b"2026-11-26T00:00:00+00:00",
    }
    assert letter.header("reason").startswith("MalformedMessage: ")
    assert (stage.stored, stage.committed) == ([1], 2)


async def test_dead_letters_wait_for_the_broker_and_block_nothing() -> None:
    stage = Stage()
    stage.answer = refuse_with(RemoteRejected(), only=set(range(0, 60, 2)))
    for version in range(60):
        stage.put(f"user{version}", version)
    source = stage.broker.consumer()
    taken = await source.poll(max_records=100, wait_seconds=0)
    stage.broker.is_down = True
    async with stage.running(Given(taken)):
        await stage.time.pass_(20)
        assert sorted(stage.stored) == list(range(1, 60, 2))
        assert stage.dead_letters == []
        assert DEAD_LETTERED not in stage.outcomes
        stage.broker.is_down = False
        await stage.time.pass_(6)
        assert len(stage.dead_letters) == 30


async def test_given_up_when_it_alone_fails_for_ten_minutes() -> None:
    stage = Stage()
    stage.answer = refuse_with(StorageUnavailable(), only={0})
    stage.put("ada", 0)
    version = 0
    with capture_logs() as lines:
        async with stage.running():
            while not stage.dead_letters:
                version += 1
                stage.put(f"user{version}", version)
                await stage.time.pass_(2)
            assert GIVE_UP_AFTER_SECONDS < stage.time() - 1000 < GIVE_UP_AFTER_SECONDS + 15
            (letter,) = stage.dead_letters
            await stage.time.pass_(1)
            assert stage.committed == version + 1
    assert letter.header("reason").startswith("StorageUnavailable")
    warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert warnings == ["update.failed", "update.dead_lettered"]


async def test_nothing_is_given_up_while_the_storage_takes_nothing() -> None:
    stage = Stage()
    stage.put("ada", 0)
    async with stage.running():
        stage.answer = refuse_with(StorageUnavailable())
        for version in range(1, 30):
            stage.put(f"user{version}", version)
        await stage.time.pass_(2 * GIVE_UP_AFTER_SECONDS)
        assert (stage.stored, stage.dead_letters) == ([0], [])
        stage.answer = refuse_with(Overloaded(), only=set())
        await stage.time.pass_(6)
        assert sorted(stage.stored) == list(range(30))


async def test_a_storage_that_is_down_is_asked_once_a_second() -> None:
    stage = Stage(partitions=2)
    stage.answer = refuse_with(StorageUnavailable())
    for version in range(2000):
        stage.put(f"user{version}", version)
    async with stage.running() as consumption:
        await stage.time.pass_(0.5)
        first = len(stage.tried)
        assert first <= MAX_CONCURRENT + 2
        await stage.time.pass_(30)
        assert 25 <= len(stage.tried) - first <= 31
        assert stage.committed == 0
        taken = consumption.unfinished
        stage.put("another", 2000)
        await stage.time.pass_(30)
        # Nothing more is taken than what is needed to ask.
        assert consumption.unfinished == taken
        stage.answer = refuse_with(Overloaded(), only=set())
        await stage.time.pass_(10)
        assert sorted(stage.stored) == list(range(2001))
        assert stage.committed == 2001


async def test_one_that_is_refused_does_not_stand_for_all() -> None:
    stage = Stage()
    stage.answer = refuse_with(StorageUnavailable(), only={0})
    stage.put("ada", 0)
    async with stage.running():
        # It is alone, and refused so often that the storage counts as down.
        await stage.time.pass_(30)
        stage.put("bob", 1)
        await stage.time.pass_(2)
        assert stage.stored == [1]


async def test_lost_partitions_what_runs_has_two_seconds() -> None:
    stage = Stage()

    async def slow(update: RenderJob) -> None:
        await stage.time.sleep({0: 1.0, 1: 5.0}.get(update.version, 0.0))
        if update.version == 2:
            raise Unavailable

    stage.answer = slow
    for version in range(4):
        stage.put(f"user{version}", version)
    async with stage.running() as consumption:
        await settle()
        other = stage.broker.consumer()
        joining = asyncio.create_task(other.poll(max_records=10, wait_seconds=0))
        await stage.time.pass_(1.9)
        assert not joining.done()
        await stage.time.pass_(0.2)
        # Version 1 was called off, version 2 is not tried again: they are the other member's.
        assert [record.offset for record in await joining] == [1, 2, 3]
        assert (stage.committed, consumption.unfinished) == (1, 0)
        await stage.time.pass_(20)
        assert stage.tried == [0, 1, 2, 3]
        await other.close()
        stage.answer = refuse_with(Overloaded(), only=set())
        await stage.time.pass_(1)
        assert sorted(stage.stored) == [0, 1, 2, 3, 3]


async def test_records_that_have_not_begun_are_not_begun_when_they_are_lost() -> None:
    stage = Stage()
    stage.answer = lambda update: stage.time.sleep(1)
    for version in range(200):
        stage.put(f"user{version}", version)
    async with stage.running():
        await stage.time.pass_(0.5)
        other = stage.broker.consumer()
        joining = asyncio.create_task(other.poll(max_records=200, wait_seconds=0))
        await stage.time.pass_(3)
        assert len(stage.tried) == len(stage.stored) == MAX_CONCURRENT
        assert len(await joining) == 200 - MAX_CONCURRENT


async def test_stopping_finishes_what_was_taken() -> None:
    stage = Stage()
    stage.answer = lambda update: stage.time.sleep(1)
    for version in range(60):
        stage.put(f"user{version}", version)
    async with stage.running():
        await stage.time.pass_(0.1)
        began = stage.time()
    assert len(stage.stored) == stage.committed == 60
    assert stage.time() - began < 5
    assert not stage.broker.consumer().is_available


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_stopping_takes_five_seconds_at_most(how: str) -> None:
    stage = Stage()
    stage.answer = lambda update: stage.time.sleep(1 if update.version == 0 else 100)
    for version in range(3):
        stage.put(f"user{version}", version)
    source = stage.broker.consumer()
    task = asyncio.create_task(stage.consumption(source).run(stage.stop))
    await stage.time.pass_(0.1)
    if how == "stopped":
        stage.stop.set()
    else:
        task.cancel()
    await stage.time.pass_(4.9)
    assert not task.done()
    await stage.time.pass_(0.2)
    assert task.done()
    assert task.cancelled() is (how == "cancelled")
    assert (stage.stored, stage.committed, stage.at_work) == ([0], 1, [])
    assert not source.is_available


async def test_a_broker_that_is_away_is_waited_for() -> None:
    stage = Stage()
    stage.put("ada", 1)
    async with stage.running():
        await stage.time.pass_(0.3)
        stage.broker.is_down = True
        await stage.time.pass_(10)
        assert (stage.stored, stage.committed) == ([1], 0)
        stage.put("bob", 2)
        stage.broker.is_down = False
        await stage.time.pass_(1)
        assert (stage.stored, stage.committed) == ([1, 2], 2)


async def test_a_mistake_of_ours_ends_everything() -> None:
    stage = Stage()
    stage.outcomes = Broken()
    stage.put("ada", 1)
    running = asyncio.create_task(stage.consumption().run(stage.stop))
    await stage.time.pass_(6)
    with pytest.raises(ZeroDivisionError):
        await running
    assert stage.committed == 0


async def test_so_does_one_while_partitions_are_lost() -> None:
    stage = Stage()
    source = Given([Record(TOPIC, 0, 5, b"ada", event_body("ada", 1))])
    running = asyncio.create_task(stage.consumption(source).run(stage.stop))
    await settle()
    await settle()
    source.mistake = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await source.lost({0})
    source.mistake = None
    with pytest.raises(ZeroDivisionError):
        await running
    assert stage.stored == [1]


async def test_a_topic_that_was_made_anew_counts_from_nothing() -> None:
    stage = Stage()
    records = [Record(TOPIC, 0, n, b"k%d" % n, event_body(f"u{n}", n)) for n in range(8)]
    source = Given(records[5:8], records[:4])
    stage.answer = refuse_with(Unavailable(), only={6})
    async with stage.running(source):
        await stage.time.pass_(10)
        assert sorted(stage.stored) == [0, 1, 2, 3, 5, 7]
        assert source.committed[-1] == {0: 4}
        assert 6 not in stage.tried[stage.tried.index(0) :]


class Broken(list[Outcome]):
    """A counter that can't count."""

    def append(self, outcome: Outcome) -> None:
        raise ZeroDivisionError


class Given:
    """A source of what is given, batch by batch."""

    def __init__(self, *batches: Sequence[Record]) -> None:
        self.batches = list(batches)
        self.committed: list[Mapping[int, int]] = []
        self.mistake: Exception | None = None

    def on_revoked(self, handler: OnRevoked) -> None:
        self.lost = handler

    async def poll(self, *, max_records: int, wait_seconds: float) -> Sequence[Record]:
        await settle()
        if self.batches:
            return self.batches.pop(0)
        await asyncio.Event().wait()
        return ()

    def pause(self, partitions: Collection[int]) -> None:
        pass

    async def commit(self, offsets: Mapping[int, int]) -> None:
        if self.mistake is not None:
            raise self.mistake
        self.committed.append(offsets)

    async def close(self) -> None:
        pass
