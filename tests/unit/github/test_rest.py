"""Parsing of REST bodies: models, or a failure that names what is missing."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.github.protocol import Failure, FailureKind, GitHubResponse, RateLimit, Resource
from github_banners.github.rest import (
    OwnerProfile,
    Page,
    TokenInfo,
    merge_pages,
    parse_owner,
    parse_page,
    parse_token_info,
)
from github_banners.models import Owner, Repository
from tests.unit.github.samples import NOW, build_response

MALFORMED_BODIES = [
    b"",
    b'{"id": 1, "login": "ad',
    b'[{"id": 1, "na',
    b"<!DOCTYPE html><title>GitHub</title>",
    b'{"id": 1, "login": "\xff"}',
    b'[{"id": 1, "name": "\xff"}]',
    b"null",
    b"7",
]


@pytest.mark.parametrize(
    ("changes", "followers"),
    [
        ({"type": "User", "followers": 7}, 7),
        ({"type": "Organization", "followers": 7}, None),
        ({}, None),
    ],
)
def test_parse_owner_followers_are_those_of_users_only(
    changes: dict[str, Any], followers: int | None
) -> None:
    profile = parse_owner(build_response({"id": 1, "login": "Ada", **changes}))
    assert isinstance(profile, OwnerProfile)
    assert profile.followers == followers


def test_parse_owner_with_all_fields() -> None:
    body = {"id": 1, "login": "Ada", "node_id": "U_1", "name": "Ada L", "public_repos": 3, "x": 0}
    owner = Owner(1, "Ada", node_id="U_1", display_name="Ada L")
    assert parse_owner(build_response(body)) == OwnerProfile(owner, 3)


@pytest.mark.parametrize("name", [None, ""])
def test_parse_owner_with_required_fields_only(name: str | None) -> None:
    profile = parse_owner(build_response({"id": 1, "login": "Ada", "name": name}))
    assert profile == OwnerProfile(Owner(1, "Ada"), None)


INVALID: list[Any] = ["12", "", -1, 1.5, 1.0, 3e9, 1 << 64, True, [], {"a": 1}, [["x"]]]


@pytest.mark.parametrize("field", ["public_repos", "followers"])
@pytest.mark.parametrize("value", [*INVALID, 3_000_000_000])
def test_parse_owner_invalid_number_is_unknown(field: str, value: Any) -> None:
    body = {"id": 1, "login": "Ada", "name": "A", "public_repos": 3, "followers": 4, field: value}
    profile = parse_owner(build_response(body))
    numbers = {"public_repos": 3, "followers": 4, field: None}
    assert profile == OwnerProfile(Owner(1, "Ada", display_name="A"), **numbers)


@pytest.mark.parametrize("field", ["node_id", "name", "type"])
@pytest.mark.parametrize("value", [5, -1.5, True, [], {"a": 1}])
def test_parse_owner_invalid_text_is_unknown(field: str, value: Any) -> None:
    body = {"id": 1, "login": "Ada", "node_id": "U_1", "name": "A", "type": "User", "followers": 4}
    profile = parse_owner(build_response(body | {field: value}))
    texts = {"node_id": "U_1", "display_name": "A"}
    texts.pop("display_name" if field == "name" else field, None)
    assert profile == OwnerProfile(Owner(1, "Ada", **texts), None, followers=4)


def test_parse_owner_too_long_node_id_is_unknown() -> None:
    body = {"id": 1, "login": "Ada", "node_id": "x" * 300}
    assert parse_owner(build_response(body)) == OwnerProfile(Owner(1, "Ada"), None)


@pytest.mark.parametrize(
    "field", [b'"name": "\xff"', b'"followers": 1e999', b'"name": "\xed\xa0\xbd"']
)
def test_parse_owner_optional_field_that_cannot_be_decoded_is_unknown(field: bytes) -> None:
    profile = parse_owner(build_response(b'{"id": 1, "login": "Ada", ' + field + b"}"))
    assert profile == OwnerProfile(Owner(1, "Ada"), None)


@pytest.mark.parametrize("missing", ["id", "login"])
def test_parse_owner_missing_field_is_named(missing: str) -> None:
    body = {"id": 1, "login": "Ada"}
    del body[missing]
    failure = parse_owner(build_response(body))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert f"`{missing}`" in failure.message


def test_parse_owner_field_of_another_type_is_named() -> None:
    failure = parse_owner(build_response({"id": "1", "login": "Ada"}))
    assert isinstance(failure, Failure)
    assert "$.id" in failure.message


@pytest.mark.parametrize("body", MALFORMED_BODIES)
def test_parse_owner_unreadable_body_is_a_failure(body: bytes) -> None:
    failure = parse_owner(build_response(body))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.message


@pytest.mark.parametrize("body", MALFORMED_BODIES)
def test_parse_page_unreadable_body_is_a_failure(body: bytes) -> None:
    failure = parse_page(build_response(body), number=1)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.message


def test_parse_page_missing_and_null_fields_have_defaults() -> None:
    complete = {
        "id": 7,
        "name": "engine",
        "fork": True,
        "private": False,
        "stargazers_count": 5,
        "forks_count": 2,
        "language": "Ada",
        "topics": [],
    }
    nulls: dict[str, Any] = dict.fromkeys(complete) | {"id": 9, "name": "nulls"}
    page = parse_page(build_response([complete, {"id": 8, "name": "bare"}, nulls]), number=1)
    assert page == Page(
        (
            Repository(7, "engine", stars=5, forks=2, is_fork=True, language="Ada"),
            Repository(8, "bare"),
            Repository(9, "nulls"),
        ),
        last=1,
    )


def test_parse_page_empty_list_is_the_last_page() -> None:
    assert parse_page(build_response([]), number=1) == Page((), last=1)


def test_parse_page_private_repositories_are_left_out() -> None:
    page = parse_page(build_response([{"id": 1, "name": "secret", "private": True}]), number=1)
    assert page == Page((), last=1)


@pytest.mark.parametrize("missing", ["id", "name"])
def test_parse_page_missing_field_skips_record_and_is_named(missing: str) -> None:
    bodies = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    del bodies[1][missing]
    page = parse_page(build_response(bodies), number=1)
    assert isinstance(page, Page)
    assert [repository.id for repository in page.repositories] == [1]
    assert page.unreadable == 1
    assert f"`{missing}` - at `$[1]`" in page.problem


@pytest.mark.parametrize("language", [5, True, [], {"name": "C"}])
def test_parse_page_invalid_language_is_unknown(language: Any) -> None:
    record = {"id": 1, "name": "a", "stargazers_count": 5, "language": language}
    page = parse_page(build_response([record]), number=1)
    assert page == Page((Repository(1, "a", stars=5),), last=1)


@pytest.mark.parametrize(
    "field", ["stargazers_count", "forks_count", "fork", "archived", "private"]
)
def test_parse_page_invalid_number_or_flag_skips_record(field: str) -> None:
    """Counted as 0, it would make the sums wrong."""
    bodies = [{"id": 1, "name": "a"}, {"id": 2, "name": "b", field: "12"}]
    page = parse_page(build_response(bodies), number=1)
    assert isinstance(page, Page)
    assert [repository.id for repository in page.repositories] == [1]
    assert (page.unreadable, field in page.problem) == (1, True)


LINK_FIRST = (
    '<https://api.github.com/user/1/repos?per_page=30&page=2>; rel="next", '
    '<https://api.github.com/user/1/repos?per_page=30&page=6>; rel="last"'
)


@pytest.mark.parametrize(
    ("link", "number", "last"),
    [
        ("", 1, 1),
        (LINK_FIRST, 1, 6),
        (LINK_FIRST, 9, 9),
        ('<https://x/repos?page=5>; rel="prev", <https://x/repos?page=1>; rel="first"', 6, 6),
        ('<https://x/repos?page=2>; rel="next"', 1, 2),
        ('<https://x/repos?page=4>; title="all"; rel="last"', 1, 4),
        ('<https://x/repos?after=abc>; rel="next"', 1, 1),
        ('<https://x/repos?page=many>; rel="last"', 1, 1),
        ("gibberish; rel=last", 1, 1),
    ],
)
def test_parse_page_link_header_has_the_last_page(link: str, number: int, last: int) -> None:
    assert parse_page(build_response([], headers={"link": link}), number=number) == Page(
        (), last=last
    )


def test_merge_pages_repository_on_two_pages_counts_once() -> None:
    first = Page((Repository(1, "a"), Repository(2, "b", stars=1)), last=2)
    second = Page((Repository(2, "b", stars=2), Repository(3, "c")), last=2)
    assert merge_pages([first, second]) == (
        Repository(1, "a"),
        Repository(2, "b", stars=2),
        Repository(3, "c"),
    )
    assert merge_pages([]) == ()


def resource_limit(remaining: int, limit: int = 5000) -> dict[str, int]:
    return {"limit": limit, "remaining": remaining, "used": 0, "reset": int(NOW.timestamp())}


def token_info(**headers: str) -> TokenInfo | Failure:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_token_info(build_response({"resources": {}}, headers=named), now=NOW)


def test_parse_token_info_has_remaining_of_each_resource() -> None:
    body = {
        "resources": {
            "graphql": resource_limit(7),
            "search": resource_limit(9),
            "core": resource_limit(8, 60),
        }
    }
    assert parse_token_info(build_response(body), now=NOW) == TokenInfo(
        (RateLimit(Resource.CORE, 60, 8, NOW), RateLimit(Resource.GRAPHQL, 5000, 7, NOW))
    )


def test_parse_token_info_ignores_other_resources() -> None:
    body = {"resources": {"core": resource_limit(8, 60), "search": {"limit": None}, "new": 5}}
    assert parse_token_info(build_response(body), now=NOW) == TokenInfo(
        (RateLimit(Resource.CORE, 60, 8, NOW),)
    )


@pytest.mark.parametrize(
    ("header", "scopes"), [("", ()), (" , ", ()), ("repo, read:user", ("repo", "read:user"))]
)
def test_parse_token_info_has_scopes(header: str, scopes: tuple[str, ...]) -> None:
    assert token_info(x_oauth_scopes=header) == TokenInfo((), scopes)


@pytest.mark.parametrize(
    ("header", "expires_at"),
    [
        ("2027-10-12 09:00:00 UTC", datetime(2027, 10, 12, 9, tzinfo=UTC)),
        (
            "2027-10-12 09:00:00 +0200",
            datetime(2027, 10, 12, 9, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("2027-10-12 09:00:00 CEST", None),
        ("soon", None),
    ],
)
def test_parse_token_info_has_expiry_date(header: str, expires_at: datetime | None) -> None:
    info = token_info(github_authentication_token_expiration=header)
    assert info == TokenInfo((), expires_at=expires_at)


@pytest.mark.parametrize(
    "body",
    [
        *MALFORMED_BODIES,
        {},
        {"resources": {"core": {}}},
        {"resources": {"core": {**resource_limit(1), "reset": 10**18}}},
    ],
)
def test_parse_token_info_unreadable_body_is_a_failure(body: Any) -> None:
    failure = parse_token_info(build_response(body), now=NOW)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE


@given(st.one_of(st.binary(), st.text().map(str.encode)), st.text())
def test_parse_any_body_returns_a_result(body: bytes, link: str) -> None:
    response = GitHubResponse(200, {"link": link}, body)
    assert isinstance(parse_owner(response), OwnerProfile | Failure)
    assert isinstance(parse_page(response, number=1), Page | Failure)
    assert isinstance(parse_token_info(response, now=NOW), TokenInfo | Failure)
