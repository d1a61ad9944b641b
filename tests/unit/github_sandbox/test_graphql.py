"""GraphQL queries: results, errors, costs."""

from collections.abc import Mapping
from typing import Any

import pytest
from graphql import get_named_type, is_leaf_type, is_object_type

from github_sandbox.account_store import AccountStore
from github_sandbox.generator import AccountGenerator
from github_sandbox.graphql import QueryRejected
from github_sandbox.models import Account
from github_sandbox.resolvers import load_schema
from tests.unit.github_sandbox.queries import execute, prepare

PAGE = "first: 100, ownerAffiliations: [OWNER], privacy: PUBLIC"


def execute_without_errors(query: str, **variables: Any) -> dict[str, Any]:
    result = execute(query, **variables)
    assert "errors" not in result
    data: dict[str, Any] = result["data"]
    return data


def rejection(query: str, **variables: Any) -> Mapping[str, Any]:
    with pytest.raises(QueryRejected) as caught:
        prepare(query, **variables)
    return caught.value.errors[0]


def node_id(login: str) -> str:
    owner = execute_without_errors(f'{{ repositoryOwner(login: "{login}") {{ id }} }}')
    return str(owner["repositoryOwner"]["id"])


def test_fragments_aliases_and_types_are_resolved() -> None:
    query = """
    query ($l: String!) {
      a: repositoryOwner(login: $l) { ...F ... on User { followers { totalCount } } }
      b: repositoryOwner(login: "UMBRA-labs") { ...F ... on User { followers { totalCount } } }
      c: repositoryOwner(login: "nobody") { login }
    }
    fragment F on RepositoryOwner { __typename login ... on Node { id } }
    """
    data = execute_without_errors(query, l="camelcleo")
    assert data["a"]["__typename"] == "User"
    assert data["a"]["login"] == "CamelCleo"
    assert data["a"]["followers"]["totalCount"] >= 0
    assert set(data["b"]) == {"__typename", "login", "id"}
    assert data["b"]["__typename"] == "Organization"
    assert data["c"] is None


def test_fields_with_the_same_response_key_are_merged() -> None:
    query = """{
      repositoryOwner(login: "dev-1") { repositories(first: 1) { totalCount } }
      repositoryOwner(login: "dev-1") { login repositories(first: 1) { nodes { name } } }
    }"""
    owner = execute_without_errors(query)["repositoryOwner"]
    assert owner["login"] == "dev-1"
    assert owner["repositories"]["totalCount"] == 30
    assert len(owner["repositories"]["nodes"]) == 1


@pytest.mark.parametrize(("is_included", "keys"), [(True, {"login", "id"}), (False, {"login"})])
def test_directives_include_and_skip_fields(is_included: bool, keys: set[str]) -> None:
    query = """query ($w: Boolean!) {
      repositoryOwner(login: "dev-1") { login id @include(if: $w) __typename @skip(if: true) }
    }"""
    assert set(execute_without_errors(query, w=is_included)["repositoryOwner"]) == keys


def test_repositories_are_filtered_and_sorted() -> None:
    query = """{ repositoryOwner(login: "dev-1") {
      all: repositories { totalCount }
      forks: repositories(isFork: true) { totalCount }
      own: repositories(isFork: false) { totalCount }
      active: repositories(isArchived: false) { totalCount }
      private: repositories(privacy: PRIVATE) { totalCount }
      others: repositories(ownerAffiliations: [COLLABORATOR]) { totalCount }
      by_stars: repositories(first: 100, orderBy: {field: STARGAZERS, direction: DESC}) {
        edges { cursor node { stargazerCount } }
      }
    } }"""
    owner = execute_without_errors(query)["repositoryOwner"]
    counts = {
        name: connection["totalCount"] for name, connection in owner.items() if name != "by_stars"
    }
    assert counts["all"] == 30 == counts["forks"] + counts["own"]
    assert counts["active"] <= 30
    assert counts["private"] == counts["others"] == 0
    stars = [edge["node"]["stargazerCount"] for edge in owner["by_stars"]["edges"]]
    assert stars == sorted(stars, reverse=True)


@pytest.mark.parametrize("field", ["CREATED_AT", "UPDATED_AT", "PUSHED_AT", "NAME", "STARGAZERS"])
def test_cursors_reach_all_repositories_in_both_directions(field: str) -> None:
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
        page = execute_without_errors(query % field, first=100, after=after)["repositoryOwner"][
            "repositories"
        ]
        forwards += [node["databaseId"] for node in page["nodes"]]
    backwards: list[int] = []
    page = {"pageInfo": {"hasPreviousPage": True, "startCursor": None}}
    while page["pageInfo"]["hasPreviousPage"]:
        before = page["pageInfo"]["startCursor"]
        page = execute_without_errors(query % field, last=90, before=before)["repositoryOwner"][
            "repositories"
        ]
        backwards = [node["databaseId"] for node in page["nodes"]] + backwards
    assert len(set(forwards)) == 250
    assert forwards == backwards


