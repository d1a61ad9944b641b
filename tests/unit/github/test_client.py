"""The client and responses that GitHub gives only in case of an error, without sockets."""

import asyncio
import json
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.protocol import RateLimit, Resource
from github_banners.models import Owner
from github_banners.settings import Secret
from tests.unit.github.fake_api import (
    OWNER_BODY,
    REPOSITORY,
    FakeGitHubApi,
    json_response,
    open_client,
    owners_response,
    rest_response,
)
from tests.unit.github.samples import NOW, owner_node, rate_limit_headers, repository_node

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada", node_id="U_1", display_name="Ada L")
SAML = {"message": "Resource protected by organization SAML enforcement."}
HOUR = timedelta(hours=1)


def is_anonymous(request: httpx2.Request) -> bool:
    return "authorization" not in request.headers


pytestmark = pytest.mark.usefixtures("retry_without_delay")


async def test_fetch_with_token_sends_one_graphql_query(api: FakeGitHubApi) -> None:
    async with open_client(api, TOKEN) as github:
        fetched = await github.fetch("Ada")
    (request,) = api.requests
    assert (request.method, str(request.url)) == ("POST", "https://api.example/graphql")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content)["variables"] == {"l0": "Ada"}
    assert (fetched.owner, fetched.fetched_at, fetched.reported_count) == (ADA, NOW, 1)


async def test_fetch_without_token_sends_anonymous_rest_requests(api: FakeGitHubApi) -> None:
    async with open_client(api) as github:
        fetched = await github.fetch("a/../b?c")
    assert fetched.owner == ADA
    assert sorted(request.url.raw_path.decode() for request in api.requests) == [
        "/users/a%2F..%2Fb%3Fc",
        "/users/a%2F..%2Fb%3Fc/repos?type=owner&sort=full_name&per_page=100&page=1",
    ]
    for request in api.requests:
        assert is_anonymous(request)
        assert "content-type" not in request.headers
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["x-github-api-version"]
        assert request.headers["user-agent"].startswith("github-banners/")


async def test_fetch_followers_are_the_same_over_both_protocols(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: owners_response(
        u0=owner_node() | {"followers": {"totalCount": 7}}
    )
    api.rest = lambda request: (
        rest_response(request)
        if request.url.path.endswith("/repos")
        else json_response(OWNER_BODY | {"followers": 7})
    )
    async with open_client(api, TOKEN) as github:
        assert (await github.fetch("Ada")).followers == 7
    async with open_client(api) as github:
        assert (await github.fetch("Ada")).followers == 7
    assert api.paths()[:2] == ["/graphql", "/users/Ada"]


async def test_fetch_by_id_without_node_id_uses_rest(api: FakeGitHubApi) -> None:
    async with open_client(api, TOKEN) as github:
        await github.fetch_by_id(Owner(1, "Ada"))
    assert sorted(api.paths()) == ["/user/1", "/user/1/repos"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"message": "Not Found"}),
        (503, {"message": "Unicorn!"}),
        (502, {"message": "Bad Gateway"}),
        (200, {"message": "Field 'u0' doesn't exist"}),
        (200, {"data": {"u0": {"id": "U_1"}, "nodes": []}}),
        (200, {"data": {}}),
    ],
)
@pytest.mark.parametrize("is_known", [False, True])
async def test_fetch_graphql_broken_falls_back_to_rest(
    api: FakeGitHubApi, status: int, body: Any, is_known: bool
) -> None:
    api.graphql = lambda request: json_response(body, status=status)
    async with open_client(api, TOKEN) as github:
        fetched = await (github.fetch_by_id(ADA) if is_known else github.fetch("Ada"))
    assert (fetched.owner, len(fetched.repositories)) == (ADA, 1)
    assert api.paths().count("/graphql") == 1


