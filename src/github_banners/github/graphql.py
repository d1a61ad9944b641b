"""
GitHub's GraphQL: the queries, and their answers as nouns. Pure.

Logins travel in variables, never in the text. `ownerAffiliations` and `privacy` are always given:
their defaults would count the repositories of others and the token's own private ones.
https://docs.github.com/en/graphql/reference/objects#repositoryowner
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from github_banners.github.protocol import (
    UNREADABLE,
    Failure,
    FailureKind,
    GraphQLError,
    Reply,
    classify_graphql,
    shorten,
)
from github_banners.model import Owner, Repository

_REPOSITORY = """
fragment Repo on Repository {
  databaseId name stargazerCount forkCount isFork primaryLanguage { name }
}"""

_LIST = "ownerAffiliations: [OWNER], privacy: PUBLIC, orderBy: {field: CREATED_AT, direction: ASC}"

_OWNER = (
    """
fragment Owner on RepositoryOwner {
  __typename id login
  ... on User { databaseId name }
  ... on Organization { databaseId name }
  repositories(first: 100, """
    + _LIST
    + """) {
    totalCount pageInfo { hasNextPage endCursor } nodes { ...Repo }
  }
}"""
    + _REPOSITORY
)

_PRICE = "rateLimit { cost remaining limit resetAt }"


@dataclass(frozen=True, slots=True)
class Question:
    """A query with its variables; `aliases` names the owners asked for, in order."""

    text: str
    variables: Mapping[str, Any]
    aliases: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Write the body of `POST /graphql`."""
        return msgspec.json.encode({"query": self.text, "variables": self.variables})


