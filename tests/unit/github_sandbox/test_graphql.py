"""Queries: their answers, errors and prices."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from github_sandbox.account_store import AccountStore
from github_sandbox.generator import AccountGenerator
from github_sandbox.graphql import GraphQL, GraphQLRequest, QueryRejected
from github_sandbox.rate_limits import RateLimitStatus, Resource

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PAGE = "first: 100, ownerAffiliations: [OWNER], privacy: PUBLIC"


class Asker:
    def __init__(self) -> None:
        self.population = AccountStore(AccountGenerator(seed=1))
        self.graphql = GraphQL(self.population)
        self.spent: list[int] = []

    def __call__(self, query: str, *, points: int = 5_000, **variables: Any) -> dict[str, Any]:
        def spend(cost: int) -> RateLimitStatus | None:
            self.spent.append(cost)
            left = points - cost
            return (
                RateLimitStatus(5_000, left, cost, 3_600, Resource.GRAPHQL) if left >= 0 else None
            )

        viewer = self.population.token_owner(9, now=NOW)
        return self.graphql.answer(GraphQLRequest(query, variables), viewer=viewer, spend=spend)

    def data(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = self(query, **variables)
        assert "errors" not in answer
        data: dict[str, Any] = answer["data"]
        return data

    def refusal(self, query: str, **variables: Any) -> Mapping[str, Any]:
        with pytest.raises(QueryRejected) as caught:
            self(query, **variables)
        return caught.value.errors[0]


@pytest.fixture
def ask() -> Asker:
    return Asker()


def test_fragments_aliases_and_types(ask: Asker) -> None:
    query = """
    query ($l: String!) {
      a: repositoryOwner(login: $l) { ...F ... on User { followers { totalCount } } }
      b: repositoryOwner(login: "UMBRA-labs") { ...F ... on User { followers { totalCount } } }
      c: repositoryOwner(login: "nobody") { login }
    }
    fragment F on RepositoryOwner { __typename login ... on Node { id } }
    """
    data = ask.data(query, l="camelcleo")
    assert data["a"]["__typename"] == "User"
    assert data["a"]["login"] == "CamelCleo"
    assert data["a"]["followers"]["totalCount"] >= 0
    assert set(data["b"]) == {"__typename", "login", "id"}
    assert data["b"]["__typename"] == "Organization"
    assert data["c"] is None


def test_fields_of_the_same_name_are_merged(ask: Asker) -> None:
    query = """{
      repositoryOwner(login: "dev-1") { repositories(first: 1) { totalCount } }
      repositoryOwner(login: "dev-1") { login repositories(first: 1) { nodes { name } } }
    }"""
    owner = ask.data(query)["repositoryOwner"]
    assert owner["login"] == "dev-1"
    assert owner["repositories"]["totalCount"] == 30
    assert len(owner["repositories"]["nodes"]) == 1


@pytest.mark.parametrize(("wanted", "keys"), [(True, {"login", "id"}), (False, {"login"})])
def test_directives_are_obeyed(ask: Asker, wanted: bool, keys: set[str]) -> None:
    query = """query ($w: Boolean!) {
      repositoryOwner(login: "dev-1") { login id @include(if: $w) __typename @skip(if: true) }
    }"""
    assert set(ask.data(query, w=wanted)["repositoryOwner"]) == keys


def test_filters_and_order(ask: Asker) -> None:
    query = """{ repositoryOwner(login: "dev-1") {
      all: repositories { totalCount }
      forks: repositories(isFork: true) { totalCount }
      own: repositories(isFork: false) { totalCount }
      kept: repositories(isArchived: false) { totalCount }
      private: repositories(privacy: PRIVATE) { totalCount }
      others: repositories(ownerAffiliations: [COLLABORATOR]) { totalCount }
      famous: repositories(first: 100, orderBy: {field: STARGAZERS, direction: DESC}) {
        edges { cursor node { stargazerCount } }
      }
    } }"""
    owner = ask.data(query)["repositoryOwner"]
    counts = {name: one["totalCount"] for name, one in owner.items() if name != "famous"}
    assert counts["all"] == 30 == counts["forks"] + counts["own"]
    assert counts["kept"] <= 30
    assert counts["private"] == counts["others"] == 0
    stars = [edge["node"]["stargazerCount"] for edge in owner["famous"]["edges"]]
    assert stars == sorted(stars, reverse=True)


@pytest.mark.parametrize("field", ["CREATED_AT", "UPDATED_AT", "PUSHED_AT", "NAME", "STARGAZERS"])
def test_cursors_walk_the_whole_list_both_ways(ask: Asker, field: str) -> None:
    query = """query ($first: Int, $after: String, $last: Int, $before: String) {
      repositoryOwner(login: "big-250") {
        repositories(first: $first, after: $after, last: $last, before: $before,
                     orderBy: {field: %s, direction: DESC}) {
          pageInfo { hasNextPage endCursor hasPreviousPage startCursor }
          nodes { databaseId }
        }
      }
    }"""
    forwards: list[int] = []
    page: dict[str, Any] = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        after = page["pageInfo"]["endCursor"]
        page = ask.data(query % field, first=100, after=after)["repositoryOwner"]["repositories"]
        forwards += [node["databaseId"] for node in page["nodes"]]
    backwards: list[int] = []
    page = {"pageInfo": {"hasPreviousPage": True, "startCursor": None}}
    while page["pageInfo"]["hasPreviousPage"]:
        before = page["pageInfo"]["startCursor"]
        page = ask.data(query % field, last=90, before=before)["repositoryOwner"]["repositories"]
        backwards = [node["databaseId"] for node in page["nodes"]] + backwards
    assert len(set(forwards)) == 250
    assert forwards == backwards


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ("first: 101", "EXCESSIVE_PAGINATION", "Requesting 101 records"),
        ("last: 500", "EXCESSIVE_PAGINATION", "`last` limit of 100"),
        ("isFork: true", "MISSING_PAGINATION_BOUNDARIES", "`first` or `last`"),
        ("first: -1", "ARGUMENT_ERROR", "negative"),
        ('first: 1, after: "junk"', "INVALID_CURSOR_ARGUMENTS", "`junk` does not appear"),
    ],
)
def test_what_cannot_be_paged_nulls_the_owner_alone(
    ask: Asker, arguments: str, kind: str, message: str
) -> None:
    query = """{
      a: repositoryOwner(login: "dev-1") { repositories(%s) { nodes { name } } }
      b: repositoryOwner(login: "dev-2") { login }
    }"""
    answer = ask(query % arguments)
    assert answer["data"] == {"a": None, "b": {"login": "dev-2"}}
    [error] = answer["errors"]
    assert (error["type"], error["path"]) == (kind, ["a", "repositories"])
    assert message in error["message"]
    assert error["locations"][0]["line"] == 2


def test_unknown_nodes(ask: Asker) -> None:
    known = ask.data('{ repositoryOwner(login: "dev-1") { id } }')["repositoryOwner"]["id"]
    answer = ask("query ($i: [ID!]!) { nodes(ids: $i) { id } }", i=["x", known])
    assert answer["data"] == {"nodes": [None, {"id": known}]}
    assert [error["path"] for error in answer["errors"]] == [["nodes", 0]]
    answer = ask('{ node(id: "x") { id } }')
    assert answer["data"] == {"node": None}
    assert answer["errors"][0]["type"] == "NOT_FOUND"


def test_a_failure_below_a_node_nulls_that_node(ask: Asker) -> None:
    known = ask.data('{ repositoryOwner(login: "dev-1") { id } }')["repositoryOwner"]["id"]
    query = """query ($i: [ID!]!) {
      nodes(ids: $i) { ... on User { repositories(first: 200) { nodes { id } } } }
    }"""
    answer = ask(query, i=[known])
    assert answer["data"] == {"nodes": [None]}
    assert answer["errors"][0]["path"] == ["nodes", 0, "repositories"]


def test_a_hundred_ids_are_the_most(ask: Asker) -> None:
    answer = ask("query ($i: [ID!]!) { nodes(ids: $i) { id } }", i=["x"] * 101)
    assert answer["data"] is None
    assert answer["errors"][0]["type"] == "ARGUMENT_LIMIT"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{", "Syntax Error"),
        ("{ viewer { starCount } }", "Cannot query field 'starCount'"),
        ("query ($l: String!) { repositoryOwner(login: $l) { login } }", "Variable '$l'"),
        ("mutation { x }", "mutation"),
        ("query A { viewer { id } } query B { viewer { id } }", "No operation named None"),
        ("{ __schema { types { name } } }", "schema"),
    ],
)
def test_what_can_not_be_run_is_refused_for_nothing(ask: Asker, query: str, message: str) -> None:
    assert message in ask.refusal(query)["message"]
    assert ask.spent == []


def test_without_points_there_is_no_answer(ask: Asker) -> None:
    with pytest.raises(QueryRejected) as caught:
        ask("{ viewer { id } }", points=0)
    assert caught.value.errors == [
        {"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 9."}
    ]


def owners(count: int, fields: str) -> str:
    aliases = (f'u{n}: repositoryOwner(login: "x") {{ {fields} }}' for n in range(count))
    return f"{{ {' '.join(aliases)} rateLimit {{ cost nodeCount }} }}"


@pytest.mark.parametrize(
    ("query", "cost", "nodes"),
    [
        ("{ rateLimit { cost nodeCount } }", 1, 0),
        (owners(20, f"repositories({PAGE}) {{ nodes {{ name }} }}"), 1, 2_000),
        (owners(100, f"repositories({PAGE}) {{ nodes {{ name }} }}"), 1, 10_000),
        (owners(149, "repositories(first: 50) { nodes { name } }"), 1, 7_450),
        (owners(150, "repositories(first: 50) { nodes { name } }"), 2, 7_500),
        (owners(300, "repositories { totalCount }"), 1, 0),
    ],
)
def test_prices_follow_the_documented_formula(
    ask: Asker, query: str, cost: int, nodes: int
) -> None:
    limit = ask.data(query)["rateLimit"]
    assert (limit["cost"], limit["nodeCount"]) == (cost, nodes)
    assert ask.spent == [cost]


def test_ids_are_priced_each(ask: Asker) -> None:
    query = """query ($i: [ID!]!) {
      nodes(ids: $i) { ... on RepositoryOwner { repositories(first: 100) { nodes { name } } } }
      rateLimit { cost nodeCount }
    }"""
    assert ask(query, i=["x"] * 100)["data"]["rateLimit"] == {"cost": 1, "nodeCount": 10_000}


def test_too_many_possible_nodes(ask: Asker) -> None:
    below = f"... on RepositoryOwner {{ repositories({PAGE}) {{ nodes {{ name }} }} }}"
    aliases = (f"a{n}: nodes(ids: $i) {{ {below} }}" for n in range(51))
    error = ask.refusal(f"query ($i: [ID!]!) {{ {' '.join(aliases)} }}", i=["x"] * 100)
    assert error["type"] == "MAX_NODE_LIMIT_EXCEEDED"
    assert "510,000" in error["message"]
    assert ask.spent == []


def test_a_dry_run_is_priced_and_not_paid(ask: Asker) -> None:
    query = """{
      rateLimit(dryRun: true) { cost nodeCount }
      repositoryOwner(login: "dev-1") { repositories(first: 7) { nodes { name } } }
    }"""
    assert ask.data(query) == {"rateLimit": {"cost": 1, "nodeCount": 7}}
    assert ask.spent == [0]
