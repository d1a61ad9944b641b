"""
One repository with description and licence: query and parsing, for both APIs; pure.

GitHub follows renames, so the name in a response can be another than the requested one. A repository that was
transferred belongs to another owner, and is not found here.
https://docs.github.com/en/rest/repos/repos#get-a-repository
"""

from datetime import datetime

import msgspec

from github_banners.github.graphql import RATE_LIMIT_FIELDS, Language, Query, parse_field
from github_banners.github.owner_query import OwnerNode
from github_banners.github.protocol import (
    DECODE_ERRORS,
    NULL,
    Count,
    Failure,
    FailureKind,
    GitHubResponse,
    Id,
    build_decode,
    clean_name,
    decode_optional,
    decode_text,
    shorten,
)
from github_banners.models import MAX_DESCRIPTION_CHARACTERS, Owner, RepositoryDetails

_NO_SPDX_ID = "NOASSERTION"
# GitHub's keys for a file that it does not recognise, and for none: their names tell nothing.
_PSEUDO_LICENCES = {"other", "no-license"}

_QUERY = f"""query Repository($owner: String!, $name: String!) {{
  repository(owner: $owner, name: $name) {{
    databaseId name description isPrivate isFork isArchived stargazerCount forkCount
    primaryLanguage {{ name }}
    licenseInfo {{ key name spdxId }}
    owner {{ ... on User {{ databaseId }} ... on Organization {{ databaseId }} }}
  }}
  {RATE_LIMIT_FIELDS}
}}"""


class _License(msgspec.Struct):
    name: str
    key: str = ""
    spdx_id: str | None = None


class _GraphQLLicense(_License):
    spdx_id: str | None = msgspec.field(name="spdxId", default=None)


class _Details(msgspec.Struct, rename="camel"):
    database_id: Id
    name: str
    owner: OwnerNode
    is_private: bool
    description: str | None = None
    is_fork: bool = False
    is_archived: bool = False
    stargazer_count: Count = 0
    fork_count: Count = 0
    primary_language: Language | None = None
    license_info: _GraphQLLicense | None = None


class _BodyOwner(msgspec.Struct):
    id: Id


class _DetailsBody(msgspec.Struct):
    id: Id
    name: str
    owner: _BodyOwner
    private: bool
    description: msgspec.Raw = NULL
    fork: bool = False
    archived: bool = False
    stargazers_count: Count = 0
    forks_count: Count = 0
    language: msgspec.Raw = NULL
    license: msgspec.Raw = NULL


_decode_repository = build_decode(msgspec.json.Decoder(_Details | None))
_decode_license = build_decode(msgspec.json.Decoder(_License))
_decode_body = build_decode(msgspec.json.Decoder(_DetailsBody))


def build_repository_query(owner: Owner, name: str) -> Query:
    """Build a query for the repository of an owner that has, or had, a name."""
    return Query(_QUERY, {"owner": owner.login, "name": name})


def parse_repository(
    response: GitHubResponse, *, owner_id: int, now: datetime
) -> RepositoryDetails | Failure:
    """Parse the response to `build_repository_query`; `NOT_FOUND` unless it is public and the owner's."""
    repository = parse_field(response, "repository", _decode_repository, now=now)
    if isinstance(repository, Failure):
        return repository
    if repository.is_private or repository.owner.database_id != owner_id:
        return Failure(FailureKind.NOT_FOUND)
    return _build_details(
        RepositoryDetails(
            id=repository.database_id,
            name=repository.name,
            description=repository.description,
            language=repository.primary_language.name if repository.primary_language else None,
            stars=repository.stargazer_count,
            forks=repository.fork_count,
            is_archived=repository.is_archived,
            is_fork=repository.is_fork,
        ),
        repository.license_info,
    )


def parse_repository_body(
    response: GitHubResponse, *, owner_id: int
) -> RepositoryDetails | Failure:
    """Parse `GET /repos/{owner}/{name}` or `GET /repositories/{id}`; see `parse_repository`."""
    try:
        body = _decode_body(response.body)
    except DECODE_ERRORS as error:
        return Failure(FailureKind.UNREADABLE, shorten(str(error)))
    if body.private or body.owner.id != owner_id:
        return Failure(FailureKind.NOT_FOUND)
    return _build_details(
        RepositoryDetails(
            id=body.id,
            name=body.name,
            description=decode_optional(body.description, decode_text),
            language=decode_optional(body.language, decode_text),
            stars=body.stargazers_count,
            forks=body.forks_count,
            is_archived=body.archived,
            is_fork=body.fork,
        ),
        decode_optional(body.license, _decode_license),
    )


def _build_details(details: RepositoryDetails, licence: _License | None) -> RepositoryDetails:
    """Return the details with cleaned texts, and the licence."""
    return msgspec.structs.replace(
        details,
        name=clean_name(details.name) or "",
        description=clean_name(details.description, max_characters=MAX_DESCRIPTION_CHARACTERS),
        language=clean_name(details.language),
        licence=_short_licence(licence),
    )


def _short_licence(licence: _License | None) -> str | None:
    """Return the SPDX id of a licence, else its name; None if GitHub did not recognise it."""
    if licence is None or licence.key in _PSEUDO_LICENCES:
        return None
    spdx_id = clean_name(licence.spdx_id)
    return spdx_id if spdx_id not in {None, _NO_SPDX_ID} else clean_name(licence.name)
