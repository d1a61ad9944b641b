"""
Sends failures: late responses, wrong ones, truncated ones and none.

An ASGI middleware around each of GitHub's routes. `faults` decides what fails; failures that depend
on the caller (`rate-limited`, `partial`) are only marked in the request's state, for the desk.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from github_sandbox import answers
from github_sandbox.answers import Answer
from github_sandbox.desk import Desk
from github_sandbox.faults import Failure
from github_sandbox.routes import to_response

Sleep = Callable[[float], Awaitable[object]]

_MAX_SILENCE_SECONDS = 60
_MAX_CLOSE_SECONDS = 1


class FaultMiddleware:
    """Counts and delays requests, and lets those fail whose turn it is."""

    def __init__(self, app: ASGIApp, *, desk: Desk, sleep: Sleep) -> None:
        self._app = app
        self._desk = desk
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or let it fail."""
        failure = self._next_failure(scope)
        if latency_seconds := self._desk.schedule.faults.latency_seconds:
            await self._sleep(latency_seconds)
        match failure:
            case None | Failure.RATE_LIMITED | Failure.PARTIAL:
                await self._app(scope, receive, send)
            case Failure.HALF:
                await self._app(scope, receive, _truncate(send))
            case Failure.DROP:
                await _drop_connection(scope, receive)
            case Failure.TIMEOUT:
                await _wait_for_disconnect(receive, max_seconds=_MAX_SILENCE_SECONDS)
                await _drop_connection(scope, receive)
            case _:
                await to_response(self._wrong_answer(failure))(scope, receive, send)

    def _next_failure(self, scope: Scope) -> Failure | None:
        desk = self._desk
        is_graphql = scope["path"].endswith("/graphql")
        desk.calls.graphql += is_graphql
        desk.calls.rest += not is_graphql
        failure = desk.schedule.next_failure()
        if failure is None or (failure is Failure.PARTIAL and not is_graphql):
            return None
        desk.calls.failed += 1
        scope.setdefault("state", {})["failure"] = failure
        return failure

    def _wrong_answer(self, failure: Failure) -> Answer:
        match failure:
            case Failure.SECONDARY | Failure.SECONDARY_429:
                return answers.secondary(
                    403 if failure is Failure.SECONDARY else 429,
                    request_id=self._desk.next_request_id(),
                    retry_after_seconds=self._desk.schedule.faults.retry_after_seconds,
                )
            case Failure.UNAUTHORIZED:
                return answers.bad_credentials()
            case Failure.BAD_GATEWAY:
                return answers.page(502, "Bad Gateway", "The server returned an invalid response.")
            case Failure.UNAVAILABLE:
                return answers.page(503, "Unicorn!", "No server is currently available.")
            case _:
                return answers.page(200, "GitHub", "This is not what you asked for.")


def _truncate(send: Send) -> Send:
    """
    Send the first half of a body whose full length is announced.

    The response stays incomplete, so the server closes the connection when the application returns.
    """

    async def send_half(message: Message) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            half = message["body"][: len(message["body"]) // 2]
            message = {"type": "http.response.body", "body": half, "more_body": True}
        await send(message)

    return send_half


async def _wait_for_disconnect(receive: Receive, *, max_seconds: float) -> None:
    """Wait until the server says that the connection is closed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max_seconds):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _drop_connection(scope: Scope, receive: Receive) -> None:
    """
    Close the client's connection without sending a byte.

    ASGI has no message for this, and servers respond 500 for an application that returns without a
    response. So the socket itself is shut down, and the server sees a client that has left. It must
    see that before the application returns; of pipelined requests uvicorn tells only the last one.
    """
    client = scope.get("client")
    if client is not None:
        _shut_down_socket((client[0], int(client[1])))
    await _wait_for_disconnect(receive, max_seconds=_MAX_CLOSE_SECONDS)


def _shut_down_socket(client: tuple[str, int]) -> None:
    """Find the socket that is connected to `client` among the open files of this process."""
    for entry in Path("/dev/fd").iterdir():
        # Files may close while the directory is read, and not every socket has a peer.
        with suppress(OSError):
            descriptor = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                if connection.getpeername()[:2] == client:
                    connection.shutdown(socket.SHUT_RDWR)
