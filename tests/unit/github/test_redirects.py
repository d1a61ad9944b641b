"""Redirects are followed within the origin of the request only."""

from collections.abc import Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from github_banners.errors import GitHubUnavailable
from github_banners.github.credentials import create_accounts
from github_banners.github.protocol import GitHubRequest, Resource
from github_banners.github.transport import redirect_target
from github_banners.models import Owner
from github_banners.settings import Secret
from tests.unit.github.fake_api import (
    OWNER_BODY,
    REPOSITORY,
    FakeGitHubApi,
    json_response,
    open_client,
)
from tests.unit.github.samples import NOW, build_response

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada")
ORIGIN = "https://api.example"


pytestmark = pytest.mark.usefixtures("retry_without_delay")


def redirect_to(to: str, *, status: int = 301) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return a REST API that redirects to an address, to which it appends the path."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        if path.startswith("/moved/"):
            return json_response(
                [REPOSITORY] if request.url.path.endswith("/repos") else OWNER_BODY
            )
        return json_response({"message": "Moved"}, status=status, headers={"location": to + path})

    return respond


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("to", [f"{ORIGIN}/moved", "/moved", "//api.example:443/moved"])
async def test_fetch_by_id_redirect_within_origin_is_followed(status: int, to: str) -> None:
    api = FakeGitHubApi()
    api.rest = redirect_to(to, status=status)
    accounts = create_accounts([Secret(TOKEN)])
    async with open_client(api, accounts=accounts) as github:
        fetched = await github.fetch_by_id(ADA)
        rate_limit = accounts[0].remaining(Resource.CORE, now=NOW)
    assert (fetched.owner.login, len(fetched.repositories)) == ("Ada", 1)
    assert sorted(api.paths()) == sorted(
        ["/user/1", "/user/1/repos", "/moved/user/1", "/moved/user/1/repos"]
    )
    for request in api.requests:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.url.query == (
            b"type=owner&sort=full_name&per_page=100&page=1"
            if request.url.path.endswith("/repos")
            else b""
        )
    assert rate_limit == 5000


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example",
        "http://api.example",
        "https://api.example:8443",
        "https://api.example.evil.example",
        "https://api.example@evil.example",
        "https://evil.example\\@api.example",
        "https://somebody:secret@api.example",
        "//evil.example",
        "file:///etc/passwd?",
        "https://[::1",
        "https:////[",
        "https://xn--",
        "https://%xn--a",
    ],
)
async def test_fetch_by_id_redirect_to_other_origin_is_refused(to: str) -> None:
    api = FakeGitHubApi()
    api.rest = redirect_to(to)
    async with open_client(api, TOKEN) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch_by_id(ADA)
    assert {(request.url.scheme, request.url.netloc) for request in api.requests} == {
        ("https", b"api.example")
    }


@pytest.mark.parametrize("location", ["https:////[", "https://%xn--a", "https://[::1", "http://:x"])
async def test_fetch_graphql_redirect_that_is_invalid_falls_back_to_rest(
    location: str,
) -> None:
    api = FakeGitHubApi()
    api.graphql = lambda request: json_response({}, status=307, headers={"location": location})
    async with open_client(api, TOKEN) as github:
        with capture_logs() as events:
            fetched = await github.fetch("Ada")
    assert fetched.owner.login == "Ada"
    assert not [event for event in events if event.get("exc_info")]


async def test_fetch_by_id_endless_redirects_stop_after_three() -> None:
    api = FakeGitHubApi()
    api.rest = redirect_to(f"{ORIGIN}/round")
    async with open_client(api, TOKEN) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch_by_id(ADA)
    # Two requests with at most three attempts each, each with three redirects.
    assert len(api.requests) <= 2 * 3 * 4
    assert max(len(path.split("/round")) for path in api.paths()) == 4


@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, {"location": "/elsewhere"}), (303, {"location": "/elsewhere"}), (301, {})],
)
def test_redirect_target_of_other_responses_is_none(status: int, headers: dict[str, str]) -> None:
    request = GitHubRequest("GET", f"{ORIGIN}/users/ada", Resource.CORE)
    assert redirect_target(request, build_response(status=status, headers=headers)) is None


def test_redirect_target_of_a_post_is_none() -> None:
    request = GitHubRequest("POST", f"{ORIGIN}/graphql", Resource.GRAPHQL)
    response = build_response(status=307, headers={"location": "/graphql2"})
    assert redirect_target(request, response) is None


@given(
    st.text(st.sampled_from("htps:/[]@%x-.1\\?#\u00e9\udcff")),
    st.sampled_from(["", "//", "https://xn--"]),
)
def test_redirect_target_of_any_location_stays_within_origin(text: str, start: str) -> None:
    request = GitHubRequest("GET", f"{ORIGIN}/users/ada", Resource.CORE)
    response = build_response(status=301, headers={"location": start + text})
    target = redirect_target(request, response)
    assert target is None or target.startswith(f"{ORIGIN}/")
