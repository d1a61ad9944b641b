"""Listening sockets, connection limits and shutdown of the server."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from github_banners.errors import ConfigurationError
from github_banners.serving import event_loop, server
from github_banners.serving.server import (
    open_listener,
    port_number,
    serve_app,
    wait_for_shutdown,
    wait_until_answering,
)

HOST = "127.0.0.1"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def restore_signal_handlers() -> Iterator[None]:
    """Restore the signal handlers that tests replace."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    event_loop.SignalState.action = event_loop.SignalState.first_at = None


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Say hello."""
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})


async def run_for_ever() -> None:
    await asyncio.Event().wait()


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(REQUEST)
    return reader, writer


async def body(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(5)


async def close(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def test_open_listener_port_0_picks_a_free_port() -> None:
    with open_listener(HOST, 0) as listener:
        assert port_number(listener) > 0


@pytest.mark.parametrize("is_shared", [False, True])
def test_open_listener_port_in_use_raises_with_advice(is_shared: bool) -> None:
    with socket.create_server((HOST, 0), reuse_port=is_shared) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as raised:
            open_listener(HOST, port)
    assert str(port) in str(raised.value)
    assert "Set PORT to a free port" in str(raised.value)


@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1", "no such host"])
def test_open_listener_foreign_address_raises(host: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_listener(host, 0)
    assert host in str(raised.value)


@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])  # noqa: S104
async def test_serve_app_serves_while_context_lasts(host: str) -> None:
    listener = open_listener(host, 0)
    port = port_number(listener)
    async with serve_app(app, listener) as task:
        assert not task.done()
        reader, writer = await connect(port)
        assert await body(reader) == b"hello"
        await close(writer)
    assert task.exception() is None
    with pytest.raises(OSError, match=r"refused|failed|Connect"):
        await asyncio.open_connection(HOST, port)


async def test_serve_app_exit_answers_backlog() -> None:
    listener = open_listener(HOST, 0)
    async with serve_app(app, listener):
        await asyncio.sleep(0.05)
        # Shutdown follows at once: none of these connections has been accepted yet.
        clients = []
        for _ in range(60):
            client = socket.create_connection((HOST, port_number(listener)))
            client.sendall(REQUEST)
            client.settimeout(5)
            clients.append(client)
    for client in clients:
        with client:
            assert b"".join(iter(lambda client=client: client.recv(4096), b"")).endswith(b"hello")  # type: ignore[misc]


async def test_serve_app_exit_without_descriptors_answers_backlog() -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    listener = open_listener(HOST, 0)
    try:
        async with serve_app(app, listener):
            await asyncio.sleep(0.05)
            clients = [socket.create_connection((HOST, port_number(listener))) for _ in range(60)]
            for client in clients:
                client.sendall(REQUEST)
                client.settimeout(5)
            # All files have lower numbers than this one: 20 of the 60 can be accepted at once.
            limit = clients[-1].fileno() + 21
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for client in clients:
        with client:
            assert b"".join(iter(lambda client=client: client.recv(4096), b"")).endswith(b"hello")  # type: ignore[misc]


async def test_serve_app_exit_without_descriptors_ends_at_the_drain_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "DRAIN_TIMEOUT_SECONDS", 0.2)
    loop = asyncio.get_running_loop()
    listener = Exhausted(open_listener(HOST, 0), 10_000)
    async with serve_app(app, listener):  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        start = loop.time()
    assert loop.time() - start >= 0.2
    assert listener.failures > 0


async def test_serve_app_exit_cuts_off_hanging_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "DRAIN_TIMEOUT_SECONDS", 0.1)
    listener, requested = open_listener(HOST, 0), asyncio.Event()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        requested.set()
        await asyncio.Event().wait()

    async with serve_app(never, listener):
        reader, writer = await connect(port_number(listener))
        await requested.wait()
    assert (await reader.read()).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    await close(writer)


async def test_serve_app_at_limit_leaves_clients_in_backlog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "max_connections", lambda: 2)
    listener = open_listener(HOST, 0)
    port = port_number(listener)
    async with serve_app(app, listener):
        (first, first_writer), (second, second_writer) = await connect(port), await connect(port)
        assert [await body(first), await body(second)] == [b"hello", b"hello"]
        third, third_writer = await connect(port)
        waiting = asyncio.create_task(body(third))
        # Open connections are still served.
        for _ in range(3):
            first_writer.write(REQUEST)
            assert await body(first) == b"hello"
        assert not waiting.done()
        await close(second_writer)
        assert await waiting == b"hello"
        await close(first_writer, third_writer)


async def test_serve_app_shared_socket_serves_all() -> None:
    listener = open_listener(HOST, 0)
    port = port_number(listener)
    async with serve_app(app, listener, is_shared=True):
        clients = await asyncio.gather(*(connect(port) for _ in range(40)))
        bodies = await asyncio.gather(*(body(reader) for reader, _ in clients))
        assert bodies == [b"hello"] * 40
        await close(*(writer for _, writer in clients))


async def test_serve_app_shared_socket_exit_in_pause_answers_all() -> None:
    listener = open_listener(HOST, 0)
    port = port_number(listener)
    async with serve_app(app, listener, is_shared=True):
        clients = [await connect(port) for _ in range(40)]
    bodies = await asyncio.gather(*(body(reader) for reader, _ in clients))
    assert bodies == [b"hello"] * 40
    await close(*(writer for _, writer in clients))


class Exhausted:
    """A listening socket without file descriptors for the first connections."""

    def __init__(self, listener: socket.socket, failures: int) -> None:
        self._listener = listener
        self.failures = failures

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


async def test_serve_app_without_descriptors_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ACCEPT_RETRY_SECONDS", 0.01)
    listener = open_listener(HOST, 0)
    with capture_logs() as logs:
        async with serve_app(app, Exhausted(listener, 2)):  # type: ignore[arg-type]
            reader, writer = await connect(port_number(listener))
            assert await body(reader) == b"hello"
            await close(writer)
    assert [line["event"] for line in logs] == 2 * ["serving.accept_failed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_wait_for_shutdown_signal_returns(number: signal.Signals) -> None:
    task = asyncio.create_task(run_for_ever())
    waiting = asyncio.create_task(wait_for_shutdown(task))
    await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    await waiting
    assert not task.done()
    task.cancel()


async def test_wait_for_shutdown_failed_task_raises_its_error() -> None:
    async def fail() -> None:
        raise OSError("too many files")

    with pytest.raises(OSError, match="too many files"):
        await wait_for_shutdown(asyncio.create_task(fail()))


async def test_wait_for_shutdown_ended_task_raises() -> None:
    async def end() -> None:
        """End at once."""

    with pytest.raises(RuntimeError, match="ended by itself"):
        await wait_for_shutdown(asyncio.create_task(end()))


async def test_wait_until_answering_returns_with_the_first_response() -> None:
    with open_listener(HOST, 0) as listener:
        waiting = asyncio.create_task(wait_until_answering(listener))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        async with serve_app(app, listener):
            await waiting


async def test_wait_until_answering_failed_server_raises_its_error() -> None:
    async def fail() -> None:
        raise OSError("too many files")

    with open_listener(HOST, 0) as listener, pytest.raises(OSError, match="too many files"):
        await wait_until_answering(listener, asyncio.create_task(fail()))
