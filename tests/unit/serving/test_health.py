"""Health endpoints and the metrics middleware."""

from collections.abc import Callable, Mapping

import httpx2
import pytest
from starlette.types import ASGIApp

from github_banners.serving.framework import build_app
from github_banners.serving.health import Health, health_routes
from github_banners.serving.metrics import Metrics
from tests.unit.serving.test_metrics import get, scrape


def service(dependencies: Mapping[str, Callable[[], bool]] | None = None) -> ASGIApp:
    return build_app(health_routes(Health(dependencies or {})))


async def get_json(app: ASGIApp, path: str) -> tuple[int, object]:
    response = await get(app, path)
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()


async def test_healthz_returns_alive() -> None:
    assert await get_json(service(), "/healthz") == (200, {"status": "alive"})


async def test_readyz_without_dependencies_is_not_degraded() -> None:
    assert await get_json(service(), "/readyz") == (200, {"status": "ready", "degraded": []})


async def test_readyz_dependency_down_is_ready_and_degraded() -> None:
    up = {"database": False, "renderer": True, "storage": False}
    app = service({name: (lambda name=name: up[name]) for name in up})  # type: ignore[misc]
    assert await get_json(app, "/readyz") == (
        200,
        {"status": "ready", "degraded": ["database", "storage"]},
    )
    up["database"] = True
    assert await get_json(app, "/readyz") == (200, {"status": "ready", "degraded": ["storage"]})
    assert await get_json(app, "/healthz") == (200, {"status": "alive"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_head_returns_headers_of_get(path: str) -> None:
    transport = httpx2.ASGITransport(app=service())
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
        head, complete = await http.head(path), await http.get(path)
        refused = await http.post(path)
    assert (head.status_code, head.headers) == (200, complete.headers)
    assert (refused.status_code, refused.json()) == (405, {"error": "method not allowed"})


async def test_register_metrics_exports_dependency_up() -> None:
    up, metrics = {"database": True}, Metrics()
    Health({"database": lambda: up["database"], "broker": lambda: False}).register_metrics(metrics)
    assert await scrape(metrics) == {"dependency_up{database}": 1, "dependency_up{broker}": 0}
    up["database"] = False
    assert (await scrape(metrics))["dependency_up{database}"] == 0
