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
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What reading a body raises that is not what it should be: wrong JSON, text, numbers or nesting."""

MAX_ID = (1 << 53) - 1
"""GitHub's numbers are exact in JavaScript, and so are all that it sends."""

MAX_COUNT = (1 << 31) - 1
"""Stars, forks or repositories: what an `integer` of PostgreSQL can hold."""

MAX_VALUES = 200_000
"""Values in one response, by its commas: a hundred repositories over REST have 10,000."""

MAX_PAGES = 1000
"""Pages of one owner's list, a hundred repositories each."""

_PRIMARY_PAUSE = timedelta(seconds=60)
_MAX_PAUSE = timedelta(hours=2)
_RESET_MARGIN = timedelta(seconds=1)
_MAX_MESSAGE_CHARACTERS = 200
_MAX_POINTS = 1_000_000
_MAX_NAME_CHARACTERS = 255
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
    TOO_LARGE = "too-large"
    UNREACHABLE = "unreachable"
    UNCONFIRMED = "unconfirmed"
    """GraphQL has answered, but what it says is to be confirmed over REST."""


@dataclass(frozen=True, slots=True)
class GitHubResponse:
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
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What is left of one budget until it is filled up at `reset_at`."""

    resource: Resource
    limit: int
    remaining: int
    reset_at: datetime


_KIND_BY_STATUS = {
    401: FailureKind.BAD_TOKEN,
    404: FailureKind.NOT_FOUND,
    407: FailureKind.UNREACHABLE,
    410: FailureKind.NOT_FOUND,
    451: FailureKind.NOT_FOUND,
    502: FailureKind.TOO_HEAVY,
    504: FailureKind.TOO_HEAVY,
}


ABSENT_TYPES = {"NOT_FOUND", "FORBIDDEN"}
"""GraphQL errors that say why something is null; the rest of the answer is good."""


class _ErrorBody(msgspec.Struct):
    message: str = ""


class GraphQLError(msgspec.Struct):
    """One entry of `errors`; `path` starts with the alias that it is about."""

    message: str | None = None
    type: str | None = None
    path: tuple[str | int, ...] = ()


def parse_rate_limit(
    response: GitHubResponse, *, resource: Resource, now: datetime
) -> RateLimit | None:
    """
    Read what is left of the budget that paid; None where the headers do not say.

    `resource` is what was asked of: older servers do not name it.
    """
    # A token that is refused is told the ration of the address it came from.
    if response.status == 401:
        return None
    headers = response.headers
    try:
        return build_rate_limit(
            Resource(headers.get("x-ratelimit-resource", resource)),
            limit=int(headers["x-ratelimit-limit"]),
            remaining=int(headers["x-ratelimit-remaining"]),
            reset_at=_datetime_from_epoch(headers["x-ratelimit-reset"]),
            now=now,
        )
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def build_rate_limit(
    resource: Resource, *, limit: int, remaining: int, reset_at: datetime, now: datetime
) -> RateLimit:
    """
    Make a budget of what GitHub says, believing no more than can be.

    A window lasts an hour: a time further ahead counts as two hours from now.

    :raises ValueError: it is no budget at all
    """
    if not 0 <= limit <= _MAX_POINTS:
        raise ValueError(f"a limit of {limit}")
    return RateLimit(
        resource,
        limit,
        remaining=max(0, min(remaining, limit)),
        reset_at=min(reset_at, now + _MAX_PAUSE),
    )


def classify(response: GitHubResponse, *, resource: Resource, now: datetime) -> Failure | None:
    """Judge an answer by its status, headers and extent; None for a good one."""
    # Before anything is read: so many values take a second and hundreds of megabytes.
    if response.body.count(b",") > MAX_VALUES:
        return Failure(FailureKind.TOO_LARGE, f"more than {MAX_VALUES:,} values")
    if response.status in {200, 304}:
        return None
    message = _error_message(response.body)
    if response.status in {403, 429}:
        return _classify_forbidden(response, message, now=now)
    default = FailureKind.SERVER if response.status >= 500 else FailureKind.UNREADABLE
    kind = _KIND_BY_STATUS.get(response.status, default)
    # GraphQL says of whom it does not know in the body: what is missing is GraphQL itself.
    if kind is FailureKind.NOT_FOUND and resource is Resource.GRAPHQL:
        kind = FailureKind.SERVER
    if response.status == 407:
        message = "proxy: it asks for a name and a password (status 407)"
    return Failure(kind, message or f"status {response.status}")


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
            return Failure(FailureKind.PRIMARY_LIMIT, summary, _reset_at(headers, now=now))
        if _is_secondary_limit(message):
            return Failure(FailureKind.SECONDARY_LIMIT, summary, _retry_at(headers, now=now))
        # Fields that GitHub gave up on may read as zero anywhere in the answer.
        if error.type == "RESOURCE_LIMITS_EXCEEDED" or _is_overload(message):
            return Failure(FailureKind.TOO_HEAVY, summary)
        is_about_owner = 0 < owner_depth <= len(error.path)
        if error.type not in ABSENT_TYPES and not is_about_owner:
            return Failure(FailureKind.UNREADABLE, summary)
    return None


def shorten(message: str) -> str:
    """Cut what GitHub says to one short line: an error can quote the whole question."""
    return clean_text(message[: 4 * _MAX_MESSAGE_CHARACTERS])[:_MAX_MESSAGE_CHARACTERS]


def clean_text(text: str) -> str:
    """Make a text one line without control characters, which could steer a terminal or end a line."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(filter(str.isprintable, line))


