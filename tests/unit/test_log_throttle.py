"""Throttling of repeated log lines."""

from github_banners.log_throttle import LogThrottle


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_log_throttle_allows_first_line_and_then_one_per_hour() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    assert throttle.allows("alice")
    clock.now += 3599
    assert not throttle.allows("alice")
    assert throttle.allows("bob")
    clock.now += 1
    assert throttle.allows("alice")
    assert not throttle.allows("alice")


def test_log_throttle_many_keys_forgets_oldest() -> None:
    throttle = LogThrottle(Clock())
    assert all(throttle.allows(number) for number in range(1001))
    assert not throttle.allows(1)
    assert throttle.allows(0)
