"""
GitHub's GraphQL API over the sandbox's population.

Checks a query against the schema beside this file, prices it, takes the points, answers it. Knows
nothing of HTTP.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from github_sandbox.account_store import AccountStore as Population
from github_sandbox.fields import LEAVES, RESOLVERS, Context, type_name
from github_sandbox.models import Account
from github_sandbox.plans import Nulled, Planner, Run, Step, locations, walk
from github_sandbox.prices import MOST_NODES, Price, price_of
from github_sandbox.rate_limits import RateLimitStatus as Allowance

_REMEMBERED_QUERIES = 256
_GIVEN_UP = "Resource limits for this query exceeded."


class GraphQLRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


class QueryRejected(Exception):
    """A query that is not run; `errors` are in GitHub's shape."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked operation; `steps` is None where they depend on variables."""

    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    steps: Sequence[Step] | None


Spend = Callable[[int], Allowance | None]
"""Takes points and says what is left, or None when there are not enough."""


class GraphQL:
    """Answers queries; remembers the plans of the latest ones."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._prepare = lru_cache(_REMEMBERED_QUERIES)(_prepare)

    def answer(
        self, question: GraphQLRequest, *, viewer: Account, spend: Spend, give_up: bool = False
    ) -> dict[str, Any]:
        """
        Answer a question after `spend` has taken its points; 0 of them for a dry run.

        With `give_up` the last owner is left out, as GitHub does when a query grows too heavy.

        :raises QueryRejected: the query can't be run, or there are not enough points
        """
        prepared = self._prepare(question.query, question.operation_name)
        variables = _variables(prepared.operation, question.variables or {})
        steps = prepared.steps
        if steps is None:
            steps = _plan(prepared.operation, prepared.fragments, variables)
        price = _checked(price_of(steps, variables))
        is_dry = _is_dry_run(steps, variables)
        if (allowance := spend(0 if is_dry else price.points)) is None:
            message = f"API rate limit exceeded for user ID {viewer.id}."
            raise QueryRejected([{"type": "RATE_LIMITED", "message": message}])
        context = Context(self._population, viewer, price, allowance)
        answer = _run(steps, Run(variables, context), is_dry=is_dry)
        return _without_last_owner(answer, steps) if give_up else answer


@cache
def schema() -> GraphQLSchema:
    """Read our part of GitHub's schema, once."""
    text = files("github_sandbox").joinpath("schema.graphql").read_text("utf-8")
    return build_schema(text)


def _prepare(text: str, operation_name: str | None) -> Prepared:
    try:
        document = parse(text)
    except GraphQLError as error:
        raise QueryRejected([_as_json(error)]) from None
    if errors := validate(schema(), document):
        raise QueryRejected([_as_json(error) for error in errors])
    operation = get_operation_ast(document, operation_name)
    if operation is None:
        raise QueryRejected([{"message": f"No operation named {operation_name!r}"}])
    if "__schema" in text or "__type(" in text:
        raise QueryRejected([{"message": "The sandbox can't be asked about its schema"}])
    fragments = _fragments(document)
    depends = "@" in text
    return Prepared(operation, fragments, None if depends else _plan(operation, fragments, None))


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    parts = (one for one in document.definitions if isinstance(one, FragmentDefinitionNode))
    return {one.name.value: one for one in parts}


def _plan(
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Any,
) -> Sequence[Step]:
    planner = Planner(
        schema(),
        leaves=LEAVES,
        resolvers=RESOLVERS,
        type_name=type_name,
        fragments=fragments,
        variables=variables,
    )
    root = schema().query_type
    assert root is not None
    return planner.plan(root, [operation.selection_set])


def _variables(operation: OperationDefinitionNode, given: dict[str, Any]) -> Any:
    values = get_variable_values(schema(), operation.variable_definitions or (), given)
    if isinstance(values, list):
        raise QueryRejected([_as_json(error) for error in values])
    return values


def _checked(price: Price) -> Price:
    if price.nodes <= MOST_NODES:
        return price
    message = (
        f"This query requests up to {price.nodes:,} possible nodes which exceeds the maximum limit"
        f" of {MOST_NODES:,}."
    )
    raise QueryRejected([{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": message}])


def _is_dry_run(steps: Sequence[Step], variables: Any) -> bool:
    return any(one.name == "rateLimit" and one.arguments(variables)["dryRun"] for one in steps)


def _run(steps: Sequence[Step], run: Run, *, is_dry: bool) -> dict[str, Any]:
    if is_dry:
        steps = [one for one in steps if one.name == "rateLimit"]
    try:
        data: dict[str, Any] | None = walk(steps, None, run)
    except Nulled:
        data = None
    return {"data": data, "errors": run.errors} if run.errors else {"data": data}


def _without_last_owner(answer: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """Null the last owner of an answer and say so, at the alias or at the place in `nodes`."""
    data = answer["data"] or {}
    for step in reversed([one for one in steps if one.name not in {"rateLimit", "viewer"}]):
        path: list[str | int] = [step.key]
        if step.name == "nodes":
            if not data.get(step.key):
                continue
            path.append(len(data[step.key]) - 1)
            data[step.key][-1] = None
        else:
            data[step.key] = None
        error = {
            "type": "RESOURCE_LIMITS_EXCEEDED",
            "path": path,
            "locations": locations(step.node),
            "message": _GIVEN_UP,
        }
        return {"data": data, "errors": [*answer.get("errors", ()), error]}
    return answer


def _as_json(error: GraphQLError) -> dict[str, Any]:
    places = [{"line": one.line, "column": one.column} for one in error.locations or ()]
    return {"message": error.message, "locations": places}
