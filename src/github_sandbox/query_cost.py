"""
Cost of a GraphQL query, computed from its document before it is executed.

By GitHub's documented formula: every connection counts as one request per possible parent, and its
nodes as many as it can return; 100 requests are one point. A connection without `first` or `last`,
which returns only a count, is free.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_argument_values,
    get_directive_values,
    get_named_type,
    is_abstract_type,
)

from github_sandbox.connections import get_page_size

MAX_NODES = 500_000
_REQUESTS_PER_POINT = 100


class QueryCost(msgspec.Struct, frozen=True, order=True):
    """Requests that GitHub counts for a query, and nodes that it can return."""

    requests: int = 0
    nodes: int = 0

    def __add__(self, other: "QueryCost") -> "QueryCost":
        return QueryCost(self.requests + other.requests, self.nodes + other.nodes)

    @property
    def points(self) -> int:
        """Points charged to the rate limit: rounded to the nearest, at least 1."""
        half = _REQUESTS_PER_POINT // 2
        return max(1, (self.requests + half) // _REQUESTS_PER_POINT)


@dataclass(frozen=True, slots=True)
class Selections:
    """
    Reads selections of a document as the executor does: fragments and directives applied.

    `variables` is what `graphql.get_variable_values` returns.
    """

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Any

    def collect_fields(
        self, parent_type: GraphQLObjectType, selection_sets: Iterable[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """
        Return the fields selected on an object type, by response key.

        https://spec.graphql.org/draft/#CollectFields()
        """
        fields: dict[str, list[FieldNode]] = {}
        for selection_set in selection_sets:
            for node in selection_set.selections:
                if node.directives and not self._is_included(node):
                    continue
                if isinstance(node, FieldNode):
                    fields.setdefault((node.alias or node.name).value, []).append(node)
                    continue
                fragment = self._get_fragment(node)
                if self._applies_to(fragment, parent_type):
                    nested = self.collect_fields(parent_type, [fragment.selection_set])
                    for key, nodes in nested.items():
                        fields.setdefault(key, []).extend(nodes)
        return fields

    def get_arguments(self, parent_type: GraphQLObjectType, node: FieldNode) -> dict[str, Any]:
        """Return a field's arguments, with defaults and variables filled in."""
        return get_argument_values(parent_type.fields[node.name.value], node, self.variables)

    def get_possible_types(
        self, parent_type: GraphQLObjectType, node: FieldNode
    ) -> Sequence[GraphQLObjectType]:
        """Return the object types that a field can return."""
        named_type: Any = get_named_type(parent_type.fields[node.name.value].type)
        if is_abstract_type(named_type):
            return self.schema.get_possible_types(named_type)
        return [named_type]

    def _is_included(self, node: SelectionNode) -> bool:
        skip = get_directive_values(GraphQLSkipDirective, node, self.variables)
        include = get_directive_values(GraphQLIncludeDirective, node, self.variables)
        return not (skip and skip["if"]) and not (include and not include["if"])

    def _get_fragment(self, node: SelectionNode) -> InlineFragmentNode | FragmentDefinitionNode:
        if isinstance(node, FragmentSpreadNode):
            return self.fragments[node.name.value]
        assert isinstance(node, InlineFragmentNode)
        return node

    def _applies_to(
        self,
        fragment: InlineFragmentNode | FragmentDefinitionNode,
        object_type: GraphQLObjectType,
    ) -> bool:
        if fragment.type_condition is None:
            return True
        condition = self.schema.get_type(fragment.type_condition.name.value)
        return condition is object_type or (
            is_abstract_type(condition) and self.schema.is_sub_type(condition, object_type)
        )


def compute_cost(
    selections: Selections,
    parent_type: GraphQLObjectType,
    selection_sets: Iterable[SelectionSetNode],
    *,
    parents: int = 1,
) -> QueryCost:
    """Return the cost of a selection that is executed for at most `parents` objects of a type."""
    total = QueryCost()
    for nodes in selections.collect_fields(parent_type, selection_sets).values():
        nested_sets = [node.selection_set for node in nodes if node.selection_set is not None]
        if not nested_sets:
            continue
        node, children = nodes[0], parents
        definition = parent_type.fields[node.name.value]
        if "ids" in definition.args:
            children = parents * len(selections.get_arguments(parent_type, node)["ids"])
        elif "first" in definition.args:
            page_size = get_page_size(selections.get_arguments(parent_type, node)) or 0
            children = parents * page_size
            total += QueryCost(parents if page_size else 0, children)
        # An interface is charged as its most expensive type.
        total += max(
            compute_cost(selections, object_type, nested_sets, parents=children)
            for object_type in selections.get_possible_types(parent_type, node)
        )
    return total
