"""
Which requests fail, and how.

Deterministic: decided by counting requests, not by chance. `fault_middleware` produces the failures.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Failure(StrEnum):
    """The ways in which a request can fail."""

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


class HeavyContributions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Contributions of one user that GitHub cannot read in windows of more than `max_days` days.

    A query for such a window fails with the error RESOURCE_LIMITS_EXCEEDED (`partial`) or with 502.
    These failures are not part of the schedule, and not among the failed requests counted.
    """

    login: str
    max_days: Annotated[int, Meta(ge=0)]
    failure: Literal["partial", "502"] = "partial"

    def applies_to(self, login: str, *, days: int) -> bool:
        """Return whether a window of so many days of this user fails."""
        return days > self.max_days and login.lower() == self.login.lower()


class FaultConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Latency of every response, and which fraction of the requests fails.

    Several kinds of failure take turns. `retry_after_seconds` is sent with secondary rate limits.
    """

    latency_seconds: Annotated[float, Meta(ge=0)] = 0
    fail: tuple[Failure, ...] = ()
    fail_rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    retry_after_seconds: Annotated[int, Meta(ge=0)] = 60
    heavy_contributions: HeavyContributions | None = None


class FaultSchedule:
    """Decides for each request in turn whether and how it fails, spreading failures evenly."""

    def __init__(self, config: FaultConfig) -> None:
        self.config = config
        self._requests = 0

    def next_failure(self) -> Failure | None:
        """Count a request, and return its failure or None."""
        self._requests += 1
        # In whole millionths: sums of floats would fail one request too many or too few.
        rate_millionths = round(self.config.fail_rate * 1_000_000)
        failed_before = (self._requests - 1) * rate_millionths // 1_000_000
        failed_now = self._requests * rate_millionths // 1_000_000
        if not self.config.fail or failed_now == failed_before:
            return None
        return self.config.fail[failed_before % len(self.config.fail)]
