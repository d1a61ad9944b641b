"""Requests for pictures of other services reach the application as requests for previews."""

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Router
from starlette.types import Scope

from github_banners.api.compatible_route import CompatibleRoute, to_preview_target
from github_banners.api.public_routes import route_label
from github_banners.errors import CardNotOffered
from tests.unit.api.asgi import http_scope, send_request


async def _preview(_: Request) -> Response:
    return Response()


async def scope_seen(target: str, *, state: dict[str, object] | None = None) -> Scope:
    """Return the scope that the handler of previews gets; that of the request if none is called."""
    seen: list[Scope] = []

    async def preview(request: Request) -> Response:
        seen.append(request.scope)
        return Response()

    scope = {**http_scope(target), "state": state or {}}
    await send_request(Router([CompatibleRoute(preview)]), scope)
    return seen[0] if seen else scope


async def test_compatible_route_url_of_other_service_becomes_one_of_a_preview() -> None:
    scope = await scope_seen("/api/pin/?username=ada&repo=engine&v=1")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
        "/banners/preview",
        b"/banners/preview",
        b"username=ada&layout=repository&repo=engine",
    )


@pytest.mark.parametrize(
    ("method", "expected"), [("GET", Match.FULL), ("HEAD", Match.FULL), ("POST", Match.PARTIAL)]
)
def test_compatible_route_matches_methods_of_previews(method: str, expected: Match) -> None:
    route = CompatibleRoute(_preview)
    assert route.matches(http_scope("/api?username=ada", method=method))[0] is expected


@pytest.mark.parametrize(
    ("target", "parameter"),
    [("/?user=ada", "user"), ("/api?username=ada", "username"), ("/api/?username=ada", "username")],
)
async def test_compatible_route_remembers_login_parameter(target: str, parameter: str) -> None:
    state: dict[str, object] = {"other": 1}
    scope = await scope_seen(target, state=state)
    assert scope["state"] == {"login_parameter": parameter, "card_not_offered": None, "other": 1}
    assert state == {"other": 1}


@pytest.mark.parametrize(
    ("target", "card"),
    [("/api/gist?id=1&theme=dark", "Gist"), ("/api/wakatime/?username=ada&theme=dark", "WakaTime")],
)
async def test_compatible_route_card_without_layout_is_explained(target: str, card: str) -> None:
    scope = http_scope(target)
    with pytest.raises(CardNotOffered) as error_info:
        await send_request(Router([CompatibleRoute(_preview)]), scope)
    assert error_info.value.name == card


@pytest.mark.parametrize("target", ["/", "/?username=ada", "/docs", "/banners/preview?user=ada"])
def test_compatible_route_own_url_does_not_match(target: str) -> None:
    assert CompatibleRoute(_preview).matches(http_scope(target)) == (Match.NONE, {})


def test_compatible_route_other_scopes_do_not_match() -> None:
    assert CompatibleRoute(_preview).matches({"type": "lifespan"}) == (Match.NONE, {})


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
        "/?user=ada&type=png&x=" + "1" * 900,
        "//?&&user=ada&=",
        "/api?" + "username=ada&" * 101,
    ],
)
async def test_to_preview_target_is_the_url_that_the_application_caches(target: str) -> None:
    scope = await scope_seen(target)
    preview = scope["raw_path"] + b"?" + scope["query_string"]
    assert scope["path"] == "/banners/preview"
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
