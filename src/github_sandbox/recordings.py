"""
Reads recorded exchanges with GitHub into the sandbox's nouns.

Takes the owners whose lists of repositories are complete and leaves the rest alone; bodies pass
through as they were recorded. Reads files at start and never again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from github_sandbox.nouns import Account, Repository, node_id_of

Body = Mapping[str, Any]


class RecordingsError(ValueError):
    """The directory of recordings cannot be used."""


def read_recordings(directory: Path) -> tuple[Account, ...]:
    """
    Read every owner that was recorded completely.

    `directory` holds `rest/exchange.repos.*.json` (one exchange per page), bare lists in
    `rest/repos.*.complete.json`, and `rest/exchange.user.*.json` for what is known of the owner.

    :raises RecordingsError: there is no such directory, or nothing complete in it
    """
    rest = directory / "rest"
    users = {user["login"].lower(): user for user in _recorded_users(rest)}
    found = tuple(_account(bodies, users) for bodies in _complete_lists(rest))
    if not found:
        raise RecordingsError(f"no complete recording of an account's repositories in {directory}")
    return found


def _recorded_users(rest: Path) -> Iterator[Body]:
    for path in sorted(rest.glob("exchange.user.*.json")):
        yield msgspec.json.decode(path.read_bytes())["response"]["body"]


def _complete_lists(rest: Path) -> Iterator[Sequence[Body]]:
    for path in sorted(rest.glob("exchange.repos.*.json")):
        exchanges = msgspec.json.decode(path.read_bytes())["exchanges"]
        bodies = [body for one in exchanges for body in one["response"]["body"]]
        if bodies and not _has_next(exchanges[-1]["response"]["headers"]):
            yield bodies
    for path in sorted(rest.glob("repos.*.complete.json")):
        yield msgspec.json.decode(path.read_bytes())


def _has_next(headers: Mapping[str, Any]) -> bool:
    links = (value for name, value in headers.items() if name.lower() == "link")
    return any('rel="next"' in str(link) for link in links)


def _account(bodies: Sequence[Body], users: Mapping[str, Body]) -> Account:
    repositories = tuple(sorted(map(_repository, bodies), key=lambda one: one.created_at))
    owner: Body = bodies[0]["owner"]
    user = users.get(owner["login"].lower(), owner)
    kind = "Organization" if user["type"] == "Organization" else "User"
    return Account(
        id=user["id"],
        node_id=user.get("node_id") or node_id_of(kind, user["id"]),
        login=user["login"],
        name=user.get("name"),
        is_organization=kind == "Organization",
        followers=user.get("followers", 0),
        following=user.get("following", 0),
        created_at=_moment(user.get("created_at")) or repositories[0].created_at,
        updated_at=_moment(user.get("updated_at")) or _latest(repositories),
        repositories=repositories,
        recorded=user,
    )


def _repository(body: Body) -> Repository:
    created_at = msgspec.convert(body["created_at"], datetime)
    return Repository(
        id=body["id"],
        name=body["name"],
        language=body.get("language"),
        stars=body.get("stargazers_count", body.get("watchers_count", 0)),
        forks=body.get("forks_count", 0),
        is_fork=body["fork"],
        is_archived=body.get("archived", False),
        size_kilobytes=body.get("size", 0),
        created_at=created_at,
        updated_at=_moment(body.get("updated_at")) or created_at,
        pushed_at=_moment(body.get("pushed_at")),
        recorded=body,
    )


def _moment(text: str | None) -> datetime | None:
    return msgspec.convert(text, datetime) if text else None


def _latest(repositories: Iterable[Repository]) -> datetime:
    return max(one.updated_at for one in repositories)
