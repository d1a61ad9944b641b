"""
Exponential backoff: how long to wait before the next attempt after consecutive failures.

For tasks and connections that are tried for ever. A single call is retried with `stamina`.
"""

from datetime import timedelta
from typing import TypeVar

Delay = TypeVar("Delay", float, timedelta)

_MAX_DOUBLINGS = 20


def backoff_delay(failures: int, *, first: Delay, maximum: Delay) -> Delay:
    """
    Return the delay after a number of consecutive failures, at least 1.

    It is `first`, doubled with every further failure up to `maximum`; both are seconds or both are
    `timedelta`.
    """
    # Bounded, since a power of two overflows after a thousand failures.
    return min(first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), maximum)
