"""Time limits of the steps of a request."""

import pytest

from github_banners.stats.deadline import Deadline, picture_deadline


class Time:
    """Monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_timeout_seconds_returns_limit_or_remaining_time() -> None:
    now = Time()
    deadline = Deadline(3.0, 1.8, now)
    assert deadline.timeout_seconds(0.5) == 0.5
    assert deadline.timeout_seconds(100) == pytest.approx(2.8)
    now.seconds += 2.5
    assert deadline.timeout_seconds(0.5) == pytest.approx(0.3)
    now.seconds += 0.3
    assert deadline.timeout_seconds(0.5) == pytest.approx(0)
    now.seconds += 100
    assert deadline.timeout_seconds(0.5) == 0.0


def test_timeouts_of_github_and_database_are_capped() -> None:
    now = Time()
    deadline = Deadline(3.0, 1.8, now)
    assert (deadline.database_timeout_seconds(), deadline.github_timeout_seconds()) == (0.3, 1.8)
    now.seconds += 2.7
    assert (
        deadline.database_timeout_seconds()
        == deadline.github_timeout_seconds()
        == pytest.approx(0.1)
    )


def test_picture_deadline_ends_before_image_proxies_give_up() -> None:
    deadline = picture_deadline()
    assert deadline.total_seconds == 3.0
    assert 2.7 < deadline.timeout_seconds(100) <= 2.8
    assert deadline.github_timeout_seconds() == 1.8
