"""
When a message is tried again, and when it is given up: pure, time and chance come in.

Tries nothing.
"""

from collections.abc import Callable

from github_banners.circuit import Circuit
from github_banners.errors import Hopeless, InvalidInput, TooLarge

PATIENCE_SECONDS = 600.0
"""For so long a message may fail while the storage takes others."""

LONGEST_DELAY_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 0.2
_REFUSALS_IN_A_ROW = 3


def is_hopeless(error: BaseException) -> bool:
    """Say whether trying again can't help: the message itself is wrong."""
    return isinstance(error, Hopeless | InvalidInput | TooLarge)


def delay_seconds(failures: int, *, random: Callable[[], float]) -> float:
    """Say how long to wait after so many failures: twice as long each time, spread by chance."""
    doubled = _FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 10)
    return min(doubled, LONGEST_DELAY_SECONDS) * (0.5 + random() / 2)


class Trouble:
    """How one message fares that has failed."""

    def __init__(self) -> None:
        self.failures = 0
        self._failed_at = 0.0
        self._blamed_at: float | None = None

    def fail(self, *, now: float, accepted_at: float) -> bool:
        """
        Take note of a failure; says whether the message is to be given up.

        A failure is the message's own fault when the storage has accepted another since the one
        before; what fails because everything does is nobody's fault, however long that takes.
        """
        is_own_fault = self.failures > 0 and accepted_at > self._failed_at
        self.failures += 1
        self._failed_at = now
        if not is_own_fault:
            return False
        if self._blamed_at is None:
            self._blamed_at = now
        return now - self._blamed_at >= PATIENCE_SECONDS


class Storage:
    """
    Whether the storage takes anything at all, told from how every message fares.

    One refusal may be about one picture. After three in a row it counts as down, and is asked by
    one message a second until it takes one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._circuit = Circuit(clock)
        self._refusals = 0
        self.accepted_at = float("-inf")

    @property
    def is_down(self) -> bool:
        """Say whether nobody but the second's probe may ask."""
        return self._circuit.is_open

    def admit(self) -> bool:
        """Say whether a message may be tried now; while the storage is down, it is the probe."""
        return self._circuit.admit()

    def accept(self) -> None:
        """Take note that it took a picture."""
        self._refusals = 0
        self._circuit.succeed()
        self.accepted_at = self._clock()

    def refuse(self) -> None:
        """Take note that it could take none."""
        self._refusals += 1
        if self._refusals >= _REFUSALS_IN_A_ROW:
            self._circuit.fail()
