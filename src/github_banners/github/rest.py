"""
Parses responses of GitHub's REST API; pure.

Only fields that every version of the API has are required; old servers lack the others. Of these,
invalid texts and numbers of an owner count as unknown; a repository whose numbers are invalid is
skipped.
https://docs.github.com/en/rest/users/users, https://docs.github.com/en/rest/repos/repos
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from github_banners.github.protocol import (
    DECODE_ERRORS,
    MAX_PAGES,
    NULL,
    PAGE_SIZE,
    Count,
    Failure,
    FailureKind,
    GitHubResponse,
    Id,
    RateLimit,
    Resource,
    build_decode,
    build_rate_limit,
    clean_name,
    clean_text,
    decode_optional,
    decode_text,
    parse_login,
    shorten,
)
from github_banners.models import Owner, Repository

_MAX_SCOPES = 50
_MAX_LINK_CHARACTERS = 8192
# The parts match disjoint characters, so that matching takes linear time.
_LINK = re.compile(r"<([^<>]*)>([^<>]*)")
_RELATION = re.compile(r'\brel="?(?:last|next)\b')
_PAGE_NUMBER = re.compile(r"[?&]page=([0-9]{1,6})(?![0-9])")
# More than requested: some servers may return larger pages.
_MAX_PAGE_RECORDS = 10 * PAGE_SIZE

_NodeId: TypeAlias = Annotated[str, Meta(max_length=255)]


class _OwnerBody(msgspec.Struct):
    id: Id
    login: str
    node_id: msgspec.Raw = NULL
    name: msgspec.Raw = NULL
    type: msgspec.Raw = NULL
    public_repos: msgspec.Raw = NULL
    followers: msgspec.Raw = NULL

    def to_profile(self) -> "OwnerProfile":
        name = decode_optional(self.name, decode_text)
        node_id = decode_optional(self.node_id, _decode_node_id)
        is_organisation = decode_optional(self.type, decode_text) == "Organization"
        return OwnerProfile(
            Owner(self.id, parse_login(self.login), node_id, clean_name(name)),
            public_repos=decode_optional(self.public_repos, _decode_count),
            followers=None if is_organisation else decode_optional(self.followers, _decode_count),
        )


class _RepositoryBody(msgspec.Struct):
    id: Id
    name: str
    fork: bool | None = None
    archived: bool | None = None
    private: bool | None = None
    stargazers_count: Count | None = None
    forks_count: Count | None = None
    language: msgspec.Raw = NULL

    def to_repository(self) -> Repository:
        return Repository(
            id=self.id,
            name=clean_name(self.name) or "",
            stars=self.stargazers_count or 0,
            forks=self.forks_count or 0,
            is_fork=bool(self.fork),
            language=clean_name(decode_optional(self.language, decode_text)),
            is_archived=bool(self.archived),
        )


class _RateLimitBody(msgspec.Struct):
    limit: int
    remaining: int
    reset: int

    def to_rate_limit(self, resource: Resource, *, now: datetime) -> RateLimit:
        return build_rate_limit(
            resource,
            limit=self.limit,
            remaining=self.remaining,
            reset_at=datetime.fromtimestamp(self.reset, UTC),
            now=now,
        )


class _RateLimitsBody(msgspec.Struct):
    resources: dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class OwnerProfile:
    """
    An owner, and the number of public repositories that GitHub reports, None if it is unknown.

    `followers` is None for organisations, for which GraphQL has no number.
    """

    owner: Owner
    public_repos: int | None
    followers: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page of a list of repositories, and the number of the last page.

    `unreadable` counts the records that were skipped as invalid; `problem` describes the first of
    them.
    """

    repositories: tuple[Repository, ...]
    last: int
    unreadable: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """
    Rate limits, scopes and expiry of a token.

    Fine-grained tokens have no scopes, nor have classic tokens that may only read public data.
    """

    rate_limits: tuple[RateLimit, ...]
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None


