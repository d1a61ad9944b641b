"""
Measures GitHub's response time per account and minute, and paces background requests by it; pure.

GitHub allows about sixty seconds of GraphQL response time per minute. Background requests stay below
that, so that interactive ones are not throttled.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api#secondary-rate-limits
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

WINDOW_SECONDS = 60.0
MAX_RESPONSE_SECONDS = 45.0
"""Response time per window up to which background requests are sent."""

_INITIAL_AVERAGE_SECONDS = 1.0
_MIN_PAUSE_SECONDS = 0.05


class _Monotonic(Protocol):
    def __call__(self) -> float: ...


@dataclass(slots=True)
class Pace:
    """Response times of one account in this process; `average_seconds` is a moving average."""

    average_seconds: float = _INITIAL_AVERAGE_SECONDS
    _completed: deque[tuple[float, float]] = field(default_factory=deque)
    _in_flight: dict[int, float] = field(default_factory=dict)
    _request_ids: Iterator[int] = field(default_factory=count)

    @contextmanager
    def measure(self, monotonic: _Monotonic) -> Iterator[None]:
        """Count the response time of a request, while it is in flight and for a minute afterwards."""
        request_id, started_at = next(self._request_ids), monotonic()
        self._in_flight[request_id] = started_at
        try:
            yield
        finally:
            del self._in_flight[request_id]
            seconds = monotonic() - started_at
            self._completed.append((started_at + seconds, seconds))
            self.average_seconds += (seconds - self.average_seconds) / 4

    def pause_seconds(self, now: float, *, process_count: int = 1) -> float:
        """
        Return how long to wait before another background request; 0 to send it now.

        Processes that share an account each get an equal part of its time.
        """
        while self._completed and self._completed[0][0] <= now - WINDOW_SECONDS:
            self._completed.popleft()
        spent = sum(seconds for _, seconds in self._completed)
        expected = sum(
            max(now - started_at, self.average_seconds) for started_at in self._in_flight.values()
        )
        is_idle = not self._completed and not self._in_flight
        if (
            is_idle
            or spent + expected + self.average_seconds <= MAX_RESPONSE_SECONDS / process_count
        ):
            return 0.0
        if not self._completed:
            return _INITIAL_AVERAGE_SECONDS
        return max(_MIN_PAUSE_SECONDS, self._completed[0][0] + WINDOW_SECONDS - now)
