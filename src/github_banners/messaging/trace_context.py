"""
Carry one trace id through all services that a request or an event passes.

It is transmitted as W3C Trace Context, in the HTTP or Kafka header `traceparent`, and is logged as
`trace_id` on every line. A malformed header is replaced by a new id. While OpenTelemetry records spans,
`serving.telemetry` binds `span_id` and `trace_flags` as well, and outgoing headers name that span.
https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

TRACEPARENT = "traceparent"
"""The name of the header, in HTTP and in Kafka."""

_HEADER = TRACEPARENT.encode()
_FIELD, _SPAN_FIELD, _FLAGS_FIELD = "trace_id", "span_id", "trace_flags"
_PATTERN = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
_TRACE_BYTES, _SPAN_BYTES = 16, 8


def parse_trace_id(traceparent: str) -> str | None:
    """Return the trace id of a header; None if the header is malformed."""
    match = _PATTERN.fullmatch(traceparent.strip())
    return match[1] if match is not None else None


@contextmanager
def trace_context(
    traceparent: str = "", *, random_hex: Callable[[int], str] = secrets.token_hex
) -> Iterator[str]:
    """Bind the trace id of a header, or a new one, while the context lasts; yield the id."""
    trace_id = parse_trace_id(traceparent) or random_hex(_TRACE_BYTES)
    with structlog.contextvars.bound_contextvars(**{_FIELD: trace_id}):
        yield trace_id


def bind_trace(
    traceparent: str = "", *, random_hex: Callable[[int], str] = secrets.token_hex
) -> str:
    """Bind the trace id of a header, or a new one, to the rest of the task; return the id."""
    trace_id = parse_trace_id(traceparent) or random_hex(_TRACE_BYTES)
    structlog.contextvars.bind_contextvars(**{_FIELD: trace_id})
    return trace_id


def bound_trace_id() -> str:
    """Return the trace id that is bound to the log lines of this task; empty if none is."""
    return str(structlog.contextvars.get_contextvars().get(_FIELD, ""))


class TraceMiddleware:
    """ASGI middleware that binds the trace id of each request."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request under the trace id of its header, or under a new one."""
        headers = scope.get("headers", ())
        traceparent = next((value for name, value in headers if name == _HEADER), b"")
        with trace_context(traceparent.decode("latin-1")):
            await self._app(scope, receive, send)


def make_traceparent(*, random_hex: Callable[[int], str] = secrets.token_hex) -> str:
    """
    Build the header of an outgoing call or event.

    It has the current trace id, and the recorded span; without one a new span id.
    """
    bound = structlog.contextvars.get_contextvars()
    trace_id = bound.get(_FIELD) or random_hex(_TRACE_BYTES)
    span_id = bound.get(_SPAN_FIELD) or random_hex(_SPAN_BYTES)
    return f"00-{trace_id}-{span_id}-{bound.get(_FLAGS_FIELD, '01')}"
