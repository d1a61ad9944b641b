"""
Builds queries about one owner, and parses the responses; pure.

All of them have the owner under the alias `owner`, with its id: a login may have passed to another account.
An error concerns the whole response: after one, GitHub may have left fields anywhere at 0.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from github_banners.github.graphql import RATE_LIMIT_FIELDS, OpaqueId, Query, parse_field
from github_banners.github.protocol import (
    Failure,
    FailureKind,
    GitHubResponse,
    Id,
    build_decode,
    clean_name,
    parse_login,
    shorten,
)
from github_banners.models import Owner

N = TypeVar("N", bound="OwnerNode")


class OwnerNode(msgspec.Struct, rename="camel"):
    """The alias `owner` of a query about one owner; subclasses have the requested fields."""

    database_id: Id


class _Identity(OwnerNode):
    id: OpaqueId
    login: str
    name: str | None = None


_decode_identity = build_decode(msgspec.json.Decoder(_Identity | None))


def build_owner_query(
    owner: Owner, fields: str, *, fragments: str = "", **variables: tuple[str, Any]
) -> Query:
    """
    Build a query for fields of one owner, by node id or else by login.

    `variables` are those of `fields`, each with its type.
    """
    key, root = ("id", "node") if owner.node_id else ("login", "repositoryOwner")
    key_type = "ID!" if owner.node_id else "String!"
    typed = {key: (key_type, owner.node_id or owner.login), **variables}
    declarations = ", ".join(f"${name}: {type_}" for name, (type_, _) in typed.items())
    text = (
        f"query Owner({declarations}) {{\n  owner: {root}({key}: ${key}) {{\n    __typename\n"
        "    ... on User { databaseId }\n    ... on Organization { databaseId }\n"
        f"{fields}\n  }}\n  {RATE_LIMIT_FIELDS}\n}}{fragments}"
    )
    return Query(text, {name: value for name, (_, value) in typed.items()})


def build_identity_query(login: str) -> Query:
    """Build a query for who has a login, without repositories."""
    fields = "    id login ... on User { name } ... on Organization { name }"
    return build_owner_query(Owner(0, login), fields)


def parse_owner_node(
    response: GitHubResponse,
    decode: Callable[[msgspec.Raw], N | None],
    *,
    now: datetime,
    owner_id: int | None,
) -> N | Failure:
    """
    Parse the response to a query of `build_owner_query`; any error concerns the whole response.

    `owner_id` is the id that the owner must have, if it is known.
    """
    node = parse_field(response, "owner", decode, now=now)
    if isinstance(node, Failure):
        return node
    if owner_id not in {None, node.database_id}:
        message = f"a response about {node.database_id}, not {owner_id}"
        return Failure(FailureKind.UNREADABLE, message)
    return node


def parse_identity(response: GitHubResponse, *, now: datetime) -> Owner | Failure:
    """Parse who has a login; `NOT_FOUND` for an unknown one."""
    node = parse_owner_node(response, _decode_identity, now=now, owner_id=None)
    if isinstance(node, Failure):
        return node
    try:
        login = parse_login(node.login)
    except ValueError as error:
        return Failure(FailureKind.UNREADABLE, shorten(str(error)))
    return Owner(node.database_id, login, node.id, clean_name(node.name))
