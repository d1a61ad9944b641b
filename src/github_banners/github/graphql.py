"""
Builds queries for GitHub's GraphQL API, and parses the responses; pure.

Logins are passed in variables, never in the query text. `ownerAffiliations` and `privacy` are always given:
the defaults would include repositories of others and private ones of the token's account.
https://docs.github.com/en/graphql/reference/objects#repositoryowner
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from github_banners.github.protocol import (
    ABSENT_TYPES,
    DECODE_ERRORS,
    PAGE_SIZE,
    Count,
    Failure,
    FailureKind,
    GitHubResponse,
    GraphQLError,
    Id,
    build_decode,
    classify_graphql,
    clean_name,
    clean_text,
    parse_login,
    shorten,
)
from github_banners.models import Owner, Repository

F = TypeVar("F")

_REPOSITORY_FRAGMENT = """
fragment Repo on Repository {
  databaseId name stargazerCount forkCount isFork isArchived primaryLanguage { name }
}"""

LIST_ARGUMENTS = (
    "ownerAffiliations: [OWNER], privacy: PUBLIC, orderBy: {field: CREATED_AT, direction: ASC}"
)

_OWNER_FRAGMENT = (
    """
fragment Owner on RepositoryOwner {
  __typename id login
  ... on User { databaseId name followers { totalCount } }
  ... on Organization { databaseId name }
  repositories(first: """
    f"{PAGE_SIZE}, "
    + LIST_ARGUMENTS
    + """) {
    totalCount pageInfo { hasNextPage endCursor } nodes { ...Repo }
  }
}"""
    + _REPOSITORY_FRAGMENT
)

OpaqueId: TypeAlias = Annotated[str, Meta(max_length=1000)]

ErrorPath: TypeAlias = tuple[str | int, ...]

_MAX_NODES = 1000
RATE_LIMIT_FIELDS = "rateLimit { cost remaining limit resetAt }"


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its variables; `aliases` are those of the requested owners, in order."""

    text: str
    variables: Mapping[str, Any]
    aliases: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Return the body of `POST /graphql`."""
        return msgspec.json.encode({"query": self.text, "variables": self.variables})


@dataclass(frozen=True, slots=True)
class OwnerPage:
    """
    An owner, the first page of repositories, and their total number.

    `followers` is None for organisations.
    """

    owner: Owner
    repositories: tuple[Repository, ...]
    total: int
    next_cursor: str | None
    followers: int | None = None


@dataclass(frozen=True, slots=True)
class Viewer:
    """The account that a token belongs to."""

    id: int
    login: str


@dataclass(frozen=True, slots=True)
class RepositoryPage:
    """A further page of repositories."""

    repositories: tuple[Repository, ...]
    next_cursor: str | None


class TotalCount(msgspec.Struct, rename="camel"):
    """A connection of which only the length is requested."""

    total_count: Count


class Language(msgspec.Struct):
    """A language; only its name is requested."""

    name: str


class _Repository(msgspec.Struct, rename="camel"):
    name: str
    database_id: Id | None = None
    stargazer_count: Count = 0
    fork_count: Count = 0
    is_fork: bool = False
    is_archived: bool = False
    primary_language: Language | None = None

    def to_repository(self, number: int) -> Repository:
        return Repository(
            id=number,
            name=clean_name(self.name) or "",
            stars=self.stargazer_count,
            forks=self.fork_count,
            is_fork=self.is_fork,
            language=clean_name(self.primary_language.name) if self.primary_language else None,
            is_archived=self.is_archived,
        )


class PageInfo(msgspec.Struct, rename="camel"):
    """Where the next page of a list starts."""

    has_next_page: bool
    end_cursor: OpaqueId | None = None

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page, None on the last one."""
        return self.end_cursor if self.has_next_page else None


class _Repositories(msgspec.Struct, rename="camel"):
    page_info: PageInfo
    nodes: msgspec.Raw = msgspec.Raw(b"null")
    total_count: Count = 0

    def to_repositories(self) -> tuple[Repository, ...]:
        """Return the valid records; `total_count` reveals that others are missing."""
        return tuple(
            node.to_repository(node.database_id)
            for node in _parse_nodes(self.nodes)
            if node is not None and node.database_id is not None
        )


class _Owner(msgspec.Struct, rename="camel"):
    id: OpaqueId
    login: str
    database_id: Id
    repositories: _Repositories
    name: str | None = None
    followers: TotalCount | None = None


