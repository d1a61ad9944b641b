"""
How each field of the schema is read from an account, a repository or a page of them.

A leaf is read from its parent alone; a resolver may look at arguments and at whom the run belongs to.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec

from github_sandbox.account_store import AccountStore as Population
from github_sandbox.connections import Connection, Edge, Failed, connect, cursor_of
from github_sandbox.models import Account, Repository, build_node_id
from github_sandbox.plans import Resolver, Run, Step
from github_sandbox.prices import Price
from github_sandbox.rate_limits import RateLimitStatus as Allowance

_MOST_IDS = 100


class Context(msgspec.Struct, frozen=True):
    """What a query is answered from: who lives here, who asks, what it costs and leaves."""

    population: Population
    viewer: Account
    price: Price
    allowance: Allowance


def type_name(value: object) -> str:
    """Name the object type of a value that may have several."""
    return "Organization" if isinstance(value, Account) and value.is_organization else "User"


def _owner(parent: object, arguments: Mapping[str, Any], run: Run, step: Step) -> Account | None:
    population: Population = run.context.population
    return population.by_login(arguments["login"])


def _node(parent: object, arguments: Mapping[str, Any], run: Run, step: Step) -> Account:
    found = _by_node_id(arguments["id"], run)
    if isinstance(found, Failed):
        raise found
    return found


def _nodes(
    parent: object, arguments: Mapping[str, Any], run: Run, step: Step
) -> list[Account | Failed]:
    ids = arguments["ids"]
    if len(ids) > _MOST_IDS:
        message = f"You may not provide more than {_MOST_IDS} node ids; you provided {len(ids)}."
        raise Failed("ARGUMENT_LIMIT", message)
    return [_by_node_id(one, run) for one in ids]


def _by_node_id(node_id: str, run: Run) -> Account | Failed:
    message = f"Could not resolve to a node with the global id of '{node_id}'."
    return run.context.population.by_node_id(node_id) or Failed("NOT_FOUND", message)


def _repositories(
    parent: Account, arguments: Mapping[str, Any], run: Run, step: Step
) -> Connection:
    return connect(parent, arguments, counts_only=is_count(step))


def is_count(step: Step) -> bool:
    """Say whether a connection is asked for nothing but its count."""
    return all(
        one.name in {"totalCount", "__typename"} for one in step.below["RepositoryConnection"]
    )


def _itself(parent: Any, arguments: Mapping[str, Any], run: Run, step: Step) -> Any:
    return parent


def _edges(
    parent: Connection, arguments: Mapping[str, Any], run: Run, step: Step
) -> Sequence[Edge]:
    return [Edge(one) for one in parent.nodes or ()]


def _end(index: int) -> Callable[[Connection], str | None]:
    return lambda page: cursor_of(page.nodes[index]) if page.nodes else None


def _reset(context: Context) -> datetime:
    return datetime.fromtimestamp(context.allowance.reset, UTC)


_ORGANIZATION_LEAVES: Mapping[str, Callable[[Any], Any]] = {
    "id": attrgetter("node_id"),
    "databaseId": attrgetter("id"),
    "login": attrgetter("login"),
    "name": attrgetter("name"),
    "createdAt": attrgetter("created_at"),
    "updatedAt": attrgetter("updated_at"),
}
LEAVES: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "User": _ORGANIZATION_LEAVES,
    "Organization": _ORGANIZATION_LEAVES,
    "FollowerConnection": {"totalCount": attrgetter("followers")},
    "FollowingConnection": {"totalCount": attrgetter("following")},
    "RepositoryConnection": {"totalCount": attrgetter("total")},
    "RepositoryEdge": {"cursor": attrgetter("cursor")},
    "PageInfo": {
        "endCursor": _end(-1),
        "startCursor": _end(0),
        "hasNextPage": attrgetter("has_next"),
        "hasPreviousPage": attrgetter("has_previous"),
    },
    "Repository": {
        "id": lambda one: build_node_id("Repository", one.id),
        "databaseId": attrgetter("id"),
        "name": attrgetter("name"),
        "createdAt": attrgetter("created_at"),
        "updatedAt": attrgetter("updated_at"),
        "pushedAt": attrgetter("pushed_at"),
        "diskUsage": attrgetter("size_kilobytes"),
        "forkCount": attrgetter("forks"),
        "isArchived": attrgetter("is_archived"),
        "isFork": attrgetter("is_fork"),
        "isPrivate": lambda one: False,
        "stargazerCount": attrgetter("stars"),
    },
    "Language": {"name": lambda name: name},
    "RateLimit": {
        "cost": attrgetter("price.points"),
        "nodeCount": attrgetter("price.nodes"),
        "limit": attrgetter("allowance.limit"),
        "remaining": attrgetter("allowance.remaining"),
        "used": attrgetter("allowance.used"),
        "resetAt": _reset,
    },
}
"""Type -> field -> how it is read; a language is its name, a rate limit the context itself."""

_OWNER_RESOLVERS: Mapping[str, Resolver] = {
    "repositories": _repositories,
    "followers": _itself,
    "following": _itself,
}


def _language(parent: Repository, arguments: Mapping[str, Any], run: Run, step: Step) -> str | None:
    return parent.language


RESOLVERS: Mapping[str, Mapping[str, Resolver]] = {
    "Query": {
        "repositoryOwner": _owner,
        "node": _node,
        "nodes": _nodes,
        "viewer": lambda parent, arguments, run, step: run.context.viewer,
        "rateLimit": lambda parent, arguments, run, step: run.context,
    },
    "User": _OWNER_RESOLVERS,
    "Organization": _OWNER_RESOLVERS,
    "RepositoryConnection": {
        "nodes": lambda parent, arguments, run, step: parent.nodes,
        "edges": _edges,
        "pageInfo": _itself,
    },
    "RepositoryEdge": {"node": lambda parent, arguments, run, step: parent.node},
    "Repository": {"primaryLanguage": _language},
}
"""Type -> field -> how the object or list behind it is found."""
