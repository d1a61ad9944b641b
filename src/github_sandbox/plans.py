"""
Turns a validated GraphQL operation into steps that walk plain objects.

graphql-core parses, validates and coerces; load tests ask for thousands of answers, so these are
put together by closures that are made once per query text.
https://spec.graphql.org/draft/#sec-Execution
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.values import get_argument_values, get_directive_values

from github_sandbox.connections import Failed

Resolver = Callable[[Any, Mapping[str, Any], "Run", "Step"], Any]
"""Parent, arguments, run, step -> the field's value."""


@dataclass(slots=True)
class Run:
    """One execution: its variables, what it is answered from, and the errors so far."""

    variables: Any
    context: Any
    path: list[str | int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


class Nulled(Exception):
    """A field that must not be null has failed, and its error is written down."""


@dataclass(slots=True)
class Step:
    """One field of a selection, with what is selected below it for each type that it may have."""

    key: str
    name: str
    node: FieldNode
    definition: GraphQLField
    visit: Callable[[Any, Run], Any] = lambda parent, run: None
    below: Mapping[str, Sequence["Step"]] = field(default_factory=dict)
    fixed_arguments: Mapping[str, Any] | None = None

    def arguments(self, variables: Any) -> Mapping[str, Any]:
        """Read the field's arguments, defaults and variables filled in."""
        if self.fixed_arguments is not None:
            return self.fixed_arguments
        return get_argument_values(self.definition, self.node, variables)


class Planner:
    """
    Plans one document.

    `leaves` and `resolvers` say how a type's fields are read, `type_name` what a value is.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        leaves: Mapping[str, Mapping[str, Callable[[Any], Any]]],
        resolvers: Mapping[str, Mapping[str, Resolver]],
        type_name: Callable[[Any], str],
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Any,
    ) -> None:
        self._schema = schema
        self._leaves = leaves
        self._resolvers = resolvers
        self._type_name = type_name
        self._fragments = fragments
        self._variables = variables

    def plan(self, kind: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> Sequence[Step]:
        """Plan what is selected of one object type, same response keys merged."""
        gathered: dict[str, list[FieldNode]] = {}
        for one in sets:
            self._gather(kind, one, gathered)
        return [self._step(kind, key, nodes) for key, nodes in gathered.items()]

    def _gather(
        self, kind: GraphQLObjectType, selected: SelectionSetNode, into: dict[str, list[FieldNode]]
    ) -> None:
        for node in selected.selections:
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                key = (node.alias or node.name).value
                into.setdefault(key, []).append(node)
                continue
            part = self._fragment(node)
            if part.type_condition is None or self._is_a(kind, part.type_condition.name.value):
                self._gather(kind, part.selection_set, into)

    def _fragment(self, node: SelectionNode) -> InlineFragmentNode | FragmentDefinitionNode:
        if isinstance(node, FragmentSpreadNode):
            return self._fragments[node.name.value]
        assert isinstance(node, InlineFragmentNode)
        return node

    def _is_included(self, node: SelectionNode) -> bool:
        skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
        include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        return not (skip and skip["if"]) and not (include and not include["if"])

    def _is_a(self, kind: GraphQLObjectType, name: str) -> bool:
        named = self._schema.get_type(name)
        return named is kind or (is_abstract_type(named) and self._schema.is_sub_type(named, kind))

    def _step(self, kind: GraphQLObjectType, key: str, nodes: Sequence[FieldNode]) -> Step:
        name = nodes[0].name.value
        if name == "__typename":
            return Step(key, name, nodes[0], _TYPE_NAME, visit=lambda parent, run: kind.name)
        step = Step(key, name, nodes[0], kind.fields[name])
        if not _has_variables(nodes[0]):
            step.fixed_arguments = get_argument_values(step.definition, nodes[0])
        named = get_named_type(step.definition.type)
        if is_leaf_type(named):
            step.visit = _leaf(self._leaves[kind.name][name])
            return step
        below = [node.selection_set for node in nodes if node.selection_set is not None]
        step.below = {one.name: self.plan(one, below) for one in self._possible(named)}
        step.visit = _composite(step, self._resolvers[kind.name][name], self._type_name)
        return step

    def _possible(self, named: Any) -> Iterator[GraphQLObjectType]:
        yield from self._schema.get_possible_types(named) if is_abstract_type(named) else [named]


_TYPE_NAME = GraphQLField(None)  # type: ignore[arg-type]


def walk(steps: Sequence[Step], parent: Any, run: Run) -> dict[str, Any]:
    """
    Answer a selection of one object.

    :raises Nulled: a field that must not be null has failed
    """
    return {step.key: step.visit(parent, run) for step in steps}


def _leaf(read: Callable[[Any], Any]) -> Callable[[Any, Run], Any]:
    return lambda parent, run: read(parent)


def _composite(
    step: Step, resolve: Resolver, type_name: Callable[[Any], str]
) -> Callable[[Any, Run], Any]:
    """Make the visit of a field that holds an object or a list of them."""
    required = is_non_null_type(step.definition.type)
    is_list = is_list_type(get_nullable_type(step.definition.type))
    only = next(iter(step.below.values())) if len(step.below) == 1 else None

    def visit_one(value: Any, run: Run) -> Any:
        if value is None:
            return None
        return walk(only if only is not None else step.below[type_name(value)], value, run)

    complete = _each(step, visit_one) if is_list else visit_one

    def visit(parent: Any, run: Run) -> Any:
        run.path.append(step.key)
        try:
            return complete(resolve(parent, step.arguments(run.variables), run, step), run)
        except Failed as failed:
            note(failed, step, run)
            if required:
                raise Nulled from failed
            return None
        except Nulled:
            if required:
                raise
            return None
        finally:
            run.path.pop()

    return visit


def _each(step: Step, visit_one: Callable[[Any, Run], Any]) -> Callable[[Any, Run], Any]:
    """Make the visit of a list whose items may be null; an item may be a failure itself."""

    def visit_all(values: Sequence[Any] | None, run: Run) -> Any:
        if values is None:
            return None
        return [item(index, value, run) for index, value in enumerate(values)]

    def item(index: int, value: Any, run: Run) -> Any:
        run.path.append(index)
        try:
            if isinstance(value, Failed):
                note(value, step, run)
                return None
            return visit_one(value, run)
        except Nulled:
            return None
        finally:
            run.path.pop()

    return visit_all


def note(failed: Failed, step: Step, run: Run) -> None:
    """Write down that a field failed, in GitHub's shape."""
    run.errors.append(
        {
            "type": failed.kind,
            "path": list(run.path),
            "locations": locations(step.node),
            "message": str(failed),
        }
    )


def locations(node: FieldNode) -> list[dict[str, int]]:
    """Say where in the query a field stands."""
    if node.loc is None:
        return []
    token = node.loc.start_token
    return [{"line": token.line, "column": token.column}]


def _has_variables(node: FieldNode) -> bool:
    places = [argument.loc for argument in node.arguments or ()]
    return any(loc is None or "$" in loc.source.body[loc.start : loc.end] for loc in places)
