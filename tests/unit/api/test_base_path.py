"""Hosting below a path."""

import pytest
from starlette.types import Scope

from github_banners.api.base_path import StripBasePathMiddleware, base_path_from_url
from tests.unit.api.asgi import Inner, ask, http_scope


async def paths_seen(target: str, *, base_path: str) -> tuple[str, bytes]:
    """The path that an application behind the middleware is asked for."""
    inner = Inner()
    await ask(StripBasePathMiddleware(inner, base_path=base_path), http_scope(target))
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
def test_base_path_is_the_path_of_the_address(url: str | None, base_path: str) -> None:
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
        # Its own paths may be called the same.
        ("/banners/banners/x", "/banners", "/banners/x"),
        ("/banners/preview", "/banners", "/banners/preview"),
        ("/banners/banners", "/banners", "/banners"),
        ("/banners", "/banners", "/banners"),
        ("/docs/docs", "/docs", "/docs"),
    ],
)
async def test_base_path_is_taken_off_where_it_is(target: str, base_path: str, path: str) -> None:
    assert await paths_seen(target, base_path=base_path) == (path, path.encode())


async def test_raw_path_that_is_spelled_otherwise_stays() -> None:
    scope: Scope = {**http_scope("/gh/docs"), "raw_path": b"/%67h/docs"}
    inner = Inner()
    await ask(StripBasePathMiddleware(inner, base_path="/gh"), scope)
    assert inner.scopes[0]["path"] == "/docs"
    assert inner.scopes[0]["raw_path"] == b"/%67h/docs"
