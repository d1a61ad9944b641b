"""
GitHub's GraphQL API over the sandbox's accounts, executed by graphql-core.

A request is first prepared: parsed, validated and priced. After its points have been charged it is
executed. Independent of HTTP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    SelectionSetNode,
    execute_sync,
    get_operation_ast,
    get_variable_values,
    parse,
    specified_rules,
    validate,
)

from github_sandbox.account_store import AccountStore
from github_sandbox.faults import HeavyContributions
from github_sandbox.models import Account
from github_sandbox.query_cost import MAX_NODES, QueryCost, Selections, compute_cost
from github_sandbox.rate_limits import RateLimitStatus
from github_sandbox.resolvers import ExecutionContext, load_schema

_DOCUMENT_CACHE_SIZE = 256
_TRUNCATABLE_FIELDS = {"node", "nodes", "repository", "repositoryOwner", "user"}


class GraphQLRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


class QueryRejected(Exception):
    """The query is not executed; `errors` are in GitHub's format."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """
    A valid query and its cost.

    `last_field` is the response key of the last root field that returns owners or repositories.
    """

    document: DocumentNode
    variables: dict[str, Any]
    cost: QueryCost
    is_dry_run: bool
    last_field: str | None

    @property
    def points(self) -> int:
        """Points to charge before execution."""
        return 0 if self.is_dry_run else self.cost.points


def prepare_query(request: GraphQLRequest) -> PreparedQuery:
    """
    Parse and validate a query, and compute its cost.

    :raises QueryRejected: the query or its variables are invalid, or it can return too many nodes
    """
    operation, fragments = _parse_document(request.query, request.operation_name)
    raw_variables = request.variables or {}
    schema = load_schema()
    variables = get_variable_values(schema, operation.variable_definitions or (), raw_variables)
    if isinstance(variables, list):
        raise QueryRejected([_to_json(error) for error in variables])
    selections = Selections(schema, {part.name.value: part for part in fragments}, variables)
    query_type = schema.query_type
    assert query_type is not None
    try:
        root_fields = selections.collect_fields(query_type, [operation.selection_set])
        cost = compute_cost(selections, query_type, [operation.selection_set])
        is_dry_run = any(
            nodes[0].name.value == "rateLimit"
            and selections.get_arguments(query_type, nodes[0])["dryRun"]
            for nodes in root_fields.values()
        )
    except GraphQLError as error:  # a variable is null where the argument must not be
        raise QueryRejected([_to_json(error)]) from None
    _check_node_limit(cost)
    names = {key: nodes[0].name.value for key, nodes in root_fields.items()}
    if is_dry_run:
        rate_limit_fields = tuple(
            node
            for nodes in root_fields.values()
            for node in nodes
            if node.name.value == "rateLimit"
        )
        operation = _with_selections(operation, rate_limit_fields)
    return PreparedQuery(
        document=DocumentNode(definitions=(operation, *fragments)),
        variables=raw_variables,
        cost=cost,
        is_dry_run=is_dry_run,
        last_field=next(
            (key for key in reversed(names) if names[key] in _TRUNCATABLE_FIELDS), None
        ),
    )


def execute_query(
    query: PreparedQuery,
    *,
    accounts: AccountStore,
    viewer: Account,
    rate_limit: RateLimitStatus,
    now: datetime,
    is_truncated: bool = False,
    heavy_contributions: HeavyContributions | None = None,
) -> dict[str, Any]:
    """
    Execute a query, and return `data` and, if there are any, `errors` in GitHub's format.

    If `is_truncated`, the last owner or repository is replaced by an error, as GitHub does with
    queries that exceed its resource limits. A dry run returns the `rateLimit` field only.

    :raises QueryTimeout: GitHub would not respond in time
    """
    context = ExecutionContext(
        accounts=accounts,
        viewer=viewer,
        cost=query.cost,
        rate_limit=rate_limit,
        now=now,
        heavy_contributions=heavy_contributions,
        truncated_field=query.last_field if is_truncated else None,
    )
    result = execute_sync(
        load_schema(), query.document, context_value=context, variable_values=query.variables
    )
    if not result.errors:
        return {"data": result.data}
    for error in result.errors:
        # Anything but a GraphQLError is a timeout, or a bug in a resolver, which must not pass as
        # GitHub's answer.
        if not isinstance(error.original_error, GraphQLError | None):
            raise error.original_error
    return {"data": result.data, "errors": [_to_json(error) for error in result.errors]}


@lru_cache(_DOCUMENT_CACHE_SIZE)
def _parse_document(
    text: str, operation_name: str | None
) -> tuple[OperationDefinitionNode, tuple[FragmentDefinitionNode, ...]]:
    """Parse and validate a document, and return the operation to execute and the fragments."""
    try:
        document = parse(text)
    except GraphQLError as error:
        raise QueryRejected([_to_json(error)]) from None
    # No introspection: the schema is only a part of GitHub's.
    rules = [*specified_rules, NoSchemaIntrospectionCustomRule]
    if errors := validate(load_schema(), document, rules):
        raise QueryRejected([_to_json(error) for error in errors])
    operation = get_operation_ast(document, operation_name)
    if operation is None:
        raise QueryRejected([{"message": f"No operation named {operation_name!r}"}])
    return operation, tuple(
        definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    )


def _check_node_limit(cost: QueryCost) -> None:
    if cost.nodes > MAX_NODES:
        message = (
            f"This query requests up to {cost.nodes:,} possible nodes which exceeds the maximum"
            f" limit of {MAX_NODES:,}."
        )
        raise QueryRejected([{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": message}])


def _with_selections(
    operation: OperationDefinitionNode, selections: tuple[FieldNode, ...]
) -> OperationDefinitionNode:
    return OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=operation.variable_definitions,
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=selections),
    )


def _to_json(error: GraphQLError) -> dict[str, Any]:
    """Convert an error to GitHub's format, which has `type` in place of `extensions`."""
    formatted: dict[str, Any] = {**error.formatted}
    return {**formatted.pop("extensions", {}), **formatted}
