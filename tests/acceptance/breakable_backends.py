"""Backends of a service that tests can break and repair: GitHub, PostgreSQL, disk space."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from github_banners.database import embedded_binaries
from tests.acceptance.processes import Running, free_port, running
from tests.integration.postgres_process import run_postgres

_POSTGRESQL_15 = Path("/usr/lib/postgresql/15/bin")


class BreakableSandbox:
    """The sandbox on its own port; it can fail, be slow, be frozen or be killed."""

    def __init__(self) -> None:
        self._port = free_port()
        self._stack = ExitStack()
        self._process: Running | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = self._stack.enter_context(running("sandbox", "--port", str(self._port)))

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def failing(self, failures: str) -> Iterator[None]:
        """Fail every request, with the given failures in turn."""
        self._break(fail=failures.split(","))
        try:
            yield
        finally:
            self._break()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Delay every response."""
        self._break(latency_seconds=seconds)
        try:
            yield
        finally:
            self._break()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Accept connections without responding."""
        assert self._process is not None
        with frozen(self._process.process.pid):
            yield

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Refuse connections."""
        assert self._process is not None
        self._process.stop(signal.SIGKILL)
        self.close()
        try:
            yield
        finally:
            self.start()

    def _break(self, **faults: object) -> None:
        httpx2.put(self.url + "/_sandbox/faults", json=faults).raise_for_status()


class Postgres:
    """A PostgreSQL on its own port, which can be killed or frozen; the first start creates its data."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "postgresql"
        self._port = free_port()
        account = embedded_binaries.choose_server_account(self.data_dir)
        programs = _POSTGRESQL_15
        if not programs.exists():
            programs = embedded_binaries.find_programs(
                self.data_dir, account=account, on_progress=print
            )
        self._account, self._programs = account, programs
        self._stack = ExitStack()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self._port} user=postgres dbname=postgres"

    @property
    def pid(self) -> int:
        """Return the process of the running server."""
        assert self._server is not None
        return self._server.pid

    @property
    def settings(self) -> dict[str, str]:
        """Return the environment variables that point a service to this server."""
        address = {"DB_HOST": "127.0.0.1", "PGPORT": str(self._port)}
        return {**address, "POSTGRES_USER": "postgres", "POSTGRES_DB": "postgres"}

    def start(self) -> None:
        settings = {
            "unix_socket_directories": str(self.data_dir),
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "fsync": "off",
        }
        self._server = self._stack.enter_context(
            run_postgres(self.data_dir, settings, programs=self._programs, account=self._account)
        )

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill the server, and start it again at the end."""
        assert self._server is not None
        for pid in process_tree(self._server.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.close()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop responding, to existing and to new connections."""
        assert self._server is not None
        with frozen(self._server.pid):
            yield


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process and its children; the parent first, so that it starts no more of them."""
    os.kill(pid, signal.SIGSTOP)
    stopped = process_tree(pid)
    for child in stopped:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        for child in stopped:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)


def process_tree(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def find_workers(service: Running) -> list[int]:
    """Return the worker processes of a supervisor."""
    pids = []
    for pid in process_tree(service.process.pid)[1:]:
        with suppress(OSError):
            if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                pids.append(pid)
    return pids


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of a few megabytes, which tests can fill."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tmpfs", str(folder)]
    may_mount = os.geteuid() == 0 and shutil.which("mount") is not None
    if not may_mount or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a disk completely, and free the space at the end."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()
