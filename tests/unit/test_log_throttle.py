"""Throttling of repeated log lines."""

from github_banners.log_throttle import LogThrottle
from tests.fake_clock import FakeClock


def test_log_throttle_allows_first_line_and_then_one_per_hour() -> None:
    clock = FakeClock()
    throttle = LogThrottle(clock)
    assert throttle.allows("alice")
    clock.seconds += 3599
    assert not throttle.allows("alice")
    assert throttle.allows("bob")
    clock.seconds += 1
    assert throttle.allows("alice")
    assert not throttle.allows("alice")


def test_log_throttle_many_keys_forgets_oldest() -> None:
    throttle = LogThrottle(FakeClock())
    assert all(throttle.allows(number) for number in range(1001))
    assert not throttle.allows(1)
    assert throttle.allows(0)
