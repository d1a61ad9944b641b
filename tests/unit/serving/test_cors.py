"""CORS headers and preflight requests."""

import pytest
from starlette.types import Scope

from github_banners.serving.framework import CorsMiddleware
from tests.unit.api.asgi import InnerApp, http_scope, send_request

OPEN = ["*"]
LISTED = ["https://a.example", "http://b.example"]
ALLOW = "access-control-allow-origin"


@pytest.mark.parametrize(
    ("origins", "origin", "allowed", "vary"),
    [
        (OPEN, "https://any.example", "*", None),
        (LISTED, "https://a.example", "https://a.example", "Origin"),
        (LISTED, "http://a.example", None, "Origin"),
        (LISTED, "null", None, "Origin"),
        (LISTED, "\xff", None, "Origin"),
    ],
)
async def test_cors_response_allows_configured_origin(
    origins: list[str], origin: str, allowed: str | None, vary: str | None
) -> None:
    response = await send_request(
        CorsMiddleware(InnerApp(), origins=origins), http_scope("/x", origin=origin)
    )
    assert response.headers.get(ALLOW) == allowed
    assert response.headers.get("vary") == vary
    assert (response.status, response.body) == (200, b"inner")


async def test_cors_response_keeps_headers_of_the_application() -> None:
    inner = InnerApp([(b"vary", b"Accept"), (b"x", b"y")])
    app = CorsMiddleware(inner, origins=LISTED)
    response = await send_request(app, http_scope("/x", origin="http://b.example"))
    assert response.headers == {"vary": "Accept, Origin", "x": "y", ALLOW: "http://b.example"}


async def test_cors_response_keeps_existing_allow_origin() -> None:
    inner = InnerApp([(ALLOW.encode(), b"*")])
    response = await send_request(
        CorsMiddleware(inner, origins=LISTED), http_scope("/x", origin="http://no.example")
    )
    assert response.headers == {ALLOW: "*"}


async def test_cors_response_without_origin_varies_by_origin() -> None:
    """A shared cache must not reuse this response for a request with an origin."""
    response = await send_request(CorsMiddleware(InnerApp(), origins=LISTED), http_scope("/x"))
    assert response.headers == {"vary": "Origin"}
    response = await send_request(CorsMiddleware(InnerApp(), origins=OPEN), http_scope("/x"))
    assert response.headers == {}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://a.example", "https://a.example"), ("https://no.example", None)],
)
async def test_cors_preflight_is_answered_by_the_middleware(
    origin: str, allowed: str | None
) -> None:
    inner = InnerApp()
    scope = http_scope(
        "/banners", method="OPTIONS", origin=origin, access_control_request_method="POST"
    )
    response = await send_request(CorsMiddleware(inner, origins=LISTED), scope)
    assert (response.status, response.body, inner.scopes) == (204, b"", [])
    assert response.headers.get(ALLOW) == allowed
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert response.headers["access-control-allow-headers"] == "content-type"
    assert response.headers["access-control-max-age"] == "600"
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "https://a.example"}, {"access_control_request_method": "POST"}],
    ids=str,
)  # fmt: skip
async def test_cors_other_options_request_reaches_the_application(headers: dict[str, str]) -> None:
    inner = InnerApp()
    response = await send_request(
        CorsMiddleware(inner, origins=LISTED), http_scope("/banners", method="OPTIONS", **headers)
    )
    assert response.body == b"inner"
    assert len(inner.scopes) == 1


async def test_cors_other_scope_type_passes_unchanged() -> None:
    inner = InnerApp()
    scope: Scope = {"type": "lifespan"}
    response = await send_request(CorsMiddleware(inner, origins=LISTED), scope)
    assert inner.scopes == [scope]
    assert response.headers == {}
