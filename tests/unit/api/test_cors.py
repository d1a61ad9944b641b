"""Who may read JSON from a browser."""

import pytest
from starlette.types import Scope

from github_banners.api.cors import CorsMiddleware
from tests.unit.api.asgi import Inner, ask, http_scope

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
async def test_an_answer_is_marked_for_origins_that_may_read_it(
    origins: list[str], origin: str, allowed: str | None, vary: str | None
) -> None:
    answered = await ask(CorsMiddleware(Inner(), origins=origins), http_scope("/x", origin=origin))
    assert answered.headers.get(ALLOW) == allowed
    assert answered.headers.get("vary") == vary
    assert (answered.status, answered.body) == (200, b"inner")


async def test_headers_of_the_application_stay() -> None:
    inner = Inner([(b"vary", b"Accept"), (b"x", b"y")])
    app = CorsMiddleware(inner, origins=LISTED)
    answered = await ask(app, http_scope("/x", origin="http://b.example"))
    assert answered.headers == {"vary": "Accept, Origin", "x": "y", ALLOW: "http://b.example"}


async def test_a_picture_keeps_its_own_permission() -> None:
    inner = Inner([(ALLOW.encode(), b"*")])
    answered = await ask(
        CorsMiddleware(inner, origins=LISTED), http_scope("/x", origin="http://no.example")
    )
    assert answered.headers == {ALLOW: "*"}


async def test_caches_learn_that_answers_differ_by_origin() -> None:
    """A cache must not give an answer to a request without an origin to one with one."""
    answered = await ask(CorsMiddleware(Inner(), origins=LISTED), http_scope("/x"))
    assert answered.headers == {"vary": "Origin"}
    answered = await ask(CorsMiddleware(Inner(), origins=OPEN), http_scope("/x"))
    assert answered.headers == {}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://a.example", "https://a.example"), ("https://no.example", None)],
)
async def test_a_preflight_is_answered_here(origin: str, allowed: str | None) -> None:
    inner = Inner()
    scope = http_scope(
        "/banners", method="OPTIONS", origin=origin, access_control_request_method="POST"
    )
    answered = await ask(CorsMiddleware(inner, origins=LISTED), scope)
    assert (answered.status, answered.body, inner.scopes) == (204, b"", [])
    assert answered.headers.get(ALLOW) == allowed
    assert answered.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert answered.headers["access-control-allow-headers"] == "content-type"
    assert answered.headers["access-control-max-age"] == "600"
    assert answered.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "https://a.example"}, {"access_control_request_method": "POST"}],
    ids=str,
)  # fmt: skip
async def test_other_options_requests_are_the_applications(headers: dict[str, str]) -> None:
    inner = Inner()
    answered = await ask(
        CorsMiddleware(inner, origins=LISTED), http_scope("/banners", method="OPTIONS", **headers)
    )
    assert answered.body == b"inner"
    assert len(inner.scopes) == 1


async def test_what_is_no_http_passes_untouched() -> None:
    inner = Inner()
    scope: Scope = {"type": "lifespan"}
    answered = await ask(CorsMiddleware(inner, origins=LISTED), scope)
    assert inner.scopes == [scope]
    assert answered.headers == {}