class _Envelope(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None = None
    errors: tuple[Any, ...] | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class _ParsedData:
    """Data by alias, and errors by the path of the owner that they concern."""

    data: Mapping[str, msgspec.Raw]
    errors: Mapping[ErrorPath, GraphQLError]


class _Node(msgspec.Struct):
    repositories: _Repositories


class _Viewer(msgspec.Struct, rename="camel"):
    login: str
    database_id: Id


_decode_envelope = build_decode(msgspec.json.Decoder(_Envelope))
_decode_repositories = build_decode(msgspec.json.Decoder(tuple[_Repository | None, ...] | None))
_decode_repository = build_decode(msgspec.json.Decoder(_Repository | None))
_decode_owner = build_decode(msgspec.json.Decoder(_Owner | None))
_decode_list = build_decode(msgspec.json.Decoder(tuple[msgspec.Raw, ...]))
_decode_viewer = build_decode(msgspec.json.Decoder(_Viewer))
_decode_node = build_decode(msgspec.json.Decoder(_Node | None))


def build_login_query(logins: Sequence[str]) -> Query:
    """Build a query for many owners by login; an unknown login gives null."""
    aliases = tuple(f"u{index}" for index in range(len(logins)))
    variables = ", ".join(f"$l{index}: String!" for index in range(len(logins)))
    fields = "\n".join(
        f"  {alias}: repositoryOwner(login: $l{index}) {{ ...Owner }}"
        for index, alias in enumerate(aliases)
    )
    text = f"query Batch({variables}) {{\n{fields}\n  {RATE_LIMIT_FIELDS}\n}}{_OWNER_FRAGMENT}"
    return Query(text, {f"l{index}": login for index, login in enumerate(logins)}, aliases)


def build_id_query(node_ids: Sequence[str]) -> Query:
    """Build a query for at most 100 owners by node id, which survives a rename."""
    text = f"query ByIds($ids: [ID!]!) {{\n  nodes(ids: $ids) {{ ...Owner }}\n  {RATE_LIMIT_FIELDS}\n}}{_OWNER_FRAGMENT}"
    return Query(text, {"ids": list(node_ids)})


def build_page_query(node_id: str, *, after: str) -> Query:
    """Build a query for the page of repositories after a cursor."""
    text = (
        "query RepoPage($id: ID!, $after: String!) {\n  node(id: $id) {\n"
        "    ... on RepositoryOwner {\n"
        f"      repositories(first: {PAGE_SIZE}, after: $after, {LIST_ARGUMENTS}) {{\n"
        "        pageInfo { hasNextPage endCursor } nodes { ...Repo }\n"
        f"      }}\n    }}\n  }}\n  {RATE_LIMIT_FIELDS}\n}}{_REPOSITORY_FRAGMENT}"
    )
    return Query(text, {"id": node_id, "after": after})


def build_viewer_query() -> Query:
    """Build a query for the account of the token, and its rate limit."""
    return Query(f"query Who {{\n  viewer {{ login databaseId }}\n  {RATE_LIMIT_FIELDS}\n}}", {})


def parse_owners_by_login(
    response: GitHubResponse, query: Query, *, now: datetime
) -> list[OwnerPage | Failure] | Failure:
    """Parse owners in the order of the query; `NOT_FOUND` for an unknown login."""
    envelope = _parse_data(response, now=now, owner_depth=1)
    if isinstance(envelope, Failure):
        return envelope
    missing = [alias for alias in query.aliases if alias not in envelope.data]
    if missing:
        return Failure(FailureKind.UNREADABLE, f"a response without {', '.join(missing)}")
    return [_to_owner_page(envelope.data[alias], envelope, (alias,)) for alias in query.aliases]


def parse_owners_by_id(
    response: GitHubResponse, *, now: datetime
) -> list[OwnerPage | Failure] | Failure:
    """Parse owners in the order of the requested ids; `NOT_FOUND` for a deleted one."""
    envelope = _parse_data(response, now=now, owner_depth=2)
    if isinstance(envelope, Failure):
        return envelope
    try:
        owners = _decode_list(envelope.data["nodes"])
    except (KeyError, *DECODE_ERRORS) as error:
        return Failure(FailureKind.UNREADABLE, shorten(f"nodes: {error}"))
    return [_to_owner_page(owner, envelope, ("nodes", index)) for index, owner in enumerate(owners)]


def parse_repository_page(response: GitHubResponse, *, now: datetime) -> RepositoryPage | Failure:
    """Parse a further page of repositories."""
    envelope = _parse_data(response, now=now)
    if isinstance(envelope, Failure):
        return envelope
    try:
        node = _decode_node(envelope.data["node"])
        repositories = node.repositories.to_repositories() if node is not None else ()
    except (KeyError, *DECODE_ERRORS) as error:
        return Failure(FailureKind.UNREADABLE, shorten(f"node: {error}"))
    if node is None:
        return Failure(FailureKind.NOT_FOUND)
    return RepositoryPage(repositories, node.repositories.page_info.next_cursor)


def parse_viewer(response: GitHubResponse, *, now: datetime) -> Viewer | Failure:
    """Parse the account of the token."""
    viewer = parse_field(response, "viewer", _decode_viewer, now=now)
    if isinstance(viewer, Failure):
        return viewer
    # Not checked by `parse_login`: this login is only displayed, never requested.
    return Viewer(viewer.database_id, clean_text(viewer.login))


def parse_field(
    response: GitHubResponse, name: str, decode: Callable[[msgspec.Raw], F | None], *, now: datetime
) -> F | Failure:
    """Parse the only field of a query, which every error concerns; null means that it is absent."""
    data = _parse_data(response, now=now)
    if isinstance(data, Failure):
        return data
    try:
        field = decode(data.data[name])
    except (KeyError, *DECODE_ERRORS) as error:
        return Failure(FailureKind.UNREADABLE, shorten(f"{name}: {error}"))
    return _absence(data.errors.get(())) if field is None else field


def _absence(error: GraphQLError | None) -> Failure:
    """Return the failure for a null: not found, unless an error says that it may not be seen."""
    if error is not None and error.type == "FORBIDDEN":
        return Failure(FailureKind.FORBIDDEN, shorten(error.message or ""))
    return Failure(FailureKind.NOT_FOUND)


def _parse_data(
    response: GitHubResponse, *, now: datetime, owner_depth: int = 0
) -> _ParsedData | Failure:
    """
    Parse data and errors; an error whose path has `owner_depth` steps or more concerns one owner.

    With a depth of 0 every error concerns the whole response.
    """
    try:
        envelope = _decode_envelope(response.body)
    except DECODE_ERRORS as error:
        return Failure(FailureKind.UNREADABLE, shorten(str(error)))
    # A secondary limit comes with status 200 and a bare message.
    entries = envelope.errors or ({"message": envelope.message},) * bool(envelope.message)
    errors = tuple(map(GraphQLError.from_entry, entries))
    failure = classify_graphql(errors, response.headers, now=now, owner_depth=owner_depth)
    if failure is not None:
        return failure
    if envelope.data is None:
        return Failure(FailureKind.UNREADABLE, "a response without data")
    # Of several errors about one owner, the last one in this order counts: no mere absence.
    ranked = sorted(errors, key=lambda error: error.type not in ABSENT_TYPES)
    return _ParsedData(envelope.data, {error.path[:owner_depth]: error for error in ranked})


def _to_owner_page(raw: msgspec.Raw, envelope: _ParsedData, path: ErrorPath) -> OwnerPage | Failure:
    error = envelope.errors.get(path)
    if error is not None and error.type not in ABSENT_TYPES:
        return Failure(FailureKind.UNREADABLE, shorten(f"{error.type}: {error.message}"))
    try:
        owner = _decode_owner(raw)
        # A forbidden field can make its owner null.
        if owner is None:
            return _absence(error)
        login, repositories = parse_login(owner.login), owner.repositories.to_repositories()
    except DECODE_ERRORS as unreadable:
        return Failure(FailureKind.UNREADABLE, shorten(f"{path[-1]}: {unreadable}"))
    return OwnerPage(
        Owner(owner.database_id, login, owner.id, clean_name(owner.name)),
        repositories,
        total=owner.repositories.total_count,
        next_cursor=owner.repositories.page_info.next_cursor,
        followers=owner.followers.total_count if owner.followers is not None else None,
    )


def _parse_nodes(nodes: msgspec.Raw) -> Sequence[_Repository | None]:
    """
    Parse a list of repositories, skipping invalid ones.

    :raises ValueError: it is no list, far longer than requested, or has no valid record
    """
    try:
        repositories: Sequence[_Repository | None] = _decode_repositories(nodes) or ()
    except DECODE_ERRORS:
        repositories = []
        for record in _decode_list(nodes):
            with suppress(*DECODE_ERRORS):
                repositories.append(_decode_repository(record))
        if not any(repositories):
            raise ValueError("no repository can be read") from None
    if len(repositories) > _MAX_NODES:
        raise ValueError(f"a list of {len(repositories):,}")
    return repositories
