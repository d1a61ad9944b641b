"""
What GitHub's answers mean, whichever way they were asked for: pure, bytes in, a verdict out.

Nothing here sends, waits or looks at a clock. Rules:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

API_VERSION = "2026-03-10"
UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What reading a body raises that is not what it should be: wrong JSON, text, numbers or nesting."""

MAX_ID = (1 << 53) - 1
"""GitHub's numbers are exact in JavaScript, and so are all that it sends."""

MAX_COUNT = (1 << 31) - 1
"""Stars, forks or repositories: what an `integer` of PostgreSQL can hold."""

MAX_PAGES = 1000
"""Pages of one owner's list, a hundred repositories each."""

_PRIMARY_PAUSE = timedelta(seconds=60)
_LONGEST_PAUSE = timedelta(hours=2)
_RESET_MARGIN = timedelta(seconds=1)
_MESSAGE_CHARACTERS = 200
_MAX_POINTS = 1_000_000
_NAME_CHARACTERS = 255
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_LOGIN = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")


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
    UNCONFIRMED = "unconfirmed"
    """GraphQL has answered, but what it says is to be confirmed over REST."""


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


ABSENT_TYPES = {"NOT_FOUND", "FORBIDDEN"}
"""GraphQL errors that say why something is null; the rest of the answer is good."""


class _Problem(msgspec.Struct):
    message: str = ""


class GraphQLError(msgspec.Struct):
    """One entry of `errors`; `path` starts with the alias that it is about."""

    message: str | None = None
    type: str | None = None
    path: tuple[str | int, ...] = ()


def read_room(reply: Reply, *, resource: Resource, now: datetime) -> Room | None:
    """
    Read what is left of the budget that paid; None where the headers do not say.

    `resource` is what was asked of: older servers do not name it.
    """
    # A token that is refused is told the ration of the address it came from.
    if reply.status == 401:
        return None
    headers = reply.headers
    try:
        return bounded_room(
            Resource(headers.get("x-ratelimit-resource", resource)),
            limit=int(headers["x-ratelimit-limit"]),
            remaining=int(headers["x-ratelimit-remaining"]),
            reset_at=_moment(headers["x-ratelimit-reset"]),
            now=now,
        )
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def bounded_room(
    resource: Resource, *, limit: int, remaining: int, reset_at: datetime, now: datetime
) -> Room:
    """
    Make a budget of what GitHub says, believing no more than can be.

    A window lasts an hour: a time further ahead counts as two hours from now.

    :raises ValueError: it is no budget at all
    """
    if not 0 <= limit <= _MAX_POINTS:
        raise ValueError(f"a limit of {limit}")
    return Room(
        resource,
        limit,
        remaining=max(0, min(remaining, limit)),
        reset_at=min(reset_at, now + _LONGEST_PAUSE),
    )


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
    errors: tuple[GraphQLError, ...],
    headers: Mapping[str, str],
    *,
    now: datetime,
    owner_depth: int = 0,
) -> Failure | None:
    """
    Judge the `errors` of a GraphQL answer with status 200.

    None where they speak of single owners only, by a path of at least `owner_depth` steps, or of
    what is absent or may not be seen: the rest is good.
    """
    for error in errors:
        message = error.message or ""
        summary = shorten(message)
        # Both spellings are seen, and `remaining` need not be zero.
        if error.type in {"RATE_LIMITED", "RATE_LIMIT"}:
            return Failure(FailureKind.PRIMARY_LIMIT, summary, _reset(headers, now=now))
        if _is_secondary(message):
            return Failure(FailureKind.SECONDARY_LIMIT, summary, _pause(headers, now=now))
        # Fields that GitHub gave up on may read as zero anywhere in the answer.
        if error.type == "RESOURCE_LIMITS_EXCEEDED" or _is_overload(message):
            return Failure(FailureKind.TOO_HEAVY, summary)
        is_about_owner = 0 < owner_depth <= len(error.path)
        if error.type not in ABSENT_TYPES and not is_about_owner:
            return Failure(FailureKind.UNREADABLE, summary)
    return None


def shorten(message: str) -> str:
    """Cut what GitHub says to one short line: an error can quote the whole question."""
    return clean_text(message[: 4 * _MESSAGE_CHARACTERS])[:_MESSAGE_CHARACTERS]


def clean_text(text: str) -> str:
    """Make a text one line without control characters, which could steer a terminal or end a line."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(filter(str.isprintable, line))


def clean_name(name: str | None) -> str | None:
    """
    Take control characters out of a name or a language, and cut what is too long; None for nothing.

    Joiners and marks of direction stay: they belong to emoji and to other scripts.
    """
    return _CONTROLS.sub(" ", name or "")[:_NAME_CHARACTERS].strip() or None


def parse_login(login: str) -> str:
    """
    Check a login, which becomes part of addresses, file names and log lines.

    GitHub's own rules are stricter, but have changed more than once.

    :raises ValueError: no account can be called so
    """
    if not _LOGIN.fullmatch(login):
        raise ValueError(f"no login: {shorten(login)!r}")
    return login


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
