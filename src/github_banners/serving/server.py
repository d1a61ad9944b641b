"""
Listening sockets and the HTTP server; this and `http_protocol` are the only modules that import uvicorn.

The listening socket is opened first and passed on, so that a port is reserved from the start and
can be shared by several processes. Connections are accepted here and not by the event loop: one at
a time, so that processes share them evenly; up to a limit, so that open connections can be served;
and at shutdown all in the backlog, so that none is reset.
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
from uvicorn.server import Server

from github_banners.errors import ConfigurationError
from github_banners.serving.cached_responses import CachedResponses
from github_banners.serving.connections import Connections, Limits
from github_banners.serving.event_loop import on_first_signal
from github_banners.serving.http_protocol import HttpProtocol
from github_banners.settings.addresses import to_netloc, to_reachable_address

_log = structlog.get_logger(__name__)

DRAIN_TIMEOUT_SECONDS = 3.5
_BACKLOG = 1024
_MAX_CONNECTIONS = 4096
# Descriptors for PostgreSQL, GitHub, files and logs.
_RESERVED_DESCRIPTORS = 200
_MIN_CONNECTIONS = 64
_MAX_DESCRIPTORS = 1 << 16
_ACCEPT_RETRY_SECONDS, _DRAIN_RETRY_SECONDS = 0.5, 0.02
# A process that shares its socket pauses after this many connections, so that others can accept.
_TURN_CONNECTIONS = 8
_TURN_SECONDS = 0.002
_MAX_RESPONSE_BYTES = 1 << 20
_SWEEP_TICKS = 10  # of uvicorn's main loop, a tenth of a second each
_SO_ATTACH_FILTER = 26
# A packet filter of one instruction: return (BPF_RET, 6) with 0 bytes to keep.
_DROP_ALL_FILTER = struct.pack("HBBI", 6, 0, 0, 0)
_EXHAUSTED_ERRNOS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def open_listener(host: str, port: int, *, name: str = "PORT") -> socket.socket:
    """
    Listen on a port of an address; port 0 picks a free one.

    `name` is the environment variable of the port, for the error message.

    :raises ConfigurationError: the port is in use or may not be used
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = None
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        # Without it, connections in TIME_WAIT would block the port after a restart.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            advice = f"Set {name} to a free port, or stop the process that listens there."
        elif error.errno in {errno.EACCES, errno.EPERM}:
            advice = f"Set {name} to a port above 1023."
        else:
            advice = f"Set HOST and {name} to a free address of this machine."
        raise ConfigurationError(
            f"Can't listen on {to_netloc(host, port)}: {reason}. {advice}"
        ) from error
    return listener


def port_number(listener: socket.socket) -> int:
    """Return the port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port


def reject_new_connections(listener: socket.socket) -> None:
    """
    Drop new connections to a listening socket; those in its backlog can still be accepted.

    Clients that connect between the last `accept` and `close` would be reset. With a filter that
    drops every packet they retry after a second, and reach the next server. Linux only.
    https://docs.kernel.org/networking/filter.html
    """
    if not sys.platform.startswith("linux"):
        return
    drop_all = ctypes.create_string_buffer(_DROP_ALL_FILTER, len(_DROP_ALL_FILTER))
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    # Without the filter a few connections may be reset, as on other systems.
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
    Serve an application on a listening socket while the context lasts, then close the socket.

    `is_shared` is True if other processes accept connections on the same socket. The yielded task
    ends only if the server fails. On exit, running requests have some seconds to finish.
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
    )
    server = _Server(config, listener, is_shared=is_shared, cached=cached)
    task = asyncio.create_task(
        server.serve(sockets=[listener]), name=f"serve port {port_number(listener)}"
    )
    try:
        yield task
    finally:
        server.should_exit = True
        _, pending = await asyncio.wait({task}, timeout=DRAIN_TIMEOUT_SECONDS + 1)
        if pending:
            task.cancel()
            await asyncio.wait({task})
        server.abort_connections()


def max_connections() -> int:
    """Raise the soft limit of file descriptors; return how many connections it allows."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return _MIN_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return max(_MIN_CONNECTIONS, min(_MAX_CONNECTIONS, soft - _RESERVED_DESCRIPTORS))


