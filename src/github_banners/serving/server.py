"""
Sockets, the server and its end: with `protocol`, the only module that knows uvicorn.

The listening socket is opened first and handed over, so that a port is taken from the first moment
and can be shared by several processes. Connections are accepted here and not by the event loop: one
at a time, so that processes share them evenly; none beyond a limit, so that what is open is served;
and at the end all that wait in the backlog, so that nobody is turned away.
"""

import asyncio
import ctypes
import errno
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from github_banners.errors import ConfigurationError
from github_banners.serving.cached_responses import CachedResponses
from github_banners.serving.event_loop import on_first_signal
from github_banners.serving.http_protocol import Connections, HttpProtocol, Limits
from github_banners.settings.addresses import to_netloc

_log = structlog.get_logger(__name__)

DRAIN_TIMEOUT_SECONDS = 3.5
_BACKLOG = 1024
_MAX_CONNECTIONS = 4096
# For PostgreSQL, GitHub, files, logs: what a process opens besides its clients' connections.
_RESERVED_DESCRIPTORS = 200
_MIN_CONNECTIONS = 64
_MAX_DESCRIPTORS = 1 << 16
_ACCEPT_RETRY_SECONDS = 0.5
# Of several processes, one with so many connections lets the others accept for a moment.
_TURN_CONNECTIONS = 8
_TURN_SECONDS = 0.002
_MAX_RESPONSE_BYTES = 1 << 20
_SWEEP_TICKS = 10  # of uvicorn's main loop, a tenth of a second each
_SO_ATTACH_FILTER = 26
_DROP_ALL_FILTER = struct.pack(
    "HBBI", 6, 0, 0, 0
)  # one instruction of a packet filter: pass 0 bytes
_EXHAUSTED_ERRNOS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def open_listener(host: str, port: int, *, name: str = "PORT") -> socket.socket:
    """
    Listen on a port of an address; 0 picks a free one. `name` is the variable that has set it.

    :raises ConfigurationError: it is taken, or not ours to take
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = None
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        # A port whose last connections are in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"Can't listen on {to_netloc(host, port)}: {reason}. {_advice(error, name)}"
        ) from error
    return listener


def _advice(error: OSError, name: str) -> str:
    """Say what to do about a port that can't be listened on."""
    if error.errno == errno.EADDRINUSE:
        return f"Set {name} to a free port, or stop what listens there."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"Set {name} to a port above 1023."
    return f"Set HOST and {name} to a free address of this machine."


def port_number(listener: socket.socket) -> int:
    """Return the port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port


def reject_new_connections(listener: socket.socket) -> None:
    """
    Let no new connection through to a listening socket; those in its backlog can still be accepted.

    Between the last `accept` and `close` others could connect, and would be reset. A filter that
    drops every packet lets their clients try again, a second later, and find the next server or none.
    https://docs.kernel.org/networking/filter.html
    """
    if not sys.platform.startswith("linux"):
        return
    drop_all = ctypes.create_string_buffer(_DROP_ALL_FILTER, len(_DROP_ALL_FILTER))
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    # Without it a few connections may be lost, as elsewhere.
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


@asynccontextmanager
async def serve_app(
    app: ASGIApp,
    listener: socket.socket,
    *,
    is_shared: bool = False,
    cached: CachedResponses | None = None,
) -> AsyncIterator[asyncio.Task[None]]:
    """
    Serve an application on a listening socket while the context lasts; the socket is closed then.

    `is_shared` says that other processes go on accepting connections on this socket. The task ends only when the server fails. Leaving finishes what runs, for some seconds at most.
    """
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_SECONDS,  # type: ignore[arg-type]
    )
    server = _Server(config, listener, is_shared=is_shared, cached=cached)
    serving = asyncio.create_task(
        server.serve(sockets=[listener]), name=f"serve port {port_number(listener)}"
    )
    try:
        yield serving
    finally:
        server.should_exit = True
        _, late = await asyncio.wait({serving}, timeout=DRAIN_TIMEOUT_SECONDS + 1)
        if late:
            serving.cancel()
            await asyncio.wait({serving})
        server.abort_connections()


def max_connections() -> int:
    """Raise the soft limit of descriptors, and return how many connections fit below it."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return _MIN_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(_MIN_CONNECTIONS, min(_MAX_CONNECTIONS, soft - _RESERVED_DESCRIPTORS))


