"""The sandbox over HTTP: what it says of everybody, and how it fails."""

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import httpx2
import msgspec
import pytest

from github_sandbox import Failure
from tests.integration.sandbox_server import RECORDINGS, running_sandbox

REPO = """
fragment Repo on Repository {
  databaseId name stargazerCount forkCount isFork isArchived pushedAt primaryLanguage { name }
}
"""
OWNER = (
    """
fragment Owner on RepositoryOwner {
  __typename
  id
  login
  ... on User { databaseId name createdAt updatedAt followers { totalCount } following { totalCount } }
  ... on Organization { databaseId name createdAt updatedAt }
  original: repositories(ownerAffiliations: [OWNER], privacy: PUBLIC, isFork: false) { totalCount }
  forked: repositories(ownerAffiliations: [OWNER], privacy: PUBLIC, isFork: true) { totalCount }
  repositories(first: 100, ownerAffiliations: [OWNER], privacy: PUBLIC,
               orderBy: {field: CREATED_AT, direction: ASC}) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { ...Repo }
  }
}
"""
    + REPO
)
BATCH = (
    """
query Batch($l0: String!, $l1: String!) {
  u0: repositoryOwner(login: $l0) { ...Owner }
  u1: repositoryOwner(login: $l1) { ...Owner }
  rateLimit { cost remaining used limit resetAt nodeCount }
}
"""
    + OWNER
)
BY_IDS = (
    """
query ByIds($ids: [ID!]!) {
  nodes(ids: $ids) { ...Owner }
  rateLimit { cost remaining resetAt nodeCount }
}
"""
    + OWNER
)
REPO_PAGE = (
    """
query RepoPage($id: ID!, $after: String) {
  node(id: $id) {
    ... on RepositoryOwner {
      repositories(first: 100, after: $after, ownerAffiliations: [OWNER], privacy: PUBLIC,
                   orderBy: {field: CREATED_AT, direction: ASC}) {
        pageInfo { hasNextPage endCursor }
        nodes { ...Repo }
      }
    }
  }
  rateLimit { cost remaining resetAt }
}
"""
    + REPO
)
DRY = (
    """
query Dry($l0: String!) {
  rateLimit(dryRun: true) { cost nodeCount }
  u0: repositoryOwner(login: $l0) { ...Owner }
}
"""
    + OWNER
)
WHO = "query Who { viewer { login databaseId } rateLimit { limit remaining used resetAt cost } }"

RECORDED = ["wycats", "bitwiseman", "peter-murach", "rspec", "juliasilge"]
LISTS = {
    "wycats": "exchange.repos.wycats.2014-04.json",
    "bitwiseman": "exchange.repos.bitwiseman.2019-10.json",
    "peter-murach": "exchange.repos.peter-murach.2014-04.json",
    "rspec": "exchange.repos.rspec.2014-04.json",
    "juliasilge": "repos.juliasilge.2016-10.complete.json",
}

needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recorded exchanges are not beside this checkout"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_sandbox(recordings=RECORDINGS if RECORDINGS.is_dir() else None) as base:
        yield base


@pytest.fixture
async def github(address: str, request: pytest.FixtureRequest) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with a token of the test's own, before a sandbox where all goes well."""
    headers = {"authorization": f"Bearer {request.node.name}", "user-agent": "test"}
    async with httpx2.AsyncClient(base_url=address, headers=headers, trust_env=False) as client:
        yield client
        await client.put("/_sandbox/faults", json={})


