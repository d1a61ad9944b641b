"""GitHubClient against the sandbox on a real port: all repositories of an owner, and failures."""

import logging
import math
import time
import traceback
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.github.client import GitHubClient
from github_banners.github.graphql import (
    OwnerPage,
    Query,
    RepositoryPage,
    build_id_query,
    build_login_query,
    build_page_query,
    parse_owners_by_id,
    parse_owners_by_login,
    parse_repository_page,
)
from github_banners.github.protocol import Failure, FailureKind, GitHubResponse
from github_banners.models import OwnerRepositories, utc_now
from tests.integration.controlled_sandbox import (
    FIRST,
    REVOKED,
    SECOND,
    Sandbox,
    controlled_sandbox,
    count_requests,
    open_client,
)
from tests.time_limits import finish_within

REPOSITORY_COUNTS = {
    "nell-newcomer": 0,
    "mia-maintains": 30,
    "umbra-labs": 64,
    "big-150": 150,
    "pat-prolific": 1000,
    "hana-hoards": 2345,
}
FAILURES = ["502", "503", "drop", "half", "html", "401", "rate-limited"]
SECONDARY_LIMITS = ["secondary", "secondary-429"]
TEMPORARY = ["502", "503", "drop", "half", "html"]
_numbers = count(1)

pytestmark = pytest.mark.usefixtures("retry_without_delay")


@pytest.fixture(scope="module")
def faultless() -> Iterator[Sandbox]:
    """A sandbox without faults; its 60 requests without a token are nearly used up."""
    with controlled_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def login(sandbox: Sandbox) -> str:
    """The login of an owner with 30 repositories that no other test uses."""
    return f"dev-{1000 + next(_numbers)}"


def sorted_by_id(fetched: OwnerRepositories) -> list[Any]:
    return sorted(fetched.repositories, key=lambda repository: repository.id)


@pytest.mark.parametrize("login", REPOSITORY_COUNTS)
async def test_fetch_rest_and_graphql_return_the_same(faultless: Sandbox, login: str) -> None:
    size = REPOSITORY_COUNTS[login]
    pages = max(1, math.ceil(size / 100))
    async with (
        open_client(faultless.url) as by_rest,
        open_client(faultless.url, FIRST) as by_graphql,
    ):
        before = faultless.calls()
        rest = await by_rest.fetch(login.upper())
        assert count_requests(faultless, before) == (1 + pages, 0)
        before = faultless.calls()
        graphql = await by_graphql.fetch(login)
        assert count_requests(faultless, before) == (pages if size > 100 else 0, 1)
    assert rest.owner == graphql.owner
    assert rest.owner.login == login
    assert rest.owner.node_id
    assert sorted_by_id(rest) == sorted_by_id(graphql)
    assert rest.reported_count == graphql.reported_count == size == len(rest.repositories)


