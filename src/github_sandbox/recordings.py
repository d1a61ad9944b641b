"""
Reads recorded exchanges with the real GitHub into accounts.

Only owners whose repository list was recorded completely are used. JSON bodies are kept as recorded.
Files are read once, at start. Of a repository's languages only the main one was recorded, and no
contributions were: those are generated.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from github_sandbox.models import Account, License, Repository, build_node_id

Body = Mapping[str, Any]


class RecordingsError(ValueError):
    """The directory of recordings cannot be used."""


def read_recordings(directory: Path) -> tuple[Account, ...]:
    """
    Read every owner whose repositories were recorded completely.

    `directory` holds `rest/exchange.repos.*.json` (one exchange per page), bare lists in
    `rest/repos.*.complete.json`, and profiles in `rest/exchange.user.*.json`.

    :raises RecordingsError: the directory is missing or holds no complete list
    """
    rest = directory / "rest"
    users = {user["login"].lower(): user for user in _read_users(rest)}
    accounts = tuple(_to_account(bodies, users) for bodies in _read_complete_lists(rest))
    if not accounts:
        raise RecordingsError(f"no complete recording of an account's repositories in {directory}")
    return accounts


def recorded_language_sizes(repository: Repository) -> dict[str, int]:
    """
    Return the bytes of each language of a recorded repository.

    The lists that were recorded contain only the main language and the size of the repository; all of
    it is taken for that language.
    """
    return {repository.language: repository.size_kilobytes * 1_024} if repository.language else {}


def _read_users(rest: Path) -> Iterator[Body]:
    for path in sorted(rest.glob("exchange.user.*.json")):
        yield msgspec.json.decode(path.read_bytes())["response"]["body"]


def _read_complete_lists(rest: Path) -> Iterator[Sequence[Body]]:
    for path in sorted(rest.glob("exchange.repos.*.json")):
        exchanges = msgspec.json.decode(path.read_bytes())["exchanges"]
        bodies = [body for exchange in exchanges for body in exchange["response"]["body"]]
        if bodies and not _has_next_page(exchanges[-1]["response"]["headers"]):
            yield bodies
    for path in sorted(rest.glob("repos.*.complete.json")):
        yield msgspec.json.decode(path.read_bytes())


def _has_next_page(headers: Mapping[str, Any]) -> bool:
    links = (value for name, value in headers.items() if name.lower() == "link")
    return any('rel="next"' in str(link) for link in links)


def _to_account(bodies: Sequence[Body], users: Mapping[str, Body]) -> Account:
    repositories = tuple(
        sorted(map(_to_repository, bodies), key=lambda repository: repository.created_at)
    )
    owner: Body = bodies[0]["owner"]
    # Without a recorded profile, the short form of the owner inside the repositories has to do.
    user = users.get(owner["login"].lower(), owner)
    type_name = "Organization" if user["type"] == "Organization" else "User"
    last_update = max(repository.updated_at for repository in repositories)
    return Account(
        id=user["id"],
        node_id=user.get("node_id") or build_node_id(type_name, user["id"]),
        login=user["login"],
        name=user.get("name"),
        is_organization=type_name == "Organization",
        followers=user.get("followers", 0),
        following=user.get("following", 0),
        created_at=_to_datetime(user.get("created_at")) or repositories[0].created_at,
        updated_at=_to_datetime(user.get("updated_at")) or last_update,
        repositories=repositories,
        recorded=user,
    )


def _to_repository(body: Body) -> Repository:
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
        updated_at=_to_datetime(body.get("updated_at")) or created_at,
        pushed_at=_to_datetime(body.get("pushed_at")),
        description=body.get("description"),
        license=_to_license(body.get("license")),
        homepage=body.get("homepage"),
        topics=tuple(body.get("topics") or ()),
        recorded=body,
    )


def _to_license(body: Body | None) -> License | None:
    return License(body["key"], body["name"], body.get("spdx_id")) if body else None


def _to_datetime(text: str | None) -> datetime | None:
    return msgspec.convert(text, datetime) if text else None
