"""
Sizes of the languages of an owner's repositories: query and parsing, for both APIs; pure.

GraphQL has the ten largest languages of a hundred repositories for one point, REST all languages of a single
repository.
https://docs.github.com/en/rest/repos/repos#list-repository-languages
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from github_banners.github.graphql import LIST_ARGUMENTS, Language, PageInfo, Query
from github_banners.github.owner_query import OwnerNode, build_owner_query, parse_owner_node
from github_banners.github.protocol import (
    DECODE_ERRORS,
    PAGE_SIZE,
    Failure,
    FailureKind,
    GitHubResponse,
    Id,
    build_decode,
    clean_name,
    shorten,
)
from github_banners.models import Owner, RepositoryLanguages, sort_languages

MAX_LANGUAGES = 10
"""Languages of a repository that are told apart; a GraphQL query requests so many."""

# A terabyte: no repository is larger, and the sum of an owner's fits into 64 bits.
_MAX_SIZE = 1 << 40
_MAX_REST_LANGUAGES = 1000

_Size: TypeAlias = Annotated[int, Meta(ge=0, le=_MAX_SIZE)]


@dataclass(frozen=True, slots=True)
class LanguagePage:
    """One page of repositories with their languages."""

    languages: tuple[RepositoryLanguages, ...]
    next_cursor: str | None


class _Edge(msgspec.Struct):
    size: _Size
    node: Language


class _Languages(msgspec.Struct, rename="camel"):
    total_size: _Size
    edges: Annotated[tuple[_Edge | None, ...], Meta(max_length=MAX_LANGUAGES)] | None = None


class _SizedRepository(msgspec.Struct, rename="camel"):
    database_id: Id
    languages: _Languages | None = None

    def to_languages(self) -> RepositoryLanguages:
        languages = self.languages or _Languages(0)
        edges = (edge for edge in languages.edges or () if edge is not None)
        sizes = ((edge.node.name, edge.size) for edge in edges)
        return _build_languages(self.database_id, sizes, total=languages.total_size)


class _SizedRepositories(msgspec.Struct, rename="camel"):
    page_info: PageInfo
    nodes: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=PAGE_SIZE)]


class _LanguageOwner(OwnerNode):
    repositories: _SizedRepositories


_decode_owner = build_decode(msgspec.json.Decoder(_LanguageOwner | None))
_decode_repository = build_decode(msgspec.json.Decoder(_SizedRepository))
_decode_sizes = build_decode(
    msgspec.json.Decoder(Annotated[dict[str, _Size], Meta(max_length=_MAX_REST_LANGUAGES)])
)


def build_languages_query(owner: Owner, *, first: int, after: str | None) -> Query:
    """Build a query for the languages of the `first` repositories after a cursor."""
    fields = (
        "    ... on RepositoryOwner {\n"
        f"      repositories(first: $first, after: $after, {LIST_ARGUMENTS}) {{\n"
        "        pageInfo { hasNextPage endCursor }\n"
        "        nodes {\n"
        "          databaseId\n"
        f"          languages(first: {MAX_LANGUAGES}, orderBy: {{field: SIZE, direction: DESC}}) {{\n"
        "            totalSize edges { size node { name } }\n"
        "          }\n        }\n      }\n    }"
    )
    return build_owner_query(owner, fields, first=("Int!", first), after=("String", after))


def parse_languages_page(
    response: GitHubResponse, *, owner_id: int, now: datetime
) -> LanguagePage | Failure:
    """Parse the response to `build_languages_query`; skip invalid records."""
    owner = parse_owner_node(response, _decode_owner, now=now, owner_id=owner_id)
    if isinstance(owner, Failure):
        return owner
    languages = []
    for record in owner.repositories.nodes:
        with suppress(*DECODE_ERRORS):
            languages.append(_decode_repository(record).to_languages())
    if owner.repositories.nodes and not languages:
        return Failure(FailureKind.UNREADABLE, "no repository can be read")
    return LanguagePage(
        tuple(languages),
        owner.repositories.page_info.next_cursor,
    )


def parse_repository_languages(
    response: GitHubResponse, *, repository_id: int
) -> RepositoryLanguages | Failure:
    """Parse `GET /repos/{owner}/{name}/languages`, the bytes of every language by name."""
    try:
        sizes = _decode_sizes(response.body)
    except DECODE_ERRORS as error:
        return Failure(FailureKind.UNREADABLE, shorten(str(error)))
    return _build_languages(repository_id, sizes.items(), total=sum(sizes.values()))


def _build_languages(
    repository_id: int, sizes: Iterable[tuple[str, int]], *, total: int
) -> RepositoryLanguages:
    by_name = Counter[str]()
    for name, size in sizes:
        if cleaned := clean_name(name):
            by_name[cleaned] += size
    largest = sort_languages(by_name)[:MAX_LANGUAGES]
    listed = {name: by_name[name] for name in largest}
    return RepositoryLanguages(
        repository_id, listed, other=max(0, min(total, _MAX_SIZE) - sum(listed.values()))
    )
