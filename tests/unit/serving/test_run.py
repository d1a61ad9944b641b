"""Ports, servers and their ends; the server itself is a stand-in but for the last test."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from github_banners.errors import Misconfigured
from github_banners.serving import run
from github_banners.serving.run import claim_port, listening, until_stopped

HOST = "127.0.0.1"


class StandIn:
    """Accepts connections until it is stopped."""

    def __init__(self, app: Any, *, address: str, port: int, **options: Any) -> None:
        self._address, self._port = address, port
        self._stopped = asyncio.Event()

    async def serve(self) -> None:
        server = await asyncio.start_server(lambda _, w: w.close(), self._address, self._port)
        async with server:
            await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


class Stubborn(StandIn):
    """Does not stop."""

    def stop(self) -> None:
        pass


class Failing(StandIn):
    """Fails at once."""

    async def serve(self) -> None:
        raise RuntimeError("no threads left")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(run, "Server", getattr(request, "param", StandIn))
    monkeypatch.setattr(run, "DRAIN_SECONDS", 0.05)


async def app(*_: Any) -> None:
    """Nobody calls it."""


def test_a_free_port_is_claimed_and_zero_picks_one() -> None:
    port = claim_port(HOST, 0)
    assert port > 0
    assert claim_port(HOST, port) == port


def test_a_taken_port_is_refused_with_advice() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured) as refused:
            claim_port(HOST, port)
    assert str(port) in str(refused.value)
    assert "Set HOST and PORT to a free address" in str(refused.value)


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="ports can't be shared here")
def test_a_port_that_could_be_shared_is_refused_too() -> None:
    with socket.create_server((HOST, 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured):
            claim_port(HOST, port)


@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1", "no such host"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        claim_port(host, 0)
    assert host in str(refused.value)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])  # noqa: S104
async def test_a_server_listens_as_long_as_its_context(host: str) -> None:
    port = claim_port(host, 0)
    async with listening(app, host=host, port=port) as serving:
        assert not serving.done()
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        await writer.wait_closed()
    assert serving.done()
    assert serving.exception() is None
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncio.open_connection(HOST, port)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("server", [Stubborn], indirect=True)
async def test_a_server_that_does_not_stop_is_cut_short() -> None:
    async with listening(app, host=HOST, port=claim_port(HOST, 0)) as serving:
        pass
    with pytest.raises(asyncio.CancelledError):
        await serving


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("server", [Failing], indirect=True)
async def test_a_server_that_fails_at_start_is_never_called_ready() -> None:
    with pytest.raises(RuntimeError, match="no threads left"):
        async with listening(app, host=HOST, port=claim_port(HOST, 0)):
            pytest.fail("ready without a server")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_wait(number: signal.Signals) -> None:
    server = asyncio.create_task(asyncio.Event().wait(), name="a server")
    waiting = asyncio.create_task(until_stopped(server))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    await waiting
    assert not server.done()
    server.cancel()


async def test_a_server_that_fails_ends_the_wait_loudly() -> None:
    async def fail() -> None:
        raise OSError("too many files")

    with pytest.raises(OSError, match="too many files"):
        await until_stopped(asyncio.create_task(fail()))


async def test_a_server_that_ends_by_itself_ends_the_wait_loudly() -> None:
    with pytest.raises(RuntimeError, match="ended by itself"):
        await until_stopped(asyncio.create_task(app()))


def test_leaving_flushes_and_skips_all_else() -> None:
    program = (
        "import atexit, sys; from github_banners.serving.run import leave;"
        "atexit.register(print, 'late'); print('out'); print('err', file=sys.stderr); leave(3)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"out\n", b"err\n")


SERVICE = """
import asyncio
from github_banners.serving.run import claim_port, leave, listening, until_stopped

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})

async def main():
    port = claim_port("127.0.0.1", 0)
    async with listening(app, host="127.0.0.1", port=port) as server:
        print(port, flush=True)
        await until_stopped(server)

asyncio.run(main())
leave(0)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_real_server_answers_and_ends_by_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        try:
            address = f"http://{HOST}:{int(service.stdout.readline())}/"
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert answer.read() == b"hello"
            service.send_signal(number)
            assert service.wait(timeout=10) == 0
        finally:
            service.kill()
