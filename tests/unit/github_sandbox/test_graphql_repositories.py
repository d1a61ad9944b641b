"""GraphQL queries for languages and single repositories."""

from typing import Any

import pytest

from github_sandbox.account_store import AccountStore
from tests.unit.github_sandbox.queries import NOW, cost, execute

LANGUAGES = """
languages(first: 10, orderBy: {field: SIZE, direction: DESC}) {
  totalSize totalCount edges { size node { name color } }
}
"""
OWNER_LANGUAGES = f"""
login databaseId followers {{ totalCount }} following {{ totalCount }}
repositories(first: 100, ownerAffiliations: [OWNER], privacy: PUBLIC,
             orderBy: {{field: STARGAZERS, direction: DESC}}) {{
  totalCount pageInfo {{ hasNextPage endCursor }}
  nodes {{ stargazerCount isFork primaryLanguage {{ name }} {LANGUAGES} }}
}}
"""


@pytest.mark.parametrize(("owners", "points", "nodes"), [(1, 1, 1_100), (20, 20, 22_000)])
def test_languages_cost_a_point_per_owner(owners: int, points: int, nodes: int) -> None:
    aliases = (f'u{n}: user(login: "x") {{ {OWNER_LANGUAGES} }}' for n in range(owners))
    query_cost = cost(f"{{ {' '.join(aliases)} }}")
    assert (query_cost.requests, query_cost.points, query_cost.nodes) == (
        101 * owners,
        points,
        nodes,
    )


def test_languages_by_size() -> None:
    query = f'{{ user(login: "dev-1") {{ {OWNER_LANGUAGES} }} }}'
    nodes = execute(query)["data"]["user"]["repositories"]["nodes"]
    assert len(nodes) == 30
    counts = set()
    for node in nodes:
        languages = node["languages"]
        sizes = [edge["size"] for edge in languages["edges"]]
        names = [edge["node"]["name"] for edge in languages["edges"]]
        main = node["primaryLanguage"]
        assert names[:1] == ([main["name"]] if main else [])
        assert sizes == sorted(sizes, reverse=True)
        assert len(names) == min(10, languages["totalCount"])
        assert (sum(sizes) == languages["totalSize"]) is (languages["totalCount"] <= 10)
        assert all(edge["node"]["color"].startswith("#") for edge in languages["edges"])
        counts.add(languages["totalCount"])
    assert max(counts) > 10


def test_languages_are_paginated() -> None:
    query = """query ($after: String) { repository(owner: "mia-maintains", name: "fast-journal") {
      languages(first: 2, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { name }
      }
    } }"""
    names: list[str] = []
    page: dict[str, Any] = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        after = page["pageInfo"]["endCursor"]
        page = execute(query, after=after)["data"]["repository"]["languages"]
        names += [node["name"] for node in page["nodes"]]
    assert names == sorted(names)
    assert len(names) == page["totalCount"] > 2


@pytest.mark.parametrize(
    ("arguments", "error_type"),
    [
        ("", "MISSING_PAGINATION_BOUNDARIES"),
        ("(first: 101)", "EXCESSIVE_PAGINATION"),
        ('(first: 1, after: "junk")', "INVALID_CURSOR_ARGUMENTS"),
    ],
)
def test_invalid_page_of_languages_is_null(arguments: str, error_type: str) -> None:
    query = f"""{{ repository(owner: "mia-maintains", name: "fast-journal") {{
      name languages{arguments} {{ nodes {{ name }} }}
    }} }}"""
    result = execute(query)
    assert result["data"]["repository"] == {"name": "fast-journal", "languages": None}
    assert result["errors"][0]["type"] == error_type
    assert "`languages`" in result["errors"][0]["message"] or "junk" in arguments


REPOSITORY = """
fragment R on Repository {
  id databaseId name nameWithOwner description url homepageUrl isPrivate isArchived
  licenseInfo { spdxId name key }
  owner { __typename login id ... on User { databaseId } }
  languages { totalSize totalCount }
}
"""


