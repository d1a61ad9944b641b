"""The server in a process of its own: signals and the limit of file descriptors."""

import signal
import subprocess
import sys
import urllib.request

import pytest

SERVICE = """
import asyncio
from github_banners.serving.server import (
    serve_app, open_listener, port_number, wait_for_shutdown
)
from github_banners.serving.event_loop import run

async def app(scope, receive, send):
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})

async def main():
    listener = open_listener("127.0.0.1", 0)
    async with serve_app(app, listener) as server:
        print(port_number(listener), flush=True)
        await wait_for_shutdown(server)

try:
    run(main())
finally:
    print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_serves_and_exits_after_signal(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        try:
            address = f"http://127.0.0.1:{int(service.stdout.readline())}/"
            with urllib.request.urlopen(address, timeout=5) as response:
                assert response.read() == b"hello"
            service.send_signal(number)
            assert service.wait(timeout=10) == 0
            assert service.stdout.read() == "ended\n"
        finally:
            service.kill()


def test_max_connections_raises_soft_descriptor_limit() -> None:
    program = (
        "import resource as r; from github_banners.serving.server import max_connections;"
        "r.setrlimit(r.RLIMIT_NOFILE, (256, 1000));"
        "print(max_connections(), r.getrlimit(r.RLIMIT_NOFILE))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stdout == b"800 (1000, 1000)\n"
