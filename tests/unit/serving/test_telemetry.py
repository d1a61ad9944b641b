"""Spans of requests, calls and events; exporting them to a collector that may be down."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
import pytest
import structlog
from starlette.responses import Response
from structlog.testing import capture_logs

from github_banners.diagnostics import CheckResult, check_traces
from github_banners.errors import InvalidInput
from github_banners.messaging.trace_context import make_traceparent, parse_trace_id, trace_context
from github_banners.serving.telemetry import OFF, SpanKind, Tracing, open_tracing
from github_banners.settings import ServiceName, Settings
from tests.unit.api.asgi import http_scope, send_request

pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from github_banners.serving.telemetry import export
from tests.unit.serving.span_recorder import (
    Recorder,
    read_attributes,
    read_parent_id,
    read_span_id,
    read_trace_id,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
COLLECTOR = "http://127.0.0.1:9"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def make_settings(**variables: str) -> Settings:
    return Settings.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, **variables})


def test_start_span_parent_is_the_header(recorder: Recorder) -> None:
    with recorder.start_span("a", parent=TRACEPARENT, kind=SpanKind.CONSUMER) as header:
        assert make_traceparent() == header
    (span,) = recorder.spans
    assert (read_trace_id(span), read_parent_id(span)) == (TRACE, PARENT)
    assert header.startswith(f"00-{TRACE}-{read_span_id(span)}-")
    assert span.kind.name == "CONSUMER"
    assert "span_id" not in structlog.contextvars.get_contextvars()


def test_start_span_without_header_is_a_child_of_the_current_span(recorder: Recorder) -> None:
    with recorder.start_span("outer") as outer, recorder.start_span("inner", parent="malformed"):
        pass
    inner = recorder.spans[0]
    assert read_trace_id(inner) == parse_trace_id(outer)
    assert read_parent_id(inner) == outer.split("-")[2]


def test_start_span_root_has_the_trace_id_of_log_lines(recorder: Recorder) -> None:
    with trace_context(TRACEPARENT):
        with recorder.start_span("root", is_root=True):
            pass
        assert structlog.contextvars.get_contextvars() == {"trace_id": TRACE}
    with recorder.start_span("random", is_root=True, parent="malformed"):
        pass
    root, random = recorder.spans
    assert (read_trace_id(root), root.parent) == (TRACE, None)
    assert (read_trace_id(random) == TRACE, random.parent) == (False, None)


def test_start_span_only_in_trace_records_nothing_outside(recorder: Recorder) -> None:
    with recorder.start_span("alone", only_in_trace=True) as header:
        assert header == ""
    with recorder.start_span("outer"), recorder.start_span("inner", only_in_trace=True):
        pass
    assert [span.name for span in recorder.spans] == ["inner", "outer"]


def test_start_span_links_are_those_with_a_valid_header(recorder: Recorder) -> None:
    with recorder.start_span("batch", links=[TRACEPARENT, "", "malformed"]):
        pass
    (link,) = recorder.spans[0].links
    assert f"{link.context.trace_id:032x}" == TRACE


def test_start_span_error_is_recorded_by_its_type_alone(recorder: Recorder) -> None:
    with suppress(ValueError), recorder.start_span("failing"):
        raise ValueError("with a secret")
    (span,) = recorder.spans
    assert read_attributes(span) == {"error.type": "ValueError"}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.events == ()


def test_start_span_unsampled_parent_is_passed_on(recorder: Recorder) -> None:
    with recorder.start_span("a", parent=f"00-{TRACE}-{PARENT}-00"):
        assert make_traceparent().endswith("-00")
    assert recorder.spans == ()


async def serve(tracing: Tracing, target: str, *, status: int = 200, **headers: str) -> str:
    """Send a request through the middleware; return the `traceparent` that the application sees."""
    received = ""

    async def app(scope, receive, send):
        nonlocal received
        received = dict(scope["headers"]).get(b"traceparent", b"").decode()
        if status == 0:
            raise InvalidInput("type", allowed=())
        await Response(status_code=status)(scope, receive, send)

    (middleware,) = tracing.middleware(lambda path: path if path == "/banners" else None)
    traced = middleware.cls(app, *middleware.args, **middleware.kwargs)
    scope = {**http_scope(target, **headers), "scheme": "http"}
    await send_request(traced, scope)
    return received


async def test_middleware_records_route_and_status_and_no_query(recorder: Recorder) -> None:
    received = await serve(recorder.tracing, "/banners?token=secret", traceparent=TRACEPARENT)
    (span,) = recorder.spans
    assert span.name == "GET /banners"
    assert span.kind.name == "SERVER"
    assert (read_trace_id(span), read_parent_id(span)) == (TRACE, PARENT)
    assert received.split("-")[1:3] == [TRACE, read_span_id(span)]
    assert read_attributes(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/banners",
        "url.path": "/banners",
        "url.scheme": "http",
    }


async def test_middleware_without_header_starts_a_new_trace(recorder: Recorder) -> None:
    with structlog.contextvars.bound_contextvars(trace_id=TRACE):
        received = await serve(recorder.tracing, "/unknown")
    (span,) = recorder.spans
    assert span.name == "GET"
    assert "http.route" not in read_attributes(span)
    assert parse_trace_id(received) == read_trace_id(span) != TRACE


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_middleware_does_not_record_probes(recorder: Recorder, path: str) -> None:
    await serve(recorder.tracing, path)
    assert recorder.spans == ()


@pytest.mark.parametrize(
    ("status", "error"), [(404, None), (503, "503"), (0, "InvalidInput")], ids=str
)
async def test_middleware_records_failures(
    recorder: Recorder, status: int, error: str | None
) -> None:
    with suppress(InvalidInput):
        await serve(recorder.tracing, "/banners", status=status)
    (span,) = recorder.spans
    assert read_attributes(span).get("error.type") == error
    assert (span.status.status_code is StatusCode.ERROR) == (error is not None)


def respond(request: httpx2.Request) -> httpx2.Response:
    """Respond with the headers of the request, in a body that is read like one of the network."""
    if request.url.path == "/down":
        raise httpx2.ConnectError("refused")

    async def body() -> AsyncIterator[bytes]:
        if request.url.path == "/broken":
            raise httpx2.ReadError("reset")
        yield str(request.headers).encode()

    return httpx2.Response(502 if request.url.path == "/bad" else 200, content=body())


async def request_through(transport: httpx2.AsyncBaseTransport, url: str) -> str:
    async with httpx2.AsyncClient(transport=transport) as http:
        response = await http.get(url, headers={"traceparent": "of the caller"})
    return response.text


async def test_service_call_is_recorded_within_a_trace_and_sends_its_span(
    recorder: Recorder,
) -> None:
    transport = recorder.tracing.trace_service_calls(httpx2.MockTransport(respond))
    assert "of the caller" in await request_through(transport, "http://storage/")
    with recorder.start_span("outer"):
        sent = await request_through(transport, "http://storage:8082/banners?key=secret")
    span, outer = recorder.spans
    assert read_parent_id(span) == read_span_id(outer)
    assert f"{read_trace_id(span)}-{read_span_id(span)}" in sent
    assert "of the caller" not in sent
    assert read_attributes(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "storage",
        "server.port": 8082,
        "url.full": "http://storage:8082/banners",
    }


async def test_github_request_is_recorded_always_and_sends_no_trace(recorder: Recorder) -> None:
    transport = recorder.tracing.trace_github_requests(httpx2.MockTransport(respond))
    assert "of the caller" in await request_through(transport, "https://api.github.com/users/x")
    (span,) = recorder.spans
    assert span.parent is None
    assert read_attributes(span)["server.port"] == 443


@pytest.mark.parametrize(
    ("path", "error"), [("/down", "ConnectError"), ("/broken", "ReadError"), ("/bad", "502")]
)
async def test_failed_request_is_recorded(recorder: Recorder, path: str, error: str) -> None:
    transport = recorder.tracing.trace_github_requests(httpx2.MockTransport(respond))
    with suppress(httpx2.NetworkError):
        await request_through(transport, f"https://api.github.com{path}")
    (span,) = recorder.spans
    assert read_attributes(span)["error.type"] == error
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        make_settings(OTEL_SDK_DISABLED="true"),
        make_settings(OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_PROTOCOL="grpc"),
    ],
    ids=["unset", "disabled", "no-exporter"],
)
def test_open_tracing_is_off_and_wraps_nothing(settings: Settings) -> None:
    with open_tracing(settings, service=ServiceName.API) as tracing:
        assert tracing is OFF
    transport = httpx2.MockTransport(respond)
    assert tracing.start_span is None
    assert tracing.middleware(lambda path: path) == []
    assert tracing.trace_service_calls(transport) is transport
    assert tracing.trace_github_requests(transport) is transport


def test_open_tracing_without_the_extra_warns_and_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "github_banners.serving.telemetry.export")
    monkeypatch.setitem(sys.modules, "requests", None)
    with (
        capture_logs() as lines,
        open_tracing(make_settings(), service=ServiceName.API) as tracing,
    ):
        assert tracing is OFF
    (line,) = lines
    assert line["event"] == "traces.not_installed"
    assert "pip install '.[otel]'" in line["reason"]
    (check,) = check_traces(make_settings())
    assert check.is_broken
    assert "pip install '.[otel]'" in check.text


def test_open_tracing_with_variable_that_sdk_rejects_warns_and_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1")
    with (
        capture_logs() as lines,
        open_tracing(make_settings(), service=ServiceName.API) as tracing,
    ):
        assert tracing is OFF
    (line,) = lines
    assert line["event"] == "traces.not_configured"
    assert line["reason"].startswith("OpenTelemetry rejects one of the variables OTEL_*: ")
    (check,) = check_traces(make_settings())
    assert (check.is_broken, line["reason"] in check.text) == (True, True)


@pytest.mark.parametrize("size", ["1", "256", "4096"])
def test_open_tracing_any_queue_size_is_on(size: str) -> None:
    settings = make_settings(OTEL_BSP_MAX_QUEUE_SIZE=size, OTEL_BSP_SCHEDULE_DELAY="1")
    with open_tracing(settings, service=ServiceName.API) as tracing:
        assert tracing.start_span is not None


def test_check_traces_names_the_collector() -> None:
    assert check_traces(Settings()) == []
    on, off = make_settings(), make_settings(OTEL_TRACES_EXPORTER="none")
    assert check_traces(on) == [CheckResult("traces", f"sent to {COLLECTOR}")]
    assert check_traces(off) == [CheckResult("traces", "turned off")]


def test_open_tracing_records_and_sends_at_the_end() -> None:
    exporter = InMemorySpanExporter()
    settings = make_settings(OTEL_SERVICE_NAME="mine")
    with export.exporting(settings, service=ServiceName.API, exporter=exporter) as tracing:
        assert tracing.start_span is not None
        with tracing.start_span("a"):
            pass
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == "mine"


@pytest.mark.parametrize(
    ("service", "variables", "name"),
    [
        (ServiceName.ALL_IN_ONE, {}, "github-banners"),
        (ServiceName.STORAGE, {}, "github-banners-storage"),
        (ServiceName.API, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs"}, "theirs"),
        (ServiceName.API, {"OTEL_SERVICE_NAME": "'mine'"}, "mine"),
    ],
)
def test_build_resource_service_name(
    monkeypatch: pytest.MonkeyPatch, service: ServiceName, variables: dict[str, str], name: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    resource = export.build_resource(make_settings(**variables), service=service)
    assert resource.attributes["service.name"] == name


@pytest.mark.parametrize(
    ("sampler", "argument", "description"),
    [
        ("always_on", "1", "AlwaysOnSampler"),
        ("always_off", "1", "AlwaysOffSampler"),
        ("traceidratio", "0.25", "TraceIdRatioBased{0.25}"),
        ("parentbased_always_off", "1", "ParentBased{root:AlwaysOffSampler,"),
        ("parentbased_always_on", "1", "ParentBased{root:AlwaysOnSampler,"),
        ("parentbased_traceidratio", "0.5", "ParentBased{root:TraceIdRatioBased{0.5},"),
    ],
)
def test_build_sampler_is_the_named_one(sampler: str, argument: str, description: str) -> None:
    settings = make_settings(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)
    assert export.build_sampler(settings).get_description().startswith(description)


def test_sdk_warnings_are_logged_once_an_hour() -> None:
    exporter = InMemorySpanExporter()
    with (
        capture_logs() as lines,
        export.exporting(make_settings(), service=ServiceName.API, exporter=exporter),
    ):
        for _ in range(3):
            logging.getLogger("opentelemetry.exporter.x").error("no collector at %s", "there")
    # Threads of other tests may still wait for their collectors.
    failures = [line for line in lines if line.get("reason") == "no collector at there"]
    assert [line["event"] for line in failures] == ["traces.failed"]