@dataclass(frozen=True, slots=True)
class OwnerAnswer:
    """An owner, the first hundred repositories, and how many there are in all."""

    owner: Owner
    repositories: tuple[Repository, ...]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: whose token was sent."""

    id: int
    login: str


@dataclass(frozen=True, slots=True)
class RepositoryPage:
    """A further hundred repositories."""

    repositories: tuple[Repository, ...]
    next_cursor: str | None


class _Language(msgspec.Struct):
    name: str


class _Repository(msgspec.Struct, rename="camel"):
    name: str
    database_id: int | None = None
    stargazer_count: int = 0
    fork_count: int = 0
    is_fork: bool = False
    primary_language: _Language | None = None


class _PageInfo(msgspec.Struct, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class _Repositories(msgspec.Struct, rename="camel"):
    page_info: _PageInfo
    nodes: tuple[_Repository | None, ...] | None = None
    total_count: int = 0

    def as_repositories(self) -> tuple[Repository, ...]:
        return tuple(
            Repository(
                id=node.database_id,
                name=node.name,
                stars=node.stargazer_count,
                forks=node.fork_count,
                is_fork=node.is_fork,
                language=node.primary_language.name if node.primary_language else None,
            )
            for node in self.nodes or ()
            if node is not None and node.database_id is not None
        )

    @property
    def next_cursor(self) -> str | None:
        return self.page_info.end_cursor if self.page_info.has_next_page else None


class _Owner(msgspec.Struct, rename="camel"):
    id: str
    login: str
    database_id: int
    repositories: _Repositories
    name: str | None = None


class _Envelope(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None = None
    errors: tuple[GraphQLError, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Answered:
    """The data by alias, and what of it was refused."""

    data: Mapping[str, msgspec.Raw]
    forbidden: tuple[GraphQLError, ...]


class _Node(msgspec.Struct):
    repositories: _Repositories


class _Viewer(msgspec.Struct, rename="camel"):
    login: str
    database_id: int


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_owner = msgspec.json.Decoder(_Owner | None).decode
_read_list = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode
_read_viewer = msgspec.json.Decoder(_Viewer).decode
_read_node = msgspec.json.Decoder(_Node | None).decode


def ask_by_login(logins: Sequence[str]) -> Question:
    """Ask for many owners at once; a login that GitHub does not know is answered with null."""
    aliases = tuple(f"u{index}" for index in range(len(logins)))
    declared = ", ".join(f"$l{index}: String!" for index in range(len(logins)))
    asked = "\n".join(
        f"  {alias}: repositoryOwner(login: $l{index}) {{ ...Owner }}"
        for index, alias in enumerate(aliases)
    )
    text = f"query Batch({declared}) {{\n{asked}\n  {_PRICE}\n}}{_OWNER}"
    return Question(text, {f"l{index}": login for index, login in enumerate(logins)}, aliases)


def ask_by_id(node_ids: Sequence[str]) -> Question:
    """Ask for owners seen before, at most 100; a rename does not change the id."""
    text = (
        f"query ByIds($ids: [ID!]!) {{\n  nodes(ids: $ids) {{ ...Owner }}\n  {_PRICE}\n}}{_OWNER}"
    )
    return Question(text, {"ids": list(node_ids)})


def ask_page(node_id: str, *, after: str) -> Question:
    """Ask for the hundred repositories that follow a cursor."""
    text = (
        "query RepoPage($id: ID!, $after: String!) {\n  node(id: $id) {\n"
        "    ... on RepositoryOwner {\n"
        f"      repositories(first: 100, after: $after, {_LIST}) {{\n"
        "        pageInfo { hasNextPage endCursor } nodes { ...Repo }\n"
        f"      }}\n    }}\n  }}\n  {_PRICE}\n}}{_REPOSITORY}"
    )
    return Question(text, {"id": node_id, "after": after})


def ask_viewer() -> Question:
    """Ask whose token is sent, and what is left of the budget."""
    return Question(f"query Who {{\n  viewer {{ login databaseId }}\n  {_PRICE}\n}}", {})


def read_by_login(
    reply: Reply, question: Question, *, now: datetime
) -> list[OwnerAnswer | Failure] | Failure:
    """Read the owners in the order they were asked for; `NOT_FOUND` for a login nobody has."""
    envelope = _read_data(reply, now=now)
    if isinstance(envelope, Failure):
        return envelope
    missing = [alias for alias in question.aliases if alias not in envelope.data]
    if missing:
        return Failure(FailureKind.UNREADABLE, f"an answer without {', '.join(missing)}")
    return [_as_answer(envelope.data[alias], envelope, (alias,)) for alias in question.aliases]


def read_by_id(reply: Reply, *, now: datetime) -> list[OwnerAnswer | Failure] | Failure:
    """Read the owners in the order of their ids; `NOT_FOUND` for one that is gone."""
    envelope = _read_data(reply, now=now)
    if isinstance(envelope, Failure):
        return envelope
    try:
        owners = _read_list(envelope.data["nodes"])
    except (KeyError, *UNREADABLE) as error:
        return Failure(FailureKind.UNREADABLE, f"nodes: {error}")
    return [_as_answer(owner, envelope, ("nodes", i)) for i, owner in enumerate(owners)]


def read_page(reply: Reply, *, now: datetime) -> RepositoryPage | Failure:
    """Read a further page of repositories."""
    envelope = _read_data(reply, now=now)
    if isinstance(envelope, Failure):
        return envelope
    try:
        node = _read_node(envelope.data["node"])
    except (KeyError, *UNREADABLE) as error:
        return Failure(FailureKind.UNREADABLE, f"node: {error}")
    if node is None:
        return Failure(FailureKind.NOT_FOUND)
    return RepositoryPage(node.repositories.as_repositories(), node.repositories.next_cursor)


def read_viewer(reply: Reply, *, now: datetime) -> Viewer | Failure:
    """Read whose token was sent."""
    envelope = _read_data(reply, now=now)
    if isinstance(envelope, Failure):
        return envelope
    try:
        viewer = _read_viewer(envelope.data["viewer"])
    except (KeyError, *UNREADABLE) as error:
        return Failure(FailureKind.UNREADABLE, f"viewer: {error}")
    return Viewer(viewer.database_id, viewer.login)


def _read_data(reply: Reply, *, now: datetime) -> _Answered | Failure:
    try:
        envelope = _read_envelope(reply.body)
    except UNREADABLE as error:
        return Failure(FailureKind.UNREADABLE, str(error))
    # A secondary limit comes with status 200 and a bare message.
    errors = envelope.errors or (GraphQLError(envelope.message),) * bool(envelope.message)
    failure = classify_graphql(errors, reply.headers, now=now)
    if failure is not None:
        return failure
    if envelope.data is None:
        return Failure(FailureKind.UNREADABLE, "an answer without data")
    forbidden = tuple(error for error in errors if error.type == "FORBIDDEN")
    return _Answered(envelope.data, forbidden)


def _as_answer(
    raw: msgspec.Raw, envelope: _Answered, path: tuple[str | int, ...]
) -> OwnerAnswer | Failure:
    try:
        owner = _read_owner(raw)
    except UNREADABLE as error:
        return Failure(FailureKind.UNREADABLE, f"{path[-1]}: {error}")
    if owner is None:
        return _absence(envelope, path)
    listed = owner.repositories
    return OwnerAnswer(
        Owner(owner.database_id, owner.login, owner.id, owner.name or None),
        listed.as_repositories(),
        total=listed.total_count,
        next_cursor=listed.next_cursor,
    )


def _absence(envelope: _Answered, path: tuple[str | int, ...]) -> Failure:
    """Tell who may not be seen from who is not there; a refused field can null its owner."""
    for error in envelope.forbidden:
        if error.path[: len(path)] == path:
            return Failure(FailureKind.FORBIDDEN, shorten(error.message))
    return Failure(FailureKind.NOT_FOUND)
