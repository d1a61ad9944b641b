"""A sandbox whose faults tests control, and clients of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import httpx2

from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.transport import open_github_http
from github_banners.models import utc_now
from github_banners.settings import Secret
from tests.acceptance.processes import running

FIRST, SECOND, REVOKED = "ghp_First0123456789abcdef", "ghp_Second0123456789", "ghp_Revoked01234"


class Sandbox:
    """A running sandbox, its faults and its counters."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(base_url=url, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def fail(self, *failures: str, fail_rate: float = 1.0, **more: Any) -> None:
        self._send("PUT", "/_sandbox/faults", {"fail": failures, "fail_rate": fail_rate, **more})

    def calls(self) -> dict[str, int]:
        calls: dict[str, int] = self._http.get("/_sandbox/calls").json()
        return calls

    def change(self, command: str, **body: Any) -> None:
        self._send("POST", f"/_sandbox/{command}", body)

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        assert self._http.request(method, path, json=body).is_success


@contextmanager
def controlled_sandbox(*options: str) -> Iterator[Sandbox]:
    """Start a sandbox with two accounts that have tokens, and a revoked token."""
    tokens = (f"--token={FIRST}=101", f"--token={SECOND}=102", f"--token={REVOKED}=")
    with running("sandbox", "--port=0", *tokens, *options) as process:
        sandbox = Sandbox(process.url)
        yield sandbox
        sandbox.close()


@asynccontextmanager
async def open_client(url: str, *tokens: str, seconds: float = 10) -> AsyncIterator[GitHubClient]:
    """Open a client with rate limits of its own."""
    timeout = timedelta(seconds=seconds)
    async with open_github_http(timeout=timeout, api_url=url) as http:
        accounts = create_accounts([Secret(token) for token in tokens])
        yield GitHubClient(http, api_url=url, accounts=accounts, timeout=timeout, clock=utc_now)


def count_requests(sandbox: Sandbox, before: dict[str, int]) -> tuple[int, int]:
    """Count the requests since `before`: over REST and over GraphQL."""
    now = sandbox.calls()
    return now["rest"] - before["rest"], now["graphql"] - before["graphql"]
