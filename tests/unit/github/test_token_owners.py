"""Users of tokens, requested from a fake GitHub API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import httpx2
import pytest
from structlog.testing import capture_logs

from github_banners.github.credentials import Account, create_accounts
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Resource
from github_banners.github.sender import RequestFailed, Sender
from github_banners.github.token_owners import fetch_token_owner, group_by_account
from github_banners.settings import Secret
from tests.unit.github.fake_api import FakeGitHubApi, json_response
from tests.unit.github.samples import NOW, rate_limit_headers

ADA = {"id": 1, "login": "Ada"}
BAD_CREDENTIALS = {"message": "Bad credentials"}
INTEGRATION = {"message": "Resource not accessible by integration"}


class TokenOwnersApi(FakeGitHubApi):
    """GitHub API that knows the user id of each token; `sleep` advances `now`."""

    def __init__(self, **user_ids: int) -> None:
        super().__init__()
        self.user_ids = user_ids
        self.graphql = self.viewer_response
        self.rest = lambda request: json_response(ADA)
        self.now = NOW

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        assert self.now < NOW + timedelta(days=1), "endless retries"

    def tokens(self) -> list[str]:
        return [parse_token(request) for request in self.requests]

    def viewer_response(self, request: httpx2.Request) -> httpx2.Response:
        user_id = self.user_ids.get(parse_token(request))
        if user_id is None:
            return json_response(BAD_CREDENTIALS, status=401)
        headers = rate_limit_headers(remaining=100 * user_id, reset_in=timedelta(hours=1))
        viewer = {"login": f"user-{user_id}", "databaseId": user_id}
        return json_response({"data": {"viewer": viewer}}, headers=headers)


def parse_token(request: httpx2.Request) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def open_sender(api: TokenOwnersApi, *tokens: str) -> AsyncIterator[Sender]:
    accounts = create_accounts([Secret(token) for token in tokens])
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api), trust_env=False) as http:
        yield Sender(http, api_url="https://api.example", accounts=accounts, clock=api.clock)


async def group(api: TokenOwnersApi, *tokens: str) -> list[Account]:
    async with open_sender(api, *tokens) as sender:
        await group_by_account(sender, clock=api.clock, sleep=api.sleep)
        return sender.accounts


def list_tokens(accounts: list[Account]) -> list[list[str | None]]:
    return [
        [
            credential.token.reveal() if credential.token else None
            for credential in account.credentials
        ]
        for account in accounts
    ]


async def test_group_by_account_queries_each_token_once() -> None:
    api = TokenOwnersApi(a=7, b=8)
    accounts = await group(api, "a", "b")
    assert (api.paths(), api.tokens()) == (["/graphql"] * 2, ["a", "b"])
    assert list_tokens(accounts) == [["a"], ["b"], [None]]
    assert [account.remaining(Resource.GRAPHQL, now=NOW) for account in accounts] == [700, 800, 0]


async def test_group_by_account_tokens_of_one_account_share_its_budget_with_a_warning() -> None:
    with capture_logs() as events:
        accounts = await group(TokenOwnersApi(a=7, b=8, c=7), "a", "b", "c")
    assert list_tokens(accounts) == [["a", "c"], ["b"], [None]]
    (warning,) = [event for event in events if event["event"] == "github.rate_limit_shared"]
    assert warning["owner"] == "user-7"
    assert warning["accounts"] == [credential.name for credential in accounts[0].credentials]


async def test_group_by_account_without_tokens_sends_nothing() -> None:
    api = TokenOwnersApi()
    assert list_tokens(await group(api)) == [[None]]
    assert api.requests == []


async def test_group_by_account_without_graphql_uses_rest() -> None:
    api = TokenOwnersApi()
    api.graphql = lambda request: json_response({"message": "Not Found"}, status=404)
    accounts = await group(api, "a")
    assert (api.paths(), api.tokens()) == (["/graphql", "/user"], ["a", "a"])
    assert accounts[0].user_id == ADA["id"]


async def test_fetch_token_owner_graphql_budget_empty_uses_rest() -> None:
    api = TokenOwnersApi()
    api.graphql = lambda request: json_response({"errors": [{"type": "RATE_LIMITED"}]})
    async with open_sender(api, "a") as sender:
        owner = await fetch_token_owner(
            sender, sender.accounts[0].credentials[0], clock=lambda: NOW
        )
    assert owner == Viewer(1, "Ada")


async def test_group_by_account_rejected_token_is_retried_after_its_cooldown() -> None:
    api = TokenOwnersApi(good=7)
    responses = (json_response(BAD_CREDENTIALS, status=401) for _ in range(4))

    def reject_four_times(request: httpx2.Request) -> httpx2.Response:
        is_late = request.headers["authorization"] == "Bearer late"
        return (next(responses, None) if is_late else None) or api.viewer_response(request)

    api.user_ids["late"], api.graphql = 7, reject_four_times
    accounts = await group(api, "late", "good")
    assert list_tokens(accounts) == [["good", "late"], [None]]
    assert api.tokens() == ["late", "good", "late", "late", "late", "late"]
    assert api.now - NOW >= timedelta(hours=2)


async def test_group_by_account_connection_error_is_retried() -> None:
    api = TokenOwnersApi(a=7)
    errors = iter([httpx2.ConnectError("no route")])

    def fail_first(request: httpx2.Request) -> httpx2.Response:
        for error in errors:
            raise error
        return api.viewer_response(request)

    api.graphql = fail_first
    accounts = await group(api, "a")
    assert api.paths() == ["/graphql", "/graphql"]
    assert accounts[0].user_id == 7


async def test_group_by_account_secondary_limit_is_waited_for() -> None:
    api = TokenOwnersApi(a=7)
    body = {"message": "You have exceeded a secondary rate limit."}
    responses = iter([json_response(body, status=403, headers={"retry-after": "600"})])
    api.graphql = lambda request: next(responses, None) or api.viewer_response(request)
    await group(api, "a")
    assert len(api.requests) == 2
    assert api.now - NOW >= timedelta(minutes=10)


async def test_group_by_account_token_without_user_stays_an_account_of_its_own() -> None:
    api = TokenOwnersApi()
    api.graphql = api.rest = lambda request: json_response(INTEGRATION, status=403)
    accounts = await group(api, "ghs_installation")
    assert api.paths() == ["/graphql", "/user"]
    assert [account.user_id for account in accounts] == [None, None]


async def test_fetch_token_owner_malformed_response_raises() -> None:
    api = TokenOwnersApi()
    api.graphql = api.rest = lambda request: json_response({})
    async with open_sender(api, "a") as sender:
        with pytest.raises(RequestFailed, match="unreadable"):
            await fetch_token_owner(sender, sender.accounts[0].credentials[0], clock=lambda: NOW)
