"""A minimal ASGI client for tests: one request, without a server or a framework."""

from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class RecordedResponse:
    """The messages that an application sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers; values of repeated names are joined."""
        joined: dict[str, str] = {}
        for name, value in self.messages[0]["headers"]:
            previous = joined.get(name.decode())
            joined[name.decode()] = f"{previous}, {value.decode()}" if previous else value.decode()
        return joined

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])


def http_scope(target: str, *, method: str = "GET", **headers: str) -> Scope:
    """Build the scope of a request; underscores in header names stand for hyphens."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }


async def send_request(app: ASGIApp, scope: Scope) -> RecordedResponse:
    """Send one request without a body."""
    response = RecordedResponse()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        response.messages.append(message)

    await app(scope, receive, send)
    return response


async def open_websocket(app: ASGIApp, path: str) -> list[Message]:
    """Request a WebSocket; return what the application sends."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "headers": []}
    await app(scope, receive, send)
    return sent


@dataclass
class InnerApp:
    """An application behind a middleware: sends fixed headers and records scopes."""

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"inner", "more_body": False})
