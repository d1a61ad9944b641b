"""
GitHub's REST answers as nouns: pure.

Only what every version of the API has had is required; old bodies lack the rest.
https://docs.github.com/en/rest/users/users, https://docs.github.com/en/rest/repos/repos
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import msgspec

from github_banners.github.protocol import UNREADABLE, Failure, FailureKind, Reply, Resource, Room
from github_banners.model import Owner, Repository

PAGE_SIZE = 100
"""Repositories on one page; GitHub gives no more."""

_LINK = re.compile(r'<([^>]*)>\s*;[^,]*?rel="(\w+)"')


class _OwnerBody(msgspec.Struct):
    id: int
    login: str
    node_id: str | None = None
    name: str | None = None
    public_repos: int | None = None


class _RepositoryBody(msgspec.Struct):
    id: int
    name: str
    fork: bool | None = None
    private: bool | None = None
    stargazers_count: int | None = None
    forks_count: int | None = None
    language: str | None = None

    def as_repository(self) -> Repository:
        return Repository(
            id=self.id,
            name=self.name,
            stars=self.stargazers_count or 0,
            forks=self.forks_count or 0,
            is_fork=bool(self.fork),
            language=self.language or None,
        )


class _BudgetBody(msgspec.Struct):
    limit: int
    remaining: int
    reset: int

    def as_room(self, resource: Resource) -> Room:
        return Room(resource, self.limit, self.remaining, datetime.fromtimestamp(self.reset, UTC))


class _RateLimitBody(msgspec.Struct):
    resources: dict[str, _BudgetBody]


@dataclass(frozen=True, slots=True)
class OwnerAnswer:
    """An owner, and how many public repositories GitHub says there are."""

    owner: Owner
    public_repos: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list of repositories, and the number of the last page."""

    repositories: tuple[Repository, ...]
    last: int


@dataclass(frozen=True, slots=True)
class Standing:
    """
    What a token is good for: what is left of each budget, its scopes, and when it ends.

    A fine-grained token has no scopes, and neither has a classic one that may only read what is public.
    """

    rooms: tuple[Room, ...]
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None


_read_rate_limit_body = msgspec.json.Decoder(_RateLimitBody).decode
_read_owner_body = msgspec.json.Decoder(_OwnerBody).decode
_read_repository_bodies = msgspec.json.Decoder(tuple[_RepositoryBody, ...]).decode


def read_owner(reply: Reply) -> OwnerAnswer | Failure:
    """Read `GET /users/{login}` or `GET /user/{id}`."""
    try:
        body = _read_owner_body(reply.body)
    except UNREADABLE as error:
        return Failure(FailureKind.UNREADABLE, str(error))
    owner = Owner(
        id=body.id, login=body.login, node_id=body.node_id, display_name=body.name or None
    )
    return OwnerAnswer(owner, body.public_repos)


def read_standing(reply: Reply) -> Standing | Failure:
    """
    Read `GET /rate_limit`, which costs nothing, and what its headers tell of the token.

    https://docs.github.com/en/rest/rate-limit/rate-limit
    """
    try:
        budgets = _read_rate_limit_body(reply.body).resources
        rooms = tuple(budgets[one].as_room(one) for one in Resource if one in budgets)
    except (*UNREADABLE, OverflowError, OSError, ValueError) as error:
        return Failure(FailureKind.UNREADABLE, str(error))
    return Standing(rooms, _scopes(reply.headers), _expiry(reply.headers))


def read_page(reply: Reply, *, number: int) -> Page | Failure:
    """Read page `number` of `GET /users/{login}/repos`."""
    try:
        bodies = _read_repository_bodies(reply.body)
    except UNREADABLE as error:
        return Failure(FailureKind.UNREADABLE, str(error))
    public = tuple(body.as_repository() for body in bodies if not body.private)
    return Page(public, last=_last_page(reply.headers.get("link", ""), number=number))


def merge(pages: Iterable[Page]) -> tuple[Repository, ...]:
    """Join pages to one list; a repository that moved between two of them counts once."""
    found = {one.id: one for page in pages for one in page.repositories}
    return tuple(found.values())


def _scopes(headers: Mapping[str, str]) -> tuple[str, ...]:
    """
    Read what a classic token may do beyond reading public data.

    https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
    """
    named = (one.strip() for one in headers.get("x-oauth-scopes", "").split(","))
    return tuple(scope for scope in named if scope)


def _expiry(headers: Mapping[str, str]) -> datetime | None:
    """Read `2027-10-12 09:00:00 UTC`, or with an offset; None where GitHub does not say."""
    said = headers.get("github-authentication-token-expiration", "")
    try:
        return datetime.strptime(said.replace("UTC", "+0000"), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None


def _last_page(link: str, *, number: int) -> int:
    """Read the number of the last page out of a `Link` header (RFC 8288)."""
    numbers = [number]
    for address, relation in _LINK.findall(link):
        if relation in {"last", "next"}:
            numbers += [
                int(page)
                for page in parse_qs(urlsplit(address).query).get("page", [])
                if page.isdecimal()
            ]
    return max(numbers)
