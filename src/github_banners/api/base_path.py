"""
Where the service is for its clients: its URL, and the path of it.

With PUBLIC_URL=https://example.org/gh the service answers below `/gh` and at the root, so that it
works behind proxies that strip the path and behind those that keep it.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from github_banners.api.admission import is_trusted
from github_banners.settings import Network

PREVIEW_PATH = "/banners/preview"
"""The path of previews below the base path."""

_AUTHORITY = re.compile(r"[\w.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_OWN_PATHS = ("/banners", "/docs", "/page", "/healthz", "/readyz")
# The paths of github-readme-stats. A service whose base path is `/api` has its page there.
_COMPATIBLE_PATH = "/api"


def base_path_from_url(public_url: str | None) -> str:
    """Return the path of a URL, still percent-encoded, without a trailing slash; "" for None."""
    return urlsplit(public_url).path.rstrip("/") if public_url else ""


def find_site_url(
    request: Request, *, public_url: str | None, trusted_proxies: Sequence[Network]
) -> str:
    """
    Return the absolute URL of the service: PUBLIC_URL, else as the client requested it.

    A trusted proxy forwards the scheme. It is "" if the `Host` header is invalid.
    """
    if public_url:
        return public_url.rstrip("/")
    peer = request.client.host if request.client is not None else ""
    forwarded = request.headers.get("x-forwarded-proto", "")
    is_forwarded = forwarded in {"http", "https"} and is_trusted(peer, trusted_proxies)
    scheme = forwarded if is_forwarded else request.scope.get("scheme", "http")
    host = request.headers.get("host", "")
    return f"{scheme}://{host}" if _AUTHORITY.fullmatch(host) else ""


class StripBasePathMiddleware:
    """Middleware that strips the base path from the path of a request, if it is present."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self._app = app
        self._raw = base_path.encode()
        self._path = unquote(base_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the path below the base path."""
        if scope["type"] == "http" and is_below(scope["path"], base_path=self._path):
            path, raw_path = scope["path"], scope["raw_path"]
            is_literal = raw_path[: len(self._raw)] == self._raw
            raw_rest = raw_path[len(self._raw) :] if is_literal else raw_path
            scope = {**scope, "path": path[len(self._path) :] or "/", "raw_path": raw_rest or b"/"}
        await self._app(scope, receive, send)


def is_below(path: str, *, base_path: str) -> bool:
    """
    Return whether a path starts with the base path; both are decoded.

    A base path may be called like a path of ours, as `/banners`: then the rest decides.
    """
    if not path.startswith(base_path):
        return False
    rest = path[len(base_path) :]
    if rest in {"", "/"}:
        return base_path not in _OWN_PATHS
    return any(rest == own or rest.startswith(f"{own}/") for own in (*_OWN_PATHS, _COMPATIBLE_PATH))
