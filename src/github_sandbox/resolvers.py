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
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    is_abstract_type,
    is_introspection_type,
    is_object_type,
)

from github_sandbox.account_store import AccountStore
from github_sandbox.connections import (
    Connection,
    FieldError,
    paginate_languages,
    paginate_repositories,
)
from github_sandbox.contributions import (
    ContributionsCollection,
    WindowTooLong,
    collect_contributions,
)
from github_sandbox.faults import HeavyContributions
from github_sandbox.models import Account, Repository, build_node_id
from github_sandbox.query_cost import QueryCost, Selections
from github_sandbox.rate_limits import RateLimitStatus
from github_sandbox.repository_data import LANGUAGE_COLORS

Resolver = Callable[..., Any]
_Node: TypeAlias = Account | Repository

MAX_NODE_IDS = 100
_WEB = "https://github.com"


class QueryTimeout(Exception):
    """GitHub's proxies would give up waiting for this query."""


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """
    What resolvers read besides their parent.

    `truncated_field` is the response key of a root field whose last owner is to be omitted, as GitHub
    does with queries that exceed its resource limits. `heavy_contributions` says whose contributions
    exceed them in long windows.
    """

    accounts: AccountStore
    viewer: Account
    cost: QueryCost
    rate_limit: RateLimitStatus
    now: datetime
    heavy_contributions: HeavyContributions | None = None
    truncated_field: str | None = None


Info: TypeAlias = GraphQLResolveInfo[ExecutionContext]


@cache
def load_schema() -> GraphQLSchema:
    """Build the schema and bind the resolvers; a field without one is a KeyError."""
    text = files("github_sandbox").joinpath("schema.graphql").read_text("utf-8")
    schema = build_schema(text)
    date_time = schema.type_map["DateTime"]
    assert isinstance(date_time, GraphQLScalarType)
    date_time.coerce_input_value = _parse_date_time
    for graphql_type in schema.type_map.values():
        if is_abstract_type(graphql_type):
            graphql_type.resolve_type = _resolve_type
        elif is_object_type(graphql_type) and not is_introspection_type(graphql_type):
            for name, field in graphql_type.fields.items():
                field.resolve = _RESOLVERS[graphql_type.name][name]
    return schema