_decode_rate_limits = build_decode(msgspec.json.Decoder(_RateLimitsBody))
_decode_rate_limit = build_decode(msgspec.json.Decoder(_RateLimitBody))
_decode_node_id = build_decode(msgspec.json.Decoder(_NodeId))
_decode_count = build_decode(msgspec.json.Decoder(Count))
_decode_owner = build_decode(msgspec.json.Decoder(_OwnerBody))
_decode_repositories = build_decode(msgspec.json.Decoder(tuple[_RepositoryBody, ...]))
_decode_records = build_decode(msgspec.json.Decoder(tuple[msgspec.Raw, ...]))
_decode_repository = build_decode(msgspec.json.Decoder(_RepositoryBody))


def parse_owner(response: GitHubResponse) -> OwnerProfile | Failure:
    """Parse `GET /users/{login}` or `GET /user/{id}`."""
    try:
        return _decode_owner(response.body).to_profile()
    except DECODE_ERRORS as error:
        return Failure(FailureKind.UNREADABLE, shorten(str(error)))


def parse_token_info(response: GitHubResponse, *, now: datetime) -> TokenInfo | Failure:
    """
    Parse `GET /rate_limit`, which costs no points, and its headers about the token.

    https://docs.github.com/en/rest/rate-limit/rate-limit
    """
    try:
        bodies = _decode_rate_limits(response.body).resources
        rate_limits = tuple(
            _decode_rate_limit(bodies[resource]).to_rate_limit(resource, now=now)
            for resource in Resource
            if resource in bodies
        )
    except (*DECODE_ERRORS, OSError) as error:
        return Failure(FailureKind.UNREADABLE, shorten(str(error)))
    return TokenInfo(rate_limits, _parse_scopes(response.headers), _parse_expiry(response.headers))


def parse_page(response: GitHubResponse, *, number: int) -> Page | Failure:
    """Parse page `number` of `GET /users/{login}/repos`; skip invalid records."""
    unreadable, problem = 0, ""
    try:
        bodies = _decode_repositories(response.body)
    except DECODE_ERRORS as error:
        problem = shorten(str(error))
        try:
            bodies, unreadable = _parse_records(response.body)
        except DECODE_ERRORS:
            return Failure(FailureKind.UNREADABLE, problem)
    if len(bodies) + unreadable > _MAX_PAGE_RECORDS:
        return Failure(FailureKind.UNREADABLE, f"a page of {len(bodies):,} repositories")
    return Page(
        tuple(body.to_repository() for body in bodies if not body.private),
        last=_parse_last_page(response.headers.get("link", ""), number=number),
        unreadable=unreadable,
        problem=problem,
    )


def _parse_records(body: bytes) -> tuple[tuple[_RepositoryBody, ...], int]:
    """
    Parse a page record by record; return the valid ones, and the number of the others.

    :raises ValueError: no record is valid
    """
    records = _decode_records(body)
    readable = []
    for record in records[: _MAX_PAGE_RECORDS + 1]:
        with suppress(*DECODE_ERRORS):
            readable.append(_decode_repository(record))
    if not readable:
        raise ValueError("no repository can be read")
    return tuple(readable), len(records) - len(readable)


def merge_pages(pages: Iterable[Page]) -> tuple[Repository, ...]:
    """Join pages to one list; a repository that moved from page to page counts once."""
    by_id = {repository.id: repository for page in pages for repository in page.repositories}
    return tuple(by_id.values())


def _parse_scopes(headers: Mapping[str, str]) -> tuple[str, ...]:
    """
    Parse the scopes of a classic token.

    https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
    """
    named = (clean_text(scope) for scope in headers.get("x-oauth-scopes", "").split(","))
    return tuple(scope for scope in named if scope)[:_MAX_SCOPES]


def _parse_expiry(headers: Mapping[str, str]) -> datetime | None:
    """Parse `2027-10-12 09:00:00 UTC`, or with an offset; None if the header is missing."""
    expiry = headers.get("github-authentication-token-expiration", "")
    try:
        return datetime.strptime(expiry.replace("UTC", "+0000"), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None


def _parse_last_page(link: str, *, number: int) -> int:
    """Parse the number of the last page from a `Link` header (RFC 8288), at most `MAX_PAGES`."""
    numbers = [number]
    for address, parameters in _LINK.findall(link[:_MAX_LINK_CHARACTERS]):
        if _RELATION.search(parameters):
            numbers += map(int, _PAGE_NUMBER.findall(address))
    return min(max(numbers), MAX_PAGES)