async def ask(github: httpx2.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    response = await github.post("/graphql", json={"query": query, "variables": variables})
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


async def rest_repositories(github: httpx2.AsyncClient, login: str) -> list[dict[str, Any]]:
    """Walk all pages by their links."""
    merged: list[dict[str, Any]] = []
    address: str | None = f"/users/{login}/repos?per_page=100&sort=full_name"
    while address:
        response = await github.get(address)
        merged += response.json()
        address = response.links.get("next", {}).get("url")
    return merged


async def graphql_repositories(github: httpx2.AsyncClient, login: str) -> list[dict[str, Any]]:
    """Take the first page by login and the others by cursor."""
    owner = (await ask(github, BATCH, l0=login, l1=login))["data"]["u0"]
    page, merged = owner["repositories"], list(owner["repositories"]["nodes"])
    while page["pageInfo"]["hasNextPage"]:
        after = page["pageInfo"]["endCursor"]
        answer = await ask(github, REPO_PAGE, id=owner["id"], after=after)
        page = answer["data"]["node"]["repositories"]
        merged += page["nodes"]
    return merged


def recorded_bodies(login: str) -> list[dict[str, Any]]:
    read = msgspec.json.decode((RECORDINGS / "rest" / LISTS[login]).read_bytes())
    if isinstance(read, list):
        return read
    return [body for one in read["exchanges"] for body in one["response"]["body"]]


def by_id(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(bodies, key=lambda body: int(body["id"]))


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@needs_recordings
@pytest.mark.parametrize("login", RECORDED)
async def test_recorded_repositories_come_back_as_they_were(
    github: httpx2.AsyncClient, login: str
) -> None:
    merged = await rest_repositories(github, login)
    user = (await github.get(f"/users/{login}")).json()
    assert by_id(merged) == by_id(recorded_bodies(login))
    assert user["public_repos"] == len(merged)
    assert user["node_id"]


@needs_recordings
@pytest.mark.parametrize("login", ["sferik", "gaearon", "iamshaunjp", "octocat"])
async def test_who_was_recorded_in_part_does_not_exist(
    github: httpx2.AsyncClient, login: str
) -> None:
    assert (await github.get(f"/users/{login}")).status_code == 404
    assert (await ask(github, BATCH, l0=login, l1=login))["data"]["u0"] is None


@pytest.mark.parametrize(
    "login",
    [
        *(pytest.param(login, marks=needs_recordings) for login in RECORDED),
        *("dev-7", "big-201", "umbra-labs", "mallory-markup", "nell-newcomer"),
    ],
)
async def test_rest_and_graphql_tell_the_same(github: httpx2.AsyncClient, login: str) -> None:
    rest = await rest_repositories(github, login)
    graphql = await graphql_repositories(github, login)
    assert {
        body["id"]: (
            body["name"],
            body["stargazers_count"],
            body["forks_count"],
            body["fork"],
            body.get("archived", False),
            moment(body["pushed_at"]),
            body["language"],
        )
        for body in rest
    } == {
        node["databaseId"]: (
            node["name"],
            node["stargazerCount"],
            node["forkCount"],
            node["isFork"],
            node["isArchived"],
            moment(node["pushedAt"]),
            (node["primaryLanguage"] or {}).get("name"),
        )
        for node in graphql
    }
    user = (await github.get(f"/users/{login}")).json()
    owner = (await ask(github, BATCH, l0=login, l1="nobody--"))["data"]["u0"]
    assert (owner["id"], owner["databaseId"], owner["name"], owner["__typename"]) == (
        user["node_id"],
        user["id"],
        user.get("name"),
        user["type"],
    )
    assert owner["original"]["totalCount"] + owner["forked"]["totalCount"] == len(rest)


async def test_a_batch_is_answered_with_its_price(github: httpx2.AsyncClient) -> None:
    answer = await ask(github, BATCH, l0="MIA-Maintains", l1="nobody-at-all")
    limit = answer["data"].pop("rateLimit")
    assert "errors" not in answer
    assert answer["data"]["u0"]["login"] == "mia-maintains"
    assert answer["data"]["u1"] is None
    assert (limit["cost"], limit["nodeCount"], limit["limit"]) == (1, 200, 5_000)
    assert limit["remaining"] + limit["used"] == 5_000


async def test_ids_are_answered_in_their_order(github: httpx2.AsyncClient) -> None:
    known = [(await github.get(f"/users/dev-{n}")).json()["node_id"] for n in (3, 1, 2)]
    answer = await ask(github, BY_IDS, ids=[*known, "U_nobody"])
    logins = [one and one["login"] for one in answer["data"]["nodes"]]
    assert logins == ["dev-3", "dev-1", "dev-2", None]
    assert [(one["type"], one["path"]) for one in answer["errors"]] == [("NOT_FOUND", ["nodes", 3])]
    assert answer["data"]["rateLimit"]["nodeCount"] == 400


async def test_a_dry_run_costs_nothing(github: httpx2.AsyncClient) -> None:
    dry = await ask(github, DRY, l0="dev-1")
    assert dry == {"data": {"rateLimit": {"cost": 1, "nodeCount": 100}}}
    who = (await ask(github, WHO))["data"]
    assert who["rateLimit"]["used"] == 1
    assert (await github.get("/user")).json()["id"] == who["viewer"]["databaseId"]


async def test_the_same_under_the_addresses_of_an_enterprise_server(
    github: httpx2.AsyncClient,
) -> None:
    page = await github.get("/api/v3/users/big-60/repos")
    assert "/api/v3/user/160000060/repos?page=2" in page.links["next"]["url"]
    answer = await github.post("/api/graphql", json={"query": "{ viewer { login } }"})
    assert answer.json()["data"]["viewer"]["login"].startswith("keeper-")


async def test_a_known_page_is_free(github: httpx2.AsyncClient) -> None:
    first = await github.get("/users/dev-1/repos")
    again = await github.get("/users/dev-1/repos", headers={"if-none-match": first.headers["etag"]})
    other = await github.get(
        "/users/dev-1/repos",
        headers={"if-none-match": first.headers["etag"], "authorization": "Bearer another"},
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"] == "1"
    assert other.status_code == 200


async def test_a_renamed_user_is_found_by_number_only(github: httpx2.AsyncClient) -> None:
    before = (await github.get("/users/dev-501")).json()
    renamed = await github.post("/_sandbox/rename", json={"login": "dev-501", "to": "New-Name"})
    taken = await github.post("/_sandbox/rename", json={"login": "dev-502", "to": "new-name"})
    assert (renamed.status_code, taken.status_code) == (200, 409)
    assert (await github.get("/users/dev-501")).status_code == 404
    assert (await github.get(f"/user/{before['id']}")).json()["login"] == "New-Name"
    answer = await ask(github, BY_IDS, ids=[before["node_id"]])
    assert answer["data"]["nodes"][0]["login"] == "New-Name"
    assert (await github.get("/users/NEW-name/repos")).json()[0]["owner"]["login"] == "New-Name"

    newcomer = await github.post("/_sandbox/change", json={"login": "dev-501", "take_over": True})
    assert newcomer.json()["id"] != before["id"]
    assert (await github.get("/users/dev-501")).json()["id"] == newcomer.json()["id"]


async def test_people_change_and_leave(github: httpx2.AsyncClient) -> None:
    first = await github.get("/users/dev-503/repos")
    wish = {"login": "dev-503", "name": "Somebody Else", "stars": 123_456}
    assert (await github.post("/_sandbox/change", json=wish)).json()["name"] == "Somebody Else"
    changed = await github.get("/users/dev-503/repos")
    assert changed.headers["etag"] != first.headers["etag"]
    assert max(one["stargazers_count"] for one in changed.json()) == 123_456
    assert (await github.post("/_sandbox/delete", json={"login": "dev-503"})).status_code == 204
    assert (await github.get("/users/dev-503")).status_code == 404
    assert (await github.post("/_sandbox/delete", json={"login": "dev-503"})).status_code == 404


async def test_calls_are_counted(github: httpx2.AsyncClient) -> None:
    before = (await github.get("/_sandbox/calls")).json()
    await github.get("/users/dev-1")
    await ask(github, WHO)
    after = (await github.get("/_sandbox/calls")).json()
    assert {name: after[name] - before[name] for name in after} == {
        "rest": 1,
        "graphql": 1,
        "rest_points": 1,
        "graphql_points": 1,
        "not_modified": 0,
        "failed": 0,
    }


@pytest.mark.parametrize(
    ("failure", "status", "media_type"),
    [
        (Failure.BAD_GATEWAY, 502, "text/html"),
        (Failure.UNAVAILABLE, 503, "text/html"),
        (Failure.HTML, 200, "text/html"),
        (Failure.SECONDARY, 403, "application/json"),
        (Failure.SECONDARY_429, 429, "application/json"),
        (Failure.UNAUTHORIZED, 401, "application/json"),
    ],
)
async def test_it_answers_wrongly_on_demand(
    github: httpx2.AsyncClient, failure: Failure, status: int, media_type: str
) -> None:
    faults = {"fail": [failure], "retry_after_seconds": 7}
    assert (await github.put("/_sandbox/faults", json=faults)).status_code == 200
    assert (await github.get("/_sandbox/faults")).json()["fail"] == [failure]
    for response in (
        await github.get("/users/dev-1"),
        await github.post("/graphql", json={"query": WHO}),
    ):
        assert response.status_code == status
        assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert ("secondary rate limit" in response.text) == ("secondary" in failure)
        assert response.headers.get("retry-after") == ("7" if "secondary" in failure else None)


async def test_a_connection_is_dropped_without_a_byte(
    github: httpx2.AsyncClient, address: str
) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["drop"]})
    assert _raw_get(address, "/users/dev-1") == b""


async def test_half_an_answer_comes(github: httpx2.AsyncClient, address: str) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["half"]})
    head, _, body = _raw_get(address, "/users/dev-1").partition(b"\r\n\r\n")
    announced = next(
        int(line.split()[1]) for line in head.splitlines() if line.startswith(b"content-length")
    )
    assert len(body) == announced // 2 > 0


