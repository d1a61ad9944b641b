"""The framework as every service uses it: routes, our middleware, our errors."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from github_banners.serving.responses import handle_disconnect, handle_error, handle_http_error

ON_ERROR: Mapping[Any, Any] = {Exception: handle_error, HTTPException: handle_http_error}


def build_app(
    routes: Sequence[Route],
    *,
    middleware: Sequence[Middleware] = (),
    on_error: Mapping[Any, Any] = ON_ERROR,
) -> Starlette:
    """
    Build an application; `middleware` comes outermost first, `on_error` maps errors to handlers.

    Every error is answered and logged by its handler. Starlette's own handling of `Exception` would
    raise it again for the server to log.
    """
    handlers = {**on_error, ClientDisconnect: handle_disconnect}
    application = Starlette(
        routes=routes,
        middleware=[
            *middleware,
            Middleware(ExceptionMiddleware, handlers=handlers),
            Middleware(IgnoreTrailingSlashMiddleware),
        ],
        exception_handlers={HTTPException: handlers[HTTPException]},
    )
    application.router.redirect_slashes = False
    return application


class IgnoreTrailingSlashMiddleware:
    """
    Middleware that answers `/docs/` as `/docs`.

    A redirect would lead to whatever the request's Host says, and image proxies need not follow it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without the slashes at the end of its path."""
        if scope["type"] == "http" and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        await self._app(scope, receive, send)
