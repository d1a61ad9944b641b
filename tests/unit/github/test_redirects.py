"""Redirects are followed within the origin of the request only."""

from collections.abc import Callable

import httpx2
import pytest

from github_banners.errors import GitHubUnavailable
from github_banners.github.credentials import create_accounts
from github_banners.github.protocol import GitHubRequest, Resource
from github_banners.github.transport import redirect_target
from github_banners.models import Owner
from github_banners.settings import Secret
from tests.unit.github.samples import NOW, reply
from tests.unit.github.wire import OWNER_BODY, REPOSITORY, Wire, opened, said

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada")
ORIGIN = "https://api.example"


pytestmark = pytest.mark.usefixtures("retry_without_delay")


def redirect_to(to: str, *, status: int = 301) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return a REST API that redirects to an address, to which it appends the path."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        if path.startswith("/moved/"):
            return said([REPOSITORY] if request.url.path.endswith("/repos") else OWNER_BODY)
        return said({"message": "Moved"}, status=status, headers={"location": to + path})

    return respond


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("to", [f"{ORIGIN}/moved", "/moved", "//api.example:443/moved"])
async def test_fetch_by_id_redirect_within_origin_is_followed(status: int, to: str) -> None:
    wire = Wire()
    wire.rest = redirect_to(to, status=status)
    accounts = create_accounts([Secret(TOKEN)])
    async with opened(wire, accounts=accounts) as github:
        fetched = await github.fetch_by_id(ADA)
        room = accounts[0].remaining(Resource.CORE, now=NOW)
    assert (fetched.owner.login, len(fetched.repositories)) == ("Ada", 1)
    assert sorted(wire.paths()) == sorted(
        ["/user/1", "/user/1/repos", "/moved/user/1", "/moved/user/1/repos"]
    )
    for request in wire.asked:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.url.query == (
            b"type=owner&sort=full_name&per_page=100&page=1"
            if request.url.path.endswith("/repos")
            else b""
        )
    assert room == 5000


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
    ],
)
async def test_fetch_by_id_redirect_to_other_origin_is_refused(to: str) -> None:
    wire = Wire()
    wire.rest = redirect_to(to)
    async with opened(wire, TOKEN) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch_by_id(ADA)
    assert {(request.url.scheme, request.url.netloc) for request in wire.asked} == {
        ("https", b"api.example")
    }


async def test_fetch_by_id_endless_redirects_stop_after_three() -> None:
    wire = Wire()
    wire.rest = redirect_to(f"{ORIGIN}/round")
    async with opened(wire, TOKEN) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch_by_id(ADA)
    # Two requests with at most three attempts each, each with three redirects.
    assert len(wire.asked) <= 2 * 3 * 4
    assert max(len(path.split("/round")) for path in wire.paths()) == 4


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("POST", 307, {"location": "/graphql2"}),
        ("GET", 200, {"location": "/elsewhere"}),
        ("GET", 303, {"location": "/elsewhere"}),
        ("GET", 301, {}),
    ],
)
def test_redirect_target_other_responses_have_none(
    method: str, status: int, headers: dict[str, str]
) -> None:
    request = GitHubRequest(method, f"{ORIGIN}/user/1", Resource.CORE)
    assert redirect_target(request, reply(status=status, headers=headers)) is None
