"""An application behind the signature middleware, and connections to it, without a server."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog

from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.signature_middleware import (
    Message,
    Receive,
    Scope,
    Send,
    SignatureMiddleware,
)
from tests.unit.messaging.handwritten_signatures import Call, verifier

PUBLIC_PATHS = ("/healthz", "/readyz")
MAX_BODY_BYTES = 100


@dataclass
class FakeApplication:
    """The application behind the middleware: records requests, and responds."""

    scopes: list[Scope] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.traces.append(structlog.contextvars.get_contextvars().get("trace_id", ""))
        if scope["type"] != "http":
            return
        if self.error is not None:
            raise self.error
        self.received.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})
        self.received.append(await receive())

    @property
    def body(self) -> bytes:
        return bytes(self.received[0]["body"])


@dataclass
class Connection:
    """A connection that sends a body in parts and then disconnects; counts the reads."""

    parts: list[Message]
    sent: list[Message] = field(default_factory=list)
    reads: int = 0

    async def receive(self) -> Message:
        self.reads += 1
        return self.parts.pop(0) if self.parts else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


@dataclass
class MiddlewareHarness:
    """An application, its signature middleware, and the reasons of refusals."""

    application: FakeApplication = field(default_factory=FakeApplication)
    nonces: NonceCache = field(default_factory=NonceCache)
    reasons: list[str] = field(default_factory=list)

    @property
    def middleware(self) -> SignatureMiddleware:
        return SignatureMiddleware(
            self.application,
            verifier=verifier(nonces=self.nonces),
            public_paths=PUBLIC_PATHS,
            max_body_bytes=MAX_BODY_BYTES,
            on_refused=self.reasons.append,
        )

    async def send_call(
        self, call: Call, *, parts: Iterable[Message] | None = None, **scope_changes: Any
    ) -> Connection:
        connection = Connection(list(parts) if parts is not None else [part(call.body)])
        await self.middleware(to_scope(call) | scope_changes, connection.receive, connection.send)
        return connection


def to_scope(call: Call) -> dict[str, Any]:
    return {
        "type": "http",
        "method": call.method,
        "path": unquote_to_bytes(call.path).decode("latin-1"),
        "raw_path": call.path,
        "query_string": call.query,
        "headers": list(call.headers),
    }


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def with_content_length(call: Call, length: str) -> Call:
    return call.with_header("content-length", length)
