"""The URL of the service: PUBLIC_URL, its path, and the headers of a request without it."""

from ipaddress import ip_network

import pytest
from starlette.requests import Request
from starlette.types import Scope

from github_banners.api.base_path import (
    StripBasePathMiddleware,
    base_path_from_url,
    find_site_url,
)
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
        # The paths of other services.
        ("/gh/api", "/gh", "/api"),
        ("/gh/api/pin/?username=a", "/gh", "/api/pin/"),
        ("/gh?user=a", "/gh", "/"),
        # A service below `/api` has its page there.
        ("/api", "/api", "/"),
        ("/api/api", "/api", "/api"),
        ("/api/api/pin", "/api", "/api/pin"),
        ("/api/pin", "/api", "/api/pin"),
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


PROXIES = (ip_network("10.0.0.0/8"),)


def site_url(*, public_url: str | None = None, peer: str = "203.0.113.9", **headers: str) -> str:
    request = Request({**http_scope("/", **headers), "client": (peer, 1)})
    return find_site_url(request, public_url=public_url, trusted_proxies=PROXIES)


@pytest.mark.parametrize(
    ("public_url", "host", "expected"),
    [
        ("https://example.org/gh/", "evil.example", "https://example.org/gh"),
        (None, "banners.example:8080", "http://banners.example:8080"),
        (None, "[::1]:80", "http://[::1]:80"),
        (None, 'a"><script>', ""),
        (None, "user@evil.example", ""),
        (None, "a/b", ""),
        (None, "", ""),
    ],
)
def test_find_site_url_uses_setting_then_valid_host(
    public_url: str | None, host: str, expected: str
) -> None:
    assert site_url(public_url=public_url, host=host) == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "scheme"),
    [
        ("10.1.2.3", "https", "https"),
        ("10.1.2.3", "javascript", "http"),
        ("10.1.2.3", "", "http"),
        ("203.0.113.9", "https", "http"),
    ],
)
def test_find_site_url_believes_scheme_of_trusted_proxy(
    peer: str, forwarded: str, scheme: str
) -> None:
    url = site_url(peer=peer, host="a.example", x_forwarded_proto=forwarded)
    assert url == f"{scheme}://a.example"
