"""
GitHub's GraphQL schema, with a resolver for each of its fields.

The schema is the part of GitHub's that a client of user statistics needs, in `schema.graphql`.
Resolvers are plain synchronous functions of the parent object; those of `Query` read the context.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from operator import attrgetter
from typing import Any, TypeAlias

from graphql import (
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    is_abstract_type,
    is_introspection_type,
    is_object_type,
)

from github_sandbox.account_store import AccountStore
from github_sandbox.connections import Connection, FieldError, paginate
from github_sandbox.models import Account, Repository, build_node_id
from github_sandbox.query_cost import QueryCost, Selections
from github_sandbox.rate_limits import RateLimitStatus

Resolver = Callable[..., Any]

MAX_NODE_IDS = 100


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """
    What resolvers read besides their parent.

    `truncated_field` is the response key of a root field whose last owner is to be omitted, as GitHub
    does with queries that exceed its resource limits.
    """

    accounts: AccountStore
    viewer: Account
    cost: QueryCost
    rate_limit: RateLimitStatus
    truncated_field: str | None = None


Info: TypeAlias = GraphQLResolveInfo[ExecutionContext]


@cache
def load_schema() -> GraphQLSchema:
    """Build the schema and bind the resolvers; a field without one is a KeyError."""
    text = files("github_sandbox").joinpath("schema.graphql").read_text("utf-8")
    schema = build_schema(text)
    for graphql_type in schema.type_map.values():
        if is_abstract_type(graphql_type):
            graphql_type.resolve_type = _resolve_type
        elif is_object_type(graphql_type) and not is_introspection_type(graphql_type):
            for name, field in graphql_type.fields.items():
                field.resolve = _RESOLVERS[graphql_type.name][name]
    return schema


def _resolve_type(account: Account, _info: Info, _abstract_type: Any) -> str:
    return account.type_name


def _resolve_owner(_root: None, info: Info, *, login: str) -> Account | None:
    """Resolve `repositoryOwner`; an unknown login is null without an error, as on GitHub."""
    if _is_truncated(info):
        raise _resource_limits_exceeded()
    return info.context.accounts.by_login(login)


def _resolve_node(_root: None, info: Info, *, id: str) -> Account:  # noqa: A002
    if _is_truncated(info):
        raise _resource_limits_exceeded()
    account = _find_node(id, info)
    if isinstance(account, FieldError):
        raise account
    return account


def _resolve_nodes(_root: None, info: Info, *, ids: list[str]) -> list[Account | FieldError]:
    if len(ids) > MAX_NODE_IDS:
        raise FieldError(
            "ARGUMENT_LIMIT",
            f"You may not provide more than {MAX_NODE_IDS} node ids; you provided {len(ids)}.",
        )
    # An error in the list becomes the error of its item; the others are resolved.
    accounts = [_find_node(node_id, info) for node_id in ids]
    if accounts and _is_truncated(info):
        accounts[-1] = _resource_limits_exceeded()
    return accounts


def _resolve_repositories(account: Account, info: Info, **arguments: Any) -> Connection:
    """Resolve a page of repositories; `first` or `last` is required unless only a count is read."""
    selections = Selections(info.schema, info.fragments, info.variable_values)
    connection_type = info.schema.get_type("RepositoryConnection")
    assert isinstance(connection_type, GraphQLObjectType)
    selection_sets = [node.selection_set for node in info.field_nodes if node.selection_set]
    fields = selections.collect_fields(connection_type, selection_sets)
    names = {nodes[0].name.value for nodes in fields.values()}
    return paginate(account, arguments, counts_only=names <= {"totalCount", "__typename"})


def _resolve_reset_time(context: ExecutionContext, _info: Info) -> datetime:
    return datetime.fromtimestamp(context.rate_limit.reset, UTC)


def _resolve_repository_id(repository: Repository, _info: Info) -> str:
    return build_node_id("Repository", repository.id)


def _find_node(node_id: str, info: Info) -> Account | FieldError:
    account = info.context.accounts.by_node_id(node_id)
    message = f"Could not resolve to a node with the global id of '{node_id}'."
    return account or FieldError("NOT_FOUND", message)


def _is_truncated(info: Info) -> bool:
    return info.path.key == info.context.truncated_field


def _resource_limits_exceeded() -> FieldError:
    return FieldError("RESOURCE_LIMITS_EXCEEDED", "Resource limits for this query exceeded.")


def _read(attribute: str) -> Resolver:
    """Return a resolver that reads an attribute of the parent, which may be dotted."""
    get_value = attrgetter(attribute)
    return lambda parent, _info: get_value(parent)


def _constant(value: Any) -> Resolver:
    return lambda _parent, _info: value


def _return_parent(parent: Any, _info: Info) -> Any:
    """Resolve an object that has no data of its own, such as `pageInfo`."""
    return parent


_ACCOUNT_RESOLVERS: Mapping[str, Resolver] = {
    "id": _read("node_id"),
    "databaseId": _read("id"),
    "login": _read("login"),
    "name": _read("name"),
    "createdAt": _read("created_at"),
    "updatedAt": _read("updated_at"),
    "followers": _return_parent,
    "following": _return_parent,
    "repositories": _resolve_repositories,
}
_RESOLVERS: Mapping[str, Mapping[str, Resolver]] = {
    "Query": {
        "node": _resolve_node,
        "nodes": _resolve_nodes,
        "rateLimit": lambda _root, info, **_: info.context,
        "repositoryOwner": _resolve_owner,
        "viewer": lambda _root, info: info.context.viewer,
    },
    "User": _ACCOUNT_RESOLVERS,
    "Organization": _ACCOUNT_RESOLVERS,
    "FollowerConnection": {"totalCount": _read("followers")},
    "FollowingConnection": {"totalCount": _read("following")},
    "RepositoryConnection": {
        "edges": _read("edges"),
        "nodes": _read("nodes"),
        "pageInfo": _return_parent,
        "totalCount": _read("total"),
    },
    "RepositoryEdge": {"cursor": _read("cursor"), "node": _read("node")},
    "PageInfo": {
        "endCursor": _read("end_cursor"),
        "hasNextPage": _read("has_next"),
        "hasPreviousPage": _read("has_previous"),
        "startCursor": _read("start_cursor"),
    },
    "Repository": {
        "id": _resolve_repository_id,
        "databaseId": _read("id"),
        "name": _read("name"),
        "createdAt": _read("created_at"),
        "updatedAt": _read("updated_at"),
        "pushedAt": _read("pushed_at"),
        "diskUsage": _read("size_kilobytes"),
        "forkCount": _read("forks"),
        "isArchived": _read("is_archived"),
        "isFork": _read("is_fork"),
        "isPrivate": _constant(value=False),
        "primaryLanguage": _read("language"),
        "stargazerCount": _read("stars"),
    },
    # The parent is the language's name.
    "Language": {"name": _return_parent},
    "RateLimit": {
        "cost": _read("cost.points"),
        "limit": _read("rate_limit.limit"),
        "nodeCount": _read("cost.nodes"),
        "remaining": _read("rate_limit.remaining"),
        "resetAt": _resolve_reset_time,
        "used": _read("rate_limit.used"),
    },
}
