"""A wire that opens no socket: it stands where GitHub would."""

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


class Wire:
    """Stands where GitHub would: `graphql` and `rest` answer, `asked` remembers."""

    def __init__(self) -> None:
        self.asked: list[httpx2.Request] = []
        self.graphql: Callable[[httpx2.Request], Any] = lambda request: whole_answer()
        self.rest: Callable[[httpx2.Request], Any] = rest_answer

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.graphql if request.url.path.endswith("graphql") else self.rest
        made = answer(request)
        response: httpx2.Response = await made if isinstance(made, Awaitable) else made
        return response

    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]


def whole_answer(**data: Any) -> httpx2.Response:
    return said({"data": data or {"u0": owner_node(repository_node(7))}})


def said(body: Any, *, status: int = 200, headers: Any = None) -> httpx2.Response:
    # As a stream, because only what is read off a wire has a duration.
    return httpx2.Response(
        status, headers=headers, stream=httpx2.ByteStream(json.dumps(body).encode())
    )


def rest_answer(request: httpx2.Request) -> httpx2.Response:
    return said([REPOSITORY] if request.url.path.endswith("/repos") else OWNER_BODY)


@asynccontextmanager
async def opened(
    wire: Wire,
    *tokens: str,
    accounts: list[Account] | None = None,
    seconds: float = 5,
    now: datetime = NOW,
) -> AsyncIterator[GitHubClient]:
    payers = create_accounts([Secret(token) for token in tokens]) if accounts is None else accounts
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(wire), trust_env=False) as http:
        yield GitHubClient(
            http,
            api_url="https://api.example",
            accounts=payers,
            timeout=timedelta(seconds=seconds),
            clock=lambda: now,
        )
