"""A bare ASGI client: one request, no server and no framework."""

from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Answered:
    """What an application sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        """The headers; of a name sent twice, the values joined."""
        joined: dict[str, str] = {}
        for name, value in self.messages[0]["headers"]:
            before = joined.get(name.decode())
            joined[name.decode()] = f"{before}, {value.decode()}" if before else value.decode()
        return joined

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])


def http_scope(target: str, *, method: str = "GET", **headers: str) -> Scope:
    """Write a request as a server does; header names with underlines for hyphens."""
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


async def ask(app: ASGIApp, scope: Scope) -> Answered:
    """Send one request without a body."""
    answered = Answered()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        answered.messages.append(message)

    await app(scope, receive, send)
    return answered


@dataclass
class Inner:
    """An application behind a middleware: answers with its own headers and counts requests."""

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"inner", "more_body": False})
