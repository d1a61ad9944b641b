"""Again, or never again."""

import pytest

from github_banners.errors import (
    Busy,
    InvalidOption,
    Rejected,
    StorageUnavailable,
    TooLarge,
    Undrawable,
    UnreadableMessage,
    Unsigned,
)
from github_banners.renderer.retries import (
    LONGEST_DELAY_SECONDS,
    PATIENCE_SECONDS,
    Storage,
    Trouble,
    delay_seconds,
    is_hopeless,
)


class Time:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    "error", [UnreadableMessage(), Undrawable(), Rejected(), InvalidOption("url_path"), TooLarge()]
)
def test_what_never_works(error: Exception) -> None:
    assert is_hopeless(error)


@pytest.mark.parametrize(
    "error", [StorageUnavailable(), Busy(), Unsigned(), TimeoutError(), ZeroDivisionError()]
)
def test_what_may_work_later(error: Exception) -> None:
    assert not is_hopeless(error)


def test_delays_double_up_to_a_limit_and_are_spread() -> None:
    longest = [delay_seconds(failures, random=lambda: 1.0) for failures in range(1, 8)]
    shortest = [delay_seconds(failures, random=lambda: 0.0) for failures in range(1, 8)]
    assert longest == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert shortest == pytest.approx([one / 2 for one in longest])
    assert delay_seconds(10**6, random=lambda: 1.0) == LONGEST_DELAY_SECONDS


def test_given_up_after_ten_minutes_in_which_others_were_accepted() -> None:
    trouble = Trouble()
    now = 0.0
    while now <= PATIENCE_SECONDS:
        assert not trouble.fail(now=now, accepted_at=now - 1)
        now += 5
    assert trouble.fail(now=now, accepted_at=now - 1)


def test_never_given_up_while_nothing_else_is_accepted() -> None:
    trouble = Trouble()
    # The last that was taken before everything failed counts for nobody.
    assert not any(trouble.fail(now=now, accepted_at=0.5) for now in range(0, 100_000, 5))


def test_an_outage_does_not_count() -> None:
    trouble = Trouble()
    assert not any(trouble.fail(now=now, accepted_at=-1) for now in range(0, 5000, 5))
    assert not trouble.fail(now=5005, accepted_at=5003)
    assert not trouble.fail(now=5600, accepted_at=5599)
    assert trouble.fail(now=5606, accepted_at=5605)


def test_with_little_traffic_it_takes_until_another_is_accepted() -> None:
    trouble = Trouble()
    assert not trouble.fail(now=0, accepted_at=-1)
    assert not trouble.fail(now=5, accepted_at=4)
    assert not any(trouble.fail(now=now, accepted_at=4) for now in range(10, 900, 5))
    assert trouble.fail(now=900, accepted_at=898)


def test_a_first_failure_is_never_the_last() -> None:
    assert not Trouble().fail(now=10**9, accepted_at=10**9 - 1)


def test_one_refusal_may_be_about_one_picture() -> None:
    storage = Storage(Time())
    for _ in range(5):
        storage.refuse()
        storage.refuse()
        assert not storage.is_down
        storage.accept()


def test_after_three_refusals_in_a_row_one_a_second_may_ask() -> None:
    time = Time()
    storage = Storage(time)
    for _ in range(3):
        storage.refuse()
    admitted = [storage.admit()]
    time.seconds += 1
    admitted += [storage.admit(), storage.admit()]
    storage.refuse()
    admitted += [storage.admit()]
    time.seconds += 1
    admitted += [storage.admit()]
    assert storage.is_down
    assert admitted == [False, True, False, False, True]


def test_what_is_accepted_opens_it_to_all() -> None:
    time = Time()
    storage = Storage(time)
    for _ in range(3):
        storage.refuse()
    storage.accept()
    assert not storage.is_down
    assert all(storage.admit() for _ in range(3))
    assert storage.accepted_at == time.seconds
