"""
What GitHub's answers mean, whichever way they were asked for: pure, bytes in, a verdict out.

Nothing here sends, waits or looks at a clock. Rules:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

API_VERSION = "2026-03-10"
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
"""What reading a body raises that is not what it should be."""

_PRIMARY_PAUSE = timedelta(seconds=60)
_LONGEST_PAUSE = timedelta(hours=2)
_RESET_MARGIN = timedelta(seconds=1)
_MESSAGE_CHARACTERS = 200


class Resource(StrEnum):
    """The budgets that GitHub counts apart."""

    CORE = "core"
    GRAPHQL = "graphql"


class FailureKind(StrEnum):
    """Why an answer is no answer."""

    NOT_FOUND = "not-found"
    PRIMARY_LIMIT = "primary-limit"
    SECONDARY_LIMIT = "secondary-limit"
    BAD_TOKEN = "bad-token"  # noqa: S105
    SUSPENDED = "suspended"
    FORBIDDEN = "forbidden"
    TOO_HEAVY = "too-heavy"
    SERVER = "server"
    UNREADABLE = "unreadable"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Reply:
    """GitHub's answer: `headers` by lower-case name, `body` unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A classified refusal.

    `until` is when the same account may ask again; None where GitHub gives no advice.
    """

    kind: FailureKind
    message: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of one budget until it is filled up at `reset_at`."""

    resource: Resource
    limit: int
    remaining: int
    reset_at: datetime


_KIND_OF_STATUS = {
    401: FailureKind.BAD_TOKEN,
    404: FailureKind.NOT_FOUND,
    410: FailureKind.NOT_FOUND,
    451: FailureKind.NOT_FOUND,
    502: FailureKind.TOO_HEAVY,
    504: FailureKind.TOO_HEAVY,
}


class _Problem(msgspec.Struct):
    message: str = ""


class GraphQLError(msgspec.Struct):
    """One entry of `errors`; `path` starts with the alias that it is about."""

    message: str = ""
    type: str | None = None
    path: tuple[str | int, ...] = ()


def read_room(reply: Reply, *, resource: Resource) -> Room | None:
    """
    Read what is left of the budget that paid; None where the headers do not say.

    `resource` is what was asked of: older servers do not name it.
    """
    # A token that is refused is told the ration of the address it came from.
    if reply.status == 401:
        return None
    headers = reply.headers
    try:
        return Room(
            resource=Resource(headers.get("x-ratelimit-resource", resource)),
            limit=int(headers["x-ratelimit-limit"]),
            remaining=int(headers["x-ratelimit-remaining"]),
            reset_at=_moment(headers["x-ratelimit-reset"]),
        )
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def classify(reply: Reply, *, resource: Resource, now: datetime) -> Failure | None:
    """Judge an answer by its status and headers; None for a good one."""
    if reply.status in {200, 304}:
        return None
    message = _message(reply.body)
    if reply.status in {403, 429}:
        return _classify_refusal(reply, message, now=now)
    default = FailureKind.SERVER if reply.status >= 500 else FailureKind.UNREADABLE
    kind = _KIND_OF_STATUS.get(reply.status, default)
    # GraphQL says of whom it does not know in the body: what is missing is GraphQL itself.
    if kind is FailureKind.NOT_FOUND and resource is Resource.GRAPHQL:
        kind = FailureKind.SERVER
    return Failure(kind, message or f"status {reply.status}")


def classify_graphql(
    errors: tuple[GraphQLError, ...], headers: Mapping[str, str], *, now: datetime
) -> Failure | None:
    """
    Judge the `errors` of a GraphQL answer with status 200.

    None where they speak of single aliases only (`NOT_FOUND`, `FORBIDDEN`): the rest is good.
    """
    for error in errors:
        said = shorten(error.message)
        # Both spellings are seen, and `remaining` need not be zero.
        if error.type in {"RATE_LIMITED", "RATE_LIMIT"}:
            return Failure(FailureKind.PRIMARY_LIMIT, said, _reset(headers, now=now))
        if _is_secondary(error.message):
            return Failure(FailureKind.SECONDARY_LIMIT, said, _pause(headers, now=now))
        # Fields that GitHub gave up on may read as zero anywhere in the answer.
        if error.type == "RESOURCE_LIMITS_EXCEEDED" or _is_overload(error.message):
            return Failure(FailureKind.TOO_HEAVY, said)
        if error.type not in {"NOT_FOUND", "FORBIDDEN"}:
            return Failure(FailureKind.UNREADABLE, said)
    return None


def shorten(message: str) -> str:
    """Cut what GitHub says to one short line: an error can quote the whole question."""
    line = " ".join(message[: 4 * _MESSAGE_CHARACTERS].split())
    return "".join(filter(str.isprintable, line))[:_MESSAGE_CHARACTERS]


def _classify_refusal(reply: Reply, message: str, *, now: datetime) -> Failure:
    if _is_secondary(message):
        return Failure(FailureKind.SECONDARY_LIMIT, message, _pause(reply.headers, now=now))
    is_empty = reply.headers.get("x-ratelimit-remaining") == "0"
    if is_empty or "rate limit exceeded" in message.lower():
        return Failure(FailureKind.PRIMARY_LIMIT, message, _reset(reply.headers, now=now))
    if "suspended" in message.lower():
        return Failure(FailureKind.SUSPENDED, message)
    if reply.status == 429 or "retry-after" in reply.headers:
        return Failure(FailureKind.SECONDARY_LIMIT, message, _pause(reply.headers, now=now))
    return Failure(FailureKind.FORBIDDEN, message)


def _is_secondary(message: str) -> bool:
    lowered = message.lower()
    return "secondary rate limit" in lowered or "abuse detection" in lowered


def _is_overload(message: str) -> bool:
    return message.startswith(
        ("Something went wrong while executing your query", "We couldn't respond to your request")
    )


def _pause(headers: Mapping[str, str], *, now: datetime) -> datetime | None:
    try:
        pause = timedelta(seconds=int(headers["retry-after"]))
    except (KeyError, ValueError, OverflowError):
        is_empty = headers.get("x-ratelimit-remaining") == "0"
        return _reset(headers, now=now) if is_empty else None
    return now + min(max(pause, timedelta(0)), _LONGEST_PAUSE)


def _reset(headers: Mapping[str, str], *, now: datetime) -> datetime:
    try:
        reset_at = _moment(headers["x-ratelimit-reset"])
    except (KeyError, ValueError, OverflowError, OSError):
        return now + _PRIMARY_PAUSE
    return min(max(reset_at, now) + _RESET_MARGIN, now + _LONGEST_PAUSE)


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _message(body: bytes) -> str:
    try:
        return shorten(msgspec.json.decode(body, type=_Problem).message)
    except UNREADABLE:
        return ""
