"""
Circuit breaker: stop calling a dependency that does not respond, and log when its state changes.

The breaker only decides. Callers ask `allow_request` before each call and report the result.
"""

from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)

PROBE_INTERVAL_SECONDS = 1.0


class CircuitBreaker:
    """
    Closed while calls succeed; after a failure open, with one probe call allowed per second.

    `clock` returns monotonic seconds. With a `name`, changes of state are logged as `NAME.down` (with
    the reason) and `NAME.up`.
    """

    def __init__(self, clock: Callable[[], float], *, name: str | None = None) -> None:
        self._clock = clock
        self._name = name
        self._next_probe_at: float | None = None

    @property
    def is_open(self) -> bool:
        """True if the last call failed."""
        return self._next_probe_at is not None

    def allow_request(self) -> bool:
        """Return True if a call may be made now; on an open circuit this uses up the probe."""
        if self._next_probe_at is None:
            return True
        now = self._clock()
        if now < self._next_probe_at:
            return False
        # Moved on at once, so that concurrent callers do not probe as well.
        self._next_probe_at = now + PROBE_INTERVAL_SECONDS
        return True

    def record_success(self) -> None:
        """Close the circuit."""
        was_open = self.is_open
        self._next_probe_at = None
        if was_open and self._name is not None:
            _log.info(f"{self._name}.up")

    def record_failure(self, reason: str = "") -> bool:
        """Open the circuit, or put the next probe off; return True if it was closed."""
        was_closed = not self.is_open
        self._next_probe_at = self._clock() + PROBE_INTERVAL_SECONDS
        if was_closed and self._name is not None:
            _log.warning(f"{self._name}.down", reason=reason)
        return was_closed
