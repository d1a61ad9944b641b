"""
When a message is tried again, and when it is given up: pure, time and chance come in.

Tries nothing.
"""

from collections.abc import Callable

from github_banners.circuit_breaker import CircuitBreaker
from github_banners.errors import InvalidInput, PermanentFailure, TooLarge

GIVE_UP_AFTER_SECONDS = 600.0
"""For so long a message may fail while the storage takes others."""

MAX_DELAY_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 0.2
_MAX_CONSECUTIVE_FAILURES = 3


def is_permanent(error: BaseException) -> bool:
    """Say whether trying again can't help: the message itself is wrong."""
    return isinstance(error, PermanentFailure | InvalidInput | TooLarge)


def delay_seconds(failures: int, *, random: Callable[[], float]) -> float:
    """Say how long to wait after so many failures: twice as long each time, spread by chance."""
    doubled = _FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 10)
    return min(doubled, MAX_DELAY_SECONDS) * (0.5 + random() / 2)


class FailureHistory:
    """How one message fares that has failed."""

    def __init__(self) -> None:
        self.failures = 0
        self._failed_at = 0.0
        self._first_own_failure_at: float | None = None

    def record_failure(self, *, now: float, last_success_at: float) -> bool:
        """
        Take note of a failure; says whether the message is to be given up.

        A failure is the message's own fault when the storage has accepted another since the one
        before; what fails because everything does is nobody's fault, however long that takes.
        """
        is_own_fault = self.failures > 0 and last_success_at > self._failed_at
        self.failures += 1
        self._failed_at = now
        if not is_own_fault:
            return False
        if self._first_own_failure_at is None:
            self._first_own_failure_at = now
        return now - self._first_own_failure_at >= GIVE_UP_AFTER_SECONDS


class StorageHealth:
    """
    Whether the storage takes anything at all, told from how every message fares.

    One refusal may be about one picture. After three in a row it counts as down, and is asked by
    one message a second until it takes one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._circuit = CircuitBreaker(clock)
        self._consecutive_failures = 0
        self.last_success_at = float("-inf")

    @property
    def is_down(self) -> bool:
        """Say whether nobody but the second's probe may ask."""
        return self._circuit.is_open

    def allow_request(self) -> bool:
        """Say whether a message may be tried now; while the storage is down, it is the probe."""
        return self._circuit.allow_request()

    def record_success(self) -> None:
        """Take note that it took a picture."""
        self._consecutive_failures = 0
        self._circuit.record_success()
        self.last_success_at = self._clock()

    def record_failure(self) -> None:
        """Take note that it could take none."""
        self._consecutive_failures += 1
        if self._consecutive_failures >= _MAX_CONSECUTIVE_FAILURES:
            self._circuit.record_failure()
