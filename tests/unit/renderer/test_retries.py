"""Again, or never again."""

import pytest

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
from github_banners.renderer.retries import (
    GIVE_UP_AFTER_SECONDS,
    MAX_DELAY_SECONDS,
    FailureHistory,
    StorageHealth,
    delay_seconds,
    is_permanent,
)


class Time:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


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
def test_what_never_works(error: Exception) -> None:
    assert is_permanent(error)


@pytest.mark.parametrize(
    "error",
    [StorageUnavailable(), Overloaded(), InvalidSignature(), TimeoutError(), ZeroDivisionError()],
)
def test_what_may_work_later(error: Exception) -> None:
    assert not is_permanent(error)


def test_delays_double_up_to_a_limit_and_are_spread() -> None:
    longest = [delay_seconds(failures, random=lambda: 1.0) for failures in range(1, 8)]
    shortest = [delay_seconds(failures, random=lambda: 0.0) for failures in range(1, 8)]
    assert longest == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert shortest == pytest.approx([one / 2 for one in longest])
    assert delay_seconds(10**6, random=lambda: 1.0) == MAX_DELAY_SECONDS


def test_given_up_after_ten_minutes_in_which_others_were_accepted() -> None:
    trouble = FailureHistory()
    now = 0.0
    while now <= GIVE_UP_AFTER_SECONDS:
        assert not trouble.record_failure(now=now, last_success_at=now - 1)
        now += 5
    assert trouble.record_failure(now=now, last_success_at=now - 1)


def test_never_given_up_while_nothing_else_is_accepted() -> None:
    trouble = FailureHistory()
    # The last that was taken before everything failed counts for nobody.
    assert not any(
        trouble.record_failure(now=now, last_success_at=0.5) for now in range(0, 100_000, 5)
    )


def test_an_outage_does_not_count() -> None:
    trouble = FailureHistory()
    assert not any(trouble.record_failure(now=now, last_success_at=-1) for now in range(0, 5000, 5))
    assert not trouble.record_failure(now=5005, last_success_at=5003)
    assert not trouble.record_failure(now=5600, last_success_at=5599)
    assert trouble.record_failure(now=5606, last_success_at=5605)


def test_with_little_traffic_it_takes_until_another_is_accepted() -> None:
    trouble = FailureHistory()
    assert not trouble.record_failure(now=0, last_success_at=-1)
    assert not trouble.record_failure(now=5, last_success_at=4)
    assert not any(trouble.record_failure(now=now, last_success_at=4) for now in range(10, 900, 5))
    assert trouble.record_failure(now=900, last_success_at=898)


def test_a_first_failure_is_never_the_last() -> None:
    assert not FailureHistory().record_failure(now=10**9, last_success_at=10**9 - 1)


def test_one_refusal_may_be_about_one_picture() -> None:
    storage = StorageHealth(Time())
    for _ in range(5):
        storage.record_failure()
        storage.record_failure()
        assert not storage.is_down
        storage.record_success()


def test_after_three_refusals_in_a_row_one_a_second_may_ask() -> None:
    time = Time()
    storage = StorageHealth(time)
    for _ in range(3):
        storage.record_failure()
    admitted = [storage.allow_request()]
    time.seconds += 1
    admitted += [storage.allow_request(), storage.allow_request()]
    storage.record_failure()
    admitted += [storage.allow_request()]
    time.seconds += 1
    admitted += [storage.allow_request()]
    assert storage.is_down
    assert admitted == [False, True, False, False, True]


def test_what_is_accepted_opens_it_to_all() -> None:
    time = Time()
    storage = StorageHealth(time)
    for _ in range(3):
        storage.record_failure()
    storage.record_success()
    assert not storage.is_down
    assert all(storage.allow_request() for _ in range(3))
    assert storage.last_success_at == time.seconds
