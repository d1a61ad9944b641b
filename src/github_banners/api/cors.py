"""
Who may read our JSON from a browser: https://fetch.spec.whatwg.org/#http-cors-protocol.

Pictures name their own `Access-Control-Allow-Origin`; every other answer gets it here.
"""

from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALLOW_ORIGIN = b"access-control-allow-origin"
_PREFLIGHT_HEADERS = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"600"),
]


class CorsMiddleware:
    """Middleware that answers preflights, and marks answers that an origin may read."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins
        self._allows_any_origin = "*" in origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with the header that its origin is entitled to."""
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
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(message, origin)
            await send(message)

        return marked

    def _add_headers(self, start: Message, origin: bytes | None) -> None:
        if not any(name == _ALLOW_ORIGIN for name, _ in start["headers"]):
            start["headers"] = [*start["headers"], *self._cors_headers(origin)]

    def _cors_headers(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        """Choose the headers; `Vary` goes to those without an origin too, as caches share answers."""
        if self._allows_any_origin:
            return [(_ALLOW_ORIGIN, b"*")]
        if origin is None or origin.decode("latin-1") not in self._origins:
            return [(b"vary", b"Origin")]
        return [(_ALLOW_ORIGIN, origin), (b"vary", b"Origin")]
