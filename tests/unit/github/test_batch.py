"""BatchFetcher: requests sent while GitHub is down, and owners that fail with a failing one."""

import json
from collections.abc import Callable, Collection
from typing import Any

import httpx2
import pytest

from github_banners.errors import GitHubUnavailable
from github_banners.github.batch import BatchFetcher
from github_banners.models import Owner, OwnerRepositories
from tests.unit.github.fake_api import REPOSITORY, FakeGitHubApi, json_response, open_client
from tests.unit.github.samples import NOW, owner_node, repository_node

TOKEN = "ghp_Token0123456789"
OWNERS = [Owner(number, f"dev-{number}", f"U_{number}") for number in range(20)]
UNNAMED = [Owner(number, f"dev-{number}") for number in range(20)]
# Five GraphQL queries from twenty owners to a single one, its two REST requests with three attempts
# each, and four queries for the other halves.
MAX_REQUESTS_WITH_TOKEN = 5 + 6 + 4
# Five GraphQL queries from twenty owners to a single one, and four for the other halves.
MAX_QUERIES_WITHOUT_GRAPHQL = 5 + 4
# Three owners, two REST requests with three attempts each.
MAX_REST_REQUESTS = 3 * 6


pytestmark = pytest.mark.usefixtures("retry_without_delay")


def failing_with(status: int) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda request: json_response({}, status=status)


def graphql_failing_for(owners: Collection[int]) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return a GraphQL endpoint that fails every query that contains one of these owners."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        ids = [
            int(owner_id.removeprefix("U_"))
            for owner_id in json.loads(request.content)["variables"]["ids"]
        ]
        if set(ids) & set(owners):
            return json_response({}, status=502)
        nodes = [
            owner_node(repository_node(number)) | {"databaseId": number, "id": f"U_{number}"}
            for number in ids
        ]
        return json_response({"data": {"nodes": nodes}})

    return respond


def rest_failing_for(owners: Collection[int]) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return a REST API that fails every request for one of these owners."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.path.split("/")[2])
        if number in owners:
            return json_response({}, status=502)
        owner = {"id": number, "login": "Ada", "node_id": f"U_{number}", "public_repos": 1}
        return json_response([REPOSITORY] if request.url.path.endswith("/repos") else owner)

    return respond


async def fetch_all(api: FakeGitHubApi, *tokens: str, owners: list[Owner] = OWNERS) -> set[int]:
    """Fetch all owners; return the ids of those that did not fail."""
    async with open_client(api, *tokens) as github:
        results = await BatchFetcher(github, clock=lambda: NOW).fetch_many(owners)
    assert len(results) == len(owners)
    for owner, result in zip(owners, results, strict=True):
        if isinstance(result, OwnerRepositories):
            assert result.owner.id == owner.id
        else:
            assert isinstance(result, GitHubUnavailable)
    return {result.owner.id for result in results if isinstance(result, OwnerRepositories)}


@pytest.mark.parametrize("status", [502, 504])
async def test_fetch_many_github_down_few_requests_are_sent(status: int) -> None:
    api = FakeGitHubApi()
    api.graphql = api.rest = failing_with(status)
    assert await fetch_all(api, TOKEN) == set()
    assert len(api.requests) <= MAX_REQUESTS_WITH_TOKEN


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_fetch_many_graphql_down_rest_is_tried_for_three_owners(status: int) -> None:
    api = FakeGitHubApi()
    api.graphql = failing_with(status)
    api.rest = failing_with(503)
    assert await fetch_all(api, TOKEN) == set()
    assert api.paths().count("/graphql") == 1
    assert len(api.requests) <= 1 + MAX_REST_REQUESTS


@pytest.mark.parametrize(
    "response",
    [
        {"content": b"<!DOCTYPE html>"},
        {"status": 302, "headers": {"location": "https://login.example/"}},
        {"status": 302},
        {"status": 406},
        {"status": 502},
        {"body": {"errors": [{"message": "Internal error", "path": None}]}},
        {"body": {"errors": [{"type": "RESOURCE_LIMITS_EXCEEDED"}]}},
        {"body": {"data": {"nodes": []}}},
    ],
    ids=["html", "login", "302", "406", "502", "unknown error", "resource limits", "no owners"],
)
async def test_fetch_many_graphql_down_and_rest_up_does_not_multiply_requests(
    response: dict[str, Any],
) -> None:
    api = FakeGitHubApi()
    content = response.get("content") or json.dumps(response.get("body", {})).encode()
    api.graphql = lambda request: httpx2.Response(
        response.get("status", 200),
        headers=response.get("headers"),
        stream=httpx2.ByteStream(content),
    )
    api.rest = rest_failing_for([])
    assert await fetch_all(api, TOKEN) == set(range(20))
    assert api.paths().count("/graphql") <= MAX_QUERIES_WITHOUT_GRAPHQL
    assert len(api.paths()) - api.paths().count("/graphql") == 2 * 20


