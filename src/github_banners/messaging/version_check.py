"""
Which versions can be believed. Pure.

A version is a time in microseconds, or one more than the version before it. One that is further ahead
than clocks can differ comes from a wrong clock, and would make every later drawing count as older.
"""

from datetime import datetime

from github_banners.models import MAX_CLOCK_SKEW, to_epoch_microseconds


def plausible_version(version: int | None, *, now: datetime) -> int | None:
    """Return a version that was read somewhere, None where it is ahead of now and so unknown."""
    if version is None or version > to_epoch_microseconds(now + MAX_CLOCK_SKEW):
        return None
    return version
