"""
Pagination of repositories and of languages in GraphQL: filters, order, cursors, GitHub's errors.

Pure: from all items and the arguments to a page. A cursor contains the key of the item before it (a
repository's id, a language's name), so it stays valid as long as the order of the items does.
https://docs.github.com/en/graphql/guides/using-pagination-in-the-graphql-api
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from graphql import GraphQLError

from github_sandbox.models import Account, Repository

MAX_PAGE_SIZE = 100
_CURSOR_PREFIX = b"cursor:v2:"


class FieldError(GraphQLError):
    """A field cannot be resolved; `error_type` is the `type` of GitHub's error."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message, extensions={"type": error_type})


class Edge(msgspec.Struct, frozen=True):
    """A repository, or a language with its size in bytes, and its cursor."""

    node: Repository | str
    cursor: str
    size: int = 0


class Connection(msgspec.Struct, frozen=True):
    """
    A page of repositories or languages, or only their number if no page was requested.

    `total_size` are the bytes of all languages.
    """

    total: int
    edges: Sequence[Edge] = ()
    has_next: bool = False
    has_previous: bool = False
    total_size: int = 0

    @property
    def nodes(self) -> list[Repository | str]:
        """The page without cursors."""
        return [edge.node for edge in self.edges]

    @property
    def start_cursor(self) -> str | None:
        """The cursor of the first item, None on an empty page."""
        return self.edges[0].cursor if self.edges else None

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last item, None on an empty page."""
        return self.edges[-1].cursor if self.edges else None


def paginate_repositories(
    account: Account, arguments: Mapping[str, Any], *, counts_only: bool
) -> Connection:
    """
    Filter and sort an account's repositories and return the requested page.

    :raises FieldError: the page size is missing or above 100, or a cursor is invalid
    """
    repositories = _filter(account.repositories, arguments)
    if counts_only:
        return Connection(len(repositories))
    _check_page_size("repositories", arguments)
    repositories = _sort(repositories, arguments.get("orderBy"))
    start, stop = _find_bounds([repository.id for repository in repositories], arguments)
    return Connection(
        total=len(repositories),
        edges=[
            Edge(repository, build_cursor(repository.id)) for repository in repositories[start:stop]
        ],
        has_next=stop < len(repositories),
        has_previous=start > 0,
    )


def paginate_languages(
    sizes: Mapping[str, int], arguments: Mapping[str, Any], *, counts_only: bool
) -> Connection:
    """
    Return the requested page of a repository's languages, by name unless an order was requested.

    :raises FieldError: the page size is missing or above 100, or a cursor is invalid
    """
    total_size = sum(sizes.values())
    if counts_only:
        return Connection(len(sizes), total_size=total_size)
    _check_page_size("languages", arguments)
    names = sorted(sizes)
    if order := arguments.get("orderBy"):
        names.sort(key=sizes.__getitem__, reverse=order["direction"] == "DESC")
    start, stop = _find_bounds(names, arguments)
    return Connection(
        total=len(names),
        edges=[Edge(name, build_cursor(name), sizes[name]) for name in names[start:stop]],
        has_next=stop < len(names),
        has_previous=start > 0,
        total_size=total_size,
    )


def get_page_size(arguments: Mapping[str, Any]) -> int | None:
    """Return how many nodes a connection requests at most; None if it requests none."""
    first: int | None = arguments.get("first")
    last: int | None = arguments.get("last")
    return last if first is None else first


def build_cursor(key: int | str) -> str:
    """Return the cursor after the item with a key."""
    return base64.b64encode(_CURSOR_PREFIX + msgspec.msgpack.encode([key])).decode()


def _filter(
    repositories: Sequence[Repository], arguments: Mapping[str, Any]
) -> Sequence[Repository]:
    # All repositories of the sandbox are public, and owned by the account that lists them.
    affiliations = arguments.get("ownerAffiliations") or ["OWNER"]
    if arguments.get("privacy") == "PRIVATE" or "OWNER" not in affiliations:
        return ()
    is_fork, is_archived = arguments.get("isFork"), arguments.get("isArchived")
    return [
        repository
        for repository in repositories
        if (is_fork is None or repository.is_fork is is_fork)
        and (is_archived is None or repository.is_archived is is_archived)
    ]


def _check_page_size(connection: str, arguments: Mapping[str, Any]) -> None:
    sizes = {name: arguments.get(name) for name in ("first", "last")}
    if all(size is None for size in sizes.values()):
        raise FieldError(
            "MISSING_PAGINATION_BOUNDARIES",
            f"You must provide a `first` or `last` value to properly paginate the `{connection}`"
            " connection.",
        )
    for name, size in sizes.items():
        if size is not None and size > MAX_PAGE_SIZE:
            raise FieldError(
                "EXCESSIVE_PAGINATION",
                f"Requesting {size} records on the `{connection}` connection exceeds the"
                f" `{name}` limit of {MAX_PAGE_SIZE} records.",
            )
        if size is not None and size < 0:
            raise FieldError(
                "ARGUMENT_ERROR", f"`{name}` on the `{connection}` connection is negative."
            )


# The id makes the order of equal keys, and so the meaning of a cursor, definite.
_SORT_KEYS: Mapping[str, Callable[[Repository], Any]] = {
    "CREATED_AT": attrgetter("created_at", "id"),
    "UPDATED_AT": attrgetter("updated_at", "id"),
    "PUSHED_AT": lambda repository: (repository.pushed_at or repository.created_at, repository.id),
    "NAME": lambda repository: (repository.name.lower(), repository.id),
    "STARGAZERS": attrgetter("stars", "id"),
}


def _sort(
    repositories: Sequence[Repository], order: Mapping[str, str] | None
) -> Sequence[Repository]:
    field, direction = (order["field"], order["direction"]) if order else ("CREATED_AT", "ASC")
    return sorted(repositories, key=_SORT_KEYS[field], reverse=direction == "DESC")


def _find_bounds(keys: Sequence[int | str], arguments: Mapping[str, Any]) -> tuple[int, int]:
    start, stop = 0, len(keys)
    if (after := arguments.get("after")) is not None:
        start = _find_position(keys, after) + 1
    if (before := arguments.get("before")) is not None:
        stop = _find_position(keys, before)
    if (first := arguments.get("first")) is not None:
        stop = min(stop, start + first)
    if (last := arguments.get("last")) is not None:
        start = max(start, stop - last)
    return start, stop


def _find_position(keys: Sequence[int | str], cursor: str) -> int:
    try:
        raw = base64.b64decode(cursor, validate=True)
        [key] = msgspec.msgpack.decode(raw.removeprefix(_CURSOR_PREFIX), type=list[int | str])
        return keys.index(key)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise FieldError(
            "INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor."
        ) from None
