"""
The only file that knows the ASGI server.

Granian's embedded server, with four cures: it shares a taken port without a word (so the port is
tried first), serves an application whose lifespan failed (ours has none), drains without a limit,
and limits the connections that it serves at once to its backlog.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server
from litestar.types import ASGIApp

from github_banners.errors import Misconfigured

_log = structlog.get_logger(__name__)

DRAIN_SECONDS = 3.5
_BACKLOG = 1024
_MOST_CONNECTIONS = 4096
_MOST_HEADER_BYTES = 64 << 10
_HEADER_MILLISECONDS = 15_000
# Granian configures `logging` when it is made; ours stays in charge.
_LOGGING: dict[str, Any] = {"formatters": {}, "handlers": {}, "loggers": {"_granian": {}}}


def claim_port(host: str, port: int) -> int:
    """
    Make sure that nobody listens on a port yet; 0 picks a free one.

    :raises Misconfigured: it is taken, or not ours to take
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are fading away is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Misconfigured(
                f"Can't listen on {host}:{port}: {error.strerror}. Set HOST and PORT to a free address."
            ) from error
        claimed: int = probe.getsockname()[1]
        return claimed


@asynccontextmanager
async def listening(app: ASGIApp, *, host: str, port: int) -> AsyncIterator[asyncio.Task[None]]:
    """
    Serve an application, from its first answered connection on, while the context lasts.

    The task ends only when the server fails. Leaving finishes what runs, for some seconds at most.
    """
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            max_buffer_size=_MOST_HEADER_BYTES, header_read_timeout=_HEADER_MILLISECONDS
        ),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_MOST_CONNECTIONS,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
        log_access=False,
    )
    serving = asyncio.create_task(server.serve(), name=f"serve port {port}")
    try:
        await until_listening(host, port, serving)
        yield serving
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        _, late = await asyncio.wait({serving}, timeout=DRAIN_SECONDS)
        if late:
            _log.warning("serving.drain_cut_short", seconds=DRAIN_SECONDS)
            serving.cancel()


async def until_stopped(
    *owned: asyncio.Task[None], stopping: asyncio.Task[None] | None = None
) -> None:
    """
    Wait for SIGINT or SIGTERM, or for the end of `stopping`.

    :raises RuntimeError: other work ended by itself; what it failed with is raised as it is
    """
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    ends: set[asyncio.Task[Any]] = {asyncio.create_task(signalled.wait(), name="signal")}
    if stopping is not None:
        ends.add(stopping)
    done, _ = await asyncio.wait({*ends, *owned}, return_when=asyncio.FIRST_COMPLETED)
    for task in ends - done:
        task.cancel()
    for task in done:
        task.result()
    if not done & ends:
        raise RuntimeError(f"{next(iter(done)).get_name()} ended by itself")


def leave(code: int) -> None:
    """
    End the process at once, after everything is closed and flushed.

    Granian's threads have been seen to abort a process that ends the usual way (exit code 134).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def until_listening(host: str, port: int, *servers: asyncio.Task[None]) -> None:
    """Wait until somebody answers on a port; a server that fails before is raised."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    while not any(server.done() for server in servers):
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return
    for server in servers:
        if server.done():
            server.result()
