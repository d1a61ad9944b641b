"""
Pagination of repositories in GraphQL: filters, order, cursors, and GitHub's errors.

Pure: from an account and arguments to a page. A cursor contains the id of the repository before it,
so it stays valid as long as the order of the repositories does.
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
    """A repository with its cursor."""

    node: Repository

    @property
    def cursor(self) -> str:
        """The cursor after this repository."""
        return build_cursor(self.node)


class Connection(msgspec.Struct, frozen=True):
    """A page of repositories, or only their number if no page was requested."""

    total: int
    nodes: Sequence[Repository] = ()
    has_next: bool = False
    has_previous: bool = False

    @property
    def edges(self) -> list[Edge]:
        """The page with cursors."""
        return [Edge(repository) for repository in self.nodes]

    @property
    def start_cursor(self) -> str | None:
        """The first repository's cursor, None on an empty page."""
        return build_cursor(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        """The last repository's cursor, None on an empty page."""
        return build_cursor(self.nodes[-1]) if self.nodes else None


def paginate(account: Account, arguments: Mapping[str, Any], *, counts_only: bool) -> Connection:
    """
    Filter and sort an account's repositories and return the requested page.

    :raises FieldError: the page size is missing or above 100, or a cursor is invalid
    """
    repositories = _filter(account.repositories, arguments)
    if counts_only:
        return Connection(len(repositories))
    _check_page_size(arguments)
    repositories = _sort(repositories, arguments.get("orderBy"))
    start, stop = _find_bounds(repositories, arguments)
    return Connection(
        total=len(repositories),
        nodes=repositories[start:stop],
        has_next=stop < len(repositories),
        has_previous=start > 0,
    )


def get_page_size(arguments: Mapping[str, Any]) -> int | None:
    """Return how many nodes a connection requests at most; None if it requests none."""
    first: int | None = arguments.get("first")
    last: int | None = arguments.get("last")
    return last if first is None else first


def build_cursor(repository: Repository) -> str:
    """Return the cursor after a repository."""
    return base64.b64encode(_CURSOR_PREFIX + msgspec.msgpack.encode([repository.id])).decode()


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


def _check_page_size(arguments: Mapping[str, Any]) -> None:
    sizes = {name: arguments.get(name) for name in ("first", "last")}
    if all(size is None for size in sizes.values()):
        raise FieldError(
            "MISSING_PAGINATION_BOUNDARIES",
            "You must provide a `first` or `last` value to properly paginate the `repositories`"
            " connection.",
        )
    for name, size in sizes.items():
        if size is not None and size > MAX_PAGE_SIZE:
            raise FieldError(
                "EXCESSIVE_PAGINATION",
                f"Requesting {size} records on the `repositories` connection exceeds the"
                f" `{name}` limit of {MAX_PAGE_SIZE} records.",
            )
        if size is not None and size < 0:
            raise FieldError(
                "ARGUMENT_ERROR", f"`{name}` on the `repositories` connection is negative."
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


def _find_bounds(
    repositories: Sequence[Repository], arguments: Mapping[str, Any]
) -> tuple[int, int]:
    start, stop = 0, len(repositories)
    if (after := arguments.get("after")) is not None:
        start = _find_position(repositories, after) + 1
    if (before := arguments.get("before")) is not None:
        stop = _find_position(repositories, before)
    if (first := arguments.get("first")) is not None:
        stop = min(stop, start + first)
    if (last := arguments.get("last")) is not None:
        start = max(start, stop - last)
    return start, stop


def _find_position(repositories: Sequence[Repository], cursor: str) -> int:
    try:
        raw = base64.b64decode(cursor, validate=True)
        [repository_id] = msgspec.msgpack.decode(raw.removeprefix(_CURSOR_PREFIX), type=list[int])
        return next(
            index for index, repository in enumerate(repositories) if repository.id == repository_id
        )
    except (binascii.Error, ValueError, msgspec.DecodeError, StopIteration):
        raise FieldError(
            "INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor."
        ) from None
