"""
Support for a base path: the service at https://example.org/gh in place of a host of its own.

The service answers below the path of PUBLIC_URL and at the root, so that it works behind proxies
that strip the path and behind those that keep it.
"""

from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

_OWN_PATHS = ("/banners", "/docs", "/page", "/healthz", "/readyz")


def base_path_from_url(public_url: str | None) -> str:
    """Return the path of a URL, still percent-encoded, without a trailing slash; "" for None."""
    return urlsplit(public_url).path.rstrip("/") if public_url else ""


class StripBasePathMiddleware:
    """Middleware that strips the base path from the path of a request, if it is present."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self._app = app
        self._raw = base_path.encode()
        self._path = unquote(base_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the path below the base path."""
        if scope["type"] == "http" and self._is_below(scope["path"]):
            path, raw_path = scope["path"], scope["raw_path"]
            is_literal = raw_path[: len(self._raw)] == self._raw
            raw_rest = raw_path[len(self._raw) :] if is_literal else raw_path
            scope = {**scope, "path": path[len(self._path) :] or "/", "raw_path": raw_rest or b"/"}
        await self._app(scope, receive, send)

    def _is_below(self, path: str) -> bool:
        """
        Return whether a path starts with the base path.

        A base path may be called like a path of ours, as `/banners`: then the rest decides.
        """
        if not path.startswith(self._path):
            return False
        rest = path[len(self._path) :]
        if rest in {"", "/"}:
            return self._path not in _OWN_PATHS
        return any(rest == path or rest.startswith(f"{path}/") for path in _OWN_PATHS)
