"""
When to stop asking a server that does not answer: pure, the time comes in.

Whoever asks tells how it went; nothing here asks, waits or knows what is being asked.
"""

from collections.abc import Callable

PROBE_INTERVAL_SECONDS = 1.0


class CircuitBreaker:
    """
    Closed while calls succeed; open after a failure, and then one call per second is let through.

    `clock` tells monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_probe_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Say whether the last call failed."""
        return self._next_probe_at is not None

    def allow_request(self) -> bool:
        """Say whether a call may be made now; on an open circuit this takes the second's probe."""
        if self._next_probe_at is None:
            return True
        now = self._clock()
        if now < self._next_probe_at:
            return False
        self._next_probe_at = now + PROBE_INTERVAL_SECONDS
        return True

    def record_success(self) -> bool:
        """Take note that a call was answered; says whether that is news."""
        is_news = self.is_open
        self._next_probe_at = None
        return is_news

    def record_failure(self) -> bool:
        """Take note that a call was not answered; says whether that is news."""
        is_news = not self.is_open
        self._next_probe_at = self._clock() + PROBE_INTERVAL_SECONDS
        return is_news
