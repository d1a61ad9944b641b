"""
Tell plausible versions of a banner from those of a wrong clock. Pure.

A version is a time in microseconds, or the previous version plus one. A version further in the future
than clocks usually differ comes from a wrong clock, and would make every later picture count as older.
"""

from datetime import datetime

from github_banners.models import MAX_CLOCK_SKEW, to_epoch_microseconds


def plausible_version(version: int | None, *, now: datetime) -> int | None:
    """Return a version unchanged, or None if it is missing or in the future."""
    if version is None or version > to_epoch_microseconds(now + MAX_CLOCK_SKEW):
        return None
    return version
