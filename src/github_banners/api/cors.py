"""
CORS: allow configured origins to read JSON from a browser.

Pictures set `Access-Control-Allow-Origin` themselves; every other response gets it here.
https://fetch.spec.whatwg.org/#http-cors-protocol
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
    """Middleware that answers preflight requests and adds CORS headers to responses."""

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
