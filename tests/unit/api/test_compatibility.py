"""Requests for pictures of other services reach the application as requests for previews."""

import pytest

from github_banners.api.compatibility import TranslateUrlMiddleware, to_preview_target
from github_banners.api.public_routes import route_label
from tests.unit.api.asgi import InnerApp, http_scope, send_request


async def scope_seen(target: str, *, method: str = "GET") -> tuple[str, bytes, bytes]:
    """Return path, raw path and query that reach the application behind the middleware."""
    inner = InnerApp()
    await send_request(TranslateUrlMiddleware(inner), http_scope(target, method=method))
    (scope,) = inner.scopes
    return scope["path"], scope["raw_path"], scope["query_string"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_translate_url_middleware_rewrites_url_of_other_service(method: str) -> None:
    assert await scope_seen("/api/pin/?username=ada&repo=engine&v=1", method=method) == (
        "/banners/preview",
        b"/banners/preview",
        b"username=ada&layout=repository&repo=engine",
    )


@pytest.mark.parametrize(
    ("target", "parameter"),
    [("/?user=ada", "user"), ("/api?username=ada", "username"), ("/api/?username=ada", "username")],
)
async def test_translate_url_middleware_remembers_login_parameter(
    target: str, parameter: str
) -> None:
    inner = InnerApp()
    scope = {**http_scope(target), "state": {"other": 1}}
    await send_request(TranslateUrlMiddleware(inner), scope)
    assert inner.scopes[0]["state"] == {"login_parameter": parameter, "other": 1}
    assert scope["state"] == {"other": 1}


@pytest.mark.parametrize("target", ["/", "/?username=ada", "/docs", "/banners/preview?user=ada"])
async def test_translate_url_middleware_leaves_own_url(target: str) -> None:
    path, _, query = target.partition("?")
    assert await scope_seen(target) == (path, path.encode(), query.encode())


async def test_translate_url_middleware_leaves_other_scopes() -> None:
    inner = InnerApp()
    await send_request(TranslateUrlMiddleware(inner), {"type": "lifespan"})
    assert inner.scopes == [{"type": "lifespan"}]


STREAK = b"/banners/preview?username=ada&layout=activity&number_format=long"


@pytest.mark.parametrize(
    ("target", "base_path", "expected"),
    [
        (b"/?user=ada", b"", STREAK),
        (b"/?v=1&user=ada", b"", STREAK),
        (b"/gh?user=ada", b"/gh", STREAK),
        (b"/gh/?user=ada", b"/gh", STREAK),
        (b"/?user=ada", b"/gh", STREAK),
        (b"/gh/?user=ada", b"", None),
        (b"/api?user=ada", b"/api", STREAK),
        (b"/api?username=ada", b"/api", None),
        (b"/?username=ada", b"", None),
        (b"/%61pi?username=ada", b"", None),
        (b"/\xff?user=ada", b"", None),
    ],
)
def test_to_preview_target_returns_preview_of_other_services_only(
    target: bytes, base_path: bytes, expected: bytes | None
) -> None:
    assert to_preview_target(target, base_path=base_path) == expected


@pytest.mark.parametrize(
    "target",
    [
        "/api?username=ada&theme=dark&theme=nord&hide=stars&hide=prs",
        "/api/?USERNAME=ada&amp;theme=dark&amp;amp;hide_border=1&v=1",
        "/api/top-langs/?username=ada&hide=C++,c%23&custom_title=%C3%A9%20%26%FF+x",
        "/api/pin?repo=ada%2Fengine&username=a%20b&username=",
        "/api/gist?id=1&bg_color=30,e96443,904e95",
        "/?user=ada&type=png&x=" + "1" * 900,
        "//?&&user=ada&=",
        "/api?" + "username=ada&" * 101,
    ],
)
async def test_to_preview_target_is_the_url_that_the_application_caches(target: str) -> None:
    path, _, query = await scope_seen(target)
    preview = f"{path}?{query.decode()}".encode()
    assert path == "/banners/preview"
    assert to_preview_target(target.encode(), base_path=b"") == preview


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/pin/", "/api/pin"),
        ("/api/wakatime", "/api/wakatime"),
        ("/api/other", None),
        ("/", "/"),
    ],
)
def test_route_label_of_other_services_is_their_path(path: str, label: str | None) -> None:
    assert route_label(path) == label
