"""The sandbox over HTTP: accounts by REST and GraphQL, the control API, faults."""

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import httpx2
import msgspec
import pytest

from github_sandbox import Failure
from tests.integration.sandbox_process import running_sandbox
from tests.resources import RECORDINGS, needs_recordings

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
DRY_RUN = (
    """
query DryRun($l0: String!) {
  rateLimit(dryRun: true) { cost nodeCount }
  u0: repositoryOwner(login: $l0) { ...Owner }
}
"""
    + OWNER
)
VIEWER = (
    "query Viewer { viewer { login databaseId } rateLimit { limit remaining used resetAt cost } }"
)

RECORDED = ["wycats", "bitwiseman", "peter-murach", "rspec", "juliasilge"]
LISTS = {
    "wycats": "exchange.repos.wycats.2014-04.json",
    "bitwiseman": "exchange.repos.bitwiseman.2019-10.json",
    "peter-murach": "exchange.repos.peter-murach.2014-04.json",
    "rspec": "exchange.repos.rspec.2014-04.json",
    "juliasilge": "repos.juliasilge.2016-10.complete.json",
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_sandbox(recordings=RECORDINGS if RECORDINGS.is_dir() else None) as base:
        yield base


@pytest.fixture
async def github(address: str, request: pytest.FixtureRequest) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with its own token; faults are reset afterwards."""
    headers = {"authorization": f"Bearer {request.node.name}", "user-agent": "test"}
    async with httpx2.AsyncClient(base_url=address, headers=headers, trust_env=False) as client:
        yield client
        await client.put("/_sandbox/faults", json={})


async def execute(github: httpx2.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    response = await github.post("/graphql", json={"query": query, "variables": variables})
    assert response.status_code == 200
    result: dict[str, Any] = response.json()
    return result


async def rest_repositories(github: httpx2.AsyncClient, login: str) -> list[dict[str, Any]]:
    """Return all pages, following the links."""
    merged: list[dict[str, Any]] = []
    address: str | None = f"/users/{login}/repos?per_page=100&sort=full_name"
    while address:
        response = await github.get(address)
        merged += response.json()
        address = response.links.get("next", {}).get("url")
    return merged


async def graphql_repositories(github: httpx2.AsyncClient, login: str) -> list[dict[str, Any]]:
    """Return the first page by login and the others by cursor."""
    owner = (await execute(github, BATCH, l0=login, l1=login))["data"]["u0"]
    page, merged = owner["repositories"], list(owner["repositories"]["nodes"])
    while page["pageInfo"]["hasNextPage"]:
        after = page["pageInfo"]["endCursor"]
        result = await execute(github, REPO_PAGE, id=owner["id"], after=after)
        page = result["data"]["node"]["repositories"]
        merged += page["nodes"]
    return merged


def recorded_bodies(login: str) -> list[dict[str, Any]]:
    recorded = msgspec.json.decode((RECORDINGS / "rest" / LISTS[login]).read_bytes())
    if isinstance(recorded, list):
        return recorded
    return [body for exchange in recorded["exchanges"] for body in exchange["response"]["body"]]


def by_id(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(bodies, key=lambda body: int(body["id"]))


def to_datetime(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@needs_recordings
@pytest.mark.parametrize("login", RECORDED)
async def test_recorded_repositories_are_returned_unchanged(
    github: httpx2.AsyncClient, login: str
) -> None:
    merged = await rest_repositories(github, login)
    user = (await github.get(f"/users/{login}")).json()
    assert by_id(merged) == by_id(recorded_bodies(login))
    assert user["public_repos"] == len(merged)
    assert user["node_id"]


@needs_recordings
@pytest.mark.parametrize("login", ["sferik", "gaearon", "iamshaunjp", "octocat"])
async def test_incompletely_recorded_account_does_not_exist(
    github: httpx2.AsyncClient, login: str
) -> None:
    assert (await github.get(f"/users/{login}")).status_code == 404
    assert (await execute(github, BATCH, l0=login, l1=login))["data"]["u0"] is None


@pytest.mark.parametrize(
    "login",
    [
        *(pytest.param(login, marks=needs_recordings) for login in RECORDED),
        *("dev-7", "big-201", "umbra-labs", "mallory-markup", "nell-newcomer"),
    ],
)
async def test_rest_and_graphql_return_the_same_data(
    github: httpx2.AsyncClient, login: str
) -> None:
    rest = await rest_repositories(github, login)
    graphql = await graphql_repositories(github, login)
    assert {
        body["id"]: (
            body["name"],
            body["stargazers_count"],
            body["forks_count"],
            body["fork"],
            body.get("archived", False),
            to_datetime(body["pushed_at"]),
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
            to_datetime(node["pushedAt"]),
            (node["primaryLanguage"] or {}).get("name"),
        )
        for node in graphql
    }
    user = (await github.get(f"/users/{login}")).json()
    owner = (await execute(github, BATCH, l0=login, l1="nobody--"))["data"]["u0"]
    assert (owner["id"], owner["databaseId"], owner["name"], owner["__typename"]) == (
        user["node_id"],
        user["id"],
        user.get("name"),
        user["type"],
    )
    assert owner["original"]["totalCount"] + owner["forked"]["totalCount"] == len(rest)


async def test_graphql_batch_reports_its_cost(github: httpx2.AsyncClient) -> None:
    result = await execute(github, BATCH, l0="MIA-Maintains", l1="nobody-at-all")
    limit = result["data"].pop("rateLimit")
    assert "errors" not in result
    assert result["data"]["u0"]["login"] == "mia-maintains"
    assert result["data"]["u1"] is None
    assert (limit["cost"], limit["nodeCount"], limit["limit"]) == (1, 200, 5_000)
    assert limit["remaining"] + limit["used"] == 5_000


async def test_graphql_nodes_keep_the_order_of_ids(github: httpx2.AsyncClient) -> None:
    known = [(await github.get(f"/users/dev-{n}")).json()["node_id"] for n in (3, 1, 2)]
    result = await execute(github, BY_IDS, ids=[*known, "U_nobody"])
    logins = [node and node["login"] for node in result["data"]["nodes"]]
    assert logins == ["dev-3", "dev-1", "dev-2", None]
    assert [(error["type"], error["path"]) for error in result["errors"]] == [
        ("NOT_FOUND", ["nodes", 3])
    ]
    assert result["data"]["rateLimit"]["nodeCount"] == 400


async def test_graphql_dry_run_is_free(github: httpx2.AsyncClient) -> None:
    dry = await execute(github, DRY_RUN, l0="dev-1")
    assert dry == {"data": {"rateLimit": {"cost": 1, "nodeCount": 100}}}
    viewer = (await execute(github, VIEWER))["data"]
    assert viewer["rateLimit"]["used"] == 1
    assert (await github.get("/user")).json()["id"] == viewer["viewer"]["databaseId"]


async def test_enterprise_server_paths_work(
    github: httpx2.AsyncClient,
) -> None:
    page = await github.get("/api/v3/users/big-60/repos")
    assert "/api/v3/user/160000060/repos?page=2" in page.links["next"]["url"]
    result = await github.post("/api/graphql", json={"query": "{ viewer { login } }"})
    assert result.json()["data"]["viewer"]["login"].startswith("token-owner-")


async def test_not_modified_page_is_free(github: httpx2.AsyncClient) -> None:
    first = await github.get("/users/dev-1/repos")
    again = await github.get("/users/dev-1/repos", headers={"if-none-match": first.headers["etag"]})
    other = await github.get(
        "/users/dev-1/repos",
        headers={"if-none-match": first.headers["etag"], "authorization": "Bearer another"},
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"] == "1"
    assert other.status_code == 200


async def test_renamed_account_is_found_by_id_only(github: httpx2.AsyncClient) -> None:
    before = (await github.get("/users/dev-501")).json()
    renamed = await github.post("/_sandbox/rename", json={"login": "dev-501", "to": "New-Name"})
    taken = await github.post("/_sandbox/rename", json={"login": "dev-502", "to": "new-name"})
    assert (renamed.status_code, taken.status_code) == (200, 409)
    assert (await github.get("/users/dev-501")).status_code == 404
    assert (await github.get(f"/user/{before['id']}")).json()["login"] == "New-Name"
    result = await execute(github, BY_IDS, ids=[before["node_id"]])
    assert result["data"]["nodes"][0]["login"] == "New-Name"
    assert (await github.get("/users/NEW-name/repos")).json()[0]["owner"]["login"] == "New-Name"

    new_account = await github.post(
        "/_sandbox/change", json={"login": "dev-501", "take_over": True}
    )
    assert new_account.json()["id"] != before["id"]
    assert (await github.get("/users/dev-501")).json()["id"] == new_account.json()["id"]


async def test_accounts_can_be_changed_and_deleted(github: httpx2.AsyncClient) -> None:
    first = await github.get("/users/dev-503/repos")
    change = {"login": "dev-503", "name": "New Name", "stars": 123_456}
    assert (await github.post("/_sandbox/change", json=change)).json()["name"] == "New Name"
    changed = await github.get("/users/dev-503/repos")
    assert changed.headers["etag"] != first.headers["etag"]
    assert max(repository["stargazers_count"] for repository in changed.json()) == 123_456
    assert (await github.post("/_sandbox/delete", json={"login": "dev-503"})).status_code == 204
    assert (await github.get("/users/dev-503")).status_code == 404
    missing = await github.post("/_sandbox/delete", json={"login": "dev-503"})
    assert missing.status_code == 404
    assert missing.json() == {"error": "account not found", "login": "dev-503"}


async def test_calls_are_counted(github: httpx2.AsyncClient) -> None:
    before = (await github.get("/_sandbox/calls")).json()
    await github.get("/users/dev-1")
    await execute(github, VIEWER)
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
async def test_failure_returns_its_status_and_media_type(
    github: httpx2.AsyncClient, failure: Failure, status: int, media_type: str
) -> None:
    faults = {"fail": [failure], "retry_after_seconds": 7}
    assert (await github.put("/_sandbox/faults", json=faults)).status_code == 200
    assert (await github.get("/_sandbox/faults")).json()["fail"] == [failure]
    for response in (
        await github.get("/users/dev-1"),
        await github.post("/graphql", json={"query": VIEWER}),
    ):
        assert response.status_code == status
        assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert ("secondary rate limit" in response.text) == ("secondary" in failure)
        assert response.headers.get("retry-after") == ("7" if "secondary" in failure else None)


async def test_drop_closes_the_connection_without_a_response(
    github: httpx2.AsyncClient, address: str
) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["drop"]})
    assert _raw_get(address, "/users/dev-1") == b""


async def test_half_sends_half_of_the_body(github: httpx2.AsyncClient, address: str) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["half"]})
    head, _, body = _raw_get(address, "/users/dev-1").partition(b"\r\n\r\n")
    content_length = next(
        int(line.split()[1]) for line in head.splitlines() if line.startswith(b"content-length")
    )
    assert len(body) == content_length // 2 > 0


async def test_timeout_sends_no_response(github: httpx2.AsyncClient) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["timeout"]})
    with pytest.raises(httpx2.ReadTimeout):
        await github.get("/users/dev-1", timeout=0.2)


async def test_partial_omits_the_last_owner(github: httpx2.AsyncClient) -> None:
    ids = [(await github.get(f"/users/dev-{n}")).json()["node_id"] for n in (1, 2)]
    await github.put("/_sandbox/faults", json={"fail": ["partial"]})
    batch = await execute(github, BATCH, l0="dev-1", l1="dev-2")
    assert batch["data"]["u0"]["login"] == "dev-1"
    assert batch["data"]["u1"] is None
    by_ids = await execute(github, BY_IDS, ids=ids)
    assert [bool(node) for node in by_ids["data"]["nodes"]] == [True, False]
    assert [
        (error["type"], error["path"]) for result in (batch, by_ids) for error in result["errors"]
    ] == [("RESOURCE_LIMITS_EXCEEDED", ["u1"]), ("RESOURCE_LIMITS_EXCEEDED", ["nodes", 1])]
    assert (await github.get("/users/dev-1")).status_code == 200


async def test_rate_limited_returns_githubs_errors(github: httpx2.AsyncClient) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["rate-limited"]})
    rest = await github.get("/users/dev-1")
    assert (rest.status_code, rest.headers["x-ratelimit-remaining"]) == (403, "0")
    assert rest.json()["message"].startswith("API rate limit exceeded for user ID ")
    result = await execute(github, VIEWER)
    assert [error["type"] for error in result["errors"]] == ["RATE_LIMITED"]


async def test_fail_rate_alternates_between_failures(github: httpx2.AsyncClient) -> None:
    await github.put("/_sandbox/faults", json={"fail": ["502", "503"], "fail_rate": 0.5})
    statuses = [(await github.get("/rate_limit")).status_code for _ in range(8)]
    assert statuses == [200, 502, 200, 503, 200, 502, 200, 503]


async def test_invalid_faults_return_400(github: httpx2.AsyncClient) -> None:
    for faults in ({"fail": ["meteor"]}, {"fail_rate": 2}, {"latency": 1}):
        response = await github.put("/_sandbox/faults", json=faults)
        assert response.status_code == 400
        assert response.json()["error"] == "invalid request"
        assert response.json()["detail"]


def _raw_get(address: str, path: str) -> bytes:
    """Send a request without an HTTP client, and return all bytes received."""
    host, port = address.removeprefix("http://").split(":")
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n"
    received = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request.encode())
        while chunk := connection.recv(65_536):
            received += chunk
    return received
