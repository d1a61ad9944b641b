"""
Hosting below a path: https://example.org/gh instead of a host of its own.

The service answers below the path of PUBLIC_URL and at its root as well, so that it works behind
proxies that take the path off and behind those that leave it.
"""

from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

_OWN_PATHS = ("/banners", "/docs", "/healthz", "/readyz")


def base_path_from_url(public_url: str | None) -> str:
    """Return the path of an address as it stands there, without a slash at its end."""
    return urlsplit(public_url).path.rstrip("/") if public_url else ""


class StripBasePathMiddleware:
    """Middleware that takes the base path off a request, if it is there."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self._app = app
        self._raw = base_path.encode()
        self._path = unquote(base_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on by its path below the base path."""
        if scope["type"] == "http" and self._is_below(scope["path"]):
            path, raw_path = scope["path"], scope["raw_path"]
            is_literal = raw_path[: len(self._raw)] == self._raw
            raw_rest = raw_path[len(self._raw) :] if is_literal else raw_path
            scope = {**scope, "path": path[len(self._path) :] or "/", "raw_path": raw_rest or b"/"}
        await self._app(scope, receive, send)

    def _is_below(self, path: str) -> bool:
        """Tell a path that has the base path before it, even if that itself is called `/banners`."""
        if not path.startswith(self._path):
            return False
        rest = path[len(self._path) :]
        if rest in {"", "/"}:
            return self._path not in _OWN_PATHS
        return any(rest == own or rest.startswith(f"{own}/") for own in _OWN_PATHS)
