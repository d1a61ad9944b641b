"""
Which repositories a REST list holds: selection, order, pages, links to further pages.

Pure: an account and a wish in, repositories out, as GitHub documents its list.
https://docs.github.com/en/rest/repos/repos#list-repositories-for-a-user
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from github_sandbox.nouns import Account, Repository

_DEFAULT_PER_PAGE = 30
_MOST_PER_PAGE = 100

_Member = TypeVar("_Member", bound=StrEnum)


class Sort(StrEnum):
    """What a list is sorted by."""

    FULL_NAME = "full_name"
    CREATED = "created"
    UPDATED = "updated"
    PUSHED = "pushed"


class Kind(StrEnum):
    """Which repositories a list holds; the first three belong to users, the others to both."""

    OWNER = "owner"
    ALL = "all"
    MEMBER = "member"
    PUBLIC = "public"
    SOURCES = "sources"
    FORKS = "forks"


class Listing(msgspec.Struct, frozen=True):
    """A wish for one page of repositories, as GitHub reads it."""

    sort: Sort = Sort.FULL_NAME
    descending: bool = False
    kind: Kind = Kind.OWNER
    page: int = 1
    per_page: int = _DEFAULT_PER_PAGE
    of_organization: bool = False


def read_listing(query: Mapping[str, str], *, of_organization: bool = False) -> Listing:
    """
    Read a wish as leniently as GitHub does: what can't be is the default, too much is clamped.

    The list at `/orgs` has the newest first where nothing is said.
    """
    default = Sort.CREATED if of_organization else Sort.FULL_NAME
    sort = _member(Sort, query.get("sort"), default)
    direction = query.get("direction", "asc" if sort is Sort.FULL_NAME else "desc")
    return Listing(
        sort=sort,
        descending=direction == "desc",
        kind=_member(Kind, query.get("type"), Kind.OWNER),
        page=max(1, _number(query.get("page"), 1)),
        per_page=min(_MOST_PER_PAGE, _number(query.get("per_page"), 0) or _DEFAULT_PER_PAGE),
        of_organization=of_organization,
    )


def select(account: Account, wish: Listing) -> list[Repository]:
    """Choose and order all repositories that a wish is about, before they are cut into pages."""
    chosen = [one for one in account.repositories if _is_wanted(one, wish.kind)]
    if wish.sort is Sort.FULL_NAME:
        chosen.sort(key=lambda one: (one.name.lower(), one.id))
    else:
        moment = attrgetter(f"{wish.sort.value}_at")
        chosen.sort(key=lambda one: (moment(one) or one.created_at, one.id))
    return chosen[::-1] if wish.descending else chosen


def page_of(repositories: Sequence[Repository], wish: Listing) -> Sequence[Repository]:
    """Cut one page out of a list; beyond its end there is an empty one."""
    start = (wish.page - 1) * wish.per_page
    return repositories[start : start + wish.per_page]


def link_header(address: str, query: Mapping[str, str], *, total: int, wish: Listing) -> str | None:
    """
    Write the `Link` header of a page; None when there is only one.

    `address` goes by the account's number and so survives renames, as GitHub's own does.
    """
    last = -(-total // wish.per_page)
    pages = {"prev": wish.page - 1, "next": wish.page + 1, "last": last, "first": 1}
    if wish.page <= 1:
        del pages["prev"], pages["first"]
    if wish.page >= last:
        del pages["next"], pages["last"]
    links = (
        f'<{address}?{urlencode({**query, "page": page})}>; rel="{rel}"'
        for rel, page in pages.items()
    )
    return ", ".join(links) or None


def _is_wanted(repository: Repository, kind: Kind) -> bool:
    match kind:
        case Kind.FORKS:
            return repository.is_fork
        case Kind.SOURCES:
            return not repository.is_fork
        case Kind.MEMBER:
            return False
        case _:
            return True


def _member(kinds: type[_Member], given: str | None, default: _Member) -> _Member:
    return kinds(given) if given in set(kinds) else default


def _number(given: str | None, default: int) -> int:
    return int(given) if given and given.isascii() and given.isdecimal() else default
