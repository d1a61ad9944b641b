"""
What a GraphQL query costs before it runs, by GitHub's documented formula.

Pure. A connection counts once per possible parent, its nodes as often as it may hold; what asks for
no nodes is free.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from github_sandbox.connections import page_size
from github_sandbox.plans import Step

MOST_NODES = 500_000
_REQUESTS_PER_POINT = 100


class Price(msgspec.Struct, frozen=True):
    """Requests that GitHub would need for a query, and nodes that it could return."""

    requests: int = 0
    nodes: int = 0

    @property
    def points(self) -> int:
        """Round to whole points, at least one."""
        half = _REQUESTS_PER_POINT // 2
        return max(1, (self.requests + half) // _REQUESTS_PER_POINT)


def price_of(steps: Sequence[Step], variables: Any, *, parents: int = 1) -> Price:
    """Price a selection that is answered for so many parents."""
    return _sum(_price_of_step(step, variables, parents) for step in steps if step.below)


def _price_of_step(step: Step, variables: Any, parents: int) -> Price:
    own = Price()
    if step.name == "nodes" and "User" in step.below:
        parents *= len(step.arguments(variables)["ids"])
    elif step.name == "repositories":
        size = page_size(step.arguments(variables)) or 0
        own = Price(parents if size else 0, parents * size)
        parents *= size
    branches = [price_of(below, variables, parents=parents) for below in step.below.values()]
    return _sum([own, max(branches, key=lambda one: (one.requests, one.nodes))])


def _sum(prices: Iterable[Price]) -> Price:
    requests = nodes = 0
    for one in prices:
        requests += one.requests
        nodes += one.nodes
    return Price(requests, nodes)
