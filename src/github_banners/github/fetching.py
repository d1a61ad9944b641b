"""
What all fetches have in common: a time limit, and public errors.

A fetch is one or many requests for one owner. Its failure becomes one of the errors that clients may see,
and is logged once in a while.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import structlog

from github_banners.errors import GitHubUnavailable
from github_banners.github.protocol import Failure, FailureKind
from github_banners.github.sender import RETRYABLE, TRY_ANOTHER_ACCOUNT, RequestFailed
from github_banners.log_throttle import LogThrottle

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_FALL_BACK_TO_REST = TRY_ANOTHER_ACCOUNT | RETRYABLE | {FailureKind.TOO_LARGE}


async def with_public_errors(
    fetching: Awaitable[T], *, name: str, time_limit: timedelta, throttle: LogThrottle
) -> T:
    """
    Await a fetch of the owner `name` for at most `time_limit`.

    :raises UnknownUser: GitHub knows no such owner
    :raises GitHubUnavailable: the fetch failed, or took too long
    """
    try:
        async with asyncio.timeout(time_limit.total_seconds()):
            return await fetching
    except RequestFailed as error:
        kind = error.failure.kind
        if kind is not FailureKind.NOT_FOUND and throttle.allows((name, kind)):
            _log.warning("github.refused", owner=name, reason=str(error))
        raise error.to_public_error(name) from error
    except TimeoutError as error:
        if throttle.allows((name, "timeout")):
            _log.warning("github.refused", owner=name, reason="timeout")
        raise GitHubUnavailable("GitHub did not respond in time") from error


def should_fall_back(failure: Failure, *, is_known: bool) -> bool:
    """Return whether REST is worth a request after this failure of GraphQL."""
    # For an unknown login one 404 is enough; a known owner must be missing from both APIs.
    is_missing = failure.kind is FailureKind.NOT_FOUND
    return (is_missing and is_known) or failure.kind in _FALL_BACK_TO_REST
