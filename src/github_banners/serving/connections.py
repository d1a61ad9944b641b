"""The open connections of a server, and the limits of each of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from github_banners.serving.cached_responses import CachedResponses


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection."""

    head_bytes: int = 64 << 10  # and of the trailers and chunk headers of a request
    head_seconds: float = 15
    body_pause_seconds: float = 15
    idle_seconds: float = 75  # longer than proxies keep idle connections, so that they close first
    unread_seconds: float = 30
    shutdown_seconds: float = 1.0


class OpenConnection(Protocol):
    """What a server needs of `HttpProtocol`."""

    transport: asyncio.Transport

    def close_if_overdue(self) -> None:
        """Close the connection if it has exceeded a time limit."""

    def shutdown(self) -> None:
        """Close the connection after the next response, or after a moment if it is idle."""


@dataclass(eq=False, slots=True)
class Connections:
    """The open connections of one server; `now` is the time of the last sweep."""

    limits: Limits
    cached: CachedResponses | None
    now: float
    open: set[OpenConnection] = field(default_factory=set)
    on_closed: Callable[[], None] = lambda: None

    def sweep(self, now: float) -> None:
        """Close every connection that has exceeded a time limit."""
        self.now = now
        for connection in tuple(self.open):
            connection.close_if_overdue()