def test_repository_by_name_and_by_id() -> None:
    by_name = """{ repository(owner: "MIA-maintains", name: "Quick-Journal") { ...R } }"""
    shown = execute(by_name + REPOSITORY)["data"]["repository"]
    assert shown["nameWithOwner"] == "mia-maintains/quick-journal"
    assert shown["url"] == "https://github.com/mia-maintains/quick-journal"
    assert shown["description"] == "A diary in Markdown files (work in progress)"
    assert shown["licenseInfo"] == {
        "spdxId": "GPL-3.0",
        "name": "GNU General Public License v3.0",
        "key": "gpl-3.0",
    }
    assert shown["homepageUrl"] == "https://quick-journal.example"
    assert (shown["owner"]["__typename"], shown["owner"]["login"]) == ("User", "mia-maintains")
    assert shown["isPrivate"] is False
    by_ids = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ...R } }" + REPOSITORY
    ids = [shown["id"], shown["owner"]["id"], "R_kgDOCPDRgQ"]
    result = execute(by_ids, ids=ids)
    assert result["data"]["nodes"] == [
        {"__typename": "Repository", **shown},
        {"__typename": "User"},
        None,
    ]
    by_id = "query ($id: ID!) { node(id: $id) { ...R } }" + REPOSITORY
    assert execute(by_id, id=shown["id"])["data"]["node"] == shown


def test_repository_of_an_organization_has_its_identity(accounts: AccountStore) -> None:
    umbra = accounts.by_login("umbra-labs")
    assert umbra is not None
    query = """query ($n: String!) { repository(owner: "umbra-labs", name: $n) {
      owner { __typename id login }
    } }"""
    result = execute(query, n=umbra.repositories[0].name, accounts=accounts)
    assert result["data"]["repository"]["owner"] == {
        "__typename": "Organization",
        "id": umbra.node_id,
        "login": "umbra-labs",
    }


def test_unknown_repository_is_not_found() -> None:
    query = """{ a: repository(owner: "dev-1", name: "zz") { name }
                 b: repository(owner: "zz", name: "zz") { name } }"""
    result = execute(query)
    assert result["data"] == {"a": None, "b": None}
    assert [(error["type"], error["message"]) for error in result["errors"]] == [
        ("NOT_FOUND", "Could not resolve to a Repository with the name 'dev-1/zz'."),
        ("NOT_FOUND", "Could not resolve to a Repository with the name 'zz/zz'."),
    ]


def test_renames_of_repositories_and_owners_are_followed_unless_disabled(
    accounts: AccountStore,
) -> None:
    accounts.rename_repository("mia-maintains", "quick-journal", to="Diary", now=NOW)
    accounts.rename("mia-maintains", to="mia", now=NOW)
    query = """query ($o: String!, $n: String!, $f: Boolean) {
      repository(owner: $o, name: $n, followRenames: $f) { nameWithOwner }
    }"""
    for owner, name in (
        ("mia", "diary"),
        ("mia", "quick-journal"),
        ("mia-maintains", "diary"),
        ("mia-maintains", "quick-journal"),
    ):
        result = execute(query, o=owner, n=name, accounts=accounts)
        assert result["data"]["repository"] == {"nameWithOwner": "mia/Diary"}
        unfollowed = execute(query, o=owner, n=name, f=False, accounts=accounts)
        is_current = (owner, name) == ("mia", "diary")
        assert (unfollowed["data"]["repository"] is not None) is is_current


@pytest.mark.parametrize(
    "last",
    ['user(login: "dev-2")', 'repository(owner: "mia-maintains", name: "quick-journal")'],
)
def test_truncated_query_omits_the_last_user_or_repository(last: str) -> None:
    query = f'{{ a: user(login: "dev-1") {{ login }} b: {last} {{ id }} }}'
    result = execute(query, is_truncated=True)
    assert result["data"] == {"a": {"login": "dev-1"}, "b": None}
    assert [(error["type"], error["path"]) for error in result["errors"]] == [
        ("RESOURCE_LIMITS_EXCEEDED", ["b"])
    ]
