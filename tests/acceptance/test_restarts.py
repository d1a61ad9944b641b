"""
Processes that stop under load complete every request that they have received.

Clients open a connection for every request, or keep one open; each response is read completely. A
refused connection is no loss: nothing was sent, and a client or a gateway tries the next server.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.breakable_backends import find_workers
from tests.acceptance.processes import (
    Running,
    environment,
    prepared_data_dir,
    reachable_dir,
    running,
)

CLIENTS = 40
PICTURE = "/banners/preview?username=mia-maintains&type=dark"
KEY = "a key of the tests alone"


@dataclass
class Load:
    """Clients of one server, from `start` until it refuses connections or they are stopped."""

    url: str
    path: str
    answered: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    is_stopped: bool = False

    async def begin(self) -> "asyncio.Task[None]":
        """Start the clients, and return once they have received more than `CLIENTS` responses."""
        loading = asyncio.create_task(self.run_until_refused())
        while self.answered <= CLIENTS:
            assert not loading.done()
            await asyncio.sleep(0.02)
        return loading

    async def run_until_refused(self) -> None:
        """Send requests with all clients, half of which keep their connections."""
        async with asyncio.timeout(60):
            await asyncio.gather(*(self._send(is_persistent=bool(n % 2)) for n in range(CLIENTS)))

    async def _send(self, *, is_persistent: bool) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        address = urlsplit(self.url)
        last = "" if is_persistent else "Connection: close\r\n"
        request = f"GET {self.path} HTTP/1.1\r\nHost: banners.example\r\n{last}\r\n".encode()
        while not self.is_stopped:
            is_new = connection is None
            try:
                if connection is None:
                    connection = await asyncio.open_connection(address.hostname, address.port)
            except ConnectionRefusedError:
                self.refused += 1
                return
            reader, writer = connection
            head = b""
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                assert head.startswith(b"HTTP/1.1 200 ")
                self.answered += 1
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(f"{'new' if is_new else 'kept'}: {error!r} after {head!r}")
                head = b"connection: close"
            if b"connection: close" in head.lower():
                writer.close()
                connection = None
        if connection is not None:
            connection[1].close()


async def end_under_load(service: Running, path: str) -> Load:
    """Signal a process under load, and return the results of the requests."""
    load = Load(service.url, path)
    loading = await load.begin()
    service.process.send_signal(signal.SIGTERM)
    await loading
    return load


def ended(service: Running) -> int:
    return service.process.wait(60)


@pytest.mark.parametrize("workers", [1, 4])
def test_serve_shutdown_loses_no_request(workers: int) -> None:
    with (
        prepared_data_dir(demo=True) as folder,
        running(
            *("serve", "--demo", "--workers", str(workers)),
            env=environment(PORT="0", DATA_DIR=str(folder)),
        ) as service,
    ):
        assert service.get(PICTURE).status_code == 200
        load = asyncio.run(end_under_load(service, PICTURE))
        assert ended(service) == 0
    assert load.answered > CLIENTS
    assert load.lost == []


@contextmanager
def start_service(name: str, folder: Path) -> Iterator[Running]:
    settings = {
        "PORT": "0", "DATA_DIR": str(folder), "SERVICES_SECRET_KEY": KEY,
        "KAFKA_BROKERS_ADDRS": "127.0.0.1:1", "DB_HOST": "127.0.0.1", "PGPORT": "1",
        "POSTGRES_PASSWORD": "x", "RENDERER_BASE_URL": "http://127.0.0.1:1",
        "STORAGE_BASE_URL": "http://127.0.0.1:1",
    }  # fmt: skip
    with running(name, env=environment(**settings)) as service:
        yield service


@pytest.mark.parametrize("name", ["api", "renderer", "storage"])
def test_service_shutdown_loses_no_request(name: str) -> None:
    """The other services are down, but the requests do not need them."""
    with reachable_dir() as folder, start_service(name, folder) as service:
        load = asyncio.run(end_under_load(service, "/healthz"))
        assert ended(service) == 0
    assert load.answered > CLIENTS
    assert load.lost == []


async def end_worker_under_load(service: Running, number: signal.Signals) -> Load:
    load = Load(service.url, PICTURE)
    loading = await load.begin()
    before = find_workers(service)
    os.kill(before[0], number)
    async with asyncio.timeout(30):
        while len({*before, *find_workers(service)}) < 3:  # noqa: ASYNC110 - a process starts it
            await asyncio.sleep(0.1)
    # The new process receives requests, too.
    await asyncio.sleep(1)
    load.is_stopped = True
    await loading
    return load


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_worker_shutdown_disturbs_no_other_connection(number: signal.Signals) -> None:
    with (
        prepared_data_dir(demo=True) as folder,
        running(
            *("serve", "--demo", "--workers", "2"),
            env=environment(PORT="0", DATA_DIR=str(folder)),
        ) as service,
    ):
        assert service.get(PICTURE).status_code == 200
        load = asyncio.run(end_worker_under_load(service, number))
        assert len(find_workers(service)) == 2
    assert load.refused == 0
    assert load.answered > CLIENTS
    # A killed process loses the connections that it had accepted, and no others.
    assert len(load.lost) <= (CLIENTS if number == signal.SIGKILL else 0)
