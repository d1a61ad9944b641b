"""
ASGI middleware that rejects requests without a valid signature.

The head of a request is verified before its body is read, and the body before the application gets
the request. `signing` decides what a valid signature is.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec
import structlog

from github_banners.errors import BannersError, InvalidSignature, NonceCacheFull, TooLarge
from github_banners.messaging.signing import Verifier
from github_banners.messaging.trace_context import TRACEPARENT, trace_context

# https://asgi.readthedocs.io/en/latest/specs/main.html; frameworks define their own types.
Scope: TypeAlias = Any
Message: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = structlog.get_logger(__name__)

_PUBLIC_METHODS = {"GET", "HEAD"}
_UNQUOTED = "/:@!$&'()*+,;="  # https://www.rfc-editor.org/rfc/rfc3986#section-3.3
_TRACEPARENT = TRACEPARENT.encode()
_POLICY_VIOLATION = 1008  # https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
_MAX_SHOWN_CHARACTERS = 100
_MAX_DIGITS = 15


class SignatureMiddleware:
    """
    Passes signed requests on to the application, and GET and HEAD of `public_paths`.

    `on_refused` is called with the reason for each refusal, one of a small fixed set of strings.
    """

    def __init__(
        self,
        app: App,
        *,
        verifier: Verifier,
        public_paths: Collection[str],
        max_body_bytes: int,
        on_refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._public_paths = frozenset(public_paths)
        self._max_body_bytes = max_body_bytes
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse a request; websockets are always refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            traceparent = dict(scope["headers"]).get(_TRACEPARENT, b"")
            with trace_context(traceparent.decode("latin-1")):
                await self._serve(scope, receive, send)
        else:
            self._log_refusal(scope, "websocket")
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in _PUBLIC_METHODS and scope["path"] in self._public_paths:
            await self._app(scope, receive, send)
            return
        try:
            body = await self._verify(scope, receive)
        except (InvalidSignature, NonceCacheFull, TooLarge) as error:
            self._log_refusal(
                scope, str(error) if isinstance(error, InvalidSignature) else error.public_message
            )
            await _send_error(error, send)
            return
        if body is not None:
            await self._app(scope, _replay_body(body, receive), send)

    async def _verify(self, scope: Scope, receive: Receive) -> bytes | None:
        """
        Verify a request; return its body, or None if the client has disconnected.

        :raises InvalidSignature: the signature is missing or invalid
        :raises TooLarge: the body exceeds the limit
        :raises NonceCacheFull: a repeated request could not be detected
        """
        head = self._verifier.check_head(
            scope["method"], _raw_path(scope), scope["query_string"], scope["headers"]
        )
        if content_length_exceeds(scope["headers"], self._max_body_bytes):
            raise TooLarge
        body = await _read_body(receive, max_bytes=self._max_body_bytes)
        if body is not None:
            self._verifier.check_body(head, body)
        return body

    def _log_refusal(self, scope: Scope, reason: str) -> None:
        method, path = (
            str(scope.get(key, ""))[:_MAX_SHOWN_CHARACTERS] for key in ("method", "path")
        )
        _log.warning("signature.refused", reason=reason, method=method, path=path)
        self._on_refused(reason)


def _raw_path(scope: Scope) -> bytes:
    """Return the path as sent by the client; encoded again if the server does not provide it."""
    raw_path: bytes | None = scope.get("raw_path")
    return raw_path or quote(scope["path"], safe=_UNQUOTED, errors="replace").encode()


def content_length_exceeds(headers: Iterable[tuple[bytes, bytes]], max_bytes: int) -> bool:
    """Return True if the declared size of the body exceeds the limit; the real size may differ."""
    lengths = [value for name, value in headers if name == b"content-length" and value.isdigit()]
    # The number of digits first: converting a very long number to int takes quadratic time.
    return any(len(length) > _MAX_DIGITS or int(length) > max_bytes for length in lengths)


async def _read_body(receive: Receive, *, max_bytes: int) -> bytes | None:
    """Read a body up to the limit; return None if the client disconnects before its end."""
    body = bytearray()
    is_complete = False
    while not is_complete:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        is_complete = not message.get("more_body", False)
        if len(body) > max_bytes:
            raise TooLarge
    return bytes(body)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields a body already read as one message, then later messages."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


async def _send_error(error: BannersError, send: Send) -> None:
    """Send the public message of an error and no details."""
    body = msgspec.json.encode({"error": error.public_message})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if isinstance(error, NonceCacheFull):
        headers.append((b"retry-after", str(error.retry_after_seconds).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
