"""A posted banner in one trace: from the request through Kafka to the file, in all three services."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from github_banners.api import data_refresh, outbox, refresh
from github_banners.app import distributed
from github_banners.app.distributed import open_distributed_api
from github_banners.messaging.testing import MemoryBroker
from github_banners.renderer import renderer_service
from github_banners.renderer.renderer_service import open_renderer
from github_banners.serving.server import open_listener, port_number, serve_app
from github_banners.settings import ServiceName, Settings
from github_banners.storage.storage_service import open_storage
from github_sandbox import create_app

pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from github_banners.serving.telemetry.export import exporting
from tests.unit.serving.span_recorder import read_trace_id

pytestmark = pytest.mark.postgres

LOGIN = "mia-maintains"
TOKEN = "ghp_0123456789abcdefghij"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SERVICES = (ServiceName.API, ServiceName.RENDERER, ServiceName.STORAGE)


@dataclass
class Deployment:
    """Three services in this process; `is_storage_down` makes the storage refuse all calls."""

    broker: MemoryBroker
    files: Path
    exporters: Mapping[ServiceName, InMemorySpanExporter]
    http: httpx2.AsyncClient
    is_storage_down: bool = False
    spans: dict[str, tuple[ServiceName, ReadableSpan]] = field(default_factory=dict)

    def behind_switch(self, app: ASGIApp) -> ASGIApp:
        async def switch(scope: Scope, receive: Receive, send: Send) -> None:
            chosen = Response(status_code=503) if self.is_storage_down else app
            await chosen(scope, receive, send)

        return switch

    def collect(self) -> None:
        """Take the spans of all services, by their ids; they are complete once services ended."""
        for service, exporter in self.exporters.items():
            for span in exporter.get_finished_spans():
                assert span.context is not None
                self.spans[f"{span.context.span_id:016x}"] = service, span

    def names_of_trace(self) -> set[tuple[str, str]]:
        return {
            (service.value, span.name)
            for service, span in self.spans.values()
            if read_trace_id(span) == TRACE
        }

    def path_to_root(self, service: ServiceName, name: str) -> list[tuple[str, str]]:
        """Return the spans from one up to the one that has the parent of the client."""
        pair = next(
            pair for pair in self.spans.values() if (pair[0], pair[1].name) == (service, name)
        )
        path = [(pair[0].value, pair[1].name)]
        while (
            pair[1].parent is not None
            and (span_id := f"{pair[1].parent.span_id:016x}") in self.spans
        ):
            pair = self.spans[span_id]
            path.append((pair[0].value, pair[1].name))
        return path


@asynccontextmanager
async def open_deployment(
    conninfo: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """Open all services on one broker in memory; at the end, `spans` holds what they recorded."""
    broker = MemoryBroker()
    for module in (distributed, renderer_service):
        monkeypatch.setattr(module, "KafkaProducer", lambda brokers: broker.producer())
    monkeypatch.setattr(renderer_service, "KafkaConsumer", lambda brokers: broker.consumer())
    monkeypatch.setattr(outbox, "_UNAVAILABLE_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(outbox, "_RETRY_DELAY", timedelta(0))
    database = conninfo_to_dict(conninfo)
    exporters = {service: InMemorySpanExporter() for service in SERVICES}
    async with AsyncExitStack() as stack:
        listeners = {service: open_listener("127.0.0.1", 0) for service in SERVICES}
        urls = {
            service: f"http://127.0.0.1:{port_number(listener)}"
            for service, listener in listeners.items()
        }
        github = open_listener("127.0.0.1", 0)
        settings = Settings.from_environment(
            {
                "GITHUB_API_URL": f"http://127.0.0.1:{port_number(github)}",
                "GITHUB_TOKENS": TOKEN,
                "DB_HOST": str(database["host"]),
                "PGPORT": str(database.get("port") or 5432),
                "POSTGRES_USER": str(database["user"]),
                "POSTGRES_DB": str(database["dbname"]),
                "KAFKA_BROKERS_ADDRS": "in-memory:9092",
                "RENDERER_BASE_URL": urls[ServiceName.RENDERER],
                "STORAGE_BASE_URL": urls[ServiceName.STORAGE],
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            }
        )
        tracing = {
            service: stack.enter_context(exporting(settings, service=service, exporter=exporter))
            for service, exporter in exporters.items()
        }
        http = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=urls[ServiceName.API], timeout=30, trust_env=False)
        )
        deployment = Deployment(broker, folder, exporters, http)
        await stack.enter_async_context(serve_app(create_app(), github))
        storage = await stack.enter_async_context(
            open_storage(settings, banners_dir=folder, tracing=tracing[ServiceName.STORAGE])
        )
        renderer = await stack.enter_async_context(
            open_renderer(settings, tracing=tracing[ServiceName.RENDERER])
        )
        api = await stack.enter_async_context(
            open_distributed_api(settings, tracing=tracing[ServiceName.API])
        )
        for service, app in (
            (ServiceName.STORAGE, deployment.behind_switch(storage.app)),
            (ServiceName.RENDERER, renderer.app),
            (ServiceName.API, api.app),
        ):
            await stack.enter_async_context(serve_app(app, listeners[service]))
        yield deployment
    deployment.collect()


async def post_banner(deployment: Deployment, **options: str) -> None:
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    response = await deployment.http.post(
        "/banners", json={"username": LOGIN, **options}, headers=headers
    )
    assert response.status_code == 201


def assert_no_secret_in(deployment: Deployment) -> None:
    for _, span in deployment.spans.values():
        assert TOKEN not in str(span.attributes)
        assert "?" not in str((span.attributes or {}).get("url.full", ""))


async def test_posted_banner_is_one_trace_from_request_to_file(
    conninfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_deployment(conninfo, tmp_path, monkeypatch) as deployment:
        await post_banner(deployment)
        assert (tmp_path / f"{LOGIN}-default.svg").exists()
    assert deployment.path_to_root(ServiceName.STORAGE, "write banner") == [
        ("storage", "write banner"),
        ("storage", "POST /banners"),
        ("api", "POST"),
        ("api", "store banner"),
        ("api", "POST /banners"),
    ]
    assert deployment.names_of_trace() >= {
        ("api", "transaction insert"),
        ("api", "draw banner"),
        ("renderer", "POST /preview"),
    }
    # The other one asks for the owner of the token, in a trace of its own.
    assert TRACE in {
        read_trace_id(span)
        for _, span in deployment.spans.values()
        if "/graphql" in str((span.attributes or {}).get("url.full"))
    }
    assert_no_secret_in(deployment)


async def test_banner_that_is_stored_later_is_one_trace_through_kafka(
    conninfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"{LOGIN}-default.svg"
    async with open_deployment(conninfo, tmp_path, monkeypatch) as deployment:
        deployment.is_storage_down = deployment.broker.is_down = True
        await post_banner(deployment)
        assert not file.exists()
        deployment.is_storage_down = deployment.broker.is_down = False
        async with asyncio.timeout(20):
            while not file.exists():  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.05)
    assert deployment.path_to_root(ServiceName.STORAGE, "write banner") == [
        ("storage", "write banner"),
        ("renderer", "store banner"),
        ("renderer", "process banner-update"),
        ("api", "send banner-update"),
        ("api", "store banner"),
        ("api", "POST /banners"),
    ]
    assert ("renderer", "draw banner") in deployment.names_of_trace()
    batch = next(span for _, span in deployment.spans.values() if span.name == "store batch")
    assert f"{batch.links[0].context.trace_id:032x}" == TRACE
    assert_no_secret_in(deployment)


async def test_refreshed_batch_is_one_trace_with_its_requests_and_transactions(
    conninfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "SECONDS_BETWEEN_BATCHES", 0.05)
    monkeypatch.setattr(data_refresh, "_IDLE_SECONDS", 0.05)
    async with open_deployment(conninfo, tmp_path, monkeypatch) as deployment:
        await post_banner(deployment, layout="activity")
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            await connection.execute("update users set due_at = '2026-01-01'")
            await connection.execute("update owner_data set due_at = '2026-01-01'")
            async with asyncio.timeout(20):
                while await is_due(connection):  # noqa: ASYNC110 - a row has no event
                    await asyncio.sleep(0.05)
    for name in ("refresh users", "refresh data"):
        (batch,) = [span for _, span in deployment.spans.values() if span.name == name]
        assert batch.parent is None
        assert dict(batch.attributes or {}) == {"banners.batch_size": 1}
        in_trace = {
            span.name
            for _, span in deployment.spans.values()
            if read_trace_id(span) == read_trace_id(batch)
        }
        assert in_trace >= {name, "POST", "transaction"}
    assert_no_secret_in(deployment)


async def is_due(connection: AsyncConnection) -> bool:
    query = """
        select exists (select from users where due_at < now())
            or exists (select from owner_data where due_at < now())
    """
    row = await (await connection.execute(query)).fetchone()
    return row != (False,)