class _Server(Server):
    """uvicorn's server, with our own sockets, signal handling and limits."""

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
        """Install no handlers: `wait_for_shutdown` handles signals."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        self.servers = []
        self.started = True
        self._acceptor.start()

    async def on_tick(self, counter: int) -> bool:
        """Close overdue connections once a second."""
        if counter % _SWEEP_TICKS == 0:
            self._connections.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the connections in the backlog, then finish the requests of all connections."""
        if not self._is_shared:
            reject_new_connections(self._listener)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_TIMEOUT_SECONDS
        await self._acceptor.stop(deadline)
        self.config.timeout_graceful_shutdown = max(0, deadline - loop.time())  # type: ignore[assignment]
        await super().shutdown(sockets)

    def abort_connections(self) -> None:
        """Abort connections whose responses were not finished in time."""
        if self._connections.open:
            _log.warning("serving.drain_cut_short", connections=len(self._connections.open))
        for connection in tuple(self._connections.open):
            connection.transport.abort()


class _Acceptor:
    """
    Accepts connections on a listening socket while fewer than `limit` are open.

    If several processes share the socket (`is_shared`), one with open connections pauses after
    every few it accepts, so that the others get as many: the kernel decides which process runs
    first.
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
        """Start to accept connections, unless stopped or at the limit."""
        if not (self._is_accepting or self._is_stopped or self._is_full):
            self._is_accepting = True
            self._loop.add_reader(self._listener.fileno(), self._accept)

    async def stop(self, deadline: float) -> None:
        """
        Accept the connections in the backlog, so that they are served, and close the socket.

        Without descriptors, open connections are closed after their responses, to accept others in
        their place until the deadline (in the time of the event loop).
        """
        self._pause()
        self._is_stopped = True
        while not self._accept_backlog() and self._loop.time() < deadline:
            for connection in tuple(self._connections.open):
                connection.shutdown()
            await asyncio.sleep(_DRAIN_RETRY_SECONDS)
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
        takes_turns = self._is_shared and self._count >= _TURN_CONNECTIONS
        # The batch grows with the number of connections, so that a thousand are accepted soon.
        try:
            for _ in range(self._count // _TURN_CONNECTIONS if takes_turns else 1):
                if not self._accept_one() or self._is_full:
                    break
        except OSError as error:
            if error.errno not in _EXHAUSTED_ERRNOS:
                raise
            _log.warning("serving.accept_failed", reason=error.strerror)
            self._pause()
            self._loop.call_later(_ACCEPT_RETRY_SECONDS, self.start)
            return
        if self._is_full:
            # Further clients wait in the backlog until a connection is closed.
            self._pause()
        elif takes_turns and self._is_accepting:
            self._pause()
            self._loop.call_later(_TURN_SECONDS, self.start)

    def _accept_backlog(self) -> bool:
        """Accept all connections in the backlog; return False if descriptors are used up."""
        try:
            while self._accept_one():
                pass
        except OSError as error:
            if error.errno not in _EXHAUSTED_ERRNOS:
                raise
            return False
        return True

    def _accept_one(self) -> bool:
        """Accept a connection; return False if the backlog is empty."""
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:  # this client has disconnected; others may wait
            return True
        connection.setblocking(False)
        task = self._loop.create_task(self._start_connection(connection))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return True

    async def _start_connection(self, connection: socket.socket) -> None:
        try:
            _, protocol = await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            connection.close()  # the client has disconnected already
            return
        if self._is_stopped:
            protocol.shutdown()


async def wait_for_shutdown(
    *tasks: asyncio.Task[None], stop_task: asyncio.Task[None] | None = None
) -> None:
    """
    Wait for SIGINT or SIGTERM (also one that came before), or for the end of `stop_task`.

    The error of a task that fails is raised.

    :raises RuntimeError: one of `tasks` ended without an error
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
    """Wait until a server answers on a socket; raise the error of a server that fails before."""
    host, port = listener.getsockname()[:2]
    probe = asyncio.create_task(request_path(host, port, "/healthz"), name="wait until answering")
    done, _ = await asyncio.wait({probe, *servers}, return_when=asyncio.FIRST_COMPLETED)
    probe.cancel()
    for task in done:
        task.result()


async def request_path(host: str, port: int, path: str) -> bytes:
    """
    Request a path from a server on this machine; return the raw response.

    :raises OSError: no server listens there, or the connection was lost
    """
    reader, writer = await asyncio.open_connection(to_reachable_address(host), port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        # One read may return the head alone: the end of the response is that of the connection.
        response = b""
        while len(response) < _MAX_RESPONSE_BYTES:
            if not (chunk := await reader.read(_MAX_RESPONSE_BYTES - len(response))):
                break
            response += chunk
        return response
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
