"""Which update starts next, when a failed one is retried, and when it is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import (
    InvalidOption,
    InvalidSignature,
    MalformedMessage,
    Overloaded,
    RemoteRejected,
    RenderingFailed,
    StorageUnavailable,
    TooLarge,
)
from github_banners.renderer.schedule import (
    GIVE_UP_AFTER_SECONDS,
    MAX_CONCURRENT,
    MAX_DELAY_SECONDS,
    MAX_POLLED,
    MAX_UNFINISHED,
    MAX_UNFINISHED_BYTES,
    FailureHistory,
    Schedule,
    StorageHealth,
    is_permanent,
    retry_delay_seconds,
    should_pause,
)
from tests.fake_clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def schedule(clock: FakeClock) -> Schedule[str]:
    return Schedule(clock)


@pytest.fixture
def health(clock: FakeClock) -> StorageHealth:
    return StorageHealth(clock)


def start_all(schedule: Schedule[str]) -> list[str]:
    """Start what may start now, and return it."""
    started = []
    while (item := schedule.start_next()) is not None:
        started.append(item)
    return started


# Which item starts


def test_schedule_starts_keys_in_turn_and_one_item_per_key(schedule: Schedule[str]) -> None:
    for item in ("a1", "a2", "b1", "a3"):
        schedule.put(item[0], item)
    assert start_all(schedule) == ["a1", "b1"]
    schedule.release("a")
    assert start_all(schedule) == ["a2"]
    schedule.release("b")
    assert start_all(schedule) == []
    schedule.release("a")
    assert start_all(schedule) == ["a3"]


def test_schedule_item_put_while_its_key_runs_waits(schedule: Schedule[str]) -> None:
    schedule.put("a", "a1")
    assert schedule.start_next() == "a1"
    schedule.put("a", "a2")
    assert schedule.start_next() is None
    schedule.release("a")
    assert schedule.start_next() == "a2"


def test_schedule_drop_removes_waiting_items_only(schedule: Schedule[str]) -> None:
    for item in ("a1", "b1", "b2", "c1", "a2", "a3"):
        schedule.put(item[0], item)
    assert schedule.start_next() == "a1"
    schedule.drop(lambda item: item in {"a2", "b1", "c1"})
    assert start_all(schedule) == ["b2"]
    schedule.release("a")
    assert start_all(schedule) == ["a3"]


def test_schedule_starts_no_more_than_the_concurrency_limit(schedule: Schedule[str]) -> None:
    for number in range(MAX_CONCURRENT + 2):
        schedule.put(number, str(number))
    assert len(start_all(schedule)) == MAX_CONCURRENT
    schedule.release(0)
    assert start_all(schedule) == [str(MAX_CONCURRENT)]


def test_schedule_storage_down_starts_one_probe_a_second(
    schedule: Schedule[str], clock: FakeClock
) -> None:
    for item in ("a1", "b1", "c1"):
        schedule.put(item[0], item)
    for _ in range(3):
        schedule.storage_health.record_failure()
    assert start_all(schedule) == []
    clock.seconds += 1
    assert start_all(schedule) == ["a1"]
    clock.seconds += 1
    schedule.storage_health.record_success()
    assert start_all(schedule) == ["b1", "c1"]


def test_schedule_nothing_to_start_leaves_the_probe(
    schedule: Schedule[str], clock: FakeClock
) -> None:
    for _ in range(3):
        schedule.storage_health.record_failure()
    clock.seconds += 1
    assert schedule.start_next() is None
    schedule.put("a", "a1")
    assert schedule.start_next() == "a1"


@given(st.lists(st.sampled_from(["put a", "put b", "put c", "start", "release"]), max_size=60))
def test_schedule_any_steps_keep_the_order_of_each_key(steps: list[str]) -> None:
    schedule: Schedule[tuple[str, int]] = Schedule(FakeClock())
    running: list[str] = []
    put_count = 0
    started: list[tuple[str, int]] = []

    def start() -> None:
        if (item := schedule.start_next()) is not None:
            assert item[0] not in running
            running.append(item[0])
            started.append(item)

    # Enough steps behind the drawn ones to finish everything.
    for step in [*steps, *["start", "release"] * (2 * len(steps))]:
        if step.startswith("put"):
            schedule.put(step[-1], (step[-1], put_count))
            put_count += 1
        elif step == "start":
            start()
        elif running:
            schedule.release(running.pop(0))
    assert len(started) == put_count
    for key in "abc":
        numbers = [number for name, number in started if name == key]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("unfinished", "unfinished_bytes", "is_storage_down", "expected"),
    [
        (0, 0, False, False),
        (MAX_UNFINISHED - MAX_POLLED, MAX_UNFINISHED_BYTES, False, False),
        (MAX_UNFINISHED - MAX_POLLED + 1, 0, False, True),
        (1, MAX_UNFINISHED_BYTES + 1, False, True),
        (MAX_CONCURRENT, 0, True, False),
        (MAX_CONCURRENT + 1, 0, True, True),
    ],
)
def test_should_pause_unfinished_above_a_limit_is_true(
    unfinished: int, unfinished_bytes: int, *, is_storage_down: bool, expected: bool
) -> None:
    assert should_pause(unfinished, unfinished_bytes, is_storage_down=is_storage_down) is expected


# When a failed update is retried


@pytest.mark.parametrize(
    "error",
    [
        MalformedMessage(),
        RenderingFailed(),
        RemoteRejected(),
        InvalidOption("url_path"),
        TooLarge(),
    ],
)
def test_is_permanent_fault_of_the_message_is_true(error: Exception) -> None:
    assert is_permanent(error)


@pytest.mark.parametrize(
    "error",
    [StorageUnavailable(), Overloaded(), InvalidSignature(), TimeoutError(), ZeroDivisionError()],
)
def test_is_permanent_any_other_error_is_false(error: Exception) -> None:
    assert not is_permanent(error)


def test_retry_delay_doubles_up_to_a_limit_with_jitter() -> None:
    longest = [retry_delay_seconds(failures, random=lambda: 1.0) for failures in range(1, 8)]
    shortest = [retry_delay_seconds(failures, random=lambda: 0.0) for failures in range(1, 8)]
    assert longest == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert shortest == pytest.approx([delay / 2 for delay in longest])
    assert retry_delay_seconds(10**6, random=lambda: 1.0) == MAX_DELAY_SECONDS


# When an update is given up


def test_failure_history_others_accepted_for_ten_minutes_gives_up() -> None:
    history = FailureHistory()
    now = 0.0
    while now <= GIVE_UP_AFTER_SECONDS:
        assert not history.record_failure(now=now, last_success_at=now - 1)
        now += 5
    assert history.record_failure(now=now, last_success_at=now - 1)


def test_failure_history_nothing_else_accepted_never_gives_up() -> None:
    history = FailureHistory()
    # The success before the outage does not count.
    assert not any(
        history.record_failure(now=now, last_success_at=0.5) for now in range(0, 100_000, 5)
    )


def test_failure_history_after_an_outage_starts_to_count() -> None:
    history = FailureHistory()
    assert not any(history.record_failure(now=now, last_success_at=-1) for now in range(0, 5000, 5))
    assert not history.record_failure(now=5005, last_success_at=5003)
    assert not history.record_failure(now=5600, last_success_at=5599)
    assert history.record_failure(now=5606, last_success_at=5605)


def test_failure_history_little_traffic_waits_for_another_success() -> None:
    history = FailureHistory()
    assert not history.record_failure(now=0, last_success_at=-1)
    assert not history.record_failure(now=5, last_success_at=4)
    assert not any(history.record_failure(now=now, last_success_at=4) for now in range(10, 900, 5))
    assert history.record_failure(now=900, last_success_at=898)


def test_failure_history_first_failure_never_gives_up() -> None:
    assert not FailureHistory().record_failure(now=10**9, last_success_at=10**9 - 1)


# Whether the storage is down


def test_storage_health_two_failures_in_a_row_is_not_down(health: StorageHealth) -> None:
    for _ in range(5):
        health.record_failure()
        health.record_failure()
        assert not health.is_down
        health.record_success()


def test_storage_health_three_failures_in_a_row_allows_one_request_a_second(
    health: StorageHealth, clock: FakeClock
) -> None:
    for _ in range(3):
        health.record_failure()
    allowed = [health.allow_request()]
    clock.seconds += 1
    allowed += [health.allow_request(), health.allow_request()]
    health.record_failure()
    allowed += [health.allow_request()]
    clock.seconds += 1
    allowed += [health.allow_request()]
    assert health.is_down
    assert allowed == [False, True, False, False, True]


def test_storage_health_success_allows_all_requests(
    health: StorageHealth, clock: FakeClock
) -> None:
    for _ in range(3):
        health.record_failure()
    health.record_success()
    assert not health.is_down
    assert all(health.allow_request() for _ in range(3))
    assert health.last_success_at == clock.seconds
