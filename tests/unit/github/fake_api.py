"""A fake GitHub API behind a client without sockets, and builders of its responses."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx2

from github_banners.github.client import GitHubClient
from github_banners.github.credentials import Account, create_accounts
from github_banners.settings import Secret
from tests.unit.github.samples import NOW, owner_node, repository_node

OWNER_BODY = {"id": 1, "login": "Ada", "node_id": "U_1", "name": "Ada L", "public_repos": 1}
REPOSITORY = {"id": 7, "name": "engine"}


class FakeGitHubApi:
    """Handler for `httpx2.MockTransport`: `graphql` and `rest` respond, `requests` has all requests."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.graphql: Callable[[httpx2.Request], Any] = lambda request: owners_response()
        self.rest: Callable[[httpx2.Request], Any] = rest_response

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        handle = self.graphql if request.url.path.endswith("graphql") else self.rest
        result = handle(request)
        response: httpx2.Response = await result if isinstance(result, Awaitable) else result
        return response

    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]


def owners_response(**data: Any) -> httpx2.Response:
    """Return a GraphQL response with this data, by default one owner with one repository."""
    return json_response({"data": data or {"u0": owner_node(repository_node(7))}})


def json_response(body: Any, *, status: int = 200, headers: Any = None) -> httpx2.Response:
    # Only a response that is read from a stream has a duration.
    return httpx2.Response(
        status, headers=headers, stream=httpx2.ByteStream(json.dumps(body).encode())
    )


def rest_response(request: httpx2.Request) -> httpx2.Response:
    return json_response([REPOSITORY] if request.url.path.endswith("/repos") else OWNER_BODY)


@asynccontextmanager
async def open_client(
    api: FakeGitHubApi,
    *tokens: str,
    accounts: list[Account] | None = None,
    seconds: float = 5,
    now: datetime = NOW,
) -> AsyncIterator[GitHubClient]:
    """Open a client of the API, by default with an account for each token."""
    if accounts is None:
        accounts = create_accounts([Secret(token) for token in tokens])
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api), trust_env=False) as http:
        yield GitHubClient(
            http,
            api_url="https://api.example",
            accounts=accounts,
            timeout=timedelta(seconds=seconds),
            clock=lambda: now,
        )
