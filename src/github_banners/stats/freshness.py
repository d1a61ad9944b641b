"""Age -> what to do: pure. Age is measured from when GitHub was asked, wherever the answer lies."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from github_banners.models import Snapshot


class Freshness(StrEnum):
    """What an age allows."""

    FRESH = "fresh"
    """Serve as it is."""
    SOFT_STALE = "soft-stale"
    """Serve at once, and refresh meanwhile."""
    HARD_STALE = "hard-stale"
    """Wait for GitHub; then serve with its date."""


@dataclass(frozen=True, slots=True)
class Ttls:
    """The two limits of age, and how long memory is trusted without asking PostgreSQL."""

    soft: timedelta = timedelta(minutes=10)
    hard: timedelta = timedelta(hours=24)
    memory: timedelta = timedelta(minutes=5)


def classify_freshness(fetched_at: datetime, ttls: Ttls, *, now: datetime) -> Freshness:
    """Tell what to do with numbers of this age; a date far in the future counts as no date."""
    age = now - fetched_at
    if abs(age) < ttls.soft:
        return Freshness.FRESH
    return Freshness.SOFT_STALE if timedelta(0) < age < ttls.hard else Freshness.HARD_STALE


def seconds_fresh(fetched_at: datetime, ttls: Ttls, *, now: datetime) -> int:
    """Count the whole seconds until numbers become soft-stale; 0 when they are."""
    return max(0, int((fetched_at + ttls.soft - now).total_seconds()))


def select_newer(first: Snapshot, second: Snapshot) -> Snapshot:
    """Take the snapshot that was asked for later, then that of the higher version, then `other`."""
    is_older = (second.fetched_at, second.version) < (first.fetched_at, first.version)
    return first if is_older else second
