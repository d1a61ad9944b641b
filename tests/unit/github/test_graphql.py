"""GraphQL queries with their inputs in variables, and parsing of responses owner by owner."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.github.graphql import (
    OwnerPage,
    RepositoryPage,
    Viewer,
    build_id_query,
    build_login_query,
    build_page_query,
    parse_owners_by_id,
    parse_owners_by_login,
    parse_repository_page,
    parse_viewer,
)
from github_banners.github.protocol import Failure, FailureKind, GitHubResponse
from github_banners.models import Owner, Repository
from tests.unit.github.samples import NOW, build_response, owner_node, repository_node

ADA = Owner(1, "Ada", node_id="U_1", display_name="Ada L")
ENGINE = Repository(7, "repository-7", stars=3, forks=2, language="Python")
PAIR = build_login_query(["Ada", "Bob"])

UNREADABLE_BODIES = [
    b"",
    b'{"data": {"u0": {"id": "U_',
    b"<!DOCTYPE html><title>GitHub</title>",
    b'{"data": {"u0": null, "u1": \xff}}',
    b"[]",
    b"{}",
    b'{"data": null}',
    b'{"data": {"u0": null}}',
]


def parse_pair(data: Any, *errors: Any) -> list[OwnerPage | Failure] | Failure:
    return parse_owners_by_login(
        build_response({"data": data, "errors": list(errors)}), PAIR, now=NOW
    )


def get_failure_kind(result: object) -> FailureKind:
    assert isinstance(result, Failure)
    return result.kind


@pytest.mark.parametrize(
    "query",
    [
        build_login_query(["Ada", 'x") { evil }']),
        build_id_query(["U_1", 'x") { evil }']),
        build_page_query('x") { evil }', after='x") { evil }'),
    ],
)
def test_query_has_its_inputs_in_variables_only(query: Any) -> None:
    written = json.loads(query.to_json())
    assert written == {"query": query.text, "variables": query.variables}
    assert "evil" not in query.text
    assert "evil" in json.dumps(query.variables)
    assert query.text.count("ownerAffiliations: [OWNER], privacy: PUBLIC") == 1


def test_login_query_has_an_alias_for_each_login() -> None:
    query = build_login_query(["a", "b", "c"])
    assert query.aliases == ("u0", "u1", "u2")
    assert query.variables == {"l0": "a", "l1": "b", "l2": "c"}


def test_parse_owners_by_login_returns_them_in_order_of_the_query() -> None:
    bob = owner_node() | {"login": "Bob", "databaseId": 2, "id": "O_2", "name": None}
    results = parse_pair({"u1": bob, "u0": owner_node(repository_node(7)), "rateLimit": None})
    assert results == [
        OwnerPage(ADA, (ENGINE,), total=1, next_cursor=None),
        OwnerPage(Owner(2, "Bob", node_id="O_2"), (), total=0, next_cursor=None),
    ]


def test_parse_owners_by_login_followers_are_those_of_users_only() -> None:
    organisation = owner_node()
    user = owner_node() | {"followers": {"totalCount": 7}}
    results = parse_pair({"u0": user, "u1": organisation})
    assert isinstance(results, list)
    assert [page.followers for page in results if isinstance(page, OwnerPage)] == [7, None]


def test_parse_owners_by_id_null_is_not_found() -> None:
    nodes = [owner_node(repository_node(7), total=101, cursor="Y3"), None]
    error = {"type": "NOT_FOUND", "path": ["nodes", 1], "message": "Could not resolve to a node"}
    results = parse_owners_by_id(
        build_response({"data": {"nodes": nodes}, "errors": [error]}), now=NOW
    )
    assert isinstance(results, list)
    assert results[0] == OwnerPage(ADA, (ENGINE,), total=101, next_cursor="Y3")
    assert results[1] == Failure(FailureKind.NOT_FOUND)


def test_parse_owners_by_login_null_without_error_is_not_found() -> None:
    results = parse_pair({"u0": None, "u1": owner_node()})
    assert isinstance(results, list)
    assert get_failure_kind(results[0]) is FailureKind.NOT_FOUND
    assert isinstance(results[1], OwnerPage)


@pytest.mark.parametrize("path", [["u0"], ["u0", "repositories"]])
def test_parse_owners_by_login_forbidden_owner_is_not_not_found(path: list[str]) -> None:
    error = {"type": "FORBIDDEN", "path": path, "message": "IP allow list enabled"}
    results = parse_pair({"u0": None, "u1": None}, error)
    assert results == [
        Failure(FailureKind.FORBIDDEN, "IP allow list enabled"),
        Failure(FailureKind.NOT_FOUND),
    ]


def test_parse_owners_by_id_forbidden_owner_is_forbidden() -> None:
    error = {"type": "FORBIDDEN", "path": ["nodes", 1], "message": "SAML"}
    results = parse_owners_by_id(
        build_response({"data": {"nodes": [None, None]}, "errors": [error]}), now=NOW
    )
    assert results == [Failure(FailureKind.NOT_FOUND), Failure(FailureKind.FORBIDDEN, "SAML")]


def test_parse_owners_by_login_repositories_without_id_are_skipped() -> None:
    nodes = [None, repository_node(7), repository_node(8, databaseId=None)]
    results = parse_pair({"u0": owner_node(*nodes), "u1": None})
    assert isinstance(results, list)
    assert results[0] == OwnerPage(ADA, (ENGINE,), total=3, next_cursor=None)


def test_parse_owners_by_login_null_list_is_empty() -> None:
    node = owner_node()
    node["repositories"]["nodes"] = None
    results = parse_pair({"u0": node, "u1": None})
    assert isinstance(results, list)
    assert results[0] == OwnerPage(ADA, (), total=0, next_cursor=None)


@pytest.mark.parametrize("language", [None, {"name": "C"}])
def test_parse_owners_by_login_repository_needs_only_id_and_name(
    language: dict[str, str] | None,
) -> None:
    node = {"databaseId": 7, "name": "a", "primaryLanguage": language}
    results = parse_pair({"u0": owner_node(node), "u1": None})
    assert isinstance(results, list)
    assert isinstance(results[0], OwnerPage)
    expected = language["name"] if language else None
    assert results[0].repositories == (Repository(7, "a", language=expected),)


@pytest.mark.parametrize("missing", ["id", "login", "databaseId", "repositories"])
def test_parse_owners_by_login_missing_field_fails_one_owner_only(missing: str) -> None:
    broken = owner_node()
    del broken[missing]
    results = parse_pair({"u0": broken, "u1": owner_node()})
    assert isinstance(results, list)
    assert isinstance(results[0], Failure)
    assert results[0].kind is FailureKind.UNREADABLE
    assert results[0].message.startswith("u0: ")
    assert f"`{missing}`" in results[0].message
    assert isinstance(results[1], OwnerPage)


def test_parse_owners_by_login_invalid_utf8_fails_one_owner_only() -> None:
    body = json.dumps({"data": {"u0": owner_node(), "u1": owner_node()}}).encode()
    results = parse_owners_by_login(
        build_response(body.replace(b'"Ada"', b'"\xff"', 1)), PAIR, now=NOW
    )
    assert isinstance(results, list)
    assert get_failure_kind(results[0]) is FailureKind.UNREADABLE
    assert isinstance(results[1], OwnerPage)


@pytest.mark.parametrize("body", UNREADABLE_BODIES)
def test_parse_unreadable_body_is_a_failure(body: bytes) -> None:
    for failure in (
        parse_owners_by_login(build_response(body), PAIR, now=NOW),
        parse_owners_by_id(build_response(body), now=NOW),
        parse_repository_page(build_response(body), now=NOW),
    ):
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.UNREADABLE
        assert failure.message


def test_parse_owners_by_login_missing_alias_is_named() -> None:
    assert parse_pair({"u0": None}) == Failure(FailureKind.UNREADABLE, "a response without u1")


def test_parse_owners_by_login_secondary_limit_has_only_a_message() -> None:
    body = {"message": "You have exceeded a secondary rate limit.", "documentation_url": "x"}
    assert (
        get_failure_kind(parse_owners_by_login(build_response(body), PAIR, now=NOW))
        is FailureKind.SECONDARY_LIMIT
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "RATE_LIMITED", "message": "API rate limit exceeded"}, FailureKind.PRIMARY_LIMIT),
        ({"type": "RATE_LIMITED", "path": None}, FailureKind.PRIMARY_LIMIT),
        ({"type": "rate_limited", "path": {}}, FailureKind.PRIMARY_LIMIT),
        ({"message": "API rate limit exceeded for user ID 1."}, FailureKind.PRIMARY_LIMIT),
        ({"message": "You have exceeded a secondary rate limit."}, FailureKind.SECONDARY_LIMIT),
        ({"type": "RESOURCE_LIMITS_EXCEEDED", "path": ["u1"]}, FailureKind.TOO_HEAVY),
        ({"message": "Something went wrong while executing your query."}, FailureKind.TOO_HEAVY),
        ({"message": "Field 'stars' doesn't exist on type 'Repository'"}, FailureKind.UNREADABLE),
    ],
)
def test_parse_error_of_the_whole_query_fails_all_owners(
    error: dict[str, Any], kind: FailureKind
) -> None:
    body = {"data": {"u0": owner_node(), "u1": None, "nodes": [], "node": None}, "errors": [error]}
    assert get_failure_kind(parse_owners_by_login(build_response(body), PAIR, now=NOW)) is kind
    assert get_failure_kind(parse_owners_by_id(build_response(body), now=NOW)) is kind
    assert get_failure_kind(parse_repository_page(build_response(body), now=NOW)) is kind


@pytest.mark.parametrize(
    "change",
    [
        {"message": None},
        {"message": 5},
        {"extensions": [{}], "locations": None, "unknown": 1},
        {"path": ["u1", None]},
        {"path": ["u1", 1.5]},
        {"type": "not_found"},
    ],
)
def test_parse_error_of_one_owner_with_other_types_keeps_the_others(change: dict[str, Any]) -> None:
    error = {"type": "NOT_FOUND", "path": ["u1"], "message": "no", **change}
    results = parse_pair({"u0": owner_node(), "u1": None}, error)
    assert isinstance(results, list)
    assert isinstance(results[0], OwnerPage)
    assert results[1] == Failure(FailureKind.NOT_FOUND)


def test_parse_repository_page_has_next_cursor() -> None:
    repositories = owner_node(repository_node(7), cursor="Y3")["repositories"]
    del repositories["totalCount"]
    body = {"data": {"node": {"repositories": repositories}}}
    assert parse_repository_page(build_response(body), now=NOW) == RepositoryPage((ENGINE,), "Y3")


def test_parse_repository_page_last_page_has_no_cursor() -> None:
    node = {"repositories": {"pageInfo": {"hasNextPage": False, "endCursor": "Y9"}, "nodes": []}}
    assert parse_repository_page(
        build_response({"data": {"node": node}}), now=NOW
    ) == RepositoryPage((), None)


def test_parse_repository_page_deleted_owner_is_not_found() -> None:
    assert parse_repository_page(build_response({"data": {"node": None}}), now=NOW) == Failure(
        FailureKind.NOT_FOUND
    )


def test_parse_repository_page_missing_field_is_named() -> None:
    failure = parse_repository_page(build_response({"data": {"node": {}}}), now=NOW)
    assert isinstance(failure, Failure)
    assert "`repositories`" in failure.message


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_parse_any_body_returns_a_failure(body: bytes) -> None:
    response = GitHubResponse(200, {}, body)
    assert isinstance(parse_owners_by_login(response, PAIR, now=NOW), Failure)
    assert isinstance(parse_owners_by_id(response, now=NOW), Failure)
    assert isinstance(parse_repository_page(response, now=NOW), Failure)


def test_parse_viewer_returns_the_token_owner() -> None:
    result = build_response(
        {"data": {"viewer": {"login": "Ada", "databaseId": 1}, "rateLimit": None}}
    )
    assert parse_viewer(result, now=NOW) == Viewer(1, "Ada")


@pytest.mark.parametrize(
    "body", [*UNREADABLE_BODIES, {"data": {"viewer": None}}, {"data": {"viewer": {"login": "Ada"}}}]
)
def test_parse_viewer_malformed_body_is_unreadable(body: Any) -> None:
    assert get_failure_kind(parse_viewer(build_response(body), now=NOW)) is FailureKind.UNREADABLE


def test_parse_viewer_rate_limited_is_primary_limit() -> None:
    body = {"errors": [{"type": "RATE_LIMITED", "message": "enough"}]}
    assert (
        get_failure_kind(parse_viewer(build_response(body), now=NOW)) is FailureKind.PRIMARY_LIMIT
    )


def test_parse_owners_by_login_long_error_is_truncated() -> None:
    error = {"type": "FORBIDDEN", "path": ["u0"], "message": "x" * 10_000}
    results = parse_pair({"u0": None, "u1": None}, error)
    assert results == [
        Failure(FailureKind.FORBIDDEN, "x" * 200),
        Failure(FailureKind.NOT_FOUND),
    ]