class _Server(uvicorn.Server):
    """uvicorn's server with sockets, signals and limits of our own."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        *,
        is_shared: bool,
        cached: CachedResponses | None,
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._is_shared = is_shared
        loop = asyncio.get_running_loop()
        self._connections = Connections(Limits(), cached=cached, now=loop.time())
        make_protocol = partial(
            HttpProtocol, config, self.server_state, {}, loop, shared=self._connections
        )
        self._acceptor = _Acceptor(
            listener, make_protocol, self._connections, max_connections(), is_shared=is_shared
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `wait_for_shutdown`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        self.servers = []
        self.started = True
        self._acceptor.start()

    async def on_tick(self, counter: int) -> bool:
        """Close connections whose time is over, once a second."""
        if counter % _SWEEP_TICKS == 0:
            self._connections.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept what waits in the backlog, then let every connection have its answer."""
        if not self._is_shared:
            reject_new_connections(self._listener)
        await self._acceptor.stop()
        await super().shutdown(sockets)

    def abort_connections(self) -> None:
        """Drop connections whose answers were not finished in time."""
        if self._connections.open:
            _log.warning("serving.drain_cut_short", connections=len(self._connections.open))
        for connection in tuple(self._connections.open):
            connection.transport.abort()


class _Acceptor:
    """
    Takes connections off a listening socket while there are fewer than `limit`.

    Where several processes accept on it (`is_shared`), one that has some open pauses after each few,
    so that the others come to have as many: which of them runs first is up to the kernel.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Any,
        connections: Connections,
        limit: int,
        *,
        is_shared: bool = False,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._limit = limit
        self._is_shared = is_shared
        self._loop = asyncio.get_running_loop()
        self._starting: set[asyncio.Task[Any]] = set()
        self._is_accepting = False
        self._is_stopped = False
        connections.on_closed = self.start

    def start(self) -> None:
        """Accept connections, if it does not already and may."""
        if not (self._is_accepting or self._is_stopped or self._is_full):
            self._is_accepting = True
            self._loop.add_reader(self._listener.fileno(), self._accept)

    async def stop(self) -> None:
        """Accept all that wait, and no more: whoever has connected is answered."""
        self._pause()
        self._is_stopped = True
        while self._accept_one():
            pass
        self._listener.close()
        if self._starting:
            await asyncio.wait(self._starting)

    @property
    def _count(self) -> int:
        return len(self._connections.open) + len(self._starting)

    @property
    def _is_full(self) -> bool:
        return self._count >= self._limit

    def _pause(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        has_turns = self._is_shared and self._count >= _TURN_CONNECTIONS
        # The more are open, the more at a time, so that a thousand clients are accepted soon.
        for _ in range(self._count // _TURN_CONNECTIONS if has_turns else 1):
            if not self._accept_one() or self._is_full:
                break
        if self._is_full:
            # They wait in the backlog, which costs nothing, until others are closed.
            self._pause()
        elif has_turns and self._is_accepting:
            self._pause()
            self._loop.call_later(_TURN_SECONDS, self.start)

    def _accept_one(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in _EXHAUSTED_ERRNOS:
                raise
            _log.warning("serving.can_not_accept", reason=error.strerror)
            self._pause()
            self._loop.call_later(_ACCEPT_RETRY_SECONDS, self.start)
            return False
        connection.setblocking(False)
        beginning = self._loop.create_task(self._start_connection(connection))
        self._starting.add(beginning)
        beginning.add_done_callback(self._starting.discard)
        return True

    async def _start_connection(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            connection.close()  # the client has gone already


async def wait_for_shutdown(
    *tasks: asyncio.Task[None], stop_task: asyncio.Task[None] | None = None
) -> None:
    """
    Wait for the first SIGINT or SIGTERM, also one that has come, or for the end of `stopping`.

    :raises RuntimeError: other work ended by itself; what it failed with is raised as it is
    """
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    on_first_signal(partial(loop.call_soon_threadsafe, signalled.set))
    ends: set[asyncio.Task[Any]] = {asyncio.create_task(signalled.wait(), name="signal")}
    if stop_task is not None:
        ends.add(stop_task)
    done, _ = await asyncio.wait({*ends, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    for task in ends - done:
        task.cancel()
    for task in done:
        task.result()
    if not done & ends:
        raise RuntimeError(f"{next(iter(done)).get_name()} ended by itself")


async def wait_until_answering(listener: socket.socket, *servers: asyncio.Task[None]) -> None:
    """Wait until somebody answers on a socket; a server that fails before is raised."""
    host, port = listener.getsockname()[:2]
    asking = asyncio.create_task(request_path(host, port, "/healthz"), name="wait until answering")
    done, _ = await asyncio.wait({asking, *servers}, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    for task in done:
        task.result()


async def request_path(host: str, port: int, path: str) -> bytes:
    """
    Request a path from whoever listens on an address of this machine; returns the whole response.

    :raises OSError: nobody does, or the connection was lost
    """
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    reader, writer = await asyncio.open_connection(address, port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        return await reader.read(_MAX_RESPONSE_BYTES)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
