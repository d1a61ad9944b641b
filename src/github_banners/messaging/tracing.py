"""
One id for all that a request sets off, from the first log line to the last file.

It travels as W3C Trace Context, in an HTTP header or a Kafka header of the same name, and stands in
every log line as `trace_id`. What is not well-formed is not taken over.
https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

TRACEPARENT = "traceparent"
"""The header's name, in HTTP and in Kafka."""

_HEADER = TRACEPARENT.encode()
_FIELD = "trace_id"
_PATTERN = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
_TRACE_BYTES, _SPAN_BYTES = 16, 8


def parse_trace_id(traceparent: str) -> str | None:
    """Read the id out of a header; None where it is not as the standard has it."""
    found = _PATTERN.fullmatch(traceparent.strip())
    return found[1] if found is not None else None


@contextmanager
def trace_context(
    traceparent: str = "", *, random_hex: Callable[[int], str] = secrets.token_hex
) -> Iterator[str]:
    """Do what a header's id stands for, or what begins here under a new one; gives the id."""
    trace_id = parse_trace_id(traceparent) or random_hex(_TRACE_BYTES)
    with structlog.contextvars.bound_contextvars(**{_FIELD: trace_id}):
        yield trace_id


def bind_trace(
    traceparent: str = "", *, random_hex: Callable[[int], str] = secrets.token_hex
) -> str:
    """Do the rest of the current task under a header's id, or under a new one; returns the id."""
    trace_id = parse_trace_id(traceparent) or random_hex(_TRACE_BYTES)
    structlog.contextvars.bind_contextvars(**{_FIELD: trace_id})
    return trace_id


class TraceMiddleware:
    """ASGI middleware: what is done for a request is done under its id."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Follow the id of a request's header, or begin one."""
        given = next((value for name, value in scope.get("headers", ()) if name == _HEADER), b"")
        with trace_context(given.decode("latin-1")):
            await self._app(scope, receive, send)


def make_traceparent(*, random_hex: Callable[[int], str] = secrets.token_hex) -> str:
    """Write the header for a call or an event that goes out from here."""
    trace_id = structlog.contextvars.get_contextvars().get(_FIELD) or random_hex(_TRACE_BYTES)
    return f"00-{trace_id}-{random_hex(_SPAN_BYTES)}-01"
