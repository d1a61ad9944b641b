"""How often a failure is logged."""

from github_banners.log_throttle import LogThrottle


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_allows_the_first_time_and_then_once_an_hour() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    assert throttle.allows("alice")
    clock.now += 3599
    assert not throttle.allows("alice")
    assert throttle.allows("bob")
    clock.now += 1
    assert throttle.allows("alice")
    assert not throttle.allows("alice")


def test_allows_forgets_the_oldest_of_many_keys() -> None:
    throttle = LogThrottle(Clock())
    assert all(throttle.allows(number) for number in range(1001))
    assert not throttle.allows(1)
    assert throttle.allows(0)