async def test_fetch_forbidden_for_token_is_repeated_anonymously(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: json_response(
        {"data": {"u0": None}, "errors": [{"type": "FORBIDDEN", "path": ["u0"], "message": "SAML"}]}
    )
    api.rest = lambda request: (
        rest_response(request) if is_anonymous(request) else json_response(SAML, status=403)
    )
    async with open_client(api, TOKEN) as github:
        fetched = await github.fetch("Ada")
        assert fetched.owner == ADA
        api.graphql = lambda request: owners_response()
        await github.fetch("Ada")
    assert api.paths()[-1] == "/graphql"


async def test_fetch_retry_after_zero_tries_each_account_once(api: FakeGitHubApi) -> None:
    """An advised delay of zero does not make the same account retry."""
    body = {"message": "You have exceeded a secondary rate limit."}
    api.rest = lambda request: json_response(body, status=429, headers={"retry-after": "0"})
    async with open_client(api) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert len(api.requests) <= 2


async def test_fetch_rejected_token_ignores_reported_rate_limit(api: FakeGitHubApi) -> None:
    headers = rate_limit_headers(remaining=0, limit=60, reset_in=HOUR)
    api.graphql = lambda request: json_response(
        {"message": "Bad credentials"}, status=401, headers=headers
    )
    accounts = create_accounts([Secret(TOKEN)])
    async with open_client(api, accounts=accounts) as github:
        await github.fetch("Ada")
    later = NOW + timedelta(minutes=1)
    assert [accounts[0].remaining(resource, now=later) for resource in Resource] == [5000, 5000]
    assert accounts[0].is_usable(Resource.CORE, now=later)


async def test_fetch_parallel_rejections_count_as_one_failure(api: FakeGitHubApi) -> None:
    node = owner_node(repository_node(7), total=800, cursor="Y3")
    api.graphql = lambda request: owners_response(u0=node)
    api.rest = lambda request: json_response({"message": "Bad credentials"}, status=401)
    accounts = create_accounts([Secret(TOKEN)])
    async with open_client(api, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert [account.credentials[0].consecutive_failures for account in accounts] == [1, 1]


async def test_fetch_connection_error_costs_nothing(api: FakeGitHubApi) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no route")

    api.rest = refuse
    accounts = create_accounts([])
    async with open_client(api, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert accounts[0].remaining(Resource.CORE, now=NOW) == 60


async def test_fetch_parallel_requests_stay_within_remaining_limit(api: FakeGitHubApi) -> None:
    api.rest = lambda request: json_response(
        [REPOSITORY], headers=rate_limit_headers(remaining=2, limit=3, reset_in=HOUR)
    )
    accounts = create_accounts([])
    async with open_client(api, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
        request_count = len(api.requests)
        api.rest = lambda request: json_response(
            OWNER_BODY, headers=rate_limit_headers(remaining=0, limit=60, reset_in=HOUR)
        )
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
        assert len(api.requests) - request_count <= 2
        assert accounts[0].remaining(Resource.CORE, now=NOW) == 0


async def test_fetch_secondary_limit_blocks_from_time_of_response(api: FakeGitHubApi) -> None:
    times = iter([NOW, NOW, *[NOW + timedelta(seconds=8)] * 20])
    accounts = create_accounts([Secret(TOKEN)])
    now = NOW

    def clock() -> datetime:
        nonlocal now
        now = next(times)
        return now

    body = {"message": "You have exceeded a secondary rate limit."}
    api.graphql = lambda request: json_response(body)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api), trust_env=False) as http:
        github = GitHubClient(
            http,
            api_url="https://api.example",
            accounts=accounts,
            timeout=timedelta(seconds=5),
            clock=clock,
        )
        await github.fetch("Ada")
    assert accounts[0].blocked_until[Resource.CORE] == NOW + timedelta(seconds=68)


@pytest.mark.parametrize(
    ("graphql_remaining", "core_remaining", "paths"),
    [
        (501, 0, ["/graphql"]),
        (500, 501, ["/users/Ada", "/users/Ada/repos"]),
        (500, 500, []),
        (1, 1, []),
    ],
)
async def test_fetch_unknown_login_leaves_a_tenth_of_the_limit(
    api: FakeGitHubApi, graphql_remaining: int, core_remaining: int, paths: list[str]
) -> None:
    accounts = create_accounts([Secret(TOKEN)])
    for resource, remaining_counts in (
        (Resource.GRAPHQL, graphql_remaining),
        (Resource.CORE, core_remaining),
    ):
        accounts[0].update_rate_limit(RateLimit(resource, 5000, remaining_counts, NOW + HOUR))
    accounts.pop()
    async with open_client(api, accounts=accounts) as github:
        with nullcontext() if paths else pytest.raises(GitHubUnavailable, match="known"):
            await github.fetch("Ada")
        assert sorted(api.paths()) == paths
        api.requests.clear()
        with suppress(GitHubUnavailable):  # this API responds only by login
            await github.fetch_by_id(ADA)
        assert api.paths()[0] == "/graphql"


async def test_fetch_unknown_login_with_long_list_stops_at_the_reserve(api: FakeGitHubApi) -> None:
    accounts = create_accounts([Secret(TOKEN)])
    accounts.pop()
    remaining_counts = iter(range(510, 0, -1))

    def rest(request: httpx2.Request) -> httpx2.Response:
        headers = rate_limit_headers(remaining=next(remaining_counts), limit=5000, reset_in=HOUR)
        if not request.url.path.endswith("/repos"):
            return json_response(OWNER_BODY | {"public_repos": 9_000}, headers=headers)
        last = '<https://api.example/users/Ada/repos?page=90>; rel="last"'
        return json_response([REPOSITORY], headers={**headers, "link": last})

    api.rest = rest
    accounts[0].update_rate_limit(RateLimit(Resource.GRAPHQL, 5000, 1, NOW + HOUR))
    async with open_client(api, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable, match="reserved for known users"):
            await github.fetch("Ada")
    assert len(api.requests) == 2
    assert accounts[0].remaining(Resource.CORE, now=NOW) >= 500


async def test_fetch_long_list_requests_eight_pages_at_once(api: FakeGitHubApi) -> None:
    in_flight, max_in_flight = 0, 0

    async def page(request: httpx2.Request) -> httpx2.Response:
        nonlocal in_flight, max_in_flight
        in_flight += 1
        max_in_flight = max(max_in_flight, in_flight)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        in_flight -= 1
        number = int(request.url.params["page"])
        return json_response(
            [{"id": number * 100 + number_in_page, "name": "x"} for number_in_page in range(100)]
        )

    api.rest = page
    api.graphql = lambda request: owners_response(u0=owner_node(total=2500, cursor="Y3"))
    async with open_client(api, TOKEN) as github:
        fetched = await github.fetch("Ada")
    assert len(fetched.repositories) == 2500
    assert max_in_flight == 8


async def test_fetch_ninth_page_does_not_wait_for_slow_first_page(api: FakeGitHubApi) -> None:
    is_ninth_requested = asyncio.Event()

    async def page(request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.params["page"])
        if number == 9:
            is_ninth_requested.set()
        if number == 1:
            await is_ninth_requested.wait()
        return json_response([{"id": number * 100 + index, "name": "x"} for index in range(100)])

    api.rest = page
    api.graphql = lambda request: owners_response(u0=owner_node(total=900, cursor="Y3"))
    async with open_client(api, TOKEN) as github:
        fetched = await github.fetch("Ada")
    assert [repository.id for repository in fetched.repositories] == list(range(100, 1000))


async def test_fetch_eight_empty_pages_end_the_list(api: FakeGitHubApi) -> None:
    def page(request: httpx2.Request) -> httpx2.Response:
        return json_response([]) if "page" in request.url.params else json_response({}, status=404)

    api.rest = page
    api.graphql = lambda request: owners_response(u0=owner_node(total=9000, cursor="Y3"))
    async with open_client(api, TOKEN) as github:
        await github.fetch("Ada")
    numbers = {int(request.url.params.get("page", 1)) for request in api.requests}
    assert numbers == set(range(1, 9))


async def test_fetch_pages_added_meanwhile_are_fetched(api: FakeGitHubApi) -> None:
    """The list has grown since its length was fetched."""

    def page(request: httpx2.Request) -> httpx2.Response:
        if "page" not in request.url.params:
            return json_response({"id": 1, "login": "Ada", "public_repos": 4})
        number = int(request.url.params["page"])
        link = f'<https://api.example/user/1/repos?page={number + 1}>; rel="next"'
        return json_response(
            [{"id": number, "name": "x"}], headers={"link": link} if number < 4 else {}
        )

    api.rest = page
    api.graphql = lambda request: owners_response(u0=owner_node(total=101, cursor="Y3"))
    async with open_client(api, TOKEN) as github:
        fetched = await github.fetch("Ada")
    assert [repository.id for repository in fetched.repositories] == [1, 2, 3, 4]


async def test_fetch_repositories_missing_in_graphql_come_from_rest(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: owners_response(u0=owner_node(None, total=1))
    async with open_client(api, TOKEN) as github:
        fetched = await github.fetch("Ada")
    assert (len(fetched.repositories), fetched.reported_count) == (1, 1)
    assert api.paths() == ["/graphql", "/users/Ada", "/users/Ada/repos"]


async def test_fetch_list_of_wrong_length_is_requested_twice_and_accepted(
    api: FakeGitHubApi,
) -> None:
    def rest(request: httpx2.Request) -> httpx2.Response:
        if "page" in request.url.params:
            return json_response([{"id": 7, "name": "x"}])
        return json_response({"id": 1, "login": "Ada", "public_repos": 2})

    api.rest = rest
    async with open_client(api) as github:
        with capture_logs() as events:
            fetched = await github.fetch("Ada")
    assert (len(fetched.repositories), fetched.reported_count) == (1, 2)
    assert api.paths().count("/users/Ada/repos") == 2
    (warning,) = [event for event in events if event["log_level"] == "warning"]
    assert (warning["event"], warning["listed"], warning["expected"]) == (
        "github.length_differs",
        1,
        2,
    )


async def test_fetch_list_complete_at_second_request_logs_no_warning(api: FakeGitHubApi) -> None:
    nodes = iter([owner_node(None, repository_node(7)), owner_node(repository_node(7))])
    api.graphql = lambda request: owners_response(u0=next(nodes))
    async with open_client(api, TOKEN) as github:
        with capture_logs() as events:
            fetched = await github.fetch("Ada")
    assert len(fetched.repositories) == fetched.reported_count == 1
    assert not [event for event in events if event["log_level"] == "warning"]


async def test_fetch_second_request_failing_returns_incomplete_list(api: FakeGitHubApi) -> None:
    responses = iter([owners_response(u0=owner_node(repository_node(7), total=2))])
    api.graphql = lambda request: next(responses, None) or json_response({}, status=502)
    api.rest = lambda request: json_response({}, status=502)
    async with open_client(api, TOKEN) as github:
        fetched = await github.fetch("Ada")
    assert (len(fetched.repositories), fetched.reported_count) == (1, 2)


async def test_fetch_status_504_retries_rest_but_not_graphql(api: FakeGitHubApi) -> None:
    api.graphql = api.rest = lambda request: json_response({}, status=504)
    async with open_client(api, TOKEN) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert api.paths().count("/graphql") == 1
    assert api.paths().count("/users/Ada") == 3


async def test_fetch_without_response_leaves_nothing_in_flight(api: FakeGitHubApi) -> None:
    async def respond(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    api.rest = respond
    accounts = create_accounts([])
    async with open_client(api, accounts=accounts, seconds=0.05) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
        assert accounts[0].remaining(Resource.CORE, now=NOW) == 60
        assert len(asyncio.all_tasks()) == 1


async def test_fetch_first_failure_cancels_other_requests(api: FakeGitHubApi) -> None:
    async def respond(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/repos"):
            await asyncio.Event().wait()
        return json_response({"message": "Not Found"}, status=404)

    api.rest = respond
    async with open_client(api) as github:
        with pytest.raises(UnknownUser):
            await github.fetch("Ada")
        assert len(asyncio.all_tasks()) == 1
