"""
Classifies GitHub's responses, for REST and GraphQL: failures, rate limits, names. Pure.

No I/O, and the time is a parameter. Rules:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

API_VERSION = "2026-03-10"
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""Errors of parsing an invalid body: bad JSON, encoding, numbers or nesting."""

MAX_ID = (1 << 53) - 1
"""Largest id: an integer that is exact in JavaScript, as all of GitHub's are."""

MAX_COUNT = (1 << 31) - 1
"""Largest number of stars, forks or repositories: the `integer` of PostgreSQL."""

Id: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_ID)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_COUNT)]

MAX_VALUES = 200_000
"""Limit of values in a response, counted by commas; a hundred REST repositories have 10,000."""

MAX_PAGES = 1000
"""Limit of pages of one owner's list, `PAGE_SIZE` repositories each."""

PAGE_SIZE = 100
"""Repositories on one page, for both APIs; GitHub's maximum."""

_PRIMARY_PAUSE = timedelta(seconds=60)
_MAX_PAUSE = timedelta(hours=2)
_RESET_MARGIN = timedelta(seconds=1)
_MAX_MESSAGE_CHARACTERS = 200
_MAX_POINTS = 1_000_000
_MAX_NAME_CHARACTERS = 255
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
# REST and GraphQL word it differently.
_PRIMARY_LIMIT_MESSAGE = re.compile(r"rate limit (already )?exceeded", re.IGNORECASE)
_LOGIN = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")
# The escape of a surrogate, alone (group 2) or in a pair. It follows an even number of backslashes (group 1):
# the backslash after an odd number is escaped itself.
_SURROGATE = re.compile(
    rb"\\(?<!\\\\)((?:\\\\)*+)"
    rb"(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
_MAX_SURROGATES = 100_000


class Resource(StrEnum):
    """The APIs, each of which has a rate limit of its own."""

    CORE = "core"
    GRAPHQL = "graphql"


class FailureKind(StrEnum):
    """Why a request failed."""

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
    """GraphQL responded, but the result has to be confirmed over REST."""


@dataclass(frozen=True, slots=True)
class GitHubRequest:
    """A request to GitHub; `resource` is the rate limit that it counts against."""

    method: str
    url: str
    resource: Resource
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class GitHubResponse:
    """GitHub's response: `headers` by lower-case name, `body` decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A classified failure.

    `retry_at` is when the same account may send again; None if GitHub does not say.
    """

    kind: FailureKind
    message: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Remaining points of a rate limit until `reset_at`."""

    resource: Resource
    limit: int
    remaining: int
    reset_at: datetime


_NOT_GITHUB = "not from GitHub: a proxy in between, or a wrong GITHUB_API_URL"
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
"""GraphQL error types that explain a null; the rest of the response is valid."""


NULL = msgspec.Raw(b"null")
"""Default of a field that `decode_optional` decodes."""


class _ErrorBody(msgspec.Struct):
    message: str = ""


def build_decode(decoder: msgspec.json.Decoder[T]) -> Callable[[bytes | msgspec.Raw], T]:
    """
    Return a function that decodes JSON as the decoder does, but also texts with half a surrogate pair.

    RFC 8259 (8.2) allows these, msgspec refuses them even in unknown fields. U+FFFD replaces them.
    """

    def decode(body: bytes | msgspec.Raw) -> T:
        try:
            return decoder.decode(body)
        except msgspec.DecodeError:
            content = bytes(body)
            repaired = _SURROGATE.sub(_replace_lone, content, count=_MAX_SURROGATES)
            if repaired == content:
                raise
        return decoder.decode(repaired)

    return decode


def decode_optional(field: msgspec.Raw, decode: Callable[[msgspec.Raw], T]) -> T | None:
    """Decode a field that is not essential; None if it is missing, null or invalid."""
    try:
        return decode(field)
    except DECODE_ERRORS:
        return None


def _replace_lone(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[2] is None else escape[1] + rb"\ufffd"


decode_text = build_decode(msgspec.json.Decoder(str))
_decode_error = build_decode(msgspec.json.Decoder(_ErrorBody))


class GraphQLError(msgspec.Struct):
    """One entry of `errors`; `path` starts with the alias that the error concerns."""

    message: str | None = None
    type: str | None = None
    path: tuple[str | int, ...] = ()

    @classmethod
    def from_entry(cls, entry: Any) -> "GraphQLError":
        """Convert a decoded entry, its type to upper case; a field of another JSON type counts as missing."""
        fields = entry if isinstance(entry, dict) else {}
        message, kind, path = (fields.get(name) for name in ("message", "type", "path"))
        steps = path if isinstance(path, list) else []
        return cls(
            message if isinstance(message, str) else None,
            kind.upper() if isinstance(kind, str) else None,
            tuple(takewhile(lambda step: isinstance(step, str | int), steps)),
        )


def parse_rate_limit(
    response: GitHubResponse, *, resource: Resource, now: datetime
) -> RateLimit | None:
    """
    Parse the rate-limit headers; None if they are missing or invalid.

    `resource` is the API that was requested: older servers do not name it in the headers.
    """
    # With a rejected token the headers show the rate limit of the IP address.
    if response.status == 401:
        return None
    headers = response.headers
    try:
        return build_rate_limit(
            Resource(headers.get("x-ratelimit-resource", resource)),
            limit=int(headers["x-ratelimit-limit"]),
            remaining=int(headers["x-ratelimit-remaining"]),
            reset_at=datetime.fromtimestamp(int(headers["x-ratelimit-reset"]), UTC),
            now=now,
        )
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def build_rate_limit(
    resource: Resource, *, limit: int, remaining: int, reset_at: datetime, now: datetime
) -> RateLimit:
    """
    Build a rate limit from GitHub's numbers, clamped to plausible values.

    A window lasts an hour: a reset later than in two hours counts as in two hours.

    :raises ValueError: the limit is out of range
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
    """Classify a response by status, headers and size; None if it is a success."""
    # Checked before parsing: so many values would take a second and hundreds of megabytes.
    if response.body.count(b",") > MAX_VALUES:
        return Failure(FailureKind.TOO_LARGE, f"more than {MAX_VALUES:,} values")
    if response.status in {200, 304}:
        return None
    message = _error_message(response.body)
    if response.status in {403, 429}:
        return _classify_forbidden(response, message or f"status {response.status}", now=now)
    default = FailureKind.SERVER if response.status >= 500 else FailureKind.UNREADABLE
    kind = _KIND_BY_STATUS.get(response.status, default)
    # GraphQL reports an unknown owner in the body: a 404 means that there is no GraphQL.
    if kind is FailureKind.NOT_FOUND and resource is Resource.GRAPHQL:
        kind = FailureKind.SERVER
    # The 404 of a proxy, or of a wrong GITHUB_API_URL, says nothing of the owner.
    elif kind is FailureKind.NOT_FOUND and message is None:
        return Failure(FailureKind.UNREADABLE, f"status {response.status}, {_NOT_GITHUB}")
    if response.status == 407:
        message = "proxy: authentication required (status 407)"
    return Failure(kind, message or f"status {response.status}")


def classify_graphql(
    errors: tuple[GraphQLError, ...],
    headers: Mapping[str, str],
    *,
    now: datetime,
    owner_depth: int = 0,
) -> Failure | None:
    """
    Classify the `errors` of a GraphQL response with status 200.

    None if they only concern single owners (their path has at least `owner_depth` steps), or fields that
    are missing or not visible: the rest of the response is valid.
    """
    # A limit is about the account, whatever other errors come with it.
    for error in errors:
        # GitHub uses both spellings, and `remaining` need not be zero.
        is_primary = error.type in {"RATE_LIMITED", "RATE_LIMIT"}
        limit = _classify_limit(error.message or "", headers, is_primary=is_primary, now=now)
        if limit is not None:
            return limit
    for error in errors:
        message = error.message or ""
        summary = shorten(message)
        # After these errors, fields anywhere in the response may wrongly be zero.
        if error.type == "RESOURCE_LIMITS_EXCEEDED" or _is_overload(message):
            return Failure(FailureKind.TOO_HEAVY, summary)
        is_about_owner = 0 < owner_depth <= len(error.path)
        if error.type not in ABSENT_TYPES and not is_about_owner:
            return Failure(FailureKind.UNREADABLE, summary)
    return None


def shorten(message: str) -> str:
    """Shorten a message to one line of 200 characters: an error may quote the whole query."""
    return clean_text(message[: 4 * _MAX_MESSAGE_CHARACTERS])[:_MAX_MESSAGE_CHARACTERS]


def clean_text(text: str) -> str:
    """Return a text as one line without control characters, which could manipulate a terminal."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(filter(str.isprintable, line))


def clean_name(name: str | None, *, max_characters: int = _MAX_NAME_CHARACTERS) -> str | None:
    """
    Return a name or language without control characters, shortened; None if nothing remains.

    Joiners and direction marks stay: emoji and some scripts need them.
    """
    return _CONTROLS.sub(" ", name or "")[:max_characters].strip() or None


def parse_login(login: str) -> str:
    """
    Return a login of a response, which becomes part of URLs, file names and log lines.

    More is allowed than in `options.parsing`, which checks input: GitHub's rules have changed more than
    once, and bots have brackets in their logins.

    :raises ValueError: it contains other characters, or is too long
    """
    if not _LOGIN.fullmatch(login):
        raise ValueError(f"invalid login: {shorten(login)!r}")
    return login


def _classify_forbidden(response: GitHubResponse, message: str, *, now: datetime) -> Failure:
    is_empty = response.headers.get("x-ratelimit-remaining") == "0"
    limit = _classify_limit(message, response.headers, is_primary=is_empty, now=now)
    if limit is not None:
        return limit
    if "suspended" in message.lower():
        return Failure(FailureKind.SUSPENDED, message)
    if response.status == 429 or "retry-after" in response.headers:
        return Failure(FailureKind.SECONDARY_LIMIT, message, _retry_at(response.headers, now=now))
    return Failure(FailureKind.FORBIDDEN, message)


def _classify_limit(
    message: str, headers: Mapping[str, str], *, is_primary: bool, now: datetime
) -> Failure | None:
    """Classify a rate limit by GitHub's message; `is_primary` if something else than it shows one."""
    lowered, summary = message.lower(), shorten(message)
    if "secondary rate limit" in lowered or "abuse detection" in lowered:
        return Failure(FailureKind.SECONDARY_LIMIT, summary, _retry_at(headers, now=now))
    if is_primary or _PRIMARY_LIMIT_MESSAGE.search(message):
        return Failure(FailureKind.PRIMARY_LIMIT, summary, _reset_at(headers, now=now))
    return None


def _is_overload(message: str) -> bool:
    return message.startswith(
        ("Something went wrong while executing your query", "We couldn't respond to your request")
    )


def _retry_at(headers: Mapping[str, str], *, now: datetime) -> datetime | None:
    try:
        pause = timedelta(seconds=int(headers["retry-after"]))
    except (KeyError, ValueError, OverflowError):
        pause = timedelta(0)
    if pause > timedelta(0):
        return now + min(pause, _MAX_PAUSE)
    is_empty = headers.get("x-ratelimit-remaining") == "0"
    return _reset_at(headers, now=now) if is_empty else None


def _reset_at(headers: Mapping[str, str], *, now: datetime) -> datetime:
    try:
        reset_at = datetime.fromtimestamp(int(headers["x-ratelimit-reset"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        reset_at = now
    if reset_at <= now:  # by a clock that differs from GitHub's
        return now + _PRIMARY_PAUSE
    return min(reset_at + _RESET_MARGIN, now + _MAX_PAUSE)


def _error_message(body: bytes) -> str | None:
    try:
        return shorten(_decode_error(body).message)
    except msgspec.ValidationError:
        return ""
    except DECODE_ERRORS:
        return None if body else ""  # the page of another server, or none