def clean_name(name: str | None) -> str | None:
    """
    Take control characters out of a name or a language, and cut what is too long; None for nothing.

    Joiners and marks of direction stay: they belong to emoji and to other scripts.
    """
    return _CONTROLS.sub(" ", name or "")[:_MAX_NAME_CHARACTERS].strip() or None


def parse_login(login: str) -> str:
    """
    Check a login, which becomes part of addresses, file names and log lines.

    GitHub's own rules are stricter, but have changed more than once.

    :raises ValueError: no account can be called so
    """
    if not _LOGIN.fullmatch(login):
        raise ValueError(f"no login: {shorten(login)!r}")
    return login


def _classify_forbidden(response: GitHubResponse, message: str, *, now: datetime) -> Failure:
    if _is_secondary_limit(message):
        return Failure(FailureKind.SECONDARY_LIMIT, message, _retry_at(response.headers, now=now))
    is_empty = response.headers.get("x-ratelimit-remaining") == "0"
    if is_empty or "rate limit exceeded" in message.lower():
        return Failure(FailureKind.PRIMARY_LIMIT, message, _reset_at(response.headers, now=now))
    if "suspended" in message.lower():
        return Failure(FailureKind.SUSPENDED, message)
    if response.status == 429 or "retry-after" in response.headers:
        return Failure(FailureKind.SECONDARY_LIMIT, message, _retry_at(response.headers, now=now))
    return Failure(FailureKind.FORBIDDEN, message)


def _is_secondary_limit(message: str) -> bool:
    lowered = message.lower()
    return "secondary rate limit" in lowered or "abuse detection" in lowered


def _is_overload(message: str) -> bool:
    return message.startswith(
        ("Something went wrong while executing your query", "We couldn't respond to your request")
    )


def _retry_at(headers: Mapping[str, str], *, now: datetime) -> datetime | None:
    try:
        pause = timedelta(seconds=int(headers["retry-after"]))
    except (KeyError, ValueError, OverflowError):
        is_empty = headers.get("x-ratelimit-remaining") == "0"
        return _reset_at(headers, now=now) if is_empty else None
    return now + min(max(pause, timedelta(0)), _MAX_PAUSE)


def _reset_at(headers: Mapping[str, str], *, now: datetime) -> datetime:
    try:
        reset_at = _datetime_from_epoch(headers["x-ratelimit-reset"])
    except (KeyError, ValueError, OverflowError, OSError):
        return now + _PRIMARY_PAUSE
    return min(max(reset_at, now) + _RESET_MARGIN, now + _MAX_PAUSE)


def _datetime_from_epoch(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _error_message(body: bytes) -> str:
    try:
        return shorten(msgspec.json.decode(body, type=_ErrorBody).message)
    except DECODE_ERRORS:
        return ""
