"""
GitHub's REST answers as nouns: pure.

Only what every version of the API has had is required; old bodies lack the rest.
https://docs.github.com/en/rest/users/users, https://docs.github.com/en/rest/repos/repos
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import msgspec

from github_banners.github.protocol import UNREADABLE, Failure, FailureKind, Reply
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
