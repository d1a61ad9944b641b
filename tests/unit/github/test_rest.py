"""REST bodies, as nouns or as a failure that says what was missing."""

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
from tests.unit.github.samples import NOW, reply

BAD_BODIES = [
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
def test_followers_of_users_only(changes: dict[str, Any], followers: int | None) -> None:
    profile = parse_owner(reply({"id": 1, "login": "Ada", **changes}))
    assert isinstance(profile, OwnerProfile)
    assert profile.followers == followers


def test_an_owner() -> None:
    body = {"id": 1, "login": "Ada", "node_id": "U_1", "name": "Ada L", "public_repos": 3, "x": 0}
    owner = Owner(1, "Ada", node_id="U_1", display_name="Ada L")
    assert parse_owner(reply(body)) == OwnerProfile(owner, 3)


@pytest.mark.parametrize("name", [None, ""])
def test_an_owner_of_whom_little_is_known(name: str | None) -> None:
    answer = parse_owner(reply({"id": 1, "login": "Ada", "name": name}))
    assert answer == OwnerProfile(Owner(1, "Ada"), None)


@pytest.mark.parametrize("missing", ["id", "login"])
def test_a_missing_field_of_an_owner_is_named(missing: str) -> None:
    body = {"id": 1, "login": "Ada"}
    del body[missing]
    failure = parse_owner(reply(body))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert f"`{missing}`" in failure.message


def test_a_field_of_another_kind_is_named() -> None:
    failure = parse_owner(reply({"id": "1", "login": "Ada"}))
    assert isinstance(failure, Failure)
    assert "$.id" in failure.message


@pytest.mark.parametrize("body", BAD_BODIES)
def test_what_cannot_be_read_is_no_owner(body: bytes) -> None:
    failure = parse_owner(reply(body))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.message


@pytest.mark.parametrize("body", BAD_BODIES)
def test_what_cannot_be_read_is_no_page(body: bytes) -> None:
    failure = parse_page(reply(body), number=1)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.message


def test_a_page() -> None:
    whole = {
        "id": 7,
        "name": "engine",
        "fork": True,
        "private": False,
        "stargazers_count": 5,
        "forks_count": 2,
        "language": "Ada",
        "topics": [],
    }
    nothing: dict[str, Any] = dict.fromkeys(whole) | {"id": 9, "name": "nulls"}
    page = parse_page(reply([whole, {"id": 8, "name": "bare"}, nothing]), number=1)
    assert page == Page(
        (
            Repository(7, "engine", stars=5, forks=2, is_fork=True, language="Ada"),
            Repository(8, "bare"),
            Repository(9, "nulls"),
        ),
        last=1,
    )


def test_an_empty_page() -> None:
    assert parse_page(reply([]), number=1) == Page((), last=1)


def test_private_repositories_are_nobody_elses_business() -> None:
    page = parse_page(reply([{"id": 1, "name": "secret", "private": True}]), number=1)
    assert page == Page((), last=1)


@pytest.mark.parametrize("missing", ["id", "name"])
def test_a_missing_field_of_a_repository_is_named_with_its_place(missing: str) -> None:
    bodies = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    del bodies[1][missing]
    page = parse_page(reply(bodies), number=1)
    assert isinstance(page, Page)
    assert [repository.id for repository in page.repositories] == [1]
    assert page.unreadable == 1
    assert f"`{missing}` - at `$[1]`" in page.problem


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
def test_the_last_page_is_told_by_the_link(link: str, number: int, last: int) -> None:
    assert parse_page(reply([], headers={"link": link}), number=number) == Page((), last=last)


def test_a_repository_on_two_pages_counts_once() -> None:
    first = Page((Repository(1, "a"), Repository(2, "b", stars=1)), last=2)
    second = Page((Repository(2, "b", stars=2), Repository(3, "c")), last=2)
    assert merge_pages([first, second]) == (
        Repository(1, "a"),
        Repository(2, "b", stars=2),
        Repository(3, "c"),
    )
    assert merge_pages([]) == ()


def budget(remaining: int, limit: int = 5000) -> dict[str, int]:
    return {"limit": limit, "remaining": remaining, "used": 0, "reset": int(NOW.timestamp())}


def standing(**headers: str) -> TokenInfo | Failure:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_token_info(reply({"resources": {}}, headers=named), now=NOW)


def test_what_is_left_of_each_budget() -> None:
    body = {"resources": {"graphql": budget(7), "search": budget(9), "core": budget(8, 60)}}
    assert parse_token_info(reply(body), now=NOW) == TokenInfo(
        (RateLimit(Resource.CORE, 60, 8, NOW), RateLimit(Resource.GRAPHQL, 5000, 7, NOW))
    )


@pytest.mark.parametrize(
    ("header", "scopes"), [("", ()), (" , ", ()), ("repo, read:user", ("repo", "read:user"))]
)
def test_the_scopes_of_a_token(header: str, scopes: tuple[str, ...]) -> None:
    assert standing(x_oauth_scopes=header) == TokenInfo((), scopes)


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
def test_the_end_of_a_token(header: str, expires_at: datetime | None) -> None:
    told = standing(github_authentication_token_expiration=header)
    assert told == TokenInfo((), expires_at=expires_at)


@pytest.mark.parametrize(
    "body",
    [
        *BAD_BODIES,
        {},
        {"resources": {"core": {}}},
        {"resources": {"core": {**budget(1), "reset": 10**18}}},
    ],
)
def test_what_cannot_be_read_is_no_standing(body: Any) -> None:
    failure = parse_token_info(reply(body), now=NOW)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE


@given(st.one_of(st.binary(), st.text().map(str.encode)), st.text())
def test_nothing_is_too_strange_to_be_read(body: bytes, link: str) -> None:
    strange = GitHubResponse(200, {"link": link}, body)
    assert isinstance(parse_owner(strange), OwnerProfile | Failure)
    assert isinstance(parse_page(strange, number=1), Page | Failure)
    assert isinstance(parse_token_info(strange, now=NOW), TokenInfo | Failure)