@pytest.mark.parametrize(
    ("arguments", "error_type", "message"),
    [
        ("first: 101", "EXCESSIVE_PAGINATION", "Requesting 101 records"),
        ("last: 500", "EXCESSIVE_PAGINATION", "`last` limit of 100"),
        ("isFork: true", "MISSING_PAGINATION_BOUNDARIES", "`first` or `last`"),
        ("first: -1", "ARGUMENT_ERROR", "negative"),
        ('first: 1, after: "junk"', "INVALID_CURSOR_ARGUMENTS", "`junk` does not appear"),
    ],
)
def test_invalid_page_arguments_null_that_owner_only(
    arguments: str, error_type: str, message: str
) -> None:
    query = """{
      a: repositoryOwner(login: "dev-1") { repositories(%s) { nodes { name } } }
      b: repositoryOwner(login: "dev-2") { login }
    }"""
    result = execute(query % arguments)
    assert result["data"] == {"a": None, "b": {"login": "dev-2"}}
    [error] = result["errors"]
    assert (error["type"], error["path"]) == (error_type, ["a", "repositories"])
    assert message in error["message"]
    assert error["locations"][0]["line"] == 2


def test_unknown_node_ids_are_null_with_an_error() -> None:
    known = node_id("dev-1")
    result = execute("query ($i: [ID!]!) { nodes(ids: $i) { id } }", i=["x", known])
    assert result["data"] == {"nodes": [None, {"id": known}]}
    assert [error["path"] for error in result["errors"]] == [["nodes", 0]]
    result = execute('{ node(id: "x") { id } }')
    assert result["data"] == {"node": None}
    assert result["errors"][0]["type"] == "NOT_FOUND"


def test_error_below_a_node_nulls_that_node() -> None:
    known = node_id("dev-1")
    query = """query ($i: [ID!]!) {
      nodes(ids: $i) { ... on User { repositories(first: 200) { nodes { id } } } }
    }"""
    result = execute(query, i=[known])
    assert result["data"] == {"nodes": [None]}
    assert result["errors"][0]["path"] == ["nodes", 0, "repositories"]


def test_more_than_100_node_ids_are_an_error() -> None:
    result = execute("query ($i: [ID!]!) { nodes(ids: $i) { id } }", i=["x"] * 101)
    assert result["data"] is None
    assert result["errors"][0]["type"] == "ARGUMENT_LIMIT"


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
def test_invalid_query_is_rejected(query: str, message: str) -> None:
    assert message in rejection(query)["message"]


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
def test_cost_follows_the_documented_formula(query: str, cost: int, nodes: int) -> None:
    limit = execute_without_errors(query)["rateLimit"]
    assert (limit["cost"], limit["nodeCount"]) == (cost, nodes)
    assert prepare(query).points == cost


def test_cost_counts_each_node_id() -> None:
    query = """query ($i: [ID!]!) {
      nodes(ids: $i) { ... on RepositoryOwner { repositories(first: 100) { nodes { name } } } }
      rateLimit { cost nodeCount }
    }"""
    assert execute(query, i=["x"] * 100)["data"]["rateLimit"] == {"cost": 1, "nodeCount": 10_000}


def test_query_of_more_than_500000_nodes_is_rejected() -> None:
    below = f"... on RepositoryOwner {{ repositories({PAGE}) {{ nodes {{ name }} }} }}"
    aliases = (f"a{n}: nodes(ids: $i) {{ {below} }}" for n in range(51))
    error = rejection(f"query ($i: [ID!]!) {{ {' '.join(aliases)} }}", i=["x"] * 100)
    assert error["type"] == "MAX_NODE_LIMIT_EXCEEDED"
    assert "510,000" in error["message"]


def test_dry_run_returns_the_cost_and_charges_nothing() -> None:
    query = """{
      rateLimit(dryRun: true) { cost nodeCount }
      repositoryOwner(login: "dev-1") { repositories(first: 7) { nodes { name } } }
    }"""
    assert execute_without_errors(query) == {"rateLimit": {"cost": 1, "nodeCount": 7}}
    assert prepare(query).points == 0