async def test_it_says_nothing_until_the_client_gives_up(github: httpx2.AsyncClient) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["timeout"]})
    with pytest.raises(httpx2.ReadTimeout):
        await github.get("/users/dev-1", timeout=0.2)


async def test_an_owner_is_given_up(github: httpx2.AsyncClient) -> None:
    ids = [(await github.get(f"/users/dev-{n}")).json()["node_id"] for n in (1, 2)]
    await github.put("/_sandbox/faults", json={"fail": ["partial"]})
    batch = await ask(github, BATCH, l0="dev-1", l1="dev-2")
    assert batch["data"]["u0"]["login"] == "dev-1"
    assert batch["data"]["u1"] is None
    by_ids = await ask(github, BY_IDS, ids=ids)
    assert [bool(one) for one in by_ids["data"]["nodes"]] == [True, False]
    assert [
        (error["type"], error["path"]) for one in (batch, by_ids) for error in one["errors"]
    ] == [("RESOURCE_LIMITS_EXCEEDED", ["u1"]), ("RESOURCE_LIMITS_EXCEEDED", ["nodes", 1])]
    assert (await github.get("/users/dev-1")).status_code == 200


async def test_the_limit_is_reached_on_demand(github: httpx2.AsyncClient) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["rate-limited"]})
    rest = await github.get("/users/dev-1")
    assert (rest.status_code, rest.headers["x-ratelimit-remaining"]) == (403, "0")
    assert rest.json()["message"].startswith("API rate limit exceeded for user ID ")
    answer = await ask(github, WHO)
    assert [error["type"] for error in answer["errors"]] == ["RATE_LIMITED"]


async def test_a_share_fails_and_the_kinds_take_turns(github: httpx2.AsyncClient) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["502", "503"], "share": 0.5})
    seen = [(await github.get("/rate_limit")).status_code for _ in range(8)]
    assert seen == [200, 502, 200, 503, 200, 502, 200, 503]


async def test_wishes_that_nobody_understands(github: httpx2.AsyncClient) -> None:
    for wish in ({"fail": ["meteor"]}, {"share": 2}, {"latency": 1}):
        response = await github.put("/_sandbox/faults", json=wish)
        assert response.status_code == 400
        assert response.json()["because"]


def _raw_get(address: str, path: str) -> bytes:
    """Ask without an HTTP client: all bytes until the connection is closed."""
    host, port = address.removeprefix("http://").split(":")
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n"
    received = b""
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request.encode())
        while chunk := connection.recv(65_536):
            received += chunk
    return received
