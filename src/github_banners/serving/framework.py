"""Builds the Starlette application of every service: routes, middleware, exception handlers."""

import re
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
    paths_with_slash: re.Pattern[str] | None = None,
) -> Starlette:
    """
    Build an application; `middleware` is outermost first, `on_error` maps exceptions to handlers.

    Trailing slashes are ignored, except in paths that match `paths_with_slash`.

    A handler logs the error and builds the response. Starlette's own handler of `Exception` would
    raise it again, and the server would log it a second time.
    """
    handlers = {**on_error, ClientDisconnect: handle_disconnect}
    application = Starlette(
        routes=routes,
        middleware=[
            *middleware,
            Middleware(ExceptionMiddleware, handlers=handlers),
            Middleware(IgnoreTrailingSlashMiddleware, except_in=paths_with_slash),
        ],
        exception_handlers={HTTPException: handlers[HTTPException]},
    )
    application.router.redirect_slashes = False
    return application


class IgnoreTrailingSlashMiddleware:
    """
    Middleware that treats `/docs/` like `/docs`, except in paths that match `except_in`.

    A redirect would use the `Host` header of the request, and image proxies may not follow it.
    """

    def __init__(self, app: ASGIApp, *, except_in: re.Pattern[str] | None = None) -> None:
        self._app = app
        self._except_in = except_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the path without trailing slashes."""
        if scope["type"] == "http" and scope["path"].endswith("/"):
            path = scope["path"]
            if self._except_in is None or self._except_in.fullmatch(path) is None:
                scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)
