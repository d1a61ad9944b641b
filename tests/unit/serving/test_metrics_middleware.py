"""Request metrics: labels, durations, and a bounded number of series; the path of all metrics."""

from itertools import product
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from github_banners.api import public_routes as api
from github_banners.renderer import preview_route as renderer
from github_banners.serving.metrics import Metrics, MetricsMiddleware, RequestMetricsMiddleware
from github_banners.storage import banner_routes as storage
from tests.fake_clock import FakeClock
from tests.unit.api.asgi import InnerApp, http_scope, send_request
from tests.unit.serving.test_metrics import get, scrape


def label_path(path: str) -> str | None:
    return "/banners/{name}" if path.startswith("/banners/") else None


def with_metrics(
    app: ASGIApp, metrics: Metrics, time: FakeClock | None = None
) -> RequestMetricsMiddleware:
    return RequestMetricsMiddleware(
        app, metrics=metrics, label_path=label_path, monotonic=time or FakeClock()
    )


async def requests(metrics: Metrics) -> dict[str, float]:
    return await scrape(metrics, prefix="banners_requests_total")


def app_with_status(status: int) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def never_responding(scope: Scope, receive: Receive, send: Send) -> None:
    """Send no response, as if the client had disconnected."""


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a bug")


async def failing_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("a bug")


async def test_request_is_passed_on_and_counted() -> None:
    metrics, inner = Metrics(), InnerApp([(b"etag", b'"1"')])
    scope = http_scope("/banners/ada?x=1")
    response = await send_request(with_metrics(inner, metrics), scope)
    assert (response.status, response.body, response.headers) == (200, b"inner", {"etag": '"1"'})
    assert inner.scopes == [scope]
    assert await requests(metrics) == {"requests_total{GET /banners/{name},200}": 1}


async def test_requests_are_counted_by_status() -> None:
    metrics = Metrics()

    async def by_name(scope: Scope, receive: Receive, send: Send) -> None:
        await app_with_status(int(scope["path"].removeprefix("/banners/")))(scope, receive, send)

    counted = with_metrics(by_name, metrics)
    for status in (200, 304, 404, 503, 200):
        await send_request(counted, http_scope(f"/banners/{status}"))
    assert await requests(metrics) == {
        f"requests_total{{GET /banners/{{name}},{status}}}": times
        for status, times in {200: 2, 304: 1, 404: 1, 503: 1}.items()
    }


async def test_request_duration_is_recorded() -> None:
    metrics, time = Metrics(), FakeClock()

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        time.seconds += 0.75
        await app_with_status(200)(scope, receive, send)

    await send_request(with_metrics(slowly, metrics, time), http_scope("/banners/ada"))
    samples = await scrape(metrics, prefix="banners_request_seconds")
    assert samples["request_seconds_sum{GET /banners/{name}}"] == 0.75
    assert samples["request_seconds_bucket{GET /banners/{name},0.5}"] == 0
    assert samples["request_seconds_bucket{GET /banners/{name},1.0}"] == 1


async def test_request_without_response_is_counted_as_aborted() -> None:
    metrics = Metrics()
    await send_request(with_metrics(never_responding, metrics), http_scope("/banners/ada"))
    assert await requests(metrics) == {"requests_total{GET /banners/{name},aborted}": 1}


@pytest.mark.parametrize(("app", "status"), [(failing, "aborted"), (failing_midway, "200")])
async def test_request_exception_is_counted_and_raised(app: ASGIApp, status: str) -> None:
    metrics = Metrics()
    with pytest.raises(RuntimeError, match="a bug"):
        await send_request(with_metrics(app, metrics), http_scope("/banners/ada"))
    assert await requests(metrics) == {f"requests_total{{GET /banners/{{name}},{status}}}": 1}
    samples = await scrape(metrics, prefix="banners_request_seconds_count")
    assert samples == {"request_seconds_count{GET /banners/{name}}": 1}


async def test_other_scope_type_is_not_counted() -> None:
    metrics, inner = Metrics(), InnerApp()
    scope = {**http_scope("/banners/ada"), "type": "websocket"}
    await send_request(with_metrics(inner, metrics), scope)
    assert inner.scopes == [scope]
    assert await scrape(metrics) == {}


@given(
    requested=st.lists(
        st.tuples(
            st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "get", "PROPFIND"])
            | st.text(min_size=1, max_size=12),
            st.text(max_size=20) | st.text(max_size=20).map("/banners/{}".format),
        ),
        max_size=20,
    )
)
async def test_invented_requests_add_few_series(requested: list[tuple[str, str]]) -> None:
    metrics = Metrics()
    app = with_metrics(app_with_status(200), metrics)
    for method, path in requested:
        await send_request(app, {**http_scope("/"), "method": method, "path": path})
    samples = await requests(metrics)
    methods, paths = ("GET", "HEAD", "POST", "OPTIONS", "other"), ("/banners/{name}", "other")
    allowed = {f"requests_total{{{method} {path},200}}" for method, path in product(methods, paths)}
    assert set(samples) <= allowed
    assert sum(samples.values()) == len(requested)


@pytest.mark.parametrize("routes", [api, storage, renderer], ids=["api", "storage", "renderer"])
def test_route_label_has_few_values(routes: ModuleType) -> None:
    paths = ["/", "", "/preview", "/banners", "/banners/", "/banners/preview", "/docs", "/healthz"]
    paths += [f"{path}/{number}" for path in paths for number in range(50)]
    assert len({routes.route_label(path) for path in paths}) <= 8
    assert routes.route_label("/" + "x" * 5000) is None


async def test_metrics_middleware_serves_exact_path_only() -> None:
    metrics, inner = Metrics(), InnerApp()
    metrics.counter("drawn_total", "Drawn.", labels="by", label_values=["self"])
    app = MetricsMiddleware(inner, metrics=metrics.app)
    assert 'banners_drawn_total{by="self"} 0.0' in (await get(app)).text
    for path in ("/", "/metrics/", "/metricsx", "/banners/metrics", "/Metrics"):
        assert (await send_request(app, http_scope(path))).body == b"inner"
    assert len(inner.scopes) == 5


async def test_metrics_middleware_other_scope_type_is_passed_on() -> None:
    inner = InnerApp()
    scope = {**http_scope("/metrics"), "type": "websocket"}
    await send_request(MetricsMiddleware(inner, metrics=Metrics().app), scope)
    assert inner.scopes == [scope]