async def test_fetch_many_graphql_down_and_three_owners_failing_over_rest_stops() -> None:
    api = FakeGitHubApi()
    api.graphql = failing_with(502)
    api.rest = rest_failing_for(range(10, 20))
    assert await fetch_all(api, TOKEN) == set(range(10))
    assert len(api.requests) <= MAX_QUERIES_WITHOUT_GRAPHQL + 2 * 10 + MAX_REST_REQUESTS


@pytest.mark.parametrize("distance", [1, 2, 3, 9])
async def test_fetch_many_two_owners_failing_in_graphql_few_others_need_rest(distance: int) -> None:
    for first in range(20 - distance):
        api = FakeGitHubApi()
        api.graphql = graphql_failing_for({first, first + distance})
        api.rest = rest_failing_for([])
        assert await fetch_all(api, TOKEN) == set(range(20))
        assert len(api.paths()) - api.paths().count("/graphql") <= 2 * 4


@pytest.mark.parametrize("status", [502, 503])
@pytest.mark.parametrize("tokens", [(), (TOKEN,)], ids=["anonymous", "token"])
async def test_fetch_many_rest_down_stops_after_three_owners(
    status: int, tokens: tuple[str, ...]
) -> None:
    api = FakeGitHubApi()
    api.rest = failing_with(status)
    assert await fetch_all(api, *tokens, owners=UNNAMED) == set()
    assert len(api.requests) <= MAX_REST_REQUESTS


@pytest.mark.parametrize("failing", range(20))
async def test_fetch_many_owner_failing_in_graphql_is_fetched_over_rest(failing: int) -> None:
    api = FakeGitHubApi()
    api.graphql = graphql_failing_for([failing])
    api.rest = rest_failing_for([])
    assert await fetch_all(api, TOKEN) == set(range(20))
    assert api.paths().count("/graphql") <= 1 + 2 * 5
    assert len(api.paths()) - api.paths().count("/graphql") == 2


@pytest.mark.parametrize("failing", range(20))
async def test_fetch_many_owner_failing_everywhere_fails_alone(failing: int) -> None:
    api = FakeGitHubApi()
    api.graphql = graphql_failing_for([failing])
    api.rest = rest_failing_for([failing])
    assert await fetch_all(api, TOKEN) == set(range(20)) - {failing}


@pytest.mark.parametrize("distance", [1, 2, 3, 9])
async def test_fetch_many_two_owners_failing_one_other_fails_at_most(distance: int) -> None:
    for first in range(20 - distance):
        failing = {first, first + distance}
        api = FakeGitHubApi()
        api.graphql = graphql_failing_for(failing)
        api.rest = rest_failing_for(failing)
        failed_too = set(range(20)) - failing - await fetch_all(api, TOKEN)
        assert len(failed_too) <= (1 if distance <= 2 else 0)


async def test_fetch_many_owners_with_and_without_node_id_keep_their_order() -> None:
    api = FakeGitHubApi()
    api.graphql = graphql_failing_for([])
    api.rest = rest_failing_for([4])
    owners = [owner for pair in zip(OWNERS[::2], UNNAMED[1::2], strict=True) for owner in pair]
    assert await fetch_all(api, TOKEN, owners=owners) == set(range(20))
    assert api.paths().count("/graphql") == 1


async def test_fetch_many_two_failures_in_a_row_do_not_count_as_outage() -> None:
    api = FakeGitHubApi()
    api.rest = rest_failing_for([0, 1, 5, 8, 9])
    assert await fetch_all(api, TOKEN, owners=UNNAMED) == set(range(20)) - {0, 1, 5, 8, 9}


async def test_fetch_many_response_with_fewer_owners_is_a_failure() -> None:
    api = FakeGitHubApi()
    api.graphql = lambda request: json_response({"data": {"nodes": []}})
    assert await fetch_all(api, TOKEN) == set()


async def test_fetch_many_incomplete_repositories_are_fetched_over_rest() -> None:
    api = FakeGitHubApi()
    api.graphql = lambda request: json_response(
        {"data": {"nodes": [owner_node(total=1) | {"databaseId": 0, "id": "U_0"}]}}
    )
    api.rest = rest_failing_for([])
    assert await fetch_all(api, TOKEN, owners=OWNERS[:1]) == {0}
    assert sorted(set(api.paths())) == ["/graphql", "/user/0", "/user/0/repos"]


async def test_batch_has_followers() -> None:
    node = owner_node() | {"databaseId": 0, "id": "U_0", "followers": {"totalCount": 7}}
    api = FakeGitHubApi()
    api.graphql = lambda request: json_response({"data": {"nodes": [node]}})
    async with open_client(api, TOKEN) as github:
        (result,) = await BatchFetcher(github, clock=lambda: NOW).fetch_many(OWNERS[:1])
    assert isinstance(result, OwnerRepositories)
    assert result.followers == 7
