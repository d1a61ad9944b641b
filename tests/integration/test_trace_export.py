"""Spans are sent to a collector; without one, nothing waits for it."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from github_banners.settings import ServiceName, Settings

pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")

from github_banners.serving.telemetry import export


def respond(collector: socket.socket) -> str:
    """Accept one request, and return its head."""
    connection, _ = collector.accept()
    with connection, connection.makefile("rb") as request:
        lines = list(iter(request.readline, b"\r\n"))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return b"".join(lines).decode("latin-1")


def test_exporter_sends_spans_with_the_headers_of_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "FLUSH_TIMEOUT_SECONDS", 30)
    with socket.create_server(("127.0.0.1", 0)) as collector, ThreadPoolExecutor() as pool:
        collector.settimeout(30)
        responding = pool.submit(respond, collector)
        port = collector.getsockname()[1]
        settings = Settings.from_environment(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}/otlp/",
                "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b",
            }
        )
        with export.exporting(settings, service=ServiceName.API) as tracing:
            assert tracing.start_span is not None
            with tracing.start_span("a"):
                pass
        head = responding.result()
    assert head.startswith("POST /otlp/v1/traces HTTP/1.1\r\n")
    assert "api-key: a b\r\n" in head


@pytest.mark.parametrize("is_listening", [False, True], ids=["down", "hanging"])
def test_exporting_to_an_unavailable_collector_ends_in_time_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, *, is_listening: bool
) -> None:
    monkeypatch.setattr(export, "FLUSH_TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener, capture_logs() as lines:
        port = listener.getsockname()[1]
        if not is_listening:
            listener.close()
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        settings = Settings.from_environment(endpoint)
        with export.exporting(settings, service=ServiceName.API) as tracing:
            assert tracing.start_span is not None
            started = time.monotonic()
            for _ in range(5000):
                with tracing.start_span("a"):
                    pass
            spent = time.monotonic() - started
            ending = time.monotonic()
        # The SDK's own limit is 30 s.
        assert time.monotonic() - ending < 10
    assert spent < 5
    events = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert events.count("traces.not_sent") <= 1
    assert len([event for event in events if event == "traces.failed"]) <= 2
