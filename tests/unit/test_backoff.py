"""Exponential backoff."""

from datetime import timedelta

import pytest

from github_banners.backoff import STABLE_AFTER_SECONDS, backoff_delay, restart_after_errors


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (10**6, 10.0)]
)
def test_backoff_delay_doubles_up_to_the_maximum(failures: int, seconds: float) -> None:
    assert backoff_delay(failures, first=2.0, maximum=10.0) == seconds
    delay = backoff_delay(failures, first=timedelta(seconds=2), maximum=timedelta(seconds=10))
    assert delay == timedelta(seconds=seconds)


def test_backoff_delay_first_above_the_maximum_returns_the_maximum() -> None:
    assert backoff_delay(1, first=5.0, maximum=3.0) == 3.0


async def test_restart_after_errors_delays_grow_until_work_was_stable_for_a_minute() -> None:
    now, slept, errors = [0.0], list[float](), list[Exception]()
    durations = [0.0, 0.0, 0.0, STABLE_AFTER_SECONDS, 0.0]

    async def work() -> None:
        if durations:
            now[0] += durations.pop(0)
            raise ZeroDivisionError

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await restart_after_errors(work, on_error=errors.append, clock=lambda: now[0], sleep=sleep)
    assert slept == [1, 2, 4, 1, 2]
    assert [type(error) for error in errors] == [ZeroDivisionError] * 5
