"""A service behind its gate, and the connections to it: no server and no framework."""

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

OPEN = ("/healthz", "/readyz")
MOST_BODY_BYTES = 100


@dataclass
class Service:
    """The application behind the gate: reads all that comes, and answers."""

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
class Wire:
    """One connection: sends a body in parts, then leaves; counts what was read of it."""

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
class House:
    """A service, its gate, and what the gate says of whom it refuses."""

    service: Service = field(default_factory=Service)
    nonces: NonceCache = field(default_factory=NonceCache)
    reasons: list[str] = field(default_factory=list)

    @property
    def gate(self) -> SignatureMiddleware:
        return SignatureMiddleware(
            self.service,
            verifier=verifier(nonces=self.nonces),
            public_paths=OPEN,
            max_body_bytes=MOST_BODY_BYTES,
            on_refused=self.reasons.append,
        )

    async def ask(self, call: Call, *, parts: Iterable[Message] | None = None, **more: Any) -> Wire:
        wire = Wire(list(parts) if parts is not None else [part(call.body)])
        await self.gate(scope_of(call) | more, wire.receive, wire.send)
        return wire


def scope_of(call: Call) -> dict[str, Any]:
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


def sized(call: Call, length: str) -> Call:
    return call.with_header("content-length", length)
