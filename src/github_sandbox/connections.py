"""
GraphQL's connections of repositories: filters, order, cursors, and what GitHub refuses.

Pure: an account and arguments in, a page out. A cursor names the repository it stands behind, so it
survives changes of everything but the order itself.
https://docs.github.com/en/graphql/guides/using-pagination-in-the-graphql-api
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from github_sandbox.models import Account, Repository

_MOST = 100
_CURSOR = b"cursor:v2:"


class Failed(Exception):
    """A field that can't be answered; `kind` is GitHub's type of the error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Connection(msgspec.Struct, frozen=True):
    """A page of repositories; `nodes` is None where only the count was asked for."""

    total: int
    nodes: Sequence[Repository] | None = None
    has_next: bool = False
    has_previous: bool = False


class Edge(msgspec.Struct, frozen=True):
    """A repository with its cursor."""

    node: Repository

    @property
    def cursor(self) -> str:
        """Say where it stands."""
        return cursor_of(self.node)


def connect(account: Account, arguments: Mapping[str, Any], *, counts_only: bool) -> Connection:
    """
    Choose, order and cut the repositories that a connection's arguments ask for.

    :raises Failed: a bound is missing or above 100, or a cursor is not one of ours
    """
    chosen = _select(account.repositories, arguments)
    if counts_only:
        return Connection(len(chosen))
    _check_bounds(arguments)
    ordered = _in_order(chosen, arguments.get("orderBy"))
    start, stop = _bounds(ordered, arguments)
    return Connection(len(chosen), ordered[start:stop], stop < len(ordered), start > 0)


def page_size(arguments: Mapping[str, Any]) -> int | None:
    """Say how many nodes a connection asks for at most; None where it asks for none."""
    first: int | None = arguments.get("first")
    last: int | None = arguments.get("last")
    return last if first is None else first


def cursor_of(repository: Repository) -> str:
    """Write the cursor behind a repository."""
    return base64.b64encode(_CURSOR + msgspec.msgpack.encode([repository.id])).decode()


def _select(
    repositories: Sequence[Repository], arguments: Mapping[str, Any]
) -> Sequence[Repository]:
    """Filter; everybody's repositories here are public and their own."""
    affiliations = arguments.get("ownerAffiliations") or ["OWNER"]
    if arguments.get("privacy") == "PRIVATE" or "OWNER" not in affiliations:
        return ()
    is_fork, is_archived = arguments.get("isFork"), arguments.get("isArchived")
    if is_fork is not None:
        repositories = [one for one in repositories if one.is_fork is is_fork]
    if is_archived is not None:
        repositories = [one for one in repositories if one.is_archived is is_archived]
    return repositories


def _check_bounds(arguments: Mapping[str, Any]) -> None:
    given = [
        (name, arguments[name]) for name in ("first", "last") if arguments.get(name) is not None
    ]
    if not given:
        raise Failed(
            "MISSING_PAGINATION_BOUNDARIES",
            "You must provide a `first` or `last` value to properly paginate the `repositories`"
            " connection.",
        )
    for name, count in given:
        if count > _MOST:
            raise Failed(
                "EXCESSIVE_PAGINATION",
                f"Requesting {count} records on the `repositories` connection exceeds the"
                f" `{name}` limit of {_MOST} records.",
            )
        if count < 0:
            raise Failed(
                "ARGUMENT_ERROR", f"`{name}` on the `repositories` connection is negative."
            )


_KEYS: Mapping[str, Callable[[Repository], Any]] = {
    "CREATED_AT": attrgetter("created_at", "id"),
    "UPDATED_AT": attrgetter("updated_at", "id"),
    "PUSHED_AT": lambda one: (one.pushed_at or one.created_at, one.id),
    "NAME": lambda one: (one.name.lower(), one.id),
    "STARGAZERS": attrgetter("stars", "id"),
}


def _in_order(
    repositories: Sequence[Repository], order: Mapping[str, str] | None
) -> Sequence[Repository]:
    wish = order or {"field": "CREATED_AT", "direction": "ASC"}
    return sorted(repositories, key=_KEYS[wish["field"]], reverse=wish["direction"] == "DESC")


def _bounds(ordered: Sequence[Repository], arguments: Mapping[str, Any]) -> tuple[int, int]:
    start, stop = 0, len(ordered)
    if (after := arguments.get("after")) is not None:
        start = _position(ordered, after) + 1
    if (before := arguments.get("before")) is not None:
        stop = _position(ordered, before)
    if (first := arguments.get("first")) is not None:
        stop = min(stop, start + first)
    if (last := arguments.get("last")) is not None:
        start = max(start, stop - last)
    return start, stop


def _position(ordered: Sequence[Repository], cursor: str) -> int:
    try:
        raw = base64.b64decode(cursor, validate=True)
        [number] = msgspec.msgpack.decode(raw.removeprefix(_CURSOR), type=list[int])
        return next(index for index, one in enumerate(ordered) if one.id == number)
    except (binascii.Error, ValueError, msgspec.DecodeError, StopIteration):
        raise Failed(
            "INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor."
        ) from None
