"""
Circuit breaker: stop calling a dependency that does not respond, and log when its state changes.

The breaker only decides. While `is_open`, callers check `allow_probe` before a call; they report
failures, and at least the first success after one.
"""

from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)

PROBE_INTERVAL_SECONDS = 1.0


class CircuitBreaker:
    """
    Closed while calls succeed; after a failure `is_open`, with one probe call allowed per second.

    `clock` returns monotonic seconds. With a `name`, changes of state are logged as `NAME.down` (with
    the reason) and `NAME.up`.
    """

    def __init__(self, clock: Callable[[], float], *, name: str | None = None) -> None:
        self._clock = clock
        self._name = name
        self._next_probe_at = 0.0
        self.is_open = False

    def allow_probe(self) -> bool:
        """Return True if a call may be made although the circuit is open; this uses up the probe."""
        now = self._clock()
        if now < self._next_probe_at:
            return False
        # Moved on at once, so that concurrent callers do not probe as well.
        self._next_probe_at = now + PROBE_INTERVAL_SECONDS
        return True

    def close(self) -> None:
        """Record that a call succeeded."""
        if self.is_open and self._name is not None:
            _log.info(f"{self._name}.up")
        self.is_open = False

    def record_failure(self, reason: str = "") -> bool:
        """Open the circuit, or put the next probe off; return True if it was closed."""
        was_closed, self.is_open = not self.is_open, True
        self._next_probe_at = self._clock() + PROBE_INTERVAL_SECONDS
        if was_closed and self._name is not None:
            _log.warning(f"{self._name}.down", reason=reason)
        return was_closed
