"""
What all services build with Starlette: responses, error handlers, the application, middleware.

The public message of an error comes from its class; details go to the log.
"""

import gzip
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from github_banners.errors import (
    BannersError,
    InvalidInput,
    MalformedMessage,
    TooManyRequests,
    Unavailable,
    UnknownRepository,
)
from github_banners.serving.media_types import JSON, PNG, SVG_UTF_8

_GZIP_LEVEL = 6

_log = structlog.get_logger(__name__)


_ALLOW_ORIGIN = b"access-control-allow-origin"
_PREFLIGHT_HEADERS = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"600"),
]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, independent of the framework; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def json_response(status: int, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
    """Build a response with a JSON body."""
    defaults = {"content-type": JSON, "x-content-type-options": "nosniff"}
    return HttpResponse(status, {**defaults, **headers}, body)


def error_response(
    error: BannersError,
    *,
    unknown: Mapping[str, str] | None = None,
    login_parameter: str = "username",
) -> HttpResponse:
    """
    Build the JSON response of an error: public message, and the allowed values of an invalid input.

    An invalid input and an unknown repository may have the closest existing value as `suggestion`.
    `unknown` maps misspelt input names to the likely intended ones. `login_parameter` is what the login
    is called in the requested URL.
    """
    problem: dict[str, Any] = {"error": error.public_message}
    if isinstance(error, InvalidInput):
        field = login_parameter if error.field == "username" else error.field
        problem |= {"field": field, "allowed": error.allowed}
    if isinstance(error, InvalidInput | UnknownRepository) and error.suggestion is not None:
        problem["suggestion"] = error.suggestion
    if isinstance(error, MalformedMessage):
        problem["reason"] = str(error)
    if unknown:
        problem["unknown"] = unknown
    headers = {"vary": "Accept", "cache-control": "no-store"}
    if isinstance(error, TooManyRequests | Unavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
    return json_response(error.status, msgspec.json.encode(problem), headers)


def etag_digest(body: bytes) -> str:
    """Return the digest of a body that its ETag consists of: 32 hexadecimal digits, without quotes."""
    return hashlib.sha256(body).hexdigest()[:32]


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Return whether `If-None-Match` lists an ETag, by weak comparison (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


class Content(msgspec.Struct, frozen=True, gc=False):
    """
    The content of a response: its bytes with their digest, compressed in advance.

    `gzipped` is None for formats that are compressed themselves.
    """

    # gc=False: tens of thousands are cached, and the garbage collector need not visit them.

    body: bytes
    media_type: str
    digest: str
    gzipped: bytes | None

    @classmethod
    def svg(cls, body: bytes) -> "Content":
        """Build the content from SVG."""
        return cls.text(body, SVG_UTF_8)

    @classmethod
    def text(cls, body: bytes, media_type: str) -> "Content":
        """Build the content from text, such as SVG, HTML or JSON."""
        # mtime=0 keeps the time out of the gzip header: equal pictures have equal bytes.
        return cls(body, media_type, etag_digest(body), gzip.compress(body, _GZIP_LEVEL, mtime=0))

    @classmethod
    def png(cls, body: bytes) -> "Content":
        """Build the content from PNG."""
        return cls(body, PNG, etag_digest(body), None)

    @property
    def etag(self) -> str:
        """Return the ETag of the uncompressed bytes."""
        return f'"{self.digest}"'

    def negotiate(self, accept_encoding: str) -> tuple[bytes, str]:
        """Return the body that suits `Accept-Encoding`, and its ETag: each encoding has its own."""
        if self.gzipped is not None and accepts_gzip(accept_encoding):
            return self.gzipped, f'"{self.digest}-gz"'
        return self.body, self.etag

    @property
    def size_bytes(self) -> int:
        """Return the size of both bodies, without the overhead of Python objects."""
        return len(self.body) + len(self.gzipped or b"")


@lru_cache(256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether `Accept-Encoding` allows gzip, by name or `*` (RFC 9110, 12.5.3)."""
    weights = {}
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        weights[coding.strip()] = "".join(weight.split())
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return weight not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}


def as_public_error(request: Request, error: Exception) -> BannersError:
    """Return our own errors as they are; log any other and return a plain `BannersError`."""
    if isinstance(error, BannersError):
        return error
    _log.error("request.failed", path=request.scope["path"], exc_info=error)
    return BannersError()


def handle_error(request: Request, error: Exception) -> Response:
    """Build the response to an error for another service, and log the error."""
    public_error = as_public_error(request, error)
    if public_error is error:
        _log.info("request.refused", path=request.scope["path"][:128], reason=str(public_error))
    return to_starlette_response(error_response(public_error))


def handle_http_error(request: Request, error: Exception) -> Response:
    """Build the response to an error of the framework: unknown path or wrong method."""
    assert isinstance(error, HTTPException)
    message = HTTPStatus(error.status_code).phrase.lower()
    body = msgspec.json.encode({"error": message})
    return to_starlette_response(json_response(error.status_code, body, error.headers or {}))


def handle_disconnect(request: Request, error: Exception) -> Response:
    """Build a response for a client that disconnected while sending its body; it is never sent."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def to_starlette_response(response: HttpResponse) -> Response:
    """Convert a response to Starlette's class."""
    return Response(response.body, status_code=response.status, headers=response.headers)


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
            Middleware(IgnoreTrailingSlashMiddleware, except_in=paths_with_slash),
            # Within: handlers see the path that the routes see.
            Middleware(ExceptionMiddleware, handlers=handlers),
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


def expand_origins(origins: Sequence[str]) -> frozenset[str]:
    """Expand CORS origins: a host without a scheme stands for http and https."""
    expanded: set[str] = set()
    for raw in origins:
        is_complete = raw == "*" or "://" in raw
        expanded.update([raw] if is_complete else [f"http://{raw}", f"https://{raw}"])
    return frozenset(expanded)


class CorsMiddleware:
    """
    Middleware that answers preflight requests and allows configured origins to read JSON.

    Pictures set `Access-Control-Allow-Origin` themselves; every other response gets it here.
    https://fetch.spec.whatwg.org/#http-cors-protocol
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins
        self._allows_any_origin = "*" in origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight request, or call the application and add headers to its response."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin")
        is_preflight = origin is not None and b"access-control-request-method" in headers
        if scope["type"] != "http" or (origin is None and self._allows_any_origin):
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and is_preflight:
            extra = [*self._cors_headers(origin), *_PREFLIGHT_HEADERS]
            await send({"type": "http.response.start", "status": 204, "headers": extra})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._app(scope, receive, self._adding_headers(send, origin))

    def _adding_headers(self, send: Send, origin: bytes | None) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and not any(
                name == _ALLOW_ORIGIN for name, _ in message["headers"]
            ):
                message["headers"] = [*message["headers"], *self._cors_headers(origin)]
            await send(message)

        return send_with_headers

    def _cors_headers(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        if self._allows_any_origin:
            return [(_ALLOW_ORIGIN, b"*")]
        # `Vary` also where no origin was sent: a shared cache may answer another origin with this.
        if origin is None or origin.decode("latin-1") not in self._origins:
            return [(b"vary", b"Origin")]
        return [(_ALLOW_ORIGIN, origin), (b"vary", b"Origin")]
