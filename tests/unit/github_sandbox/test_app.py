"""The whole sandbox in process: tokens, budgets, time, what GitHub says when it says no."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from github_sandbox import Failure, create_app

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
WHO = {"query": "{ viewer { login databaseId } rateLimit { remaining } }"}


class Time:
    """A clock that is set by hand, and a sleep that only remembers."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def client(time: Time, **options: Any) -> httpx2.AsyncClient:
    app = create_app(clock=time, sleep=time.sleep, **options)
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://sandbox")


def token(name: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {name}"}


@pytest.fixture
def time() -> Time:
    return Time()


async def test_tokens_of_one_account_share_its_budget(time: Time) -> None:
    tokens = {"a": 7, "b": 7, "c": 8, "revoked": None}
    async with client(time, tokens=tokens, budget=2) as github:
        left = [
            (await github.get("/users/dev-1", headers=token(name))).headers["x-ratelimit-remaining"]
            for name in "abc"
        ]
        assert left == ["1", "0", "1"]
        refused = await github.get("/users/dev-1", headers=token("a"))
        assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
        assert "API rate limit exceeded for user ID 7." in refused.json()["message"]
        who = (await github.post("/graphql", json=WHO, headers=token("b"))).json()["data"]
        assert who == {
            "viewer": {"login": "keeper-7", "databaseId": 7},
            "rateLimit": {"remaining": 1},
        }
        await github.post("/graphql", json=WHO, headers=token("b"))
        spent = await github.post("/graphql", json=WHO, headers=token("b"))
        assert (spent.status_code, spent.json()["errors"][0]["type"]) == (200, "RATE_LIMITED")
        time.now += timedelta(hours=1)
        assert (await github.get("/users/dev-1", headers=token("a"))).status_code == 200


@pytest.mark.parametrize("name", ["revoked", "unknown"])
async def test_bad_tokens_are_refused(time: Time, name: str) -> None:
    async with client(time, tokens={"good": 1, "revoked": None}) as github:
        rest = await github.get("/users/dev-1", headers=token(name))
        graphql = await github.post("/graphql", json=WHO, headers=token(name))
        assert rest.status_code == graphql.status_code == 401
        assert rest.json()["message"] == "Bad credentials"
        assert rest.headers["x-ratelimit-limit"] == "60"


async def test_a_token_may_belong_to_somebody_who_lives_here(time: Time) -> None:
    async with client(time, tokens={"good": 200_000_001}) as github:
        assert (await github.get("/user", headers=token("good"))).json()["login"] == "dev-1"
        assert (await github.get("/user")).status_code == 401


async def test_without_a_token_there_are_sixty_questions_and_no_graphql(time: Time) -> None:
    async with client(time, budget=2) as github:
        first = await github.get("/users/dev-1")
        again = await github.get("/users/dev-1", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.headers["x-ratelimit-remaining"]) == (304, "0")
        assert (await github.get("/users/dev-1")).status_code == 403
        graphql = await github.post("/graphql", json=WHO)
        assert (graphql.status_code, graphql.headers["x-ratelimit-limit"]) == (403, "0")


async def test_the_rate_limit_can_be_read_for_nothing(time: Time) -> None:
    async with client(time) as github:
        await github.get("/rate_limit", headers=token("x"))
        answer = (await github.get("/rate_limit", headers=token("x"))).json()
        assert answer["rate"]["used"] == 0
        assert answer["resources"]["graphql"]["limit"] == 5_000
        assert answer["rate"]["reset"] == int(START.timestamp()) + 3_600


async def test_etags_belong_to_a_token_and_gzip_does_not_matter(time: Time) -> None:
    async with client(time) as github:
        plain = {"accept-encoding": "identity"}
        one = await github.get("/users/dev-1", headers=token("x"))
        same = await github.get("/users/dev-1", headers={**token("x"), **plain})
        other = await github.get("/users/dev-1", headers=token("y"))
        assert one.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in same.headers
        assert one.json() == same.json() == other.json()
        assert one.headers["etag"] == same.headers["etag"] != other.headers["etag"]
        assert one.headers["etag"].startswith('W/"')


async def test_clients_must_name_themselves(time: Time) -> None:
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
async def test_what_is_not_there(time: Time, path: str) -> None:
    async with client(time) as github:
        response = await github.get(path, headers=token("x"))
        assert response.status_code == 404
        assert response.json()["message"] == "Not Found"


async def test_organisations_are_asked_for_in_two_ways(time: Time) -> None:
    async with client(time) as github:
        as_user = (await github.get("/users/UMBRA-LABS", headers=token("x"))).json()
        as_organization = (await github.get("/orgs/umbra-labs", headers=token("x"))).json()
        assert as_user == as_organization
        assert as_user["type"] == "Organization"
        page = await github.get("/orgs/umbra-labs/repos?type=sources", headers=token("x"))
        assert not any(one["fork"] for one in page.json())
        rest = await github.get(page.links["next"]["url"], headers=token("x"))
        assert rest.json()[0]["created_at"] <= page.json()[-1]["created_at"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "Problems parsing JSON"),
        (b"{}", 200, "A query attribute must be specified"),
        (b'{"query": "{ x }"}', 200, "Cannot query field"),
    ],
)
async def test_unreadable_questions(time: Time, body: bytes, status: int, words: str) -> None:
    async with client(time) as github:
        response = await github.post("/graphql", content=body, headers=token("x"))
        assert response.status_code == status
        assert words in response.text


async def test_every_answer_is_late_and_failures_start_at_once(time: Time) -> None:
    async with client(
        time, latency_seconds=0.3, failures=[Failure.UNAVAILABLE], failure_share=0.5
    ) as github:
        seen = [(await github.get("/rate_limit")).status_code for _ in range(4)]
        assert seen == [200, 503, 200, 503]
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
    time: Time, method: str, path: str, allowed: set[str]
) -> None:
    async with client(time) as github:
        response = await github.request(method, path, headers=token("x"))
        assert (response.status_code, response.json()["status"]) == (405, "405")
        assert set(response.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/users/dev-1/", "/no/such/path"])
async def test_unknown_path_is_neither_redirected_nor_broken(time: Time, path: str) -> None:
    async with client(time, failures=[Failure.UNAVAILABLE]) as github:
        assert (await github.get(path)).status_code == 404
        assert (await github.get("/users/dev-1")).status_code == 503
        assert (await github.get("/_sandbox/calls")).json()["failed"] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"login": "dev-1"}', b"\xff"])
async def test_control_with_an_invalid_body_returns_400(time: Time, body: bytes) -> None:
    async with client(time) as github:
        response = await github.post("/_sandbox/rename", content=body)
        assert response.status_code == 400
        assert set(response.json()) == {"error", "because"}
