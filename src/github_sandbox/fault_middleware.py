"""
ASGI middleware that delays requests and produces failures, around each route of the GitHub API.

`faults` decides which requests fail. Failures that need the request's content (`rate-limited`,
`partial`) are only stored in the request's state, for the service.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from github_sandbox import responses
from github_sandbox.faults import Failure
from github_sandbox.responses import HttpResponse
from github_sandbox.routes import to_starlette
from github_sandbox.service import GitHubService

Sleep = Callable[[float], Awaitable[object]]

_MAX_HANG_SECONDS = 60
_MAX_CLOSE_SECONDS = 1


class FaultMiddleware:
    """Counts and delays requests, and fails those that the schedule selects."""

    def __init__(self, app: ASGIApp, *, service: GitHubService, sleep: Sleep) -> None:
        self._app = app
        self._service = service
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or fail it."""
        failure = self._next_failure(scope)
        if latency_seconds := self._service.fault_schedule.config.latency_seconds:
            await self._sleep(latency_seconds)
        match failure:
            case None | Failure.RATE_LIMITED | Failure.PARTIAL:
                await self._app(scope, receive, send)
            case Failure.HALF:
                await self._app(scope, receive, _truncate(send))
            case Failure.DROP:
                await _drop_connection(scope, receive)
            case Failure.TIMEOUT:
                await _wait_for_disconnect(receive, max_seconds=_MAX_HANG_SECONDS)
                await _drop_connection(scope, receive)
            case _:
                await to_starlette(self._build_error(failure))(scope, receive, send)

    def _next_failure(self, scope: Scope) -> Failure | None:
        """Count the request, and return its failure; REST has no partial responses."""
        service = self._service
        is_graphql = scope["path"].endswith("/graphql")
        service.calls.graphql += is_graphql
        service.calls.rest += not is_graphql
        failure = service.fault_schedule.next_failure()
        if failure is None or (failure is Failure.PARTIAL and not is_graphql):
            return None
        service.calls.failed += 1
        scope.setdefault("state", {})["failure"] = failure
        return failure

    def _build_error(self, failure: Failure) -> HttpResponse:
        match failure:
            case Failure.SECONDARY | Failure.SECONDARY_429:
                return responses.secondary_rate_limit(
                    403 if failure is Failure.SECONDARY else 429,
                    request_id=self._service.next_request_id(),
                    retry_after_seconds=self._service.fault_schedule.config.retry_after_seconds,
                )
            case Failure.UNAUTHORIZED:
                return responses.bad_credentials()
            case Failure.BAD_GATEWAY:
                return responses.bad_gateway()
            case Failure.UNAVAILABLE:
                return responses.html_page(503, "Unicorn!", "No server is currently available.")
            case _:
                return responses.html_page(200, "GitHub", "This page is HTML in place of JSON.")


def _truncate(send: Send) -> Send:
    """
    Wrap `send` so that only the first half of the announced body is sent.

    The response stays incomplete, so the server closes the connection when the application returns.
    """

    async def send_half(message: Message) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            half = message["body"][: len(message["body"]) // 2]
            message = {"type": "http.response.body", "body": half, "more_body": True}
        await send(message)

    return send_half


async def _wait_for_disconnect(receive: Receive, *, max_seconds: float) -> None:
    """Wait until the server reports that the connection is closed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max_seconds):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _drop_connection(scope: Scope, receive: Receive) -> None:
    """
    Close the client's connection without sending a byte.

    ASGI has no message for this, and servers respond 500 if an application returns without a
    response. So the socket itself is shut down, which the server takes for a client that has
    disconnected. It has to notice this before the application returns. With pipelined requests,
    uvicorn reports the disconnect to the last one only, hence the time limit.
    """
    client = scope.get("client")
    if client is not None:
        _shut_down_socket((client[0], int(client[1])))
    await _wait_for_disconnect(receive, max_seconds=_MAX_CLOSE_SECONDS)


def _shut_down_socket(client: tuple[str, int]) -> None:
    """Shut down the socket connected to `client`, found among the process's file descriptors."""
    for entry in Path("/dev/fd").iterdir():
        # Descriptors may be closed while the directory is read, and not every socket has a peer.
        with suppress(OSError):
            descriptor = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                if connection.getpeername()[:2] == client:
                    connection.shutdown(socket.SHUT_RDWR)
