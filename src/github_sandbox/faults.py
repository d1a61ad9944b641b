"""
What goes wrong on demand, and for which requests.

Pure: decides by counting, never by chance. How a failure is sent is `breakage`'s business.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class Failure(StrEnum):
    """The ways in which GitHub, or the way to it, fails."""

    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    TIMEOUT = "timeout"
    DROP = "drop"
    HALF = "half"
    HTML = "html"
    SECONDARY = "secondary"
    SECONDARY_429 = "secondary-429"
    UNAUTHORIZED = "401"
    RATE_LIMITED = "rate-limited"
    PARTIAL = "partial"


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    How badly things go: every answer waits, a share of the requests fails.

    With several failures they take turns. `retry_after_seconds` is what a secondary limit advises.
    """

    latency_seconds: Annotated[float, Meta(ge=0)] = 0
    fail: tuple[Failure, ...] = ()
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    retry_after_seconds: Annotated[int, Meta(ge=0)] = 60


class Schedule:
    """Tells each request in turn whether and how it fails; a new `faults` starts the count anew."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._asked = 0

    def next_failure(self) -> Failure | None:
        """Decide about the next request; failures are spread evenly."""
        self._asked += 1
        millionths = round(self.faults.share * 1_000_000)
        failed_before = (self._asked - 1) * millionths // 1_000_000
        failed = self._asked * millionths // 1_000_000
        if not self.faults.fail or failed == failed_before:
            return None
        return self.faults.fail[failed_before % len(self.faults.fail)]
