"""The application in process: authentication, rate limits, conditional requests, errors, faults."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from github_sandbox import Failure, create_app
from tests.fake_clock import FakeTime

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
VIEWER = {"query": "{ viewer { login databaseId } rateLimit { remaining } }"}


class SandboxTime(FakeTime):
    """UTC time with a sleep that only records."""

    def __init__(self) -> None:
        super().__init__(START)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def client(time: SandboxTime, **options: Any) -> httpx2.AsyncClient:
    app = create_app(clock=time, sleep=time.sleep, **options)
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://sandbox")


def token(name: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {name}"}


@pytest.fixture
def time() -> SandboxTime:
    return SandboxTime()


async def test_tokens_of_one_account_share_its_rate_limit(time: SandboxTime) -> None:
    tokens = {"a": 7, "b": 7, "c": 8, "revoked": None}
    async with client(time, tokens=tokens, initial_budget=2) as github:
        remaining = [
            (await github.get("/users/dev-1", headers=token(name))).headers["x-ratelimit-remaining"]
            for name in "abc"
        ]
        assert remaining == ["1", "0", "1"]
        refused = await github.get("/users/dev-1", headers=token("a"))
        assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
        assert "API rate limit exceeded for user ID 7." in refused.json()["message"]
        viewer = (await github.post("/graphql", json=VIEWER, headers=token("b"))).json()["data"]
        assert viewer == {
            "viewer": {"login": "token-owner-7", "databaseId": 7},
            "rateLimit": {"remaining": 1},
        }
        await github.post("/graphql", json=VIEWER, headers=token("b"))
        exhausted = await github.post("/graphql", json=VIEWER, headers=token("b"))
        assert (exhausted.status_code, exhausted.json()["errors"][0]["type"]) == (
            200,
            "RATE_LIMITED",
        )
        time.now += timedelta(hours=1)
        assert (await github.get("/users/dev-1", headers=token("a"))).status_code == 200


@pytest.mark.parametrize("name", ["revoked", "unknown"])
async def test_invalid_token_returns_401(time: SandboxTime, name: str) -> None:
    async with client(time, tokens={"good": 1, "revoked": None}) as github:
        rest = await github.get("/users/dev-1", headers=token(name))
        graphql = await github.post("/graphql", json=VIEWER, headers=token(name))
        assert rest.status_code == graphql.status_code == 401
        assert rest.json()["message"] == "Bad credentials"
        assert rest.headers["x-ratelimit-limit"] == "60"


async def test_token_of_a_generated_account_returns_that_account(time: SandboxTime) -> None:
    async with client(time, tokens={"good": 200_000_001}) as github:
        assert (await github.get("/user", headers=token("good"))).json()["login"] == "dev-1"
        assert (await github.get("/user")).status_code == 401


async def test_anonymous_requests_share_a_small_limit_without_graphql(time: SandboxTime) -> None:
    async with client(time, initial_budget=2) as github:
        first = await github.get("/users/dev-1")
        again = await github.get("/users/dev-1", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.headers["x-ratelimit-remaining"]) == (304, "0")
        assert (await github.get("/users/dev-1")).status_code == 403
        graphql = await github.post("/graphql", json=VIEWER)
        assert (graphql.status_code, graphql.headers["x-ratelimit-limit"]) == (403, "0")


async def test_rate_limit_endpoint_is_free(time: SandboxTime) -> None:
    async with client(time) as github:
        await github.get("/rate_limit", headers=token("x"))
        status = (await github.get("/rate_limit", headers=token("x"))).json()
        assert status["rate"]["used"] == 0
        assert status["resources"]["graphql"]["limit"] == 5_000
        assert status["rate"]["reset"] == int(START.timestamp()) + 3_600


async def test_etag_depends_on_the_token_and_not_on_compression(time: SandboxTime) -> None:
    async with client(time) as github:
        plain = {"accept-encoding": "identity"}
        first = await github.get("/users/dev-1", headers=token("x"))
        same = await github.get("/users/dev-1", headers={**token("x"), **plain})
        other = await github.get("/users/dev-1", headers=token("y"))
        assert first.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in same.headers
        assert first.json() == same.json() == other.json()
        assert first.headers["etag"] == same.headers["etag"] != other.headers["etag"]
        assert first.headers["etag"].startswith('W/"')


async def test_missing_user_agent_returns_403(time: SandboxTime) -> None:
    async with client(time) as github:
        response = await github.get("/users/dev-1", headers={"user-agent": ""})
        assert (response.status_code, response.headers["content-type"]) == (
            403,
            "text/html; charset=utf-8",
        )


@pytest.mark.parametrize(
    "path",
    [
        "/users/nobody",
        "/users/nobody/repos",
        "/orgs/dev-1",
        "/orgs/dev-1/repos",
        "/user/5",
        "/user/5/repos",
        "/no/such/path",
    ],
)
async def test_unknown_account_or_path_returns_404(time: SandboxTime, path: str) -> None:
    async with client(time) as github:
        response = await github.get(path, headers=token("x"))
        assert response.status_code == 404
        assert response.json()["message"] == "Not Found"


async def test_organization_is_served_as_user_and_as_organization(time: SandboxTime) -> None:
    async with client(time) as github:
        as_user = (await github.get("/users/UMBRA-LABS", headers=token("x"))).json()
        as_organization = (await github.get("/orgs/umbra-labs", headers=token("x"))).json()
        assert as_user == as_organization
        assert as_user["type"] == "Organization"
        page = await github.get("/orgs/umbra-labs/repos?type=sources", headers=token("x"))
        assert not any(repository["fork"] for repository in page.json())
        rest = await github.get(page.links["next"]["url"], headers=token("x"))
        assert rest.json()[0]["created_at"] <= page.json()[-1]["created_at"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "Problems parsing JSON"),
        (b"{}", 200, "A query attribute must be specified"),
        (b'{"query": "{ x }"}', 200, "Cannot query field"),
    ],
)
async def test_invalid_graphql_request_returns_an_error(
    time: SandboxTime, body: bytes, status: int, message: str
) -> None:
    async with client(time) as github:
        response = await github.post("/graphql", content=body, headers=token("x"))
        assert response.status_code == status
        assert message in response.text


async def test_latency_and_failures_apply_to_all_but_the_control_api(time: SandboxTime) -> None:
    async with client(
        time, latency_seconds=0.3, failures=[Failure.UNAVAILABLE], fail_rate=0.5
    ) as github:
        statuses = [(await github.get("/rate_limit")).status_code for _ in range(4)]
        assert statuses == [200, 503, 200, 503]
        assert time.slept == [0.3] * 4
        await github.get("/_sandbox/calls")
        assert len(time.slept) == 4


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/users/dev-1", {"GET", "HEAD"}),
        ("GET", "/graphql", {"POST"}),
        ("POST", "/_sandbox/faults", {"GET", "HEAD", "PUT"}),
    ],
)
async def test_route_with_another_method_returns_405(
    time: SandboxTime, method: str, path: str, allowed: set[str]
) -> None:
    async with client(time) as github:
        response = await github.request(method, path, headers=token("x"))
        assert (response.status_code, response.json()["status"]) == (405, "405")
        assert set(response.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/users/dev-1/", "/no/such/path"])
async def test_unknown_path_is_neither_redirected_nor_broken(time: SandboxTime, path: str) -> None:
    async with client(time, failures=[Failure.UNAVAILABLE]) as github:
        assert (await github.get(path)).status_code == 404
        assert (await github.get("/users/dev-1")).status_code == 503
        assert (await github.get("/_sandbox/calls")).json()["failed"] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"login": "dev-1"}', b"\xff"])
async def test_control_with_an_invalid_body_returns_400(time: SandboxTime, body: bytes) -> None:
    async with client(time) as github:
        response = await github.post("/_sandbox/rename", content=body)
        assert response.status_code == 400
        assert set(response.json()) == {"error", "detail"}
