"""
Record spans of requests, calls and events, with the attributes of the semantic conventions.

The ids of the current span are bound to log lines, and `messaging.trace_context.make_traceparent` reads them
there. So headers of calls and events continue the trace without knowing OpenTelemetry, and log lines
and spans have the same trace id.
https://opentelemetry.io/docs/specs/semconv/
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx2
import structlog
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from github_banners.serving.health import PUBLIC_PATHS
from github_banners.serving.telemetry import LabelPath, SpanKind, StartSpan, Tracing

_TRACEPARENT = "traceparent"
_TRACE_ID = "trace_id"
_PROPAGATOR = TraceContextTextMapPropagator()
_KINDS = {kind: trace.SpanKind[kind.name] for kind in SpanKind}
_KNOWN_METHODS = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"}
_OTHER_METHOD = "_OTHER"


class LoggedTraceIds(RandomIdGenerator):
    """Gives the root of a trace the id that is bound to log lines, a random one if none is."""

    def generate_trace_id(self) -> int:
        """Return a trace id."""
        bound = structlog.contextvars.get_contextvars().get(_TRACE_ID)
        return int(bound, 16) if bound else super().generate_trace_id()


class OpenTelemetryTracing(Tracing):
    """Records spans with a tracer whose provider uses `LoggedTraceIds`."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    @property
    def start_span(self) -> StartSpan:
        """Return the function that starts spans."""
        return self._start_span

    def middleware(self, label_path: LabelPath) -> list[Middleware]:
        """Return the middleware that records each request."""
        return [Middleware(_TracingMiddleware, start_span=self._start_span, label_path=label_path)]

    def trace_service_calls(
        self, transport: httpx2.AsyncBaseTransport
    ) -> httpx2.AsyncBaseTransport:
        """Record requests within a trace; others, such as health probes, belong to none."""
        return _TracedTransport(transport, self._tracer, is_ours=True)

    def trace_github_requests(
        self, transport: httpx2.AsyncBaseTransport
    ) -> httpx2.AsyncBaseTransport:
        """Record all requests; those of background work are traces of their own."""
        return _TracedTransport(transport, self._tracer, is_ours=False)

    @contextmanager
    def _start_span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] = {},
        parent: str | None = None,
        is_root: bool = False,
        only_in_trace: bool = False,
        links: Sequence[str] = (),
    ) -> Iterator[str]:
        if only_in_trace and not _is_in_trace():
            yield ""
            return
        context = Context() if is_root else get_current()
        if parent:
            context = _PROPAGATOR.extract({_TRACEPARENT: parent}, context=context)
        span = self._tracer.start_span(
            name,
            context=context,
            kind=_KINDS[kind],
            attributes=attributes,
            links=[trace.Link(linked) for link in links if (linked := _parse(link)).is_valid],
        )
        ids = span.get_span_context()
        logged = {
            _TRACE_ID: trace.format_trace_id(ids.trace_id),
            "span_id": trace.format_span_id(ids.span_id),
            "trace_flags": f"{ids.trace_flags:02x}",
        }
        # An error is recorded by its type alone: its message may quote a URL or stored data.
        with (
            trace.use_span(
                span, end_on_exit=True, record_exception=False, set_status_on_exception=False
            ),
            structlog.contextvars.bound_contextvars(**logged),
        ):
            try:
                yield f"00-{'-'.join(logged.values())}"
            except BaseException as error:
                _record_error(span, type(error).__qualname__)
                raise


class _TracingMiddleware:
    """ASGI middleware that records each request but health checks, and continues its trace."""

    def __init__(self, app: ASGIApp, *, start_span: StartSpan, label_path: LabelPath) -> None:
        self._app = app
        self._start_span = start_span
        self._label_path = label_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application within a span, and with the header `traceparent` of that span."""
        if scope["type"] != "http" or scope["path"] in PUBLIC_PATHS:
            await self._app(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0] != _TRACEPARENT.encode()]
        parents = [value for name, value in scope["headers"] if name == _TRACEPARENT.encode()]
        route = self._label_path(scope["path"])
        method = scope["method"] if scope["method"] in _KNOWN_METHODS else _OTHER_METHOD
        attributes = {
            http_attributes.HTTP_REQUEST_METHOD: method,
            url_attributes.URL_SCHEME: scope.get("scheme", "http"),
            url_attributes.URL_PATH: scope["path"],
            **({http_attributes.HTTP_ROUTE: route} if route is not None else {}),
        }

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _record_status(trace.get_current_span(), message["status"], first_error=500)
            await send(message)

        # A new trace must not take the id of a task that happens to have started this one.
        structlog.contextvars.unbind_contextvars(_TRACE_ID)
        with self._start_span(
            f"{method} {route}" if route is not None else method,
            kind=SpanKind.SERVER,
            attributes=attributes,
            parent=parents[0].decode("latin-1") if parents else None,
            is_root=True,
        ) as traceparent:
            headers.append((_TRACEPARENT.encode(), traceparent.encode()))
            await self._app({**scope, "headers": headers}, receive, send_recorded)


class _TracedTransport(httpx2.AsyncBaseTransport):
    """
    HTTP transport that records each request until its response is closed.

    `is_ours` is true for requests to our own services: they get the header `traceparent`.
    """

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, tracer: trace.Tracer, *, is_ours: bool
    ) -> None:
        self._transport = transport
        self._tracer = tracer
        self._is_ours = is_ours

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request within a span."""
        if self._is_ours and not _is_in_trace():
            return await self._transport.handle_async_request(request)
        span = self._tracer.start_span(
            request.method, kind=trace.SpanKind.CLIENT, attributes=_request_attributes(request)
        )
        if self._is_ours:
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier, context=trace.set_span_in_context(span))
            request.headers.update(carrier)
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            _record_error(span, type(error).__qualname__)
            span.end()
            raise
        _record_status(span, response.status_code, first_error=400)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _TracedStream(response.stream, span)
        return response

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


class _TracedStream(httpx2.AsyncByteStream):
    """The body of a response; closing it ends the span of its request."""

    def __init__(self, stream: httpx2.AsyncByteStream, span: trace.Span) -> None:
        self._stream = stream
        self._span = span

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks of the body."""
        try:
            async for chunk in self._stream:
                yield chunk
        except BaseException as error:
            _record_error(self._span, type(error).__qualname__)
            raise

    async def aclose(self) -> None:
        """Close the body."""
        try:
            await self._stream.aclose()
        finally:
            self._span.end()


def _request_attributes(request: httpx2.Request) -> dict[str, str | int]:
    url = request.url
    port = url.port or (443 if url.scheme == "https" else 80)
    return {
        http_attributes.HTTP_REQUEST_METHOD: request.method,
        server_attributes.SERVER_ADDRESS: url.host,
        server_attributes.SERVER_PORT: port,
        # Without the query and without a user in front of the host.
        url_attributes.URL_FULL: f"{url.scheme}://{url.netloc.decode()}{url.path}",
    }


def _record_status(span: trace.Span, status: int, *, first_error: int) -> None:
    span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
    if status >= first_error:
        _record_error(span, str(status))


def _record_error(span: trace.Span, error_type: str) -> None:
    span.set_attribute(error_attributes.ERROR_TYPE, error_type)
    span.set_status(trace.StatusCode.ERROR)


def _is_in_trace() -> bool:
    return trace.get_current_span().get_span_context().is_valid


def _parse(traceparent: str) -> trace.SpanContext:
    """Parse a `traceparent` header; the result is invalid if the header is."""
    context = _PROPAGATOR.extract({_TRACEPARENT: traceparent}, context=Context())
    return trace.get_current_span(context).get_span_context()
