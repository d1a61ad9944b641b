"""
How long GitHub has worked for one account in the last minute: pure, times come with each call.

GitHub allows about sixty seconds of GraphQL responses in sixty seconds. What nobody waits for keeps below
that, so that there is always room for those who do.
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
"""Of GitHub's time in each window that what nobody waits for may bring an account to."""

_INITIAL_AVERAGE_SECONDS = 1.0
_MIN_PAUSE_SECONDS = 0.05


class _Monotonic(Protocol):
    def __call__(self) -> float: ...


@dataclass(slots=True)
class Pace:
    """The response times of one account, in this process; `average_seconds` is of the latest ones."""

    average_seconds: float = _INITIAL_AVERAGE_SECONDS
    _completed: deque[tuple[float, float]] = field(default_factory=deque)
    _in_flight: dict[int, float] = field(default_factory=dict)
    _request_ids: Iterator[int] = field(default_factory=count)

    @contextmanager
    def measure(self, monotonic: _Monotonic) -> Iterator[None]:
        """Count the time of a request, while it is under way and for a minute afterwards."""
        number, begun_at = next(self._request_ids), monotonic()
        self._in_flight[number] = begun_at
        try:
            yield
        finally:
            del self._in_flight[number]
            seconds = monotonic() - begun_at
            self._completed.append((begun_at + seconds, seconds))
            self.average_seconds += (seconds - self.average_seconds) / 4

    def pause_seconds(self, now: float, *, process_count: int = 1) -> float:
        """
        Tell how long to wait before one more request; 0 for not at all.

        An account that several processes share has its time divided among them.
        """
        while self._completed and self._completed[0][0] <= now - WINDOW_SECONDS:
            self._completed.popleft()
        spent = sum(seconds for _, seconds in self._completed)
        expected = sum(max(now - begun, self.average_seconds) for begun in self._in_flight.values())
        is_idle = not self._completed and not self._in_flight
        if (
            is_idle
            or spent + expected + self.average_seconds <= MAX_RESPONSE_SECONDS / process_count
        ):
            return 0.0
        if not self._completed:
            return _INITIAL_AVERAGE_SECONDS
        return max(_MIN_PAUSE_SECONDS, self._completed[0][0] + WINDOW_SECONDS - now)
