"""Exponential backoff."""

from datetime import timedelta

import pytest

from github_banners.backoff import backoff_delay


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (10**6, 10.0)]
)
def test_backoff_delay_doubles_up_to_the_maximum(failures: int, seconds: float) -> None:
    assert backoff_delay(failures, first=2.0, maximum=10.0) == seconds
    delay = backoff_delay(failures, first=timedelta(seconds=2), maximum=timedelta(seconds=10))
    assert delay == timedelta(seconds=seconds)


def test_backoff_delay_first_above_the_maximum_returns_the_maximum() -> None:
    assert backoff_delay(1, first=5.0, maximum=3.0) == 3.0
