"""Users of tokens, requested from a GitHub that is a function."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from github_banners.github.credentials import Account, create_accounts
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Resource
from github_banners.github.sender import RequestFailed, Sender
from github_banners.github.token_owners import fetch_token_owner, group_by_account
from github_banners.settings import Secret
from tests.unit.github.samples import NOW, rate

ADA = {"id": 1, "login": "Ada"}
BAD_CREDENTIALS = {"message": "Bad credentials"}
INTEGRATION = {"message": "Resource not accessible by integration"}

Answer = Callable[[httpx2.Request], httpx2.Response]


class GitHub:
    """`holders` says whose a token is; `graphql` and `rest` can answer something else."""

    def __init__(self, **holders: int) -> None:
        self.holders = holders
        self.graphql: Answer = self._tell_viewer
        self.rest: Answer = lambda request: said(ADA)
        self.asked: list[tuple[str, str]] = []
        self.now = NOW

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append((self._token(request), request.url.path))
        return (self.graphql if request.url.path == "/graphql" else self.rest)(request)

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        assert self.now < NOW + timedelta(days=1), "it never ends"

    def tokens_asked(self) -> list[str]:
        return [token for token, _ in self.asked]

    def _token(self, request: httpx2.Request) -> str:
        return request.headers["authorization"].removeprefix("Bearer ")

    def _tell_viewer(self, request: httpx2.Request) -> httpx2.Response:
        holder = self.holders.get(self._token(request))
        if holder is None:
            return said(BAD_CREDENTIALS, status=401)
        headers = rate(remaining=100 * holder, reset_in=timedelta(hours=1))
        viewer = {"login": f"user-{holder}", "databaseId": holder}
        return said({"data": {"viewer": viewer}}, headers=headers)


def said(body: Any, *, status: int = 200, headers: Any = None) -> httpx2.Response:
    # As a stream, because only what is read off a wire has a duration.
    whole = httpx2.Response(status, json=body)
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(whole.content))


@asynccontextmanager
async def asking(github: GitHub, *tokens: str) -> AsyncIterator[Sender]:
    def clock() -> datetime:
        return github.now

    accounts = create_accounts([Secret(token) for token in tokens])
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(github), trust_env=False) as http:
        yield Sender(http, api_url="https://api.example", accounts=accounts, clock=clock)


async def group(github: GitHub, *tokens: str) -> list[Account]:
    async with asking(github, *tokens) as sender:
        await group_by_account(sender, clock=lambda: github.now, sleep=github.sleep)
        return sender.accounts


def tokens_of(accounts: list[Account]) -> list[list[str | None]]:
    return [
        [key.token.reveal() if key.token else None for key in account.credentials]
        for account in accounts
    ]


async def test_group_by_account_queries_each_token_once() -> None:
    github = GitHub(a=7, b=8)
    accounts = await group(github, "a", "b")
    assert github.asked == [("a", "/graphql"), ("b", "/graphql")]
    assert tokens_of(accounts) == [["a"], ["b"], [None]]
    assert [account.remaining(Resource.GRAPHQL, now=NOW) for account in accounts] == [700, 800, 0]


async def test_group_by_account_tokens_of_one_account_share_its_budget_with_a_warning() -> None:
    with capture_logs() as events:
        accounts = await group(GitHub(a=7, b=8, c=7), "a", "b", "c")
    assert tokens_of(accounts) == [["a", "c"], ["b"], [None]]
    (warning,) = [event for event in events if event["event"] == "github.rate_limit_shared"]
    assert warning["owner"] == "user-7"
    assert warning["accounts"] == [key.name for key in accounts[0].credentials]


async def test_group_by_account_without_tokens_sends_nothing() -> None:
    github = GitHub()
    assert tokens_of(await group(github)) == [[None]]
    assert github.asked == []


async def test_group_by_account_without_graphql_uses_rest() -> None:
    github = GitHub()
    github.graphql = lambda request: said({"message": "Not Found"}, status=404)
    accounts = await group(github, "a")
    assert github.asked == [("a", "/graphql"), ("a", "/user")]
    assert accounts[0].user_id == ADA["id"]


async def test_fetch_token_owner_graphql_budget_empty_uses_rest() -> None:
    github = GitHub()
    github.graphql = lambda request: said({"errors": [{"type": "RATE_LIMITED"}]})
    async with asking(github, "a") as sender:
        holder = await fetch_token_owner(
            sender, sender.accounts[0].credentials[0], clock=lambda: NOW
        )
    assert holder == Viewer(1, "Ada")


async def test_group_by_account_rejected_token_is_retried_after_its_cooldown() -> None:
    github = GitHub(good=7)
    answers = (said(BAD_CREDENTIALS, status=401) for _ in range(4))
    tell = github.graphql

    def refuse_four_times(request: httpx2.Request) -> httpx2.Response:
        is_bad = request.headers["authorization"] == "Bearer late"
        return (next(answers, None) if is_bad else None) or tell(request)

    github.holders["late"], github.graphql = 7, refuse_four_times
    accounts = await group(github, "late", "good")
    assert tokens_of(accounts) == [["good", "late"], [None]]
    assert github.tokens_asked() == ["late", "good", "late", "late", "late", "late"]
    assert github.now - NOW >= timedelta(hours=2)


async def test_group_by_account_connection_error_is_retried() -> None:
    github = GitHub(a=7)
    answers = iter([httpx2.ConnectError("no route")])
    tell = github.graphql

    def lose_one(request: httpx2.Request) -> httpx2.Response:
        for error in answers:
            raise error
        return tell(request)

    github.graphql = lose_one
    accounts = await group(github, "a")
    assert [path for _, path in github.asked] == ["/graphql", "/graphql"]
    assert accounts[0].user_id == 7


async def test_group_by_account_secondary_limit_is_waited_for() -> None:
    github = GitHub(a=7)
    body = {"message": "You have exceeded a secondary rate limit."}
    answers = iter([said(body, status=403, headers={"retry-after": "600"})])
    tell = github.graphql
    github.graphql = lambda request: next(answers, None) or tell(request)
    await group(github, "a")
    assert len(github.asked) == 2
    assert github.now - NOW >= timedelta(minutes=10)


async def test_group_by_account_token_without_user_stays_an_account_of_its_own() -> None:
    github = GitHub()
    github.graphql = github.rest = lambda request: said(INTEGRATION, status=403)
    accounts = await group(github, "ghs_installation")
    assert [path for _, path in github.asked] == ["/graphql", "/user"]
    assert [account.user_id for account in accounts] == [None, None]


async def test_fetch_token_owner_malformed_response_raises() -> None:
    github = GitHub()
    github.graphql = github.rest = lambda request: said({})
    async with asking(github, "a") as sender:
        with pytest.raises(RequestFailed, match="unreadable"):
            await fetch_token_owner(sender, sender.accounts[0].credentials[0], clock=lambda: NOW)
