"""
GitHub's GraphQL: the queries, and their answers as nouns. Pure.

Logins travel in variables, never in the text. `ownerAffiliations` and `privacy` are always given:
their defaults would count the repositories of others and the token's own private ones.
https://docs.github.com/en/graphql/reference/objects#repositoryowner
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from github_banners.github.protocol import (
    ABSENT_TYPES,
    MAX_COUNT,
    MAX_ID,
    UNREADABLE,
    Failure,
    FailureKind,
    GraphQLError,
    Reply,
    classify_graphql,
    clean_name,
    clean_text,
    parse_login,
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

_Id: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_ID)]
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
_Key: TypeAlias = Annotated[str, Meta(max_length=1000)]

Path: TypeAlias = tuple[str | int, ...]

_MAX_NODES = 1000
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
    database_id: _Id | None = None
    stargazer_count: _Count = 0
    fork_count: _Count = 0
    is_fork: bool = False
    primary_language: _Language | None = None

    def as_repository(self, number: int) -> Repository:
        return Repository(
            id=number,
            name=clean_name(self.name) or "",
            stars=self.stargazer_count,
            forks=self.fork_count,
            is_fork=self.is_fork,
            language=clean_name(self.primary_language.name) if self.primary_language else None,
        )


class _PageInfo(msgspec.Struct, rename="camel"):
    has_next_page: bool
    end_cursor: _Key | None = None


class _Repositories(msgspec.Struct, rename="camel"):
    page_info: _PageInfo
    nodes: msgspec.Raw = msgspec.Raw(b"null")
    total_count: _Count = 0

    def as_repositories(self) -> tuple[Repository, ...]:
        """Read every record that can be read; the length of the list then tells of the others."""
        return tuple(
            node.as_repository(node.database_id)
            for node in _read_nodes(self.nodes)
            if node is not None and node.database_id is not None
        )

    @property
    def next_cursor(self) -> str | None:
        return self.page_info.end_cursor if self.page_info.has_next_page else None


class _Owner(msgspec.Struct, rename="camel"):
    id: _Key
    login: str
    database_id: _Id
    repositories: _Repositories
    name: str | None = None


class _Envelope(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None = None
    errors: tuple[GraphQLError, ...] | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class _Answered:
    """The data by alias, and the errors by the path of the owner that they concern."""

    data: Mapping[str, msgspec.Raw]
    errors: Mapping[Path, GraphQLError]


class _Node(msgspec.Struct):
    repositories: _Repositories


class _Viewer(msgspec.Struct, rename="camel"):
    login: str
    database_id: _Id


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_repositories = msgspec.json.Decoder(tuple[_Repository | None, ...] | None).decode
_read_repository = msgspec.json.Decoder(_Repository | None).decode
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
    envelope = _read_data(reply, now=now, owner_depth=1)
    if isinstance(envelope, Failure):
        return envelope
    missing = [alias for alias in question.aliases if alias not in envelope.data]
    if missing:
        return Failure(FailureKind.UNREADABLE, f"an answer without {', '.join(missing)}")
    return [_as_answer(envelope.data[alias], envelope, (alias,)) for alias in question.aliases]


def read_by_id(reply: Reply, *, now: datetime) -> list[OwnerAnswer | Failure] | Failure:
    """Read the owners in the order of their ids; `NOT_FOUND` for one that is gone."""
    envelope = _read_data(reply, now=now, owner_depth=2)
    if isinstance(envelope, Failure):
        return envelope
    try:
        owners = _read_list(envelope.data["nodes"])
    except (KeyError, *UNREADABLE) as error:
        return Failure(FailureKind.UNREADABLE, shorten(f"nodes: {error}"))
    return [_as_answer(owner, envelope, ("nodes", i)) for i, owner in enumerate(owners)]


def read_page(reply: Reply, *, now: datetime) -> RepositoryPage | Failure:
    """Read a further page of repositories."""
    envelope = _read_data(reply, now=now)
    if isinstance(envelope, Failure):
        return envelope
    try:
        node = _read_node(envelope.data["node"])
        repositories = node.repositories.as_repositories() if node is not None else ()
    except (KeyError, *UNREADABLE) as error:
        return Failure(FailureKind.UNREADABLE, shorten(f"node: {error}"))
    if node is None:
        return Failure(FailureKind.NOT_FOUND)
    return RepositoryPage(repositories, node.repositories.next_cursor)


def read_viewer(reply: Reply, *, now: datetime) -> Viewer | Failure:
    """Read whose token was sent."""
    envelope = _read_data(reply, now=now)
    if isinstance(envelope, Failure):
        return envelope
    try:
        viewer = _read_viewer(envelope.data["viewer"])
    except (KeyError, *UNREADABLE) as error:
        return Failure(FailureKind.UNREADABLE, shorten(f"viewer: {error}"))
    # Nobody is asked for by it: it is only shown, so that any name will do once it is harmless.
    return Viewer(viewer.database_id, clean_text(viewer.login))


def _read_data(reply: Reply, *, now: datetime, owner_depth: int = 0) -> _Answered | Failure:
    """
    Read the envelope; an error whose path names an owner, `owner_depth` steps long, is that owner's.

    With a depth of 0 every error is about the whole answer.
    """
    try:
        envelope = _read_envelope(reply.body)
    except UNREADABLE as error:
        return Failure(FailureKind.UNREADABLE, shorten(str(error)))
    # A secondary limit comes with status 200 and a bare message.
    errors = envelope.errors or (GraphQLError(envelope.message),) * bool(envelope.message)
    failure = classify_graphql(errors, reply.headers, now=now, owner_depth=owner_depth)
    if failure is not None:
        return failure
    if envelope.data is None:
        return Failure(FailureKind.UNREADABLE, "an answer without data")
    # Of several errors about one owner that counts which is no mere absence.
    ranked = sorted(errors, key=lambda error: error.type not in ABSENT_TYPES)
    return _Answered(envelope.data, {error.path[:owner_depth]: error for error in ranked})


def _as_answer(raw: msgspec.Raw, envelope: _Answered, path: Path) -> OwnerAnswer | Failure:
    error = envelope.errors.get(path)
    if error is not None and error.type not in ABSENT_TYPES:
        return Failure(FailureKind.UNREADABLE, shorten(f"{error.type}: {error.message}"))
    try:
        owner = _read_owner(raw)
        # A refused field can null its owner.
        if owner is None and error is not None and error.type == "FORBIDDEN":
            return Failure(FailureKind.FORBIDDEN, shorten(error.message or ""))
        if owner is None:
            return Failure(FailureKind.NOT_FOUND)
        login, repositories = parse_login(owner.login), owner.repositories.as_repositories()
    except UNREADABLE as unreadable:
        return Failure(FailureKind.UNREADABLE, shorten(f"{path[-1]}: {unreadable}"))
    return OwnerAnswer(
        Owner(owner.database_id, login, owner.id, clean_name(owner.name)),
        repositories,
        total=owner.repositories.total_count,
        next_cursor=owner.repositories.next_cursor,
    )


def _read_nodes(nodes: msgspec.Raw) -> Sequence[_Repository | None]:
    """
    Read a list of repositories, without those that can't be read.

    :raises ValueError: it is no list, far longer than asked for, or nothing of it can be read
    """
    try:
        repositories: Sequence[_Repository | None] = _read_repositories(nodes) or ()
    except UNREADABLE:
        repositories = []
        for record in _read_list(nodes):
            with suppress(*UNREADABLE):
                repositories.append(_read_repository(record))
        if not any(repositories):
            raise ValueError("no repository can be read") from None
    if len(repositories) > _MAX_NODES:
        raise ValueError(f"a list of {len(repositories):,}")
    return repositories