def _parse_date_time(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise GraphQLError(f"Could not coerce value {value!r} to DateTime") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _resolve_type(node: _Node, _info: Info, _abstract_type: Any) -> str:
    return "Repository" if isinstance(node, Repository) else node.type_name


def _resolve_owner(_root: None, info: Info, *, login: str) -> Account | None:
    """Resolve `repositoryOwner`; an unknown login is null without an error, as on GitHub."""
    if _is_truncated(info):
        raise _resource_limits_exceeded()
    return info.context.accounts.by_login(login)


def _resolve_user(_root: None, info: Info, *, login: str) -> Account:
    """Resolve `user`; the login of an organization is as unknown as any other."""
    if _is_truncated(info):
        raise _resource_limits_exceeded()
    account = info.context.accounts.by_login(login)
    if account is None or account.is_organization:
        message = f"Could not resolve to a User with the login of '{login}'."
        raise FieldError("NOT_FOUND", message)
    return account


def _resolve_repository(
    _root: None,
    info: Info,
    *,
    owner: str,
    name: str,
    followRenames: bool,  # noqa: N803 - the argument's name
) -> Repository:
    if _is_truncated(info):
        raise _resource_limits_exceeded()
    repository = info.context.accounts.find_repository(owner, name, follow_renames=followRenames)
    if repository is None:
        message = f"Could not resolve to a Repository with the name '{owner}/{name}'."
        raise FieldError("NOT_FOUND", message)
    return repository


def _resolve_node(_root: None, info: Info, *, id: str) -> _Node:  # noqa: A002
    if _is_truncated(info):
        raise _resource_limits_exceeded()
    node = _find_node(id, info)
    if isinstance(node, FieldError):
        raise node
    return node


def _resolve_nodes(_root: None, info: Info, *, ids: list[str]) -> list[_Node | FieldError]:
    if len(ids) > MAX_NODE_IDS:
        raise FieldError(
            "ARGUMENT_LIMIT",
            f"You may not provide more than {MAX_NODE_IDS} node ids; you provided {len(ids)}.",
        )
    # An error in the list becomes the error of its item; the others are resolved.
    nodes = [_find_node(node_id, info) for node_id in ids]
    if nodes and _is_truncated(info):
        nodes[-1] = _resource_limits_exceeded()
    return nodes


def _resolve_repositories(account: Account, info: Info, **arguments: Any) -> Connection:
    """Resolve a page of repositories; `first` or `last` is required unless only a count is read."""
    counts_only = _reads_counts_only(info, "RepositoryConnection")
    return paginate_repositories(account, arguments, counts_only=counts_only)


def _resolve_languages(repository: Repository, info: Info, **arguments: Any) -> Connection:
    sizes = info.context.accounts.language_sizes(repository)
    counts_only = _reads_counts_only(info, "LanguageConnection")
    return paginate_languages(sizes, arguments, counts_only=counts_only)


def _reads_counts_only(info: Info, type_name: str) -> bool:
    selections = Selections(info.schema, info.fragments, info.variable_values)
    connection_type = info.schema.get_type(type_name)
    assert isinstance(connection_type, GraphQLObjectType)
    selection_sets = [node.selection_set for node in info.field_nodes if node.selection_set]
    fields = selections.collect_fields(connection_type, selection_sets)
    names = {nodes[0].name.value for nodes in fields.values()}
    return names <= {"totalCount", "totalSize", "__typename"}


def _resolve_contributions(
    account: Account, info: Info, **window: datetime | None
) -> ContributionsCollection:
    """Resolve the contributions of a window, which exceed a limit if they were made heavy."""
    context = info.context
    try:
        collection = collect_contributions(
            account,
            context.accounts.contributions,
            start=window.get("from"),
            end=window.get("to"),
            now=context.now,
        )
    except WindowTooLong:
        message = "The total time spanned by 'from' and 'to' must not exceed 1 year"
        raise FieldError("VALIDATION", message) from None
    heavy = context.heavy_contributions
    if heavy is not None and heavy.applies_to(account.login, days=len(collection.counts)):
        if heavy.failure == "502":
            raise QueryTimeout
        raise _resource_limits_exceeded()
    return collection


def _resolve_reset_time(context: ExecutionContext, _info: Info) -> datetime:
    return datetime.fromtimestamp(context.rate_limit.reset, UTC)


def _resolve_repository_id(repository: Repository, _info: Info) -> str:
    return build_node_id("Repository", repository.id)


def _resolve_repository_owner(repository: Repository, info: Info) -> Account:
    account = info.context.accounts.find_repository_owner(repository.id)
    assert account is not None
    return account


def _resolve_full_name(repository: Repository, info: Info) -> str:
    return f"{_resolve_repository_owner(repository, info).login}/{repository.name}"


def _find_node(node_id: str, info: Info) -> _Node | FieldError:
    accounts = info.context.accounts
    message = f"Could not resolve to a node with the global id of '{node_id}'."
    return (
        accounts.by_node_id(node_id)
        or accounts.repository_by_node_id(node_id)
        or FieldError("NOT_FOUND", message)
    )


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
    "contributionsCollection": _resolve_contributions,
    "repositories": _resolve_repositories,
}
_RESOLVERS: Mapping[str, Mapping[str, Resolver]] = {
    "Query": {
        "node": _resolve_node,
        "nodes": _resolve_nodes,
        "rateLimit": lambda _root, info, **_: info.context,
        "repository": _resolve_repository,
        "repositoryOwner": _resolve_owner,
        "user": _resolve_user,
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
        "nameWithOwner": _resolve_full_name,
        "owner": _resolve_repository_owner,
        "url": lambda repository, info: f"{_WEB}/{_resolve_full_name(repository, info)}",
        "description": _read("description"),
        "homepageUrl": _read("homepage"),
        "licenseInfo": _read("license"),
        "languages": _resolve_languages,
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
    "LanguageConnection": {
        "edges": _read("edges"),
        "nodes": _read("nodes"),
        "pageInfo": _return_parent,
        "totalCount": _read("total"),
        "totalSize": _read("total_size"),
    },
    "LanguageEdge": {"cursor": _read("cursor"), "node": _read("node"), "size": _read("size")},
    # The parent is the language's name.
    "Language": {
        "color": lambda name, _info: LANGUAGE_COLORS.get(name),
        "name": _return_parent,
    },
    "License": {"key": _read("key"), "name": _read("name"), "spdxId": _read("spdx_id")},
    "ContributionsCollection": {
        "startedAt": _read("started_at"),
        "endedAt": _read("ended_at"),
        "contributionCalendar": _read("calendar"),
        "contributionYears": _read("years"),
        "hasAnyContributions": lambda collection, _info: any(collection.totals),
        "hasAnyRestrictedContributions": lambda collection, _info: collection.restricted > 0,
        "restrictedContributionsCount": _read("restricted"),
        "totalCommitContributions": _read("commits"),
        "totalIssueContributions": _read("issues"),
        "totalPullRequestContributions": _read("pull_requests"),
        "totalPullRequestReviewContributions": _read("reviews"),
        "totalRepositoryContributions": _read("created_repositories"),
    },
    "ContributionCalendar": {"totalContributions": _read("total"), "weeks": _read("weeks")},
    "ContributionCalendarWeek": {
        "contributionDays": _read("days"),
        "firstDay": _read("first_day"),
    },
    "ContributionCalendarDay": {
        "color": _read("color"),
        "contributionCount": _read("count"),
        "contributionLevel": _read("level"),
        "date": _read("date"),
        "weekday": _read("weekday"),
    },
    "RateLimit": {
        "cost": _read("cost.points"),
        "limit": _read("rate_limit.limit"),
        "nodeCount": _read("cost.nodes"),
        "remaining": _read("rate_limit.remaining"),
        "resetAt": _resolve_reset_time,
        "used": _read("rate_limit.used"),
    },
}
