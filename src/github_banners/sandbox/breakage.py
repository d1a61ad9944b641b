"""
Sends failures: late answers, wrong ones, half ones and none.

An ASGI layer before GitHub's routes. What to break is decided in `faults`; failures that need to
know who asks (`rate-limited`, `partial`) are only marked here, for the desk.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from github_banners.sandbox import answers
from github_banners.sandbox.answers import Answer
from github_banners.sandbox.desk import Desk
from github_banners.sandbox.faults import Failure

Sleep = Callable[[float], Awaitable[object]]

_LONGEST_SILENCE_SECONDS = 60


def breaking(desk: Desk, *, sleep: Sleep) -> Callable[[ASGIApp], ASGIApp]:
    """Make the layer that counts, delays and breaks requests."""

    def layer(app: ASGIApp) -> ASGIApp:
        async def break_or_pass(scope: Scope, receive: Receive, send: Send) -> None:
            failure = _next_failure(desk, scope)
            if desk.schedule.faults.latency_seconds:
                await sleep(desk.schedule.faults.latency_seconds)
            if failure is Failure.TIMEOUT:
                await _say_nothing(receive)
            if failure in {Failure.TIMEOUT, Failure.DROP}:
                hang_up(scope)
            elif failure is None or failure in _ANSWERED:
                await app(scope, receive, _halved(send) if failure is Failure.HALF else send)
            else:
                await _send(send, _wrong_answer(desk, failure))

        return break_or_pass

    return layer


_ANSWERED = {Failure.HALF, Failure.RATE_LIMITED, Failure.PARTIAL}


def _next_failure(desk: Desk, scope: Scope) -> Failure | None:
    is_graphql = scope["path"].endswith("/graphql")
    desk.calls.graphql += is_graphql
    desk.calls.rest += not is_graphql
    failure = desk.schedule.next_failure()
    if failure is None or (failure is Failure.PARTIAL and not is_graphql):
        return None
    desk.calls.failed += 1
    scope["state"]["failure"] = failure
    return failure


def _wrong_answer(desk: Desk, failure: Failure) -> Answer:
    patience = desk.schedule.faults.retry_after_seconds
    match failure:
        case Failure.SECONDARY | Failure.SECONDARY_429:
            status = 403 if failure is Failure.SECONDARY else 429
            return answers.secondary(
                status, request_id=desk.next_request_id(), retry_after_seconds=patience
            )
        case Failure.UNAUTHORIZED:
            return answers.bad_credentials()
        case Failure.BAD_GATEWAY:
            return answers.page(502, "Bad Gateway", "The server returned an invalid response.")
        case Failure.UNAVAILABLE:
            return answers.page(503, "Unicorn!", "No server is currently available.")
        case _:
            return answers.page(200, "GitHub", "This is not what you asked for.")


async def _send(send: Send, answer: Answer) -> None:
    headers = {
        "content-type": answer.media_type,
        "content-length": str(len(answer.body)),
        **answer.headers,
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _say_nothing(receive: Receive) -> None:
    """Wait until the client has gone, a minute at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_SILENCE_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass


def _halved(send: Send) -> Send:
    """Send the first half of a body whose full length is announced; the server then closes."""

    async def send_half(message: Message) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            half = message["body"][: len(message["body"]) // 2]
            message = {"type": "http.response.body", "body": half, "more_body": True}
        await send(message)

    return send_half


def hang_up(scope: Scope) -> None:
    """
    Close the client's connection without an answer.

    ASGI has no word for it and servers answer 500 for an application that says nothing, so the
    connection is looked up among the open files of this process.
    """
    host, port = scope["client"] or ("", 0)
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):
            number = int(entry.name)
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                _hang_up_if(number, (host, int(port)))


def _hang_up_if(number: int, client: tuple[str, int]) -> None:
    with socket.socket(fileno=os.dup(number)) as connection:
        if connection.getpeername()[:2] == client:
            connection.shutdown(socket.SHUT_RDWR)