def test_cost_of_the_documentations_example_is_51_points() -> None:
    # https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
    # has 1 + 100 + 5,000 requests; here 51 aliases of 100 node ids with one connection each.
    below = "... on RepositoryOwner { repositories(first: 1) { nodes { name } } }"
    aliases = " ".join(f"a{index}: nodes(ids: $i) {{ {below} }}" for index in range(51))
    cost = prepare(f"query ($i: [ID!]!) {{ {aliases} }}", i=["x"] * 100).cost
    assert (cost.requests, cost.nodes, cost.points) == (5_100, 5_100, 51)


def test_cost_of_an_interface_is_that_of_its_most_expensive_type() -> None:
    query = """{ repositoryOwner(login: "x") {
      ... on User { repositories(first: 10) { nodes { name } } }
      ... on Organization { repositories(first: 90) { nodes { name } } }
    } }"""
    assert prepare(query).cost.nodes == 90


@pytest.mark.parametrize(("is_included", "nodes"), [(True, 50), (False, 0)])
def test_cost_ignores_excluded_fields(is_included: bool, nodes: int) -> None:
    query = """query ($w: Boolean!) { repositoryOwner(login: "x") {
      repositories(first: 50) @include(if: $w) { nodes { name } } login
    } }"""
    assert prepare(query, w=is_included).cost.nodes == nodes


def test_null_variable_for_a_required_argument_is_an_error() -> None:
    result = execute('query ($l: String = "x") { repositoryOwner(login: $l) { login } }', l=None)
    assert result["data"] == {"repositoryOwner": None}
    assert "null" in result["errors"][0]["message"]
    query = 'query ($i: [ID!] = ["x"]) { nodes(ids: $i) { id } }'
    assert "null" in rejection(query, i=None)["message"]


def test_truncated_query_omits_the_last_owner() -> None:
    result = execute(
        """{
          a: repositoryOwner(login: "dev-1") { login }
          b: repositoryOwner(login: "dev-2") { login }
          viewer { login }
        }""",
        is_truncated=True,
    )
    assert result["data"]["a"] == {"login": "dev-1"}
    assert result["data"]["b"] is None
    assert [(error["type"], error["path"]) for error in result["errors"]] == [
        ("RESOURCE_LIMITS_EXCEEDED", ["b"])
    ]


def test_truncated_query_omits_the_last_node() -> None:
    ids = [node_id("dev-1"), node_id("dev-2")]
    query = "query ($i: [ID!]!) { nodes(ids: $i) { id } }"
    result = execute(query, i=ids, is_truncated=True)
    assert result["data"] == {"nodes": [{"id": ids[0]}, None]}
    assert result["errors"][0]["path"] == ["nodes", 1]


def test_truncated_query_omits_a_single_node() -> None:
    query = "query ($i: ID!) { node(id: $i) { id } }"
    result = execute(query, i=node_id("dev-1"), is_truncated=True)
    assert result["data"] == {"node": None}
    assert result["errors"][0]["type"] == "RESOURCE_LIMITS_EXCEEDED"


def leaf_fields(type_name: str) -> list[str]:
    object_type = load_schema().type_map[type_name]
    assert is_object_type(object_type)
    return [
        name
        for name, field in object_type.fields.items()
        if is_leaf_type(get_named_type(field.type))
    ]


@pytest.mark.parametrize(
    ("type_name", "query"),
    [
        ("User", '{ repositoryOwner(login: "dev-1") { ... on User { %s } } }'),
        ("Organization", '{ repositoryOwner(login: "umbra-labs") { ... on Organization { %s } } }'),
        ("Repository", '{ repository(owner: "mia-maintains", name: "quick-journal") { %s } }'),
        (
            "PageInfo",
            '{ repositoryOwner(login: "dev-1") { repositories(first: 1) { pageInfo { %s } } } }',
        ),
        ("RateLimit", "{ rateLimit { %s } }"),
    ],
)
def test_every_leaf_field_of_a_type_is_resolved(type_name: str, query: str) -> None:
    names = leaf_fields(type_name)
    value: Any = execute_without_errors(query % " ".join(names))
    # Descend through objects and lists of a single element to the selected fields.
    while isinstance(value, list) or set(value) != set(names):
        [value] = value.values() if isinstance(value, dict) else value
    assert None not in value.values()


def test_bug_in_a_resolver_is_not_reported_as_a_query_error() -> None:
    class BrokenStore(AccountStore):
        def by_login(self, login: str) -> Account | None:
            raise RuntimeError(login)

    accounts = BrokenStore(AccountGenerator(seed=1))
    with pytest.raises(RuntimeError, match="dev-1"):
        execute('{ repositoryOwner(login: "dev-1") { login } }', accounts=accounts)
