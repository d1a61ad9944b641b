"""Counted requests: by call and status, in few series whatever a client invents."""

from itertools import product
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from github_banners.api import public_routes as api
from github_banners.renderer import preview_route as renderer
from github_banners.serving.metrics import Metrics
from github_banners.serving.request_metrics import RequestMetricsMiddleware
from github_banners.storage import banner_routes as storage
from tests.unit.api.asgi import Inner, ask, http_scope
from tests.unit.serving.test_metrics import scrape


class Time:
    """Monotonic seconds that move when they are told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def name_of(path: str) -> str | None:
    return "/banners/{name}" if path.startswith("/banners/") else None


def measured(app: ASGIApp, metrics: Metrics, time: Time | None = None) -> RequestMetricsMiddleware:
    return RequestMetricsMiddleware(
        app, metrics=metrics, label_path=name_of, monotonic=time or Time()
    )


async def requests(metrics: Metrics) -> dict[str, float]:
    return await scrape(metrics, of="banners_requests_total")


def answering(status: int) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nothing, as when the client has left."""


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a bug")


async def failing_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("a bug")


async def test_a_request_is_passed_on_and_counted() -> None:
    metrics, inner = Metrics(), Inner([(b"etag", b'"1"')])
    scope = http_scope("/banners/ada?x=1")
    answered = await ask(measured(inner, metrics), scope)
    assert (answered.status, answered.body, answered.headers) == (200, b"inner", {"etag": '"1"'})
    assert inner.scopes == [scope]
    assert await requests(metrics) == {"requests_total{GET /banners/{name},200}": 1}


async def test_every_status_is_counted_apart() -> None:
    metrics = Metrics()

    async def by_name(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(int(scope["path"].removeprefix("/banners/")))(scope, receive, send)

    counted = measured(by_name, metrics)
    for status in (200, 304, 404, 503, 200):
        await ask(counted, http_scope(f"/banners/{status}"))
    assert await requests(metrics) == {
        f"requests_total{{GET /banners/{{name}},{status}}}": times
        for status, times in {200: 2, 304: 1, 404: 1, 503: 1}.items()
    }


async def test_how_long_it_took_is_noted() -> None:
    metrics, time = Metrics(), Time()

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        time.seconds += 0.75
        await answering(200)(scope, receive, send)

    await ask(measured(slowly, metrics, time), http_scope("/banners/ada"))
    found = await scrape(metrics, of="banners_request_seconds")
    assert found["request_seconds_sum{GET /banners/{name}}"] == 0.75
    assert found["request_seconds_bucket{GET /banners/{name},0.5}"] == 0
    assert found["request_seconds_bucket{GET /banners/{name},1.0}"] == 1


async def test_a_request_that_nobody_answers_is_aborted() -> None:
    metrics = Metrics()
    await ask(measured(leaving, metrics), http_scope("/banners/ada"))
    assert await requests(metrics) == {"requests_total{GET /banners/{name},aborted}": 1}


@pytest.mark.parametrize(("app", "status"), [(failing, "aborted"), (failing_midway, "200")])
async def test_an_exception_is_counted_and_goes_on(app: ASGIApp, status: str) -> None:
    metrics = Metrics()
    with pytest.raises(RuntimeError, match="a bug"):
        await ask(measured(app, metrics), http_scope("/banners/ada"))
    assert await requests(metrics) == {f"requests_total{{GET /banners/{{name}},{status}}}": 1}
    found = await scrape(metrics, of="banners_request_seconds_count")
    assert found == {"request_seconds_count{GET /banners/{name}}": 1}


async def test_what_is_no_request_is_not_counted() -> None:
    metrics, inner = Metrics(), Inner()
    scope = {**http_scope("/banners/ada"), "type": "websocket"}
    await ask(measured(inner, metrics), scope)
    assert inner.scopes == [scope]
    assert await scrape(metrics) == {}


@settings(deadline=None, max_examples=50)
@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "get", "PROPFIND"])
            | st.text(min_size=1, max_size=12),
            st.text(max_size=20) | st.text(max_size=20).map("/banners/{}".format),
        ),
        max_size=20,
    )
)
async def test_whatever_is_invented_the_series_stay_few(asked: list[tuple[str, str]]) -> None:
    metrics = Metrics()
    app = measured(answering(200), metrics)
    for method, path in asked:
        await ask(app, {**http_scope("/"), "method": method, "path": path})
    found = await requests(metrics)
    methods, paths = ("GET", "HEAD", "POST", "OPTIONS", "other"), ("/banners/{name}", "other")
    few = {f"requests_total{{{method} {path},200}}" for method, path in product(methods, paths)}
    assert set(found) <= few
    assert sum(found.values()) == len(asked)


@pytest.mark.parametrize("routes", [api, storage, renderer], ids=["api", "storage", "renderer"])
def test_every_service_names_few_paths(routes: ModuleType) -> None:
    paths = ["/", "", "/preview", "/banners", "/banners/", "/banners/preview", "/docs", "/healthz"]
    paths += [f"{path}/{number}" for path in paths for number in range(50)]
    assert len({routes.route_label(path) for path in paths}) <= 8
    assert routes.route_label("/" + "x" * 5000) is None