async def send_query(sandbox: Sandbox, query: Query) -> GitHubResponse:
    """Send one GraphQL query, as `BatchFetcher` does."""
    headers = {"authorization": f"Bearer {SECOND}", "user-agent": "test"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        response = await http.post(f"{sandbox.url}/graphql", content=query.to_json())
    return GitHubResponse(response.status_code, response.headers, response.content)


async def test_login_query_of_twenty_owners_costs_one_point(
    sandbox: Sandbox, graphql_client: GitHubClient
) -> None:
    logins = [f"dev-{number}" for number in range(1, 20)]
    query = build_login_query([*logins, "nobody-at-all"])
    before = sandbox.calls()["graphql_points"]
    results = parse_owners_by_login(await send_query(sandbox, query), query, now=utc_now())
    assert sandbox.calls()["graphql_points"] - before == 1
    assert isinstance(results, list)
    known = [result for result in results if isinstance(result, OwnerPage)]
    assert [owner_page.owner.login for owner_page in known] == logins
    assert results[19:] == [Failure(FailureKind.NOT_FOUND)]
    again = build_id_query(
        [owner_page.owner.node_id for owner_page in known if owner_page.owner.node_id]
    )
    assert parse_owners_by_id(await send_query(sandbox, again), now=utc_now()) == known
    alone = await graphql_client.fetch("dev-7")
    assert (alone.owner, alone.repositories) == (known[6].owner, known[6].repositories)


async def test_page_query_follows_cursor_to_all_repositories(
    sandbox: Sandbox, graphql_client: GitHubClient
) -> None:
    complete = await graphql_client.fetch("big-250")
    assert complete.owner.node_id is not None
    query = build_id_query([complete.owner.node_id])
    first = parse_owners_by_id(await send_query(sandbox, query), now=utc_now())
    assert isinstance(first, list)
    assert isinstance(first[0], OwnerPage)
    collected, cursor = [*first[0].repositories], first[0].next_cursor
    while cursor is not None:
        query = build_page_query(complete.owner.node_id, after=cursor)
        page = parse_repository_page(await send_query(sandbox, query), now=utc_now())
        assert isinstance(page, RepositoryPage)
        collected += page.repositories
        cursor = page.next_cursor
    assert sorted(collected, key=lambda repository: repository.id) == sorted_by_id(complete)


async def test_fetch_slow_response_is_dated_by_its_request(
    sandbox: Sandbox, graphql_client: GitHubClient
) -> None:
    sandbox.fail(latency_seconds=0.2)
    before = utc_now()
    fetched = await graphql_client.fetch("mia-maintains")
    assert before <= fetched.fetched_at <= utc_now() - timedelta(seconds=0.2)


async def test_fetch_from_enterprise_server(sandbox: Sandbox) -> None:
    before = sandbox.calls()
    async with open_client(f"{sandbox.url}/api/v3", FIRST) as github:
        fetched = await github.fetch("big-150")
    assert len(fetched.repositories) == 150
    assert count_requests(sandbox, before) == (2, 1)


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_fetch_unknown_login_raises_unknown_user(
    sandbox: Sandbox, tokens: tuple[str, ...]
) -> None:
    async with open_client(sandbox.url, *tokens) as github:
        with pytest.raises(UnknownUser) as caught:
            await github.fetch("nobody-at-all")
    assert caught.value.name == "nobody-at-all"


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_fetch_by_id_renamed_owner_returns_new_login(
    sandbox: Sandbox, login: str, tokens: tuple[str, ...]
) -> None:
    async with open_client(sandbox.url, *tokens) as github:
        before = await github.fetch(login)
        sandbox.change("rename", login=login, to=f"{login}-moved")
        after = await github.fetch_by_id(before.owner)
        with pytest.raises(UnknownUser):
            await github.fetch(login)
    assert after.owner.id == before.owner.id
    assert after.owner.login == f"{login}-moved"
    assert sorted_by_id(after) == sorted_by_id(before)


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_fetch_reused_login_returns_its_new_owner(
    sandbox: Sandbox, login: str, tokens: tuple[str, ...]
) -> None:
    async with open_client(sandbox.url, *tokens) as github:
        before = await github.fetch(login)
        sandbox.change("rename", login=login, to=f"{login}-moved")
        sandbox.change("change", login=login, take_over=True)
        new_owner = await github.fetch(login)
        followed = await github.fetch_by_id(before.owner)
    assert new_owner.owner.id != before.owner.id
    assert followed.owner.id == before.owner.id


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_fetch_by_id_deleted_owner_raises_unknown_user(
    sandbox: Sandbox, login: str, tokens: tuple[str, ...]
) -> None:
    async with open_client(sandbox.url, *tokens) as github:
        before = await github.fetch(login)
        sandbox.change("delete", login=login)
        with pytest.raises(UnknownUser) as caught:
            await github.fetch_by_id(before.owner)
    assert caught.value.name == login


async def test_fetch_by_id_renamed_owner_returns_all_pages(
    sandbox: Sandbox, graphql_client: GitHubClient
) -> None:
    before = await graphql_client.fetch("big-333")
    sandbox.change("rename", login="big-333", to="Bigger")
    after = await graphql_client.fetch_by_id(before.owner)
    assert after.owner.login == "Bigger"
    assert len(after.repositories) == 333


@pytest.mark.parametrize("tokens", [(), (FIRST,), (FIRST, SECOND)], ids=["none", "one", "two"])
@pytest.mark.parametrize("failure", FAILURES + SECONDARY_LIMITS)
async def test_fetch_github_failing_raises_unavailable_and_hides_tokens(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, failure: str, tokens: tuple[str, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.fail(failure)
    with capture_logs() as events:
        async with open_client(sandbox.url, *tokens) as github:
            with pytest.raises(GitHubUnavailable) as caught:
                await github.fetch("mia-maintains")
    assert [event["event"] for event in events if event["log_level"] == "warning"][
        -1
    ] == "github.refused"
    assert_no_token_in(events, caplog, caught.value)


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_fetch_without_response_times_out(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, tokens: tuple[str, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.fail("timeout")
    with capture_logs() as events:
        async with open_client(sandbox.url, *tokens, seconds=0.3) as github:
            started_at = time.monotonic()
            with pytest.raises(GitHubUnavailable) as caught:
                await finish_within(github.fetch("big-150"), seconds=1)
            assert time.monotonic() - started_at > 0.2
    assert_no_token_in(events, caplog, caught.value)


def assert_no_token_in(
    events: list[Any], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    texts = [repr(events), caplog.text, *traceback.format_exception(error)]
    assert all(events)
    for token in (FIRST, SECOND, REVOKED):
        assert token not in "\n".join(texts)


async def test_fetch_connection_refused_raises_unavailable() -> None:
    async with open_client("http://127.0.0.1:9", FIRST) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("mia-maintains")


@pytest.mark.parametrize("failure", TEMPORARY)
async def test_fetch_few_failures_are_retried(
    sandbox: Sandbox, graphql_client: GitHubClient, failure: str
) -> None:
    # One or two of the eleven requests and their retries fail: too few to fail one of them thrice.
    sandbox.fail(failure, fail_rate=0.15)
    failed_before = sandbox.calls()["failed"]
    fetched = await graphql_client.fetch("pat-prolific")
    assert len(fetched.repositories) == 1000
    assert sandbox.calls()["failed"] > failed_before


async def test_fetch_partial_graphql_response_falls_back_to_rest(
    sandbox: Sandbox, graphql_client: GitHubClient
) -> None:
    complete = await graphql_client.fetch("umbra-labs")
    sandbox.fail("partial")
    before = sandbox.calls()
    fetched = await graphql_client.fetch("umbra-labs")
    assert count_requests(sandbox, before) == (2, 1)
    assert (fetched.owner, sorted_by_id(fetched)) == (complete.owner, sorted_by_id(complete))


async def test_fetch_refused_token_uses_next_account(sandbox: Sandbox) -> None:
    async with open_client(sandbox.url, REVOKED, SECOND) as github:
        with capture_logs() as events:
            before = sandbox.calls()
            assert len((await github.fetch("mia-maintains")).repositories) == 30
            assert count_requests(sandbox, before) == (0, 2)
            await github.fetch("mia-maintains")
            assert count_requests(sandbox, before) == (0, 3)
    refused = [event for event in events if event["event"] == "github.account_refused"]
    assert [event["reason"] for event in refused] == ["bad-token"]
    assert REVOKED not in repr(events)


async def test_fetch_without_valid_token_sends_anonymous_requests(sandbox: Sandbox) -> None:
    before = sandbox.calls()
    async with open_client(sandbox.url, REVOKED) as github:
        assert len((await github.fetch("mia-maintains")).repositories) == 30
        assert count_requests(sandbox, before) == (2, 1)


async def test_fetch_exhausted_rate_limit_uses_next_account(sandbox: Sandbox) -> None:
    async with open_client(sandbox.url, FIRST, SECOND) as github:
        # The first request succeeds, the second is refused, and the other account sends the third.
        sandbox.fail("rate-limited", fail_rate=0.5)
        with capture_logs() as events:
            for _ in range(2):
                assert len((await github.fetch("mia-maintains")).repositories) == 30
    refused = [event["reason"] for event in events if event["event"] == "github.account_refused"]
    assert refused == ["primary-limit"]


async def test_fetch_exhausted_anonymous_rate_limit_sends_nothing() -> None:
    with controlled_sandbox("--initial-budget=4") as sandbox:
        async with open_client(sandbox.url) as github:
            fetched = await github.fetch("mia-maintains")
            assert len(fetched.repositories) == 30
            before = sandbox.calls()
            with pytest.raises(GitHubUnavailable):
                await github.fetch("sam-studies")
            assert count_requests(sandbox, before) == (0, 0)
            assert len((await github.fetch_by_id(fetched.owner)).repositories) == 30
            before = sandbox.calls()
            with pytest.raises(GitHubUnavailable):
                await github.fetch_by_id(fetched.owner)
            assert count_requests(sandbox, before) == (0, 0)
