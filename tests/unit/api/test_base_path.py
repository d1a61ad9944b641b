"""Base paths: parsing PUBLIC_URL, and stripping the path from requests."""

import pytest
from starlette.types import Scope

from github_banners.api.base_path import StripBasePathMiddleware, base_path_from_url
from tests.unit.api.asgi import InnerApp, http_scope, send_request


async def paths_seen(target: str, *, base_path: str) -> tuple[str, bytes]:
    """Return the path and raw path that reach the application behind the middleware."""
    inner = InnerApp()
    await send_request(StripBasePathMiddleware(inner, base_path=base_path), http_scope(target))
    (scope,) = inner.scopes
    return scope["path"], scope["raw_path"]


@pytest.mark.parametrize(
    ("url", "base_path"),
    [
        (None, ""),
        ("https://example.org", ""),
        ("https://example.org/", ""),
        ("https://example.org/gh", "/gh"),
        ("https://example.org/a/b/", "/a/b"),
    ],
)
def test_base_path_from_url_returns_path_without_trailing_slash(
    url: str | None, base_path: str
) -> None:
    assert base_path_from_url(url) == base_path


@pytest.mark.parametrize(
    ("target", "base_path", "path"),
    [
        ("/gh/banners/preview?x=/gh", "/gh", "/banners/preview"),
        ("/banners/preview", "/gh", "/banners/preview"),
        ("/gh", "/gh", "/"),
        ("/gh/", "/gh", "/"),
        ("/", "/gh", "/"),
        ("/gh/docs/page.js", "/gh", "/docs/page.js"),
        ("/ghost/docs", "/gh", "/ghost/docs"),
        ("/a/b/docs", "/a/b", "/docs"),
        # The base path may be called like a path of the service.
        ("/banners/banners/x", "/banners", "/banners/x"),
        ("/banners/preview", "/banners", "/banners/preview"),
        ("/banners/banners", "/banners", "/banners"),
        ("/banners", "/banners", "/banners"),
        ("/docs/docs", "/docs", "/docs"),
    ],
)
async def test_strip_base_path_prefix_present_is_stripped(
    target: str, base_path: str, path: str
) -> None:
    assert await paths_seen(target, base_path=base_path) == (path, path.encode())


async def test_strip_base_path_encoded_raw_path_is_unchanged() -> None:
    scope: Scope = {**http_scope("/gh/docs"), "raw_path": b"/%67h/docs"}
    inner = InnerApp()
    await send_request(StripBasePathMiddleware(inner, base_path="/gh"), scope)
    assert inner.scopes[0]["path"] == "/docs"
    assert inner.scopes[0]["raw_path"] == b"/%67h/docs"
