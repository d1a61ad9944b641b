"""Alive, ready, and what is away meanwhile."""

from collections.abc import Callable, Mapping

import httpx2
import pytest
from starlette.types import ASGIApp

from github_banners.serving.framework import build_app
from github_banners.serving.health import Health, MetricsMiddleware, health_routes
from github_banners.serving.metrics import Metrics
from tests.unit.api.asgi import Inner, ask, http_scope
from tests.unit.serving.test_metrics import get, scrape


def service(neighbours: Mapping[str, Callable[[], bool]] | None = None) -> ASGIApp:
    return build_app(health_routes(Health(neighbours or {})))


async def said(app: ASGIApp, path: str) -> tuple[int, object]:
    answer = await get(app, path)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


async def test_who_answers_is_alive() -> None:
    assert await said(service(), "/healthz") == (200, {"status": "alive"})


async def test_a_service_without_neighbours_lacks_nobody() -> None:
    assert await said(service(), "/readyz") == (200, {"status": "ready", "degraded": []})


async def test_who_is_away_is_named_and_the_service_is_ready_all_the_same() -> None:
    up = {"database": False, "renderer": True, "storage": False}
    app = service({name: (lambda name=name: up[name]) for name in up})  # type: ignore[misc]
    assert await said(app, "/readyz") == (
        200,
        {"status": "ready", "degraded": ["database", "storage"]},
    )
    up["database"] = True
    assert await said(app, "/readyz") == (200, {"status": "ready", "degraded": ["storage"]})
    assert await said(app, "/healthz") == (200, {"status": "alive"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_may_ask_for_the_head_alone(path: str) -> None:
    transport = httpx2.ASGITransport(app=service())
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
        head, whole = await http.head(path), await http.get(path)
        refused = await http.post(path)
    assert (head.status_code, head.headers) == (200, whole.headers)
    assert (refused.status_code, refused.json()) == (405, {"error": "method not allowed"})


async def test_prometheus_is_told_too() -> None:
    up, metrics = {"database": True}, Metrics()
    Health({"database": lambda: up["database"], "broker": lambda: False}).register_metrics(metrics)
    assert await scrape(metrics) == {"dependency_up{database}": 1, "dependency_up{broker}": 0}
    up["database"] = False
    assert (await scrape(metrics))["dependency_up{database}"] == 0


async def test_metrics_stand_beside_all_else() -> None:
    metrics, inner = Metrics(), Inner()
    metrics.counter("drawn_total", "Drawn.", labels="by", label_values=["self"])
    app = MetricsMiddleware(inner, metrics=metrics.app)
    assert 'banners_drawn_total{by="self"} 0.0' in (await get(app)).text
    for path in ("/", "/metrics/", "/metricsx", "/banners/metrics", "/Metrics"):
        assert (await ask(app, http_scope(path))).body == b"inner"
    assert len(inner.scopes) == 5


async def test_what_is_no_request_is_passed_on() -> None:
    inner = Inner()
    scope = {**http_scope("/metrics"), "type": "websocket"}
    await ask(MetricsMiddleware(inner, metrics=Metrics().app), scope)
    assert inner.scopes == [scope]
