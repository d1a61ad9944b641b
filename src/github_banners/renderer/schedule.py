"""
Decide which update starts next, when a failed one is retried, and when it is given up.

Pure: time and randomness are parameters, and nothing here starts a task. `Schedule` holds what waits
and says what may start; `FailureHistory`, `is_permanent` and `retry_delay_seconds` say what follows a
failure; `should_pause` says when a partition has enough unfinished records.
"""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from github_banners.backoff import backoff_delay
from github_banners.circuit_breaker import CircuitBreaker
from github_banners.errors import InvalidInput, PermanentFailure, TooLarge
from github_banners.messaging.schemas import MAX_BATCH_BANNERS
from github_banners.renderer.batching import MAX_CALLS

MAX_CONCURRENT = MAX_CALLS * MAX_BATCH_BANNERS
"""Updates processed at the same time: enough to fill every batch that may be in flight."""

MAX_UNFINISHED = 1000
"""Unfinished records of one partition; above that, nothing more is polled from it."""

MAX_UNFINISHED_BYTES = 8 << 20
"""The same limit in bytes; a thousand events of usual size have half a megabyte."""

MAX_POLLED = 200
"""Records returned by one poll, which can still arrive after the decision to pause."""

GIVE_UP_AFTER_SECONDS = 600.0
"""How long a message may keep failing while the storage accepts other ones."""

MAX_DELAY_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 0.2
_MAX_CONSECUTIVE_FAILURES = 3

T = TypeVar("T")


class StorageHealth:
    """
    Whether the storage accepts anything at all, judged by the results of all messages.

    A single failure may be caused by a single picture. After three failures in a row the storage
    counts as down, and one message a second is let through as a probe until one succeeds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._circuit = CircuitBreaker(clock)
        self._consecutive_failures = 0
        self.last_success_at = float("-inf")

    @property
    def is_down(self) -> bool:
        """True while only probes are let through."""
        return self._circuit.is_open

    def allow_request(self) -> bool:
        """Return True if a message may be tried now; while the storage is down, it is the probe."""
        return not self._circuit.is_open or self._circuit.allow_probe()

    def record_success(self) -> None:
        """Record that the storage accepted a picture."""
        self._consecutive_failures = 0
        self._circuit.close()
        self.last_success_at = self._clock()

    def record_failure(self) -> None:
        """Record that the storage was unavailable for a picture."""
        self._consecutive_failures += 1
        if self._consecutive_failures >= _MAX_CONSECUTIVE_FAILURES:
            self._circuit.record_failure()


class Schedule(Generic[T]):
    """
    The items that wait to be processed: one FIFO queue per key, served round-robin.

    At most one item of a key runs at a time, and at most `MAX_CONCURRENT` in all. The storage keeps
    the newest version in any order; one at a time per key only saves drawing versions that the next
    one replaces at once.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.storage_health = StorageHealth(clock)
        self._waiting: dict[Hashable, deque[T]] = {}  # one queue for each ready or running key
        self._ready: deque[Hashable] = deque()
        self._running = 0

    def put(self, key: Hashable, item: T) -> None:
        """Append an item to the queue of its key."""
        if key not in self._waiting:
            self._waiting[key] = deque()
            self._ready.append(key)
        self._waiting[key].append(item)

    def start_next(self) -> T | None:
        """Return the item to start now, whose key then runs until `release`; None if none may start."""
        if self._running >= MAX_CONCURRENT or not self._ready:
            return None
        # Last, since it uses up the probe of this second while the storage is down.
        if not self.storage_health.allow_request():
            return None
        self._running += 1
        return self._waiting[self._ready.popleft()].popleft()

    def release(self, key: Hashable) -> None:
        """Record that the running item of a key has ended."""
        self._running -= 1
        self._requeue(key)

    def drop(self, is_dropped: Callable[[T], bool]) -> None:
        """Remove waiting items; running ones keep running."""
        ready, self._ready = self._ready, deque()
        for queue in self._waiting.values():
            remaining = [item for item in queue if not is_dropped(item)]
            queue.clear()
            queue.extend(remaining)
        for key in ready:
            self._requeue(key)

    def _requeue(self, key: Hashable) -> None:
        if self._waiting[key]:
            self._ready.append(key)
        else:
            del self._waiting[key]


class FailureHistory:
    """The failures of one message."""

    def __init__(self) -> None:
        self.failures = 0
        self._failed_at = 0.0
        self._first_own_failure_at: float | None = None

    def record_failure(self, *, now: float, last_success_at: float) -> bool:
        """
        Record a failure; return True if the message is to be given up.

        Only failures that are the message's own fault count: those where the storage has accepted
        another message since the failure before. While everything fails, nothing is given up,
        however long the outage takes. Both times are in seconds of a monotonic clock.
        """
        is_own_fault = self.failures > 0 and last_success_at > self._failed_at
        self.failures += 1
        self._failed_at = now
        if not is_own_fault:
            return False
        if self._first_own_failure_at is None:
            self._first_own_failure_at = now
        return now - self._first_own_failure_at >= GIVE_UP_AFTER_SECONDS


def is_permanent(error: BaseException) -> bool:
    """Return True if the message itself is at fault, so that no retry can succeed."""
    return isinstance(error, PermanentFailure | InvalidInput | TooLarge)


def retry_delay_seconds(failures: int, *, random: Callable[[], float]) -> float:
    """Return the delay after so many failures: doubled each time, with up to 50 % jitter."""
    delay = backoff_delay(failures, first=_FIRST_DELAY_SECONDS, maximum=MAX_DELAY_SECONDS)
    return delay * (0.5 + random() / 2)


def should_pause(unfinished: int, unfinished_bytes: int, *, is_storage_down: bool) -> bool:
    """Return True if a partition has so many unfinished records that it must not be polled."""
    # While the storage is down, a few records are enough to find out when it is back.
    limit = MAX_CONCURRENT if is_storage_down else MAX_UNFINISHED - MAX_POLLED
    return unfinished > limit or unfinished_bytes > MAX_UNFINISHED_BYTES
